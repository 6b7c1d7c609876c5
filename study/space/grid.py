"""Settings and factors of a file, and grids of them expanded into trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from study.space import factors
from study.space.domains import MAX_TRIALS
from study.space.factors import Factor
from study.space.yaml_reader import Node, SpaceError, place_all
from tivae.config import ConfigError, TrialConfig


@dataclass(frozen=True, slots=True)
class Grid:
    """Settings that all trials share, and factors that are crossed or searched over.

    A field may be both where its factor has a condition: the setting holds where the condition does not.
    """

    settings: Mapping[str, Node]
    factors: Mapping[str, Factor]

    def updated(self, other: Grid) -> Grid:
        """This grid with the fields of `other` added, or put in place of its own."""
        kept_settings = {
            name: value
            for name, value in self.settings.items()
            if name not in other.factors or other.factors[name].where
        }
        kept_factors = {name: factor for name, factor in self.factors.items() if name not in other.settings}
        return Grid(kept_settings | dict(other.settings), kept_factors | dict(other.factors))

    def values_of(self, name: str) -> set[Any]:
        """The listed values of a field, none where it is neither set nor varied."""
        found = {self.settings[name].value} if name in self.settings else set()
        return found | {node.value for node in self.factors[name].nodes} if name in self.factors else found


def read(node: Node, key: str = "factors") -> Grid:
    """The settings, factors (under `key`) and seeds that stand directly in a document or a block.

    Raises `SpaceError` with file and line.
    """
    settings = {name: factors.setting(name, part) for name, part in factors.entries(node, "settings").items()}
    searched = key == "parameters"
    varied = {name: factors.factor(name, part, searched=searched) for name, part in factors.entries(node, key).items()}
    if "seeds" in node.value:
        if "seed" in varied or "seed" in settings:
            message = "both `seeds` and `seed` are given; keep one of them"
            raise SpaceError(message, node.value["seeds"].place)
        varied["seed"] = factors.seeds(node.value["seeds"])
    for name, factor in varied.items():
        if name in settings and not factor.where:
            message = f"`{name}` is a setting and a factor as well; remove one of them"
            raise SpaceError(message, factor.place)
    return Grid(settings, varied)


def overrides(values: Mapping[str, Any], seeds: object = None, *, searched: bool = False) -> Grid:
    """The replacements by `--set` and `--seeds`: settings, and factors where a value is a list or ranges.

    Raises `SpaceError` as `read` does, and for a condition.
    """
    settings: dict[str, Node] = {}
    varied: dict[str, Factor] = {}
    for name, value in values.items():
        node = place_all(value, f"--set {name}")
        factors.check_field(name, node.place)
        if isinstance(value, Mapping) and "where" in value:
            raise SpaceError(f"`{name}` is set with `where`; a condition must stand in the file", node.place)
        if factors.is_one_value(name, node):
            settings[name] = factors.setting(name, node)
        else:
            varied[name] = factors.factor(name, node, searched=searched)
    if seeds is not None:
        if "seed" in values:
            raise SpaceError("both --seeds and --set seed are given; keep one of them")
        varied["seed"] = factors.seeds(place_all(seeds, "--seeds"))
    return Grid(settings, varied)


def check_conditions(grids: Iterable[Grid]) -> None:
    """Raises `SpaceError` for a condition on a field that has no values, or on a value it never takes.

    A condition that several grids share must have a meaning in one of them.
    """
    users: dict[int, tuple[Factor, list[Grid]]] = {}
    for grid in grids:
        for factor in grid.factors.values():
            if factor.where:
                users.setdefault(id(factor), (factor, []))[1].append(grid)
    for factor, its_grids in users.values():
        for name, wanted in factor.where.items():
            taken = {value for grid in its_grids for value in grid.values_of(name)}
            for value, node in wanted.items():
                if value in taken:
                    continue
                message = (
                    f"asks for `{name}` {value}, which it never takes; its values are "
                    f"{', '.join(sorted(map(str, taken)))}"
                    if taken
                    else f"names `{name}`, which has no values here; add them, or remove the condition"
                )
                raise SpaceError(f"`where` of the factor `{factor.name}` {message}", node.place)


def trials(grids: Sequence[Grid], source: str) -> tuple[TrialConfig, ...]:
    """The union of the grids: each trial once, in the order of the grids, all of one seed before the next.

    Seeds come first so that an interrupted study holds whole grids. The last factor varies fastest; a factor
    with a condition comes after the factors that it names.

    Raises `SpaceError` for more than 100,000 trials, before any is made, and for what `TrialConfig` refuses.
    """
    planned: list[tuple[Grid, dict[str, Node]]] = []
    for grid in grids:
        planned += [(grid, chosen) for chosen in _combinations(grid, MAX_TRIALS - len(planned), source)]
    # Equal configs have equal keys, and comparing them costs a tenth of computing keys.
    configs = dict.fromkeys(_config({**grid.settings, **chosen}, source) for grid, chosen in planned)
    return tuple(sorted(configs, key=lambda config: config.seed))


def in_order(factors: Mapping[str, Factor]) -> list[Factor]:
    """In the order of the file, except that one comes after those that its condition names.

    Raises `SpaceError` if conditions wait for each other.
    """
    waiting, ordered = dict(factors), []
    while waiting:
        free = (item for item in waiting.values() if not any(name in waiting for name in item.where))
        chosen = next(free, None)
        if chosen is None:
            names = " and ".join(f"`{name}`" for name in waiting)
            message = f"the conditions of {names} wait for each other; remove one of them"
            raise SpaceError(message, next(iter(waiting.values())).place)
        ordered.append(waiting.pop(chosen.name))
    return ordered


def _combinations(grid: Grid, room: int, source: str) -> list[dict[str, Node]]:
    """The values of each combination of factors, without the settings."""
    found: list[dict[str, Node]] = [{}]
    fixed = {name: node.value for name, node in grid.settings.items()}
    for factor in in_order(grid.factors):
        applies = [
            factor.applies(fixed | {name: chosen[name].value for name in factor.where if name in chosen})
            for chosen in found
        ]
        size = sum(len(factor.nodes) if here else 1 for here in applies)
        if size > room:
            sizes = " x ".join(f"{len(each.nodes):,} {each.name}" for each in grid.factors.values())
            message = f"this asks for more than {MAX_TRIALS:,} trials ({sizes}); give fewer values"
            raise SpaceError(message, source)
        longer = []
        for chosen, here in zip(found, applies, strict=True):
            longer += [{**chosen, factor.name: node} for node in factor.nodes] if here else [chosen]
        found = longer
    return found


def _config(values: Mapping[str, Node], source: str) -> TrialConfig:
    try:
        return TrialConfig(**{name: node.value for name, node in values.items()})
    except ConfigError as error:
        given = values.get(error.field_name or "")
        raise SpaceError(str(error), given.place if given else source) from None
