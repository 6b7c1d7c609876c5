from typing import Any

import pytest

from study.space.domains import spelled_out
from study.space.yaml_reader import SpaceError, place_all


@pytest.mark.parametrize(
    ("word", "written", "values"),
    [
        ("range", [2, 5], [2, 3, 4, 5]),
        ("range", [2, 10, 4], [2, 6, 10]),
        ("range", [2, 11, 4], [2, 6, 10]),
        ("range", [3, 3], [3]),
        ("range", [-2, 0], [-2, -1, 0]),
        ("linspace", [0, 20, 3], [0, 10, 20]),
        ("linspace", [0, 1, 11], [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        ("linspace", [1, 1, 2], [1, 1]),
        ("logspace", [1e-4, 1e-1, 4], [1e-4, 1e-3, 1e-2, 1e-1]),
        ("logspace", [1e-5, 1e-2, 7], [1e-5, 3.16227766017e-5, 1e-4, 3.16227766017e-4, 1e-3, 3.16227766017e-3, 1e-2]),
        ("logspace", [2, 128, 7], [2, 4, 8, 16, 32, 64, 128]),
    ],
)
def test_known_values(word: str, written: list[float], values: list[float]) -> None:
    """Exactly, digit by digit: a trial is known by its values."""
    assert list(spelled_out("x", word, place_all(written, "here"))) == values


@pytest.mark.parametrize("ends", [(-1.7e308, 1.7e308), (1e-300, 1e300), (0.1, 0.7)])
def test_values_rise_from_end_to_end_without_overflow(ends: tuple[float, float]) -> None:
    for word in ("linspace", "logspace")[: 1 if ends[0] < 0 else 2]:
        values = list(spelled_out("x", word, place_all([*ends, 9], "here")))
        assert (values[0], values[-1]) == ends
        assert values == sorted(set(values))


@pytest.mark.parametrize(
    ("word", "written", "message"),
    [
        ("range", [5, 2], "`range` of `x` runs from 5 down to 2; give the lower end first"),
        ("linspace", [1.5, 0.5, 3], "`linspace` of `x` runs from 1.5 down to 0.5"),
        ("logspace", [1, 0.1, 3], "`logspace` of `x` runs from 1 down to 0.1"),
        ("logspace", [0, 1, 3], r"`logspace` of `x` begins at 0; .*\[1e-4, 1e-1, 4\] \(add 0 itself"),
        ("logspace", [-1, 1, 3], "`logspace` of `x` begins at -1"),
        ("range", [1, 2.5], "all its numbers must be whole"),
        ("range", [1, 5, 0], "has step 0; it must be at least 1"),
        ("range", [1, 5, -1], "has step -1"),
        ("range", [1], r"`range` of `x` is \[1\]; it must be \[low, high\] or \[low, high, step\]"),
        ("range", "1-5", "`range` of `x` is '1-5'"),
        ("range", None, "`range` of `x` is None"),
        ("range", [1, True], "all numbers"),
        ("range", {"low": 1}, "`range` of `x` is {'low': 1}"),
        ("linspace", [0, 1], r"it must be \[low, high, count\]"),
        ("linspace", [0, 1, "3"], "all numbers"),
        ("linspace", [0, 1, 1], "has count 1; it must be a whole number of at least 2"),
        ("linspace", [0, 1, 2.5], "has count 2.5"),
        ("linspace", [0, 1, -3], "has count -3"),
        ("linspace", [0, float("inf"), 3], "its numbers must be finite"),
        ("linspace", [0, 1, 10**9], "`x` asks for 1,000,000,000 values; at most 100,000 are possible"),
        ("logspace", [1, 2, 100_001], "`x` asks for 100,001 values"),
        ("range", [0, 10**20], "`x` asks for 100,000,000,000,000,000,001 values"),
    ],
)
def test_refusals(word: str, written: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message + r".* \(x\.yaml, line 4\)$"):
        spelled_out("x", word, place_all(written, "x.yaml, line 4"))
