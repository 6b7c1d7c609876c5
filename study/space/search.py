"""A search as a file of `search_spaces/` describes it: what is searched, for what, by which sampler."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from study.space.factors import Value
from study.space.parameters import Choices, Parameter
from study.space.yaml_reader import SpaceError
from tivae.config import ConfigError, TrialConfig
from tivae.data.image_set import ImageSet

# Only of validation images: a search that saw the test sets would report what it overfitted them by.
VALIDATION_FIGURES = tuple(
    f"validation_{kind}_{what}" for kind in ("base", "augmented") for what in ("accuracy", "loss")
)
# Sizes: known before a trial runs.
SIZES = ("encoding_dim", "latent_dim")


Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Algorithm:
    """A sampler or pruner by name, with its options."""

    name: str
    options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Search:
    """What `search: optuna` asks for.

    objectives: the figure or size of each, and "maximize" or "minimize". trials: how many in all, those that were
    pruned or failed counted. start: fixed points that are tried first. sampler_seed: of the search's own luck; each
    trial has the seed that `settings` gives it.
    """

    settings: Mapping[str, Value]
    parameters: tuple[Parameter, ...]
    objectives: Mapping[str, Direction]
    sampler: Algorithm
    pruner: Algorithm
    trials: int
    sampler_seed: int
    start: tuple[Mapping[str, Any], ...]
    source: str

    @property
    def image_sets(self) -> list[ImageSet]:
        """The data sets that the search may come to."""
        given = [self.settings["dataset"].plain] if "dataset" in self.settings else []
        for item in self.parameters:
            given += item.domain.values if item.name == "dataset" and isinstance(item.domain, Choices) else ()
        return [TrialConfig(dataset=dataset).images for dataset in given or [TrialConfig().dataset]]

    def config(self, chosen: Mapping[str, Any]) -> TrialConfig:
        """The trial of the parameters' values. Raises `ConfigError` where they do not go together."""
        return TrialConfig(**{name: value.plain for name, value in self.settings.items()} | dict(chosen))

    def choose(self, value_of: Any) -> dict[str, Any]:
        """`value_of(parameter)` of the parameters whose conditions hold."""
        settings = {name: value.plain for name, value in self.settings.items()}
        chosen: dict[str, Any] = {}
        for item in self.parameters:
            if item.applies(settings | chosen):
                chosen[item.name] = value_of(item)
        return chosen

    def drawn(self, count: int) -> list[TrialConfig]:
        """Trials at random, the same in each call. Raises `SpaceError` where one can't be run."""
        source = random.Random(0)
        return [self._valid(self.choose(lambda item: item.domain.draw(source))) for _ in range(count)]

    def _valid(self, chosen: Mapping[str, Any]) -> TrialConfig:
        try:
            return self.config(chosen)
        except ConfigError as error:
            places = {item.name: item.place for item in self.parameters}
            places |= {name: value.place for name, value in self.settings.items()}
            values = ", ".join(f"{name} {value}" for name, value in chosen.items())
            message = f"{error} (a search may come to {values})"
            raise SpaceError(message, places.get(error.field_name or "", self.source)) from None
