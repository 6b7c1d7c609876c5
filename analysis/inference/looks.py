"""Several looks at a growing number of seeds: the level is shared out among them, so that stopping early costs nothing.

At each of K looks an interval of confidence 1 - level / K is made; the chance that any of them errs is at most `level`,
whatever the looks have to do with each other (Bonferroni; Jennison and Turnbull 2000, chapter 9, call them repeated
confidence intervals). The p-value after some looks is K times the smallest so far, which holds for Holm's method as
any p-value does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tivae.io.files import replacing

FILE = "looks.json"
FIRST_LOOK = 3
MOST_LOOKS = 4


@dataclass(frozen=True)
class Looks:
    """Numbers of seeds, ascending, after each of which the claims are judged. One number is a usual, single look.

    Raises `ValueError` if they do not ascend from 2 on.
    """

    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        ascending = all(first < second for first, second in zip(self.seeds, self.seeds[1:], strict=False))
        if not self.seeds or self.seeds[0] < 2 or not ascending:
            raise ValueError(f"looks are {self.seeds}; they must ascend from at least 2 seeds")

    @property
    def corrected_by(self) -> int:
        """What p-values are multiplied by."""
        return len(self.seeds)

    def reached(self, seeds: int) -> list[int]:
        """The looks that so many seeds allow; more seeds than planned count with the last look's."""
        return [look for look in self.seeds if look <= seeds]


def planned(most_seeds: int) -> Looks:
    """At 3 seeds, at `most_seeds`, and at up to two numbers between: 3, 5, 7 and 10 of 10.

    Raises `ValueError` for fewer than 2 seeds.
    """
    if most_seeds <= FIRST_LOOK:
        return Looks((most_seeds,))
    count = min(MOST_LOOKS, most_seeds - FIRST_LOOK + 1)
    step = (most_seeds - FIRST_LOOK) / (count - 1)
    return Looks((*(FIRST_LOOK + int(number * step) for number in range(count - 1)), most_seeds))


def write(folder: Path, looks: Looks) -> None:
    """Keeps with a study how its claims are judged."""
    with replacing(folder / FILE) as file:
        file.write((json.dumps({"looks": list(looks.seeds)}) + "\n").encode())


def read(folders: Mapping[str, Path]) -> Looks | None:
    """The looks of a study in these folders; None if it has none, as where all seeds were asked for at once.

    Raises `ValueError` if the file is damaged.
    """
    found = [path for folder in folders.values() if (path := folder / FILE).is_file()]
    if not found:
        return None
    try:
        content: Any = json.loads(found[0].read_text(encoding="utf-8"))
        return Looks(tuple(int(seeds) for seeds in content["looks"]))
    except (OSError, ValueError, TypeError, KeyError) as problem:
        raise ValueError(f"{found[0]} can't be read ({problem}); remove it to judge all seeds at once") from problem
