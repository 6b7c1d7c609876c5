"""One trial: its config and the files in its folder, read on demand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tivae.config import TrialConfig, known_fields
from tivae.io import files
from tivae.io.record import RECORD, read
from tivae.registry import MODELS, PROBES

TEST_SETS = ("base", "augmented")


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
        """`<results>/trials/<key>`; a published copy does not have it."""
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
            return f"trial {self.key} has no folder {self.folder}; a published copy holds the frames only"
        return f"trial {self.key} ({self.row['status']}) has no {name} in {self.folder}"


def config_of(row: Mapping[str, Any] | pd.Series) -> TrialConfig:
    """The config in a row of `trials`; a missing value takes the field's default.

    Raises `ValueError` where the row's config is missing, or is none that this version knows.
    """
    # Models and probes declare fields of the config: they are imported, where that is allowed.
    for registry in (MODELS, PROBES):
        registry.get(row.get(registry.field))
    values = {name: row[name] for name in known_fields() if name in row and not pd.isna(row[name])}
    if not values:
        raise ValueError(f"trial {row.get('key', '')} has no config: its record is damaged or not written yet")
    if "hidden_widths" in values:
        values["hidden_widths"] = tuple(int(width) for width in str(values["hidden_widths"]).split("-"))
    plain = {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}
    return TrialConfig.from_dict(plain)
