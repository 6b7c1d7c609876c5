"""Interim analyses at growing numbers of seeds: the level is divided among them, so that stopping early is valid.

At each of K analyses an interval of confidence 1 - level / K is made; the chance that any of them errs is at most
`level`, however they depend on each other (Bonferroni; the repeated confidence intervals of Jennison and Turnbull 2000,
chapter 9). The p-value after several is K times the smallest so far, which Holm's method takes as any p-value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.frames.study import SCHEDULE
from tivae.io.files import replacing

FIRST_SEEDS = 3
MOST_ANALYSES = 4


@dataclass(frozen=True)
class Schedule:
    """Numbers of seeds, ascending, after each of which the claims are judged. With one number there is no correction.

    Raises `ValueError` if they do not ascend from 2 on.
    """

    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        ascending = all(first < second for first, second in zip(self.seeds, self.seeds[1:], strict=False))
        if not self.seeds or self.seeds[0] < 2 or not ascending:
            raise ValueError(f"claims are judged after {self.seeds} seeds; these must ascend from at least 2")

    def reached(self, seeds: int) -> list[int]:
        """The analyses that so many seeds allow; seeds beyond the schedule count with its last one."""
        return [count for count in self.seeds if count <= seeds]


def planned(most_seeds: int) -> Schedule:
    """At 3 seeds, at `most_seeds`, and at up to two numbers between: 3, 5, 7 and 10 of 10.

    Raises `ValueError` for fewer than 2 seeds.
    """
    if most_seeds <= FIRST_SEEDS:
        return Schedule((most_seeds,))
    count = min(MOST_ANALYSES, most_seeds - FIRST_SEEDS + 1)
    step = (most_seeds - FIRST_SEEDS) / (count - 1)
    return Schedule((*(FIRST_SEEDS + int(number * step) for number in range(count - 1)), most_seeds))


def write(folder: Path, schedule: Schedule) -> None:
    """Keeps the schedule with the study in `folder`."""
    with replacing(folder / SCHEDULE) as file:
        file.write((json.dumps({"looks": list(schedule.seeds)}) + "\n").encode())


def read(folders: Mapping[str, Path]) -> Schedule | None:
    """The schedule of a study in these folders; None if it has none, as where all seeds were asked for at once.

    Raises `ValueError` if the file is damaged.
    """
    found = [path for folder in folders.values() if (path := folder / SCHEDULE).is_file()]
    if not found:
        return None
    try:
        content: Any = json.loads(found[0].read_text(encoding="utf-8"))
        return Schedule(tuple(int(seeds) for seeds in content["looks"]))
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise ValueError(f"{found[0]} can't be read ({problem}); remove it to judge all seeds at once") from problem
