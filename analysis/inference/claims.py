"""The paper's claims, read from claims.yaml, as contrasts: weighted sums of the metrics of cells."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from analysis.frames.columns import METRIC_NAMES
from analysis.frames.study import PAPER_FACTORS
from analysis.paper import MODEL_NAMES, TABLE_1
from tivae.config import FIELD_NAMES

FILE = Path(__file__).with_name("claims.yaml")

PAPER_LEVELS = {name: tuple(dict.fromkeys(cell.factors[name] for cell in TABLE_1)) for name in PAPER_FACTORS}
EACH_OTHER_CELL = "each other cell"
MEAN_OF_ALL_CELLS = "mean of all cells"

# A cell as (field, value) pairs; hashable, in the order of the paper's factors.
Cell = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Contrast:
    """A weighted sum of metrics; `terms` maps (cell, metric) to its weight. `name` tells a claim's contrasts apart."""

    name: str
    terms: Mapping[tuple[Cell, str], float]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim as claims.yaml writes it; its comments say what the fields mean.

    Raises `ValueError` naming claim, field and rule.
    """

    name: str
    statement: str
    quote: str
    measure: str
    metric: str
    of: Mapping[str, Any]
    holds: Mapping[str, float]
    date: datetime
    margin_reason: str = ""
    against: Mapping[str, Any] | str | None = None
    per: tuple[str, ...] = ()
    seen_seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "per", tuple(self.per))
        object.__setattr__(self, "seen_seeds", tuple(self.seen_seeds))
        if self.date.tzinfo is None:
            object.__setattr__(self, "date", self.date.replace(tzinfo=UTC))
        for metric in self.metrics:
            self._check(metric in METRIC_NAMES, "metric", metric, "it must be a metric, or one minus another")
        cells = [self.of, self.against] if isinstance(self.against, Mapping) else [self.of]
        for name in itertools.chain(*cells):
            self._check(name in FIELD_NAMES, "of and against", name, "each name must be a field of a trial")
        if isinstance(self.against, str):
            known = (EACH_OTHER_CELL, MEAN_OF_ALL_CELLS)
            self._check(self.against in known, "against", self.against, f"it must be cells, or {' or '.join(known)}")
        self._check(set(self.per) <= set(PAPER_FACTORS), "per", self.per, f"it must be of {', '.join(PAPER_FACTORS)}")
        rule = "it must be {above: x}, {below: x} or {within: x, around: y}, numbers, x above 0 in the last"
        forms = ({"above"}, {"below"}, {"within"}, {"within", "around"})
        good = set(self.holds) in forms and all(_is_number(value) for value in self.holds.values())
        self._check(good and self.holds.get("within", 1) > 0, "holds", dict(self.holds), rule)
        explained = bool(self.margin_reason) or self.holds in ({"above": 0}, {"below": 0})
        self._check(explained, "margin_reason", self.margin_reason, "a margin other than 0 needs the reason for it")

    def _check(self, good: bool, field: str, value: object, rule: str) -> None:
        if not good:
            raise ValueError(f"claim {self.name}: `{field}` is {value!r}; {rule}")

    @property
    def metrics(self) -> list[str]:
        """The metric, or the two whose difference it is."""
        return [part.strip() for part in self.metric.split(" - ")]

    @property
    def varies(self) -> tuple[str, ...]:
        """The config fields in which its cells differ from the paper's recipe or each other."""
        named = [*self.of, *(self.against if isinstance(self.against, Mapping) else ())]
        return tuple(dict.fromkeys([*PAPER_FACTORS, *named]))

    @property
    def scale(self) -> float:
        """100 for accuracies, which are judged in points; 1 for other metrics."""
        return 100.0 if all("accuracy" in metric for metric in self.metrics) else 1.0

    def margin(self, effect: float) -> float:
        """Distance of an effect from the claim's bound; negative where the claim does not hold."""
        if "above" in self.holds:
            return effect - self.holds["above"]
        if "below" in self.holds:
            return self.holds["below"] - effect
        return self.holds["within"] - abs(effect - self.holds.get("around", 0.0))

    @property
    def bounds(self) -> list[float]:
        """The values of the effect at which the claim begins or ceases to hold."""
        if "within" in self.holds:
            around = self.holds.get("around", 0.0)
            return [around - self.holds["within"], around + self.holds["within"]]
        return list(self.holds.values())

    def claimed(self) -> str:
        """The claimed range of the effect, in words."""
        if "within" in self.holds:
            low, high = self.bounds
            return f"{low:g} to {high:g}"
        return ", ".join(f"{word} {value:g}" for word, value in self.holds.items())

    def holds_in_paper(self) -> bool | None:
        """Whether it holds of the paper's own numbers; None where its table does not have the cells."""
        margins = [self.margin(paper_value(contrast)) for contrast in self.contrasts()]
        return None if any(map(math.isnan, margins)) else min(margins) > 0

    def contrasts(self) -> list[Contrast]:
        """The contrasts, all of which must hold."""
        chosen = cells_of(self.of)
        groups: dict[str, list[Cell]] = {}
        for cell in chosen:
            groups.setdefault(cell_text(tuple((name, dict(cell)[name]) for name in self.per)), []).append(cell)
        found = []
        for name, group in groups.items():
            for against_name, others in self._others(group):
                label = ", ".join(filter(None, [name, against_name]))
                found.append(Contrast(label, self._terms(group, others)))
        return found

    def _others(self, group: list[Cell]) -> list[tuple[str, list[Cell]]]:
        if self.against is None:
            return [("", [])]
        if self.against == EACH_OTHER_CELL:
            return [(f"against {cell_text(cell)}", [cell]) for cell in cells_of({}) if cell not in group]
        if self.against == MEAN_OF_ALL_CELLS:
            return [("", cells_of({}))]
        assert isinstance(self.against, Mapping)
        same = {name: dict(group[0])[name] for name in self.per}
        return [("", cells_of({**same, **self.against}))]

    def _terms(self, group: list[Cell], others: list[Cell]) -> dict[tuple[Cell, str], float]:
        terms: dict[tuple[Cell, str], float] = {}
        for cells, sign in ((group, 1.0), (others, -1.0)):
            for cell, (metric, part) in itertools.product(cells, zip(self.metrics, (1.0, -1.0), strict=False)):
                terms[cell, metric] = terms.get((cell, metric), 0.0) + sign * part * self.scale / len(cells)
        return terms


