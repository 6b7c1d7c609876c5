"""How much is measured: enough for reliable numbers, or just enough to go through every step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """rounds: turns of each contestant; seconds: of one turn; images: training images of a whole trial's parts."""

    rounds: int
    seconds: float
    images: int
    test_images: int
    is_quick: bool = False


FULL = Scale(rounds=7, seconds=4.0, images=60_000, test_images=10_000)
QUICK = Scale(rounds=1, seconds=0.1, images=1_000, test_images=500, is_quick=True)
