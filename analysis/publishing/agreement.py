"""Comparison of two texts, and the place where they first differ."""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import math
from datetime import datetime

from tivae.config import RENAMED

# Of numbers in CSV: intervals and p-values come out alike to this in other versions of scipy.
RELATIVE_TOLERANCE = 1e-9
_SHOWN_WORDS = 6


def difference(name: str, published: str, made: str) -> str | None:
    """Where `published` differs from what is made from the records; None where it does not.

    name: of the file. In a `.csv` numbers agree to 9 digits.
    """
    if published == made:
        return None
    if name.endswith(".csv"):
        return _of_cells(published, made)
    lines = itertools.zip_longest(published.splitlines(), made.splitlines())
    for number, (old, new) in enumerate(lines, start=1):
        if old != new:
            return f"line {number} is {_short(old)}; the records give {_short(new)}"
    return "the ends of its lines"


def missing_words(text: str, words: str) -> str | None:
    """Where `text` leaves `words`, both taken without their line breaks; None where it has them all."""
    given, wanted = " ".join(text.split()), words.split()
    if " ".join(wanted) in given:
        return None
    # The longest beginning that is there, by bisection: what holds for a beginning holds for a shorter one.
    low, high = 0, len(wanted)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if " ".join(wanted[:middle]) in given else (low, middle)
    expected = " ".join(wanted[low : low + _SHOWN_WORDS])
    if low < 3:
        return f"nothing begins with {' '.join(wanted[:_SHOWN_WORDS])!r}"
    start = " ".join(wanted[:low])
    follows = given[given.index(start) + len(start) :].split()[:_SHOWN_WORDS]
    behind, has = " ".join(wanted[max(0, low - 4) : low]), " ".join(follows)
    return f"behind {behind!r} the records give {expected!r}, it has {has!r}"


def _of_cells(published: str, made: str) -> str | None:
    old, new = (list(csv.DictReader(io.StringIO(text))) for text in (published, made))
    if len(old) != len(new):
        return f"it has {len(old)} rows; the records give {len(new)}"
    for number, (mine, theirs) in enumerate(zip(old, new, strict=True), start=1):
        known = {RENAMED.get(name, name): value for name, value in mine.items()}
        # A column that this version has added is empty where nothing of an older record stands in it.
        for name in dict.fromkeys([*known, *theirs]):
            value, wanted = known.get(name) or "", theirs.get(name) or ""
            if not _agree(value, wanted):
                return f"row {number}, {name}: {_short(value)}; the records give {_short(wanted)}"
    return None


def _agree(one: str, other: str) -> bool:
    if one == other:
        return True
    with contextlib.suppress(ValueError):
        return math.isclose(float(one), float(other), rel_tol=RELATIVE_TOLERANCE)
    with contextlib.suppress(ValueError):
        # Its day and hour may be joined by a T or a space.
        return datetime.fromisoformat(one) == datetime.fromisoformat(other)
    return False


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    return repr(text if len(text) <= 100 else f"{text[:97]}...")
