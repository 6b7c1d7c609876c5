"""Results folders -> a `Study` with tidy `trials` and `epochs` frames, and these frames to disk."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.frames.columns import CONFIG_NAMES
from analysis.frames.records import read_trials, trial_folders
from analysis.frames.study import MAIN_METRICS, VALUE_ORDER, Study
from analysis.frames.typed import empty_frame, frame_of, read_frame, write_frames
from tivae.io import files
from tivae.io.record import FIRST_RECIPE
from tivae.registry import MODELS, PROBES


def load(*paths: str | os.PathLike[str], running: bool = False, recipe: int | None = None) -> Study:
    """As `analysis.load`, without a notebook's conveniences.

    Of a trial in several folders the row is that of the first where it finished, or else of the first that has it.
    A folder with symbolic links in it is refused with `ValueError`.
    """
    if not paths:
        raise ValueError("no results folder is given; for example load('results/paper_grid')")
    folders = [Path(path) for path in paths]
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder} is not a folder; give the results folder of a study")
        files.check_folder(folder)
    names = _study_names(folders)
    parts = [_read(folder, name, running) for folder, name in zip(folders, names, strict=True)]
    found = _concatenated([part[0] for part in parts], "trials")
    trials = _of_one_recipe(found, recipe)
    # Models and probes declare fields of the config: they are imported, where that is allowed.
    for registry in (MODELS, PROBES):
        for name in trials[registry.field].dropna().unique():
            registry.get(name)
    if trials.empty:
        others = _in_words(found["recipe"])
        raise ValueError(f"no trial is of recipe {recipe}, but of {others}" if others else _nothing_line(folders))
    _warn_of_disagreement(trials)
    unfinished = (trials["status"] != "finished").sort_values(kind="stable")
    trials = _ordered(trials.loc[unfinished.index].drop_duplicates("key"))
    epochs = _epochs_of(trials, _concatenated([part[1] for part in parts], "epochs"))
    return Study(trials, epochs, dict(zip(names, folders, strict=True)))


def write(study: Study, folder: str | os.PathLike[str]) -> None:
    """Writes trials.parquet, trials.csv, epochs.parquet, epochs.csv; each is replaced whole or not at all."""
    write_frames(study.trials, study.epochs, Path(folder))


def _study_names(folders: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many parts as tell the folders apart."""
    paths = [folder.resolve() for folder in folders]
    if len(set(paths)) < len(paths):
        raise ValueError("the same results folder is given twice; give each once")
    length = 1
    while len({path.parts[-length:] for path in paths}) < len(paths):
        length += 1
    return ["/".join(path.parts[-length:]) for path in paths]


def _read(folder: Path, name: str, running: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    if trial_folders(folder):
        parts = zip(("trials", "epochs"), read_trials(folder, running), strict=True)
        trials, epochs = (frame_of(part.values, part.length, frame) for frame, part in parts)
    else:
        trials, epochs = read_frame(folder, "trials"), read_frame(folder, "epochs")
        if trials["recipe"].isna().all():
            # Written before there was such a column.
            trials["recipe"] = trials["recipe"].fillna(FIRST_RECIPE)
    for frame in (trials, epochs):
        frame["study"] = pd.Series(name, index=frame.index, dtype="string")
    return trials, epochs


def _concatenated(parts: list[pd.DataFrame], name: str) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else empty_frame(name)


def _nothing_line(folders: Sequence[Path]) -> str:
    named = ", ".join(str(folder) for folder in folders)
    started = sum(len(trial_folders(folder)) for folder in folders)
    if started:
        return f"{named}: no finished trial yet ({started} started); wait, or load with running=True"
    studies = [path for folder in folders for path in sorted(folder.iterdir()) if trial_folders(path)]
    hint = f"; did you mean {studies[0]}?" if studies else ""
    return f"{named}: no finished trial yet{hint}"


def _of_one_recipe(trials: pd.DataFrame, wanted: int | None) -> pd.DataFrame:
    """The trials of the recipe `wanted`, or of the newest; with those of which none is known."""
    known = trials["recipe"]
    kept = known.max() if wanted is None else wanted
    others = (known != kept).fillna(False)
    if wanted is None and others.any():
        older = known[others]
        warnings.warn(
            f"{len(older)} trials of recipe {_in_words(older)} are left out, as their numbers can't be compared with "
            f"those of recipe {kept}; analysis.load(..., recipe={older.max()}) loads that one alone",
            stacklevel=3,
        )
    return trials[~others]


def _in_words(recipes: pd.Series) -> str:
    return " and ".join(map(str, sorted(recipes.dropna().unique())))


def _warn_of_disagreement(trials: pd.DataFrame) -> None:
    finished = trials[trials["status"] == "finished"]
    repeated = finished[finished["key"].duplicated(keep=False)]
    if repeated.empty:
        return
    values = repeated.groupby("key")[list(MAIN_METRICS)].nunique().max(axis=1)
    differing = values.index[values > 1]
    if len(differing):
        warnings.warn(
            f"{len(differing)} trials finished in several of these folders with different numbers "
            f"({differing[0]} is one); those of the first folder are taken",
            stacklevel=3,
        )


def _ordered(trials: pd.DataFrame) -> pd.DataFrame:
    """By the fields of the config, in its order of fields and of values; then by key."""
    ranks = pd.DataFrame(index=trials.index)
    for name in CONFIG_NAMES:
        if len(trials[name].unique()) > 1:
            positions = {value: position for position, value in enumerate(VALUE_ORDER.get(name, ()))}
            ranks[name] = trials[name].map(positions).astype("float64") if positions else trials[name]
    ranks["key"] = trials["key"]
    return trials.loc[ranks.sort_values(list(ranks.columns), kind="stable").index].reset_index(drop=True)


def _epochs_of(trials: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """The epochs of the rows of `trials`, in their order; not those of other folders' copies of them."""
    order = trials[["study", "key"]].assign(order=range(len(trials)))
    kept = epochs.merge(order, on=["study", "key"]).sort_values(["order", "epoch"], kind="stable")
    return kept.drop(columns="order").reset_index(drop=True)
