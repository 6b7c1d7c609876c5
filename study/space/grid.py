"""Grids of settings and factors expanded into trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from study.space.factors import Factor, Value
from study.space.number_ranges import MAX_TRIALS
from study.space.parameters import Parameter
from study.space.yaml_reader import SpaceError
from tivae.config import ConfigError, TrialConfig

Conditional = TypeVar("Conditional", Factor, Parameter)


@dataclass(frozen=True, slots=True)
class Grid:
    """Settings that all trials share, and factors that are crossed.

    A field may be both where its factor has a condition: the setting holds where the condition does not.
    """

    settings: Mapping[str, Value]
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


def check_conditions(grids: Iterable[Grid]) -> None:
    """Raises `SpaceError` for a condition on a field that is not varied, or on a value it never takes.

    A condition that several grids share must have a meaning in one of them.
    """
    users: dict[int, tuple[Factor, list[Grid]]] = {}
    for grid in grids:
        for factor in grid.factors.values():
            if factor.where:
                users.setdefault(id(factor), (factor, []))[1].append(grid)
    for factor, its_grids in users.values():
        for name, wanted in factor.where.items():
            taken = {value.plain for grid in its_grids for value in _values_of(name, grid)}
            for value in wanted.values():
                if value.plain not in taken:
                    raise _meaningless(factor.name, name, value, taken)


def trials(grids: Sequence[Grid], source: str) -> tuple[TrialConfig, ...]:
    """The union of the grids: each trial once, in the order of the grids, all of one seed before the next.

    Seeds come first so that an interrupted study holds whole grids. The last factor varies fastest; a factor
    with a condition comes after the factors that it names.

    Raises `SpaceError` for more than 100,000 trials, before any is made, and for what `TrialConfig` refuses.
    """
    planned: list[tuple[Mapping[str, Value], Mapping[str, Value]]] = []
    for grid in grids:
        chosen = _combinations(grid, MAX_TRIALS - len(planned), source)
        planned += [(grid.settings, values) for values in chosen]
    # Equal configs have equal keys, and comparing them costs a tenth of computing keys.
    configs = dict.fromkeys(_config({**settings, **values}, source) for settings, values in planned)
    return tuple(sorted(configs, key=lambda config: config.seed))


def varied_fields(names: Iterable[str], grids: Sequence[Grid], configs: Sequence[TrialConfig]) -> tuple[str, ...]:
    """Those of the names to which the grids give several values, and in which the trials differ; `seed` last.

    So not `categories` where they are always 10 but for the VAE, which has none.
    """
    varied = [
        name
        for name in dict.fromkeys(names)
        if len({value.plain for grid in grids for value in _values_of(name, grid)}) > 1
        and len({getattr(config, name) for config in configs}) > 1
    ]
    return tuple(sorted(varied, key=lambda name: name == "seed"))


def in_order(conditional: Mapping[str, Conditional]) -> list[Conditional]:
    """In the order of the file, except that one comes after those that its condition names.

    Raises `SpaceError` where conditions wait for each other.
    """
    waiting, ordered = dict(conditional), []
    while waiting:
        free = (item for item in waiting.values() if not any(name in waiting for name in item.where))
        chosen = next(free, None)
        if chosen is None:
            names = " and ".join(f"`{name}`" for name in waiting)
            message = f"the conditions of {names} wait for each other; remove one of them"
            raise SpaceError(message, next(iter(waiting.values())).place)
        ordered.append(waiting.pop(chosen.name))
    return ordered


def _values_of(name: str, grid: Grid) -> Iterable[Value]:
    if name in grid.settings:
        yield grid.settings[name]
    if name in grid.factors:
        yield from grid.factors[name].values


def _meaningless(factor_name: str, name: str, value: Value, taken: set[Any]) -> SpaceError:
    if not taken:
        message = (
            f"`where` of the factor `{factor_name}` names `{name}`, which is no factor here; "
            f"add it to `factors`, or remove the condition"
        )
    else:
        message = (
            f"`where` of the factor `{factor_name}` asks for `{name}` {value.plain}, which it never takes; "
            f"its values are {', '.join(sorted(map(str, taken)))}"
        )
    return SpaceError(message, value.place)


def _combinations(grid: Grid, room: int, source: str) -> list[dict[str, Value]]:
    """The chosen values of each combination of factors, without the settings."""
    found: list[dict[str, Value]] = [{}]
    for factor in in_order(grid.factors):
        applies = [factor.applies({**grid.settings, **chosen}) if factor.where else True for chosen in found]
        size = sum(len(factor.values) if here else 1 for here in applies)
        if size > room:
            sizes = " x ".join(f"{len(each.values):,} {each.name}" for each in grid.factors.values())
            message = f"this asks for more than {MAX_TRIALS:,} trials ({sizes}); give fewer values"
            raise SpaceError(message, source)
        longer = []
        for chosen, here in zip(found, applies, strict=True):
            longer += [{**chosen, factor.name: value} for value in factor.values] if here else [chosen]
        found = longer
    return found


def _config(values: Mapping[str, Value], source: str) -> TrialConfig:
    try:
        return TrialConfig(**{name: value.plain for name, value in values.items()})
    except ConfigError as error:
        given = values.get(error.field_name or "")
        raise SpaceError(str(error), given.place if given else source) from None
