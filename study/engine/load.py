"""Which slots are taken, and the pool that a job should go to: a pure decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from study.engine.devices import Pool
from study.jobs import Job

# Images of the paper's VAE per second and slot, until it has been measured.
SPEED_AT_FIRST = {"cuda": 20_000.0, "mps": 4_000.0, "cpu": 1_400.0}

# How much slower than that a pool that has not been measured may turn out without holding up the end.
MARGIN_AT_FIRST = 8.0


class Load:
    """The load of `pools`, which are ordered from the fastest kind to the slowest and may change at any time."""

    def __init__(self, pools: Sequence[Pool]):
        self.pools = list(pools)
        self._taken: Counter[str] = Counter()
        self._measured: dict[str, float] = {}
        self._lacking: dict[str, set[tuple[str, ...]]] = {}

    @property
    def slots(self) -> int:
        """Slots of all pools together."""
        return sum(pool.slots for pool in self.pools)

    def take(self, kind: str) -> None:
        """A job has been given to the pool of this kind."""
        self._taken[kind] += 1

    def free(self, kind: str) -> None:
        """A job of this pool has ended."""
        self._taken[kind] -= 1

    def measured(self, kind: str, cost_per_second: float) -> None:
        """The speed at which a slot of this kind works, from now on."""
        self._measured[kind] = cost_per_second

    def exclude(self, kind: str, job: Job) -> bool:
        """No job like this one goes to this kind again; whether that is new."""
        known = self._lacking.setdefault(kind, set())
        new = job.operations not in known
        known.add(job.operations)
        return new

    @property
    def everything_runs_everywhere(self) -> bool:
        """Whether no kind lacks anything, so that one job has room where any other has."""
        return not self._lacking

    def fitting(self, job: Job) -> list[Pool]:
        """The pools that can run the job, now or later."""
        return [pool for pool in self.pools if job.operations not in self._lacking.get(pool.kind, ())]

    def has_room(self) -> bool:
        """Whether any pool could be given a job more."""
        return any(self._taken[pool.kind] < pool.slots + 1 for pool in self.pools)

    def room(self, job: Job, waiting_jobs: float, waiting_cost: float) -> Pool | None:
        """The fastest pool that should be given the job now, with so much waiting; None where it had better wait."""
        fitting = self.fitting(job)
        # A process is kept for the next job only where that waits already; the last jobs would wait beside free slots.
        spare = 1 if waiting_jobs > self.slots else 0
        for room in (0, spare):
            for number, pool in enumerate(fitting):
                if self._taken[pool.kind] < pool.slots + room and self._is_worth_it(
                    job, pool, fitting[:number], waiting_cost
                ):
                    return pool
        return None

    def _is_worth_it(self, job: Job, pool: Pool, faster: Sequence[Pool], waiting_cost: float) -> bool:
        """Whether `pool` would end the job before the faster pools have done everything that waits."""
        together = sum(other.slots * self._speed(other.kind) for other in faster)
        margin = 1.0 if pool.kind in self._measured else MARGIN_AT_FIRST
        return together == 0 or margin * job.cost / self._speed(pool.kind) <= waiting_cost / together

    def _speed(self, kind: str) -> float:
        return self._measured.get(kind, SPEED_AT_FIRST[kind])
