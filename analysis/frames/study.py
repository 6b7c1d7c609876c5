"""`Study`: the trials of one or several results folders as frames, with helpers to filter and pivot them."""

from __future__ import annotations

import dataclasses
import difflib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import yaml

from analysis.frames.columns import columns_frame, config_names
from analysis.frames.trial import Trial, config_of, configs_of
from tivae.config import TrialConfig
from tivae.io import files

# Files of a results folder, which a run writes: its question, and the schedule of its interim analyses.
QUESTION, SCHEDULE = "question.txt", "looks.json"
MOST_LETTERS = 10_000
SPACES = Path(__file__).resolve().parents[2] / "search_spaces"

PAPER_FACTORS = ("train_dataset", "model", "stn")
MAIN_METRICS = ("base_accuracy", "augmented_accuracy", "base_loss", "augmented_loss")

# The order in which the values of a field are shown: as the config lists them.
VALUE_ORDER: dict[str, tuple[str, ...]] = {
    item.name: item.metadata["allowed"] for item in dataclasses.fields(TrialConfig) if "allowed" in item.metadata
}


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """The trials of one or several results folders, one row per trial; `analysis.load` makes it.

    trials: columns `analysis.COLUMNS["trials"]`; its `status` says whether the trial finished.
    epochs: columns `analysis.COLUMNS["epochs"]`, joined to `trials` by `key`.
    folders: results folder of each value of the column `study`.
    """

    trials: pd.DataFrame
    epochs: pd.DataFrame
    folders: Mapping[str, Path]

    def __repr__(self) -> str:
        counts = self.trials["status"].value_counts()
        statuses = ", ".join(f"{count} {status}" for status, count in counts.items())
        names = ", ".join(self.folders)
        return f"<Study {names}: {len(self.trials)} trials ({statuses}), {len(self.epochs)} epochs>"

    def __len__(self) -> int:
        return len(self.trials)

    @property
    def question(self) -> str:
        """The question that it was run for; "" where neither a folder of it nor a search space of its name says."""
        for name, folder in self.folders.items():
            for found in (_question_in(folder), _question_of(name.removesuffix("-quick"))):
                if found:
                    return found
        return ""

    @property
    def finished(self) -> pd.DataFrame:
        """The trials that finished."""
        return self.trials[self.trials["status"] == "finished"]

    @functools.cached_property
    def configs(self) -> dict[str, TrialConfig]:
        """The config of each trial by its key, built once; without those whose record has none that is known here."""
        return configs_of(self.trials)

    @functools.cached_property
    def seedless(self) -> dict[str, TrialConfig]:
        """`configs` with seed 0, which are equal for all seeds of a cell."""
        return {key: config.with_seed(0) for key, config in self.configs.items()}

    def config(self, key: str) -> TrialConfig:
        """The config of the trial `key`. Raises `ValueError`, with the reason, where `configs` has none."""
        known = self.configs.get(key)
        return config_of(self.trials[self.trials["key"] == key].iloc[0]) if known is None else known

    @staticmethod
    def columns(frame: str = "trials") -> pd.DataFrame:
        """The columns of `trials` or `epochs`: name, dtype, unit, meaning."""
        return columns_frame(frame)

    def where(self, **values: Any) -> Self:
        """The part of the study whose columns have these values; a list means any, None means missing.

            study.where(model="vae", latent_dim=[5, 10], train_images=None)

        Raises `ValueError` for a name that is no column of `trials`.
        """
        kept = pd.Series(True, index=self.trials.index)
        for name, value in values.items():
            check_column(self.trials, name)
            allowed = list(value) if pd.api.types.is_list_like(value) else [value]
            match = self.trials[name].isin([item for item in allowed if item is not None])
            if None in allowed:
                match |= self.trials[name].isna()
            kept &= match.astype(bool)
        trials = self.trials[kept].reset_index(drop=True)
        epochs = self.epochs[self.epochs["key"].isin(trials["key"])].reset_index(drop=True)
        named = set(trials["study"])
        folders = {name: path for name, path in self.folders.items() if name in named}
        return type(self)(trials, epochs, folders or self.folders)

    def factors(self) -> list[str]:
        """Config fields that the study varies, without the seed: the paper's three first.

        A field that follows from the paper's three (the classes of the categorical model, say) is not one.
        """
        readable = self.trials[self.trials["model"].notna()]
        groups = readable.groupby(list(PAPER_FACTORS), dropna=False)
        paper = [name for name in PAPER_FACTORS if len(readable[name].unique()) > 1]
        rest = [name for name in config_names(self.trials) if name not in (*PAPER_FACTORS, "seed", "dataset_facts")]
        values = groups[rest].nunique(dropna=False).max()
        return paper + [name for name in rest if values[name] > 1]

    def cell_factors(self) -> list[str]:
        """The paper's three factors and the other config fields that the study varies, without the seed."""
        return list(dict.fromkeys([*PAPER_FACTORS, *self.factors()]))

    def cells(self, metrics: Sequence[str] = MAIN_METRICS) -> pd.DataFrame:
        """One row per cell, a combination of the paper's three factors and all others that the study varies.

        Columns: the factors; `trials` and `finished`, their numbers; for each metric its mean over the
        finished seeds and its standard deviation (`<metric>_sd`, divisor n - 1; missing with one seed).
        """
        for name in metrics:
            check_column(self.trials, name)
        factors = self.cell_factors()
        readable = self.trials[self.trials["model"].notna()]
        finished = readable["status"] == "finished"
        frame = readable[factors].assign(finished=finished)
        for name in metrics:
            frame[name] = readable[name].where(finished)
        groups = frame.groupby(factors, dropna=False, sort=False)
        cells = groups.agg(trials=("finished", "size"), finished=("finished", "sum"))
        for name in metrics:
            cells[name] = groups[name].mean()
            cells[f"{name}_sd"] = groups[name].std()
        return cells.reset_index()

    def pivot(self, value: str, index: str | Sequence[str], across: str | Sequence[str]) -> pd.DataFrame:
        """Mean of `value` over the finished trials: a row per `index`, a column per value of `across`.

        Everything that is not named is averaged over; `where` first for less.
        """
        rows, wide = _names(index), _names(across)
        for name in (value, *rows, *wide):
            check_column(self.trials, name)
        # Numbers by their size; words in the order of the study.
        means = self.finished.groupby([*rows, *wide], dropna=False, sort=False)[value].mean()
        # Not `pivot_table`: it drops rows whose factor is missing, and here that is a value (all images).
        found = means.unstack(wide)  # noqa: PD010
        is_number = len(rows) == 1 and pd.api.types.is_numeric_dtype(self.trials[rows[0]])
        return found.sort_index() if is_number else found

    @property
    def hours(self) -> float:
        """Hours spent on the trials, over all slots; a training that several share counts once."""
        training = self.trials["training_seconds"].fillna(0.0)
        shared = training.groupby(self.trials["training_key"]).max().sum()
        return float((self.trials["wall_seconds"] - training).sum() + shared) / 3600

    def trial(self, key: str) -> Trial:
        """The trial whose key is, or begins with, `key`. Raises `ValueError` if none or several do."""
        keys = self.trials["key"]
        found = np.flatnonzero(keys == key)
        if not len(found):
            found = np.flatnonzero(keys.str.startswith(key))
        if len(found) != 1:
            number = f"{len(found)} keys begin with it" if len(found) else "none begins with it"
            raise ValueError(f"`{key}` is not the key of one trial: {number}; see `study.trials.key`")
        row = self.trials.iloc[found[0]]
        return Trial(key=str(row["key"]), row=row, results=self.folders[row["study"]])


def check_column(frame: pd.DataFrame, name: str) -> None:
    """Raises `ValueError` with the nearest column if `name` is none of `frame`."""
    if name not in frame.columns:
        near = difflib.get_close_matches(str(name), list(frame.columns), n=1)
        hint = f"did you mean `{near[0]}`?" if near else "see `study.columns()`"
        raise ValueError(f"`{name}` is not a column; {hint}")


def _names(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _question_in(folder: Path) -> str:
    try:
        return " ".join(files.read(folder / QUESTION, MOST_LETTERS).decode(errors="replace").split())
    except (OSError, ValueError):
        return ""


def _question_of(space: str) -> str:
    try:
        content = yaml.safe_load(files.read(SPACES / f"{Path(space).name}.yaml"))
        return " ".join(str(content.get("question", "")).split())
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return ""
