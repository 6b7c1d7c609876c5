"""Searches as files of `search_spaces/` describe them: parameters, objectives, sampler and pruner."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from study.space import factors, grid
from study.space.domains import MAX_TRIALS
from study.space.factors import Factor
from study.space.grid import Grid
from study.space.yaml_reader import Node, SpaceError
from tivae.config import ConfigError, TrialConfig
from tivae.data.image_set import ImageSet

Direction = Literal["maximize", "minimize"]

KEYS = (
    *("question", "search", "settings", "parameters", "objectives"),
    *("most_numbers", "sampler", "pruner", "trials", "sampler_seed", "start"),
)
# Only of validation images: a search that saw the test sets would report what it overfitted them by.
VALIDATION_METRICS = tuple(
    f"validation_{test_set}_{what}" for test_set in ("base", "augmented") for what in ("accuracy", "loss")
)
# Sizes: known before a trial runs.
SIZES = ("encoding_dim", "latent_dim")
DIRECTIONS: dict[str, Direction] = {
    "maximise": "maximize",
    "maximize": "maximize",
    "minimise": "minimize",
    "minimize": "minimize",
}
# Options of each with what they are by default; every one is a whole number of at least the second number.
Algorithms = Mapping[str, Mapping[str, tuple[int, int]]]
SAMPLERS: Algorithms = {"tpe": {"startup": (10, 0)}, "nsga2": {"population": (10, 2)}, "random": {}}
PRUNERS: Algorithms = {
    "none": {},
    "median": {"startup": (5, 0), "after_epoch": (2, 0)},
    "asha": {"after_epoch": (2, 1), "reduction": (3, 2)},
}
# Trials drawn at random to see whether the space holds what can't be run, before anything is.
DRAWS = 200


@dataclass(frozen=True)
class Algorithm:
    """A sampler or pruner by name, with its options."""

    name: str
    options: Mapping[str, int]


@dataclass(frozen=True)
class Search:
    """A search, as `search: optuna` describes it.

    objectives: the metric or size of each, and "maximize" or "minimize". trials: how many in all, those that were
    pruned or failed counted. start: fixed points that are tried first. sampler_seed: of the sampler; each
    trial has the seed that `settings` gives it. most_numbers: of an encoding; a trial of more gets fewer latents.
    """

    settings: Mapping[str, Node]
    parameters: tuple[Factor, ...]
    objectives: Mapping[str, Direction]
    sampler: Algorithm
    pruner: Algorithm
    trials: int
    sampler_seed: int
    start: tuple[Mapping[str, Any], ...]
    source: str
    most_numbers: int | None = None

    @property
    def image_sets(self) -> list[ImageSet]:
        """The data sets of all trials that the search can suggest."""
        nodes = [node for item in self.parameters if item.name == "dataset" for node in item.nodes]
        nodes += [self.settings["dataset"]] if "dataset" in self.settings else []
        return [TrialConfig(dataset=node.value).images for node in nodes] or [TrialConfig().images]

    def config(self, chosen: Mapping[str, Any]) -> TrialConfig:
        """The trial of the parameters' values. Raises `ConfigError` if they do not go together."""
        values = {name: node.value for name, node in self.settings.items()} | dict(chosen)
        config = TrialConfig(**values)
        if self.most_numbers is None or config.encoding_dim <= self.most_numbers or config.latent_dim is None:
            return config
        each = config.encoding_dim // config.latent_dim
        return TrialConfig(**values | {"latent_dim": max(1, self.most_numbers // each)})

    def choose(self, value_of: Callable[[Factor], Any]) -> dict[str, Any]:
        """`value_of(parameter)` of the parameters whose conditions hold."""
        settings = {name: node.value for name, node in self.settings.items()}
        chosen: dict[str, Any] = {}
        for item in self.parameters:
            if item.applies(settings | chosen):
                chosen[item.name] = value_of(item)
        return chosen

    @functools.cached_property
    def sample(self) -> list[TrialConfig]:
        """The first `DRAWS` of `drawn`, by which the search is checked."""
        return self.drawn(DRAWS)

    def drawn(self, count: int) -> list[TrialConfig]:
        """Trials at random, the same in each call. Raises `SpaceError` if one can't be run."""
        # Nothing is kept secret by it.
        source = random.Random(0)  # nosec B311
        return [self._valid(self.choose(lambda item: item.domain.draw(source))) for _ in range(count)]

    def _valid(self, chosen: Mapping[str, Any]) -> TrialConfig:
        try:
            return self.config(chosen)
        except ConfigError as error:
            places = {item.name: item.place for item in self.parameters}
            places |= {name: node.place for name, node in self.settings.items()}
            values = ", ".join(f"{name} {value}" for name, value in chosen.items())
            message = f"{error} (a search may come to {values})"
            raise SpaceError(message, places.get(error.field_name or "", self.source)) from None


def read(document: Node, source: str, overrides: Mapping[str, Any], seeds: object) -> Search:
    """The search of a file. An override fixes a parameter or setting, or, a list or mapping of ranges, is searched.

    Raises `SpaceError` with file and line, also for a search that can't be run.
    """
    if (node := document.value["search"]).value != "optuna":
        raise SpaceError(f"`search` is {node.plain!r}; it must be optuna; leave it out for a grid", node.place)
    factors.check_keys(document, KEYS, "a search")
    if seeds is not None:
        raise SpaceError("a search runs each trial with one seed; give it with --set seed=1", "--seeds")
    space = grid.read(document, "parameters")
    # Before overrides: --set model=vae leaves a condition on another model without use, and that is no mistake.
    grid.check_conditions([space])
    start = _start(document, space.factors, overrides)
    space = space.updated(grid.overrides(overrides, searched=True))
    if not space.factors:
        raise SpaceError("nothing is searched; give `parameters` with values or ranges", document.place)
    search = Search(
        settings=space.settings,
        parameters=tuple(grid.in_order(space.factors)),
        objectives=_objectives(document),
        sampler=_algorithm(document, "sampler", SAMPLERS, "tpe"),
        pruner=_algorithm(document, "pruner", PRUNERS, "none"),
        trials=_count(document, "trials", 1),
        sampler_seed=_count(document, "sampler_seed", 0, default=0),
        start=start,
        source=source,
        most_numbers=_count(document, "most_numbers", 2) if "most_numbers" in document.value else None,
    )
    _check_validation(search, space, document)
    if len(start) > search.trials:
        raise SpaceError(f"`trials` is {search.trials}, fewer than the {len(start)} points in `start`", document.place)
    if len(set(search.sample)) == 1:
        names = ", ".join(item.name for item in search.parameters)
        rule = f"none of them uses {names}, or each has one value; give parameters that decide something"
        raise SpaceError(f"all trials of the search are the same; {rule}", document.value["search"].place)
    return search


def _objectives(document: Node) -> dict[str, Direction]:
    entries = factors.entries(document, "objectives")
    known = (*VALIDATION_METRICS, *SIZES)
    if not entries:
        rule = "give `objectives` such as {validation_augmented_accuracy: maximise}"
        raise SpaceError(f"the search has no objective; {rule}", document.place)
    found = {}
    for name, node in entries.items():
        if name not in known:
            test = f"validation_{name}" in known
            why = "is a metric of the test set, which a search may not see" if test else "is reported by no trial"
            hint = f"did you mean `validation_{name}`?" if test else f"it must be one of {', '.join(known)}"
            raise SpaceError(f"the objective `{name}` {why}; {hint}", node.place)
        if not isinstance(node.value, str) or node.value not in DIRECTIONS:
            raise SpaceError(f"the objective `{name}` is {node.plain!r}; it must be maximise or minimise", node.place)
        found[name] = DIRECTIONS[node.value]
    if not any(name in VALIDATION_METRICS for name in found):
        message = f"the objectives are sizes only, which needs no trial; add one of {', '.join(VALIDATION_METRICS)}"
        raise SpaceError(message, document.value["objectives"].place)
    return found


def _algorithm(document: Node, key: str, known: Algorithms, default: str) -> Algorithm:
    node = document.value.get(key, Node(default))
    parts = node.value if isinstance(node.value, dict) else {"name": node}
    named = parts["name"].value if "name" in parts else None
    if not isinstance(named, str) or named not in known:
        rule = f"it must be {' or '.join(known)}, or a mapping with that as its `name`"
        raise SpaceError(f"`{key}` is {node.plain!r}; {rule}", node.place)
    options = known[named]
    factors.check_keys(Node(parts, node.place), ("name", *options), f"`{key}: {named}`")
    return Algorithm(
        named,
        {
            name: _whole(name, parts[name], least) if name in parts else value
            for name, (value, least) in options.items()
        },
    )


def _count(document: Node, key: str, least: int, default: int | None = None) -> int:
    node = document.value.get(key, Node(default))
    if node.value is None and key not in document.value:
        raise SpaceError(f"`{key}` is missing; say how many, such as `{key}: 40`", document.place)
    return _whole(key, node, least)


def _whole(name: str, node: Node, least: int) -> int:
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= MAX_TRIALS:
        rule = f"it must be a whole number from {least} to {MAX_TRIALS:,}"
        raise SpaceError(f"`{name}` is {node.plain!r}; {rule}", node.place)
    return value


def _start(
    document: Node, searched: Mapping[str, Factor], overrides: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    """The starting points, without what --set replaces."""
    node = document.value.get("start", Node([]))
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


def _check_validation(search: Search, space: Grid, document: Node) -> None:
    if space.values_of("validation_images") <= {None}:
        rule = "add `validation_images: 10_000` to `settings`"
        place = document.value["objectives"].place
        raise SpaceError(f"the search has no validation images to choose by; {rule}", place)
    if search.pruner.name != "none" and len(search.objectives) > 1:
        message = (
            f"{search.pruner.name} prunes by one objective, of several; remove `pruner`, or all objectives but one"
        )
        raise SpaceError(message, document.value["pruner"].place)
