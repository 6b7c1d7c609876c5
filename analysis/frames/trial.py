"""One trial: its config and the files in its folder, read on demand."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.frames.columns import config_names
from analysis.frames.metric_columns import TEST_SETS
from tivae.config import TrialConfig, known_fields
from tivae.io import files
from tivae.io.record import RECORD, read
from tivae.registry import MODELS, PROBES


@dataclass(frozen=True, eq=False)
class Trial:
    """A trial of a study; `study.trial(key)` makes it.

    row: its row of `study.trials`. results: the results folder.
    """

    key: str
    row: pd.Series
    results: Path

    @property
    def folder(self) -> Path:
        """`<results>/trials/<key>`; a copy of the frames alone does not have it."""
        return self.results / "trials" / self.key

    @property
    def config(self) -> TrialConfig:
        """Its configuration. Raises `ValueError` where the row has none (a damaged record)."""
        return config_of(self.row)

    @property
    def record(self) -> dict[str, Any]:
        """The whole record, lists and objects included. Raises `ValueError` where it cannot be read."""
        try:
            return read(self.folder)
        except FileNotFoundError as problem:
            raise ValueError(self._missing(RECORD)) from problem

    def predictions(self) -> pd.DataFrame:
        """A row per test image: its number `image`, `label`, and the class predicted on each test set.

        All columns are int64. Raises `ValueError` where the file is missing or damaged.
        """
        from tivae.io import packed  # imports torch

        content = self._load("predictions.pt")
        try:
            content = packed.unpacked(content, self.results)
            arrays = {name: content[name].numpy() for name in ("labels", *TEST_SETS)}
            frame = pd.DataFrame({"image": np.arange(len(arrays["labels"])), "label": arrays["labels"]})
            return frame.assign(base=arrays["base"], augmented=arrays["augmented"]).astype("int64")
        except (KeyError, AttributeError, ValueError, TypeError, FileNotFoundError) as problem:
            raise ValueError(f"{self.folder / 'predictions.pt'} does not hold labels, base and augmented") from problem

    def encodings(self, test_set: str = "base") -> np.ndarray:
        """Encodings (N, D) float32 of the images of a test set, "base" or "augmented", as the probe reads them.

        Raises `ValueError` for another `test_set`, or where the file is missing or damaged.
        """
        if test_set not in TEST_SETS:
            raise ValueError(f"`test_set` is {test_set!r}; it must be base or augmented")
        content = self._load("encodings.pt")
        try:
            return np.asarray(content[test_set].float())
        except (KeyError, AttributeError) as problem:
            raise ValueError(f"{self.folder / 'encodings.pt'} does not hold {test_set} encodings") from problem

    def curves(self) -> dict[str, dict[str, list[float]]]:
        """Accuracy against angle, shift and scale: of each warp its `values` and `accuracy`.

        {} where the trial did not measure them. Raises `ValueError` where the file is damaged.
        """
        path = self.folder / "measures.json"
        try:
            curves = json.loads(files.read(path))["curves"]
            return {
                warp: {name: list(curve[name]) for name in ("values", "accuracy")} for warp, curve in curves.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
            raise ValueError(f"{path} does not hold curves of accuracy") from problem

    def model(self) -> Any:
        """The trained model, as `tivae.load` gives it: it encodes, reconstructs and samples images."""
        if not (self.folder / "model.pt").exists():
            raise ValueError(self._missing("model.pt"))
        from tivae import load

        return load(self.folder)

    def _load(self, name: str) -> Mapping[str, Any]:
        from tivae.io import checkpoint  # imports torch, which the frames do not need

        try:
            return checkpoint.load(self.folder / name)
        except FileNotFoundError as problem:
            raise ValueError(self._missing(name)) from problem

    def _missing(self, name: str) -> str:
        if not self.folder.is_dir():
            return f"trial {self.key} has no folder {self.folder}; only the frames were copied"
        return f"trial {self.key} ({self.row['status']}) has no {name} in {self.folder}"


def configs_of(trials: pd.DataFrame) -> dict[str, TrialConfig]:
    """The config of each row by its key; without those for which `config_of` raises."""
    names = [name for name in config_names(trials) if name != "seed"]
    found = {}
    for key, seed, *values in trials[["key", "seed", *names]].itertuples(index=False, name=None):
        with contextlib.suppress(ValueError):
            found[str(key)] = _config_of(key, seed, names, values)
    return found


def config_of(row: pd.Series) -> TrialConfig:
    """The config in a row of `trials`; a missing value takes the field's default.

    Raises `ValueError` where the row's config is missing, or is none that this version knows.
    """
    # Models and probes declare fields of the config: they are imported, where that is allowed.
    for registry in (MODELS, PROBES):
        registry.get(row.get(registry.field))
    names = [name for name in known_fields() if name in row and name != "seed"]
    return _config_of(row.get("key", ""), row.get("seed"), names, row[names])


def _config_of(key: str, seed: Any, names: Sequence[str], values: Iterable[Any]) -> TrialConfig:
    known = tuple((name, value) for name, value in zip(names, values, strict=True) if not pd.isna(value))
    if not known:
        raise ValueError(f"trial {key} has no config: its record is damaged or not written yet")
    config = _seedless(known)
    return config if pd.isna(seed) else config.with_seed(int(seed))


# A config is slow to check, and thousands of trials share a few.
@functools.lru_cache(maxsize=10_000)
def _seedless(known: tuple[tuple[str, Any], ...]) -> TrialConfig:
    values = {name: value.item() if isinstance(value, np.generic) else value for name, value in known}
    if "hidden_widths" in values:
        values["hidden_widths"] = tuple(int(width) for width in str(values["hidden_widths"]).split("-"))
    return TrialConfig.from_dict(values)
