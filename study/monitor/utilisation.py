"""Utilisation of slots: the share of their time spent inside trials."""

from __future__ import annotations

from collections.abc import Callable


class Utilisation:
    """Adds up slots and jobs over a run; clock: seconds.

    Times are taken here, when the end of a job is reported: clocks of other machines need not agree with this one.
    """

    def __init__(self, slots: int, clock: Callable[[], float]):
        self._clock = clock
        self._changes = [(clock(), slots)]
        self._inside: list[tuple[float, float]] = []
        self._last_start = clock()

    def resize(self, slots: int) -> None:
        """From now on there are so many slots."""
        self._changes.append((self._clock(), slots))

    def started(self) -> None:
        """A job has started."""
        self._last_start = self._clock()

    def ended(self, busy_seconds: float) -> None:
        """A job has ended, after so many seconds inside the trial."""
        now = self._clock()
        self._inside.append((now - busy_seconds, now))

    def share(self) -> float | None:
        """The share in [0, 1] over the whole run; None if there was no time or no slot."""
        return self._until(self._clock())

    def share_while_filled(self) -> float | None:
        """The same until the last job started: after that slots are idle because there is nothing to do."""
        return self._until(self._last_start)

    def _until(self, end: float) -> float | None:
        inside = sum(max(0.0, min(last, end) - first) for first, last in self._inside)
        ends = [moment for moment, _ in self._changes[1:]] + [end]
        total = sum(
            slots * max(0.0, min(last, end) - first) for (first, slots), last in zip(self._changes, ends, strict=True)
        )
        return min(1.0, inside / total) if total > 0 else None
