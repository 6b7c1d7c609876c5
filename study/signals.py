"""Handling of Ctrl-C and SIGTERM while a run starts, works and ends; imported first, and therefore light."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

EXIT_INTERRUPTED = 130
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


def command(arguments: Sequence[str], hide: Callable[[str], str] = lambda text: re.sub("://.*", "://...", text)) -> str:
    """The command line that continues, without secrets: unless `hide` knows better, of an address only its scheme."""
    # uv names itself in the environment of what it runs.
    prefix = "uv run " if "UV" in os.environ else ""
    return f"{prefix}python -m study.run {shlex.join(hide(text) for text in arguments)}"


def end_at_once(again: str) -> None:
    """Both signals end this process at once, naming the command that continues: for imports, which can't be stopped."""

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        line = f"\nStopped. To continue: {again}\n"
        os.write(sys.stderr.fileno(), line.encode(errors="replace"))
        os._exit(EXIT_INTERRUPTED)

    for number in _NUMBERS:
        signal.signal(number, end)


@contextlib.contextmanager
def ending_at_once(again: str) -> Iterator[None]:
    """`end_at_once` within the block."""
    with _restored():
        if _is_main():
            end_at_once(again)
        yield


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """Within the block both raise `KeyboardInterrupt`, or do what Ctrl-C is set to do, by Tune for example."""

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.raise_signal(signal.SIGINT)

    with _restored():
        if _is_main():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, interrupt)
        yield


def answered(answer: Callable[[], None]) -> None:
    """From now on the first Ctrl-C calls `answer` before it does what it is set to do."""
    present = signal.getsignal(signal.SIGINT)
    if not _is_main() or not callable(present):
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, present)
        answer()
        present(number, frame)

    signal.signal(signal.SIGINT, handle)


def ignore() -> None:
    """Ignores both signals from now on: the process is about to end."""
    if _is_main():
        for number in _NUMBERS:
            signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    before: dict[int, Callable[..., Any] | int | None] = {number: signal.getsignal(number) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # Ignored by an end that is under way.
            if _is_main() and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, handler)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
