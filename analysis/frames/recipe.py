"""Recipes: the settings that trials share, and the trials of a cell in them."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from analysis.frames.columns import config_names
from analysis.frames.image_sets import image_set_of
from analysis.frames.study import PAPER_FACTORS
from tivae.config import ConfigError, TrialConfig

Cell: TypeAlias = Mapping[str, Any]
# `Study.seedless`.
Seedless: TypeAlias = Mapping[str, TrialConfig]

# What it means that the paper's recipe leaves a field unset.
ABSENT = {"train_images": "all", "test_images": "all"}


@dataclass(frozen=True)
class Recipe:
    """The settings in which a study's cells are compared.

    settings: fields that differ from the paper's recipe (`TrialConfig`'s defaults) in the same way in every trial
    of the study, as with `--quick` or `--set epochs=5`. All other fields count only at the recipe's value.
    """

    settings: Mapping[str, Any]

    @property
    def is_papers(self) -> bool:
        """Whether no setting differs from the paper's recipe."""
        return not self.settings

    @property
    def is_on_papers_images(self) -> bool:
        """Whether it is of the data set of the paper's numbers."""
        return "dataset" not in self.settings

    @property
    def images_title(self) -> str:
        """The data set as one writes it, such as "Fashion-MNIST"."""
        return image_set_of(self.settings).title

    def config(self, cell: Cell, seed: int) -> TrialConfig | None:
        """The config of `cell` (some of `TrialConfig`'s fields) in this recipe; None where there is no such config."""
        try:
            return TrialConfig(**{**self.settings, **cell, "seed": seed})
        except ConfigError:
            return None

    def trials_of(self, trials: pd.DataFrame, cell: Cell, seedless: Seedless) -> pd.DataFrame:
        """The finished rows of `trials`, some of a study's, that are `cell` in this recipe, one per seed.

        Raises `ValueError` where a seed occurs twice.
        """
        wanted = self.config(cell, seed=0)
        fits = np.array([wanted is not None and seedless.get(key) == wanted for key in trials["key"]], dtype=bool)
        finished = (trials["status"] == "finished") & trials["seed"].notna()
        rows = trials[fits & finished.to_numpy(dtype=bool)]
        repeated = rows.loc[rows["seed"].duplicated(), "seed"]
        if len(repeated):
            raise ValueError(f"seed {repeated.iloc[0]} occurs twice in {dict(cell)}; give each trial once")
        return rows

    def differences(self) -> str:
        """The differences from the paper's recipe, as "epochs 5 (paper: 20), ..."; "" where there are none."""
        parts = [] if self.is_on_papers_images else [f"data set {self.images_title} (paper: {image_set_of({}).title})"]
        named = [(name, value) for name, value in self.settings.items() if name not in ("dataset", "dataset_facts")]
        return ", ".join([*parts, *(f"{name} {shown(value)} (paper: {_paper_value(name)})" for name, value in named)])

    def notes(self) -> list[str]:
        """What a table says of it: a sentence with the differences, or nothing."""
        return [] if self.is_papers else [f"These trials differ from the paper's recipe: {self.differences()}."]


def recipe_of(trials: pd.DataFrame, seedless: Seedless, vary: Sequence[str] = PAPER_FACTORS) -> Recipe:
    """The recipe that the trials, some of a study's, share, `vary` and the seed apart.

    A field whose values differ between the trials is a factor of theirs: it counts at the paper's value only.
    """
    # Failed and unfinished trials say as well as finished ones which settings the study has.
    known = list(dict.fromkeys(seedless[key] for key in trials["key"] if key in seedless))
    settings = {}
    for name in config_names(trials):
        value = None if name in (*vary, "seed") else _shared_value(known, name)
        if value is not None and any(getattr(config, name) != getattr(like_papers(config), name) for config in known):
            settings[name] = value
    return Recipe(settings)


def at_default(trials: pd.DataFrame, seedless: Seedless) -> pd.DataFrame:
    """The finished ones of the trials in the paper's recipe, settings apart that all of them share."""
    recipe = recipe_of(trials, seedless)
    cells = trials[list(PAPER_FACTORS)].drop_duplicates().to_dict("records")
    return pd.concat([recipe.trials_of(trials, cell, seedless) for cell in cells] or [trials])


def _shared_value(configs: Sequence[TrialConfig], name: str) -> Any:
    """The value that all configs have, those apart that have no use for the field; None where there is none."""
    for value in {getattr(config, name) for config in configs} - {None}:
        if all(getattr(config, name) == value or not _takes(config, name, value) for config in configs):
            return value
    return None


def _takes(config: TrialConfig, name: str, value: Any) -> bool:
    """Whether `config` could have this value; where it has no use for the field, another value stands there."""
    try:
        return bool(getattr(TrialConfig.from_dict(config.to_dict() | {name: value}), name) == value)
    except ConfigError:
        return True


def default_value(config: TrialConfig, name: str) -> Any:
    """The value that a config like this one has of a field that is not given; None where it must be given."""
    plain = config_without(config, (name,))
    return None if plain is None else getattr(plain, name)


def config_without(config: TrialConfig, names: Collection[str]) -> TrialConfig | None:
    """The same config with these fields not given; None where there is no such config."""
    given = {name: value for name, value in config.to_dict().items() if value is not None and name not in names}
    try:
        return TrialConfig.from_dict(given)
    except ConfigError:
        return None


def like_papers(config: TrialConfig) -> TrialConfig:
    """The paper's recipe in the cell of `config`: its `PAPER_FACTORS`, all else as the defaults have it."""
    return _like_papers(*(getattr(config, name) for name in PAPER_FACTORS))


@functools.cache
def _like_papers(*cell: Any) -> TrialConfig:
    # A control that sees no images has no training data set.
    known = {name: value for name, value in zip(PAPER_FACTORS, cell, strict=True) if value is not None}
    return TrialConfig(**known)


@functools.cache
def _paper_value(name: str) -> str:
    configs = [TrialConfig(model=model, stn="pretrained") for model in ("vae", "categorical_vae")]
    values = dict.fromkeys(getattr(config, name) for config in configs)
    return " or ".join(shown(value) for value in values if value is not None) or ABSENT.get(name, "none")


def shown(value: Any) -> str:
    """A config's value as the frames show it."""
    return "-".join(map(str, value)) if isinstance(value, tuple) else str(value)
