"""Reads a search from a file of `search_spaces/`, and refuses one that can't be run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from study.space import factors, parameters
from study.space.factors import Value
from study.space.grid import in_order
from study.space.parameters import Choices, Parameter
from study.space.search import SIZES, VALIDATION_FIGURES, Algorithm, Direction, Search
from study.space.yaml_reader import Node, SpaceError, place_all

KEYS = (
    *("question", "search", "settings", "parameters", "objectives"),
    *("sampler", "pruner", "trials", "sampler_seed", "start"),
)
MAX_TRIALS = 100_000

DIRECTIONS: dict[str, Direction] = {
    "maximise": "maximize",
    "maximize": "maximize",
    "minimise": "minimize",
    "minimize": "minimize",
}

# Options of each with what they are by default; every one is a whole number of at least the second figure.
SAMPLERS: dict[str, dict[str, tuple[int, int]]] = {
    "tpe": {"startup": (10, 0)},
    "nsga2": {"population": (10, 2)},
    "random": {},
}
PRUNERS: dict[str, dict[str, tuple[int, int]]] = {
    "none": {},
    "median": {"startup": (5, 0), "after_epoch": (2, 0)},
    "asha": {"after_epoch": (2, 1), "reduction": (3, 2)},
}

# Trials drawn at random to see whether the space holds what can't be run, before anything is.
DRAWS = 200


def read(document: Node, source: str, overrides: Mapping[str, Any], seeds: object) -> Search:
    """The search of a file. An override fixes a parameter or setting, or, a list or mapping of ranges, is searched.

    Raises `SpaceError` with file and line.
    """
    if document.value["search"].value != "optuna":
        node = document.value["search"]
        rule = "it must be optuna; leave it out for a grid"
        raise SpaceError(f"`search` is {node.plain!r}; {rule}", node.place)
    factors.check_keys(document, KEYS, "a search")
    if seeds is not None:
        raise SpaceError("a search runs each trial with one seed; give it with --set seed=1", "--seeds")
    settings = {name: factors.setting(name, part) for name, part in factors.entries(document, "settings").items()}
    searched = {
        name: parameters.parameter(name, part) for name, part in factors.entries(document, "parameters").items()
    }
    _check_both(settings, searched)
    # Before overrides: --set model=vae leaves a condition on another model without use, and that is no mistake.
    _check_conditions(settings, searched)
    start = _start(document, searched, overrides)
    for name, value in overrides.items():
        _override(name, place_all(value, f"--set {name}"), settings, searched)
    if not searched:
        raise SpaceError("nothing is searched; give `parameters` with values or ranges", document.place)
    search = Search(
        settings=settings,
        parameters=tuple(in_order(searched)),
        objectives=_objectives(document),
        sampler=_algorithm(document, "sampler", SAMPLERS, "tpe"),
        pruner=_algorithm(document, "pruner", PRUNERS, "none"),
        trials=_count(document, "trials", 1),
        sampler_seed=_count(document, "sampler_seed", 0, default=0),
        start=start,
        source=source,
    )
    _check_validation(search, document)
    search.drawn(DRAWS)
    return search


def _check_both(settings: Mapping[str, Value], searched: Mapping[str, Parameter]) -> None:
    for name, item in searched.items():
        if name in settings and not item.where:
            raise SpaceError(f"`{name}` is a setting and a parameter as well; remove one of them", item.place)


def _override(name: str, node: Node, settings: dict[str, Value], searched: dict[str, Parameter]) -> None:
    factors.check_field(name, node.place)
    single = not isinstance(node.value, dict) and factors.is_one_value(name, node)
    if single:
        settings[name] = factors.setting(name, node)
        searched.pop(name, None)
    else:
        searched[name] = parameters.parameter(name, node)
        settings.pop(name, None)


def _objectives(document: Node) -> dict[str, Direction]:
    entries = factors.entries(document, "objectives")
    known = (*VALIDATION_FIGURES, *SIZES)
    if not entries:
        rule = "give `objectives` such as {validation_augmented_accuracy: maximise}"
        raise SpaceError(f"the search has no objective; {rule}", document.place)
    found = {}
    for name, node in entries.items():
        if name not in known:
            test = f"validation_{name}" in known
            why = "is a figure of the test set, which a search may not see" if test else "is reported by no trial"
            hint = f"did you mean `validation_{name}`?" if test else f"it must be one of {', '.join(known)}"
            raise SpaceError(f"the objective `{name}` {why}; {hint}", node.place)
        if node.value not in DIRECTIONS:
            raise SpaceError(f"the objective `{name}` is {node.plain!r}; it must be maximise or minimise", node.place)
        found[name] = DIRECTIONS[node.value]
    if not any(name in VALIDATION_FIGURES for name in found):
        rule = f"add one of {', '.join(VALIDATION_FIGURES)}"
        raise SpaceError(
            f"the objectives are sizes only, which needs no trial; {rule}", document.value["objectives"].place
        )
    return found


def _algorithm(document: Node, key: str, known: Mapping[str, Mapping[str, tuple[int, int]]], default: str) -> Algorithm:
    node = document.value.get(key)
    if node is None:
        return Algorithm(default, {name: value for name, (value, _) in known[default].items()})
    parts = node.value if isinstance(node.value, dict) else {"name": node}
    named = parts["name"].value if "name" in parts else None
    if not isinstance(named, str) or named not in known:
        rule = f"it must be {' or '.join(known)}, or a mapping with that as its `name`"
        raise SpaceError(f"`{key}` is {node.plain!r}; {rule}", node.place)
    options = known[named]
    if isinstance(node.value, dict):
        factors.check_keys(node, ("name", *options), f"`{key}: {named}`")
    return Algorithm(
        named,
        {
            name: _whole(name, parts[name], least) if name in parts else value
            for name, (value, least) in options.items()
        },
    )


def _count(document: Node, key: str, least: int, default: int | None = None) -> int:
    node = document.value.get(key)
    if node is None:
        if default is None:
            raise SpaceError(f"`{key}` is missing; say how many, such as `{key}: 40`", document.place)
        return default
    return _whole(key, node, least)


def _whole(name: str, node: Node, least: int) -> int:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_TRIALS:
        rule = f"it must be a whole number from {least} to {MAX_TRIALS:,}"
        raise SpaceError(f"`{name}` is {node.plain!r}; {rule}", node.place)
    return value


def _start(
    document: Node, searched: Mapping[str, Parameter], overrides: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    """The starting points, without what --set replaces."""
    node = document.value.get("start")
    if node is None:
        return ()
    if not isinstance(node.value, list) or not all(isinstance(point.value, dict) for point in node.value):
        raise SpaceError(f"`start` is {node.plain!r}; it must be a list of points, {{name: value}}", node.place)
    points = []
    for point in node.value:
        values = {}
        for name, part in point.value.items():
            if name not in searched:
                rule = f"a starting point may give {', '.join(searched)}"
                raise SpaceError(f"`{name}` is not searched; {rule}", part.place)
            value = tuple(part.plain) if isinstance(part.plain, list) else part.plain
            if name in overrides:
                continue
            try:
                values[name] = searched[name].domain.encoded(value)
            except ValueError:
                message = f"`{name}` starts at {part.plain}, which is outside of {searched[name].domain}"
                raise SpaceError(message, part.place) from None
        points.append(values)
    return tuple(points)


def _check_conditions(settings: Mapping[str, Value], searched: Mapping[str, Parameter]) -> None:
    fixed = {name: {value.plain} for name, value in settings.items()}
    choices = {item.name: set(item.domain.values) for item in searched.values() if isinstance(item.domain, Choices)}
    for item in searched.values():
        for name, wanted in item.where.items():
            taken = fixed.get(name, set()) | choices.get(name, set())
            for value in wanted.values():
                if value.plain in taken:
                    continue
                message = (
                    f"asks for `{name}` {value.plain}, never its value; it takes {', '.join(map(str, taken))}"
                    if taken
                    else f"names `{name}`, which is neither a setting nor a parameter with `values`; add it there"
                )
                raise SpaceError(f"`where` of the parameter `{item.name}` {message}", value.place)


def _check_validation(search: Search, document: Node) -> None:
    given = search.settings.get("validation_images")
    if given is None or given.plain is None:
        rule = "add `validation_images: 10_000` to `settings`"
        place = document.value["objectives"].place
        raise SpaceError(f"the search has no validation images to choose by; {rule}", place)
    if search.pruner.name != "none" and len(search.objectives) > 1:
        rule = "remove `pruner`, or all objectives but one"
        raise SpaceError(
            f"{search.pruner.name} prunes by one objective, of several; {rule}", document.value["pruner"].place
        )