@functools.cache
def read_claims(path: Path = FILE) -> tuple[tuple[Claim, ...], float]:
    """The claims of a file like claims.yaml, and the level they are tested at.

    Raises `ValueError` naming the file where it holds anything else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise ValueError(f"{path} cannot be read: {' '.join(str(problem).split())}") from problem
    if not isinstance(content, dict) or set(content) != {"level", "claims"} or not isinstance(content["claims"], list):
        raise ValueError(f"{path} must hold `level` and a list of `claims`")
    level = content["level"]
    if not _is_number(level) or not 0 < level < 1:
        raise ValueError(f"{path}: `level` is {level!r}; it must be a number between 0 and 1")
    claims = [_claim(item, path) for item in content["claims"]]
    if len({claim.name for claim in claims}) < len(claims):
        raise ValueError(f"{path}: two claims have the same name; each needs its own")
    return tuple(claims), level


def cells_of(chosen: Mapping[str, Any]) -> list[Cell]:
    """The paper's cells with the chosen values; a value or field that the paper does not have makes a new cell."""
    levels = [(chosen[name],) if name in chosen else PAPER_LEVELS[name] for name in PAPER_FACTORS]
    extra = tuple((name, value) for name, value in chosen.items() if name not in PAPER_FACTORS)
    return [(*zip(PAPER_FACTORS, values, strict=True), *extra) for values in itertools.product(*levels)]


def cell_text(cell: Cell) -> str:
    """A cell, or some of its fields, in words."""
    return " / ".join(_field_text(name, value) for name, value in cell)


def _field_text(name: str, value: Any) -> str:
    if name == "train_dataset":
        return f"{value} data"
    if name == "model":
        return MODEL_NAMES.get(value, str(value).replace("_", " "))
    if name == "stn":
        return "no STN" if value == "none" else f"{value} STN"
    return f"{name} {value}"


def paper_value(contrast: Contrast) -> float:
    """The contrast of the paper's own numbers; NaN where its table does not have them."""
    known = {tuple(cell.factors.items()): cell for cell in TABLE_1}
    terms = [(known.get(cell), metric, weight) for (cell, metric), weight in contrast.terms.items()]
    return math.fsum(math.nan if cell is None else weight * getattr(cell, metric) for cell, metric, weight in terms)


def _claim(item: object, path: Path) -> Claim:
    names = {field.name for field in fields(Claim)}
    required = names - {"against", "per", "margin_reason", "seen_seeds"}
    if not isinstance(item, dict) or not required <= set(item) <= names:
        found = ", ".join(map(str, item)) if isinstance(item, dict) else repr(item)
        raise ValueError(
            f"{path}: a claim has {found}; it must have {', '.join(sorted(required))}, "
            "may have against, margin_reason, per, seen_seeds"
        )
    types: dict[str, type] = dict.fromkeys(("name", "statement", "quote", "measure", "metric"), str)
    types |= {"of": dict, "holds": dict, "date": datetime}
    for field, wanted in (types | {name: list for name in ("per", "seen_seeds") if name in item}).items():
        if not isinstance(item[field], wanted):
            raise ValueError(
                f"{path}, claim {item['name']!r}: `{field}` is {item[field]!r}; it must be a {wanted.__name__}"
            )
    return Claim(**item)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
