"""Shared parts of all commands: one line for bad input and for each warning."""

from __future__ import annotations

import contextlib
import functools
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import ParamSpec

EXIT_BAD_INPUT = 2

Given = ParamSpec("Given")


def command_line(main: Callable[Given, int]) -> Callable[Given, int]:
    """`main` with an exit code of 2 and one line for a `ValueError` or an `OSError`."""

    @functools.wraps(main)
    def run(*arguments: Given.args, **named: Given.kwargs) -> int:
        try:
            with warnings_in_lines():
                return main(*arguments, **named)
        except (ValueError, OSError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return EXIT_BAD_INPUT

    return run


@contextlib.contextmanager
def warnings_in_lines() -> Iterator[None]:
    """Within the block each warning is a line, printed once, wherever it comes from."""

    @functools.cache
    def tell(text: str) -> None:
        print(f"note: {text}", file=sys.stderr)

    def show(message: Warning | str, *_: object, **__: object) -> None:
        tell(" ".join(str(message).split()))

    # Restores what was set before.
    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
