"""What `python -m analysis.reprobe` left in a results folder, as trials beside those that ran."""

from __future__ import annotations

import dataclasses
from typing import Any

import pandas as pd

from analysis.frames.study import Study
from analysis.frames.trial import config_of
from analysis.reprobe import FOLDER, PROBE_FIELDS
from analysis.spreadsheet import unguarded
from tivae.io import files


def reprobed(study: Study) -> pd.DataFrame:
    """A row, with the columns of `study.trials`, for each other probe of a finished trial of the study.

    It is the trial that would have been, had the config named that probe: the same training and losses, the probe's
    own accuracies, and the key of that config; columns that the probing does not compute (the measures) stay those
    of the trial that ran. Without rows where nothing was probed again.

    Raises `ValueError` where a table in the folder `reprobe` can't be read.
    """
    trained = study.finished.set_index("key", drop=False)
    rows = []
    for folder in study.folders.values():
        for path in sorted((folder / FOLDER).glob("*.csv")):
            try:
                with files.opened(path) as file:
                    found = unguarded(pd.read_csv(file, dtype={"key": "string"}))
                missing = {"key", "error", *PROBE_FIELDS} - set(found)
                if missing:
                    raise ValueError(f"it has no column {', '.join(sorted(missing))}")
            except ValueError as error:
                raise ValueError(f"{path} can't be read ({error}); delete it or run analysis.reprobe again") from error
            for _, row in found[found["error"].isna() & found["key"].isin(trained.index)].iterrows():
                rows.append(_other_trial(trained.loc[row["key"]], row))
    frame = pd.DataFrame(rows, columns=list(study.trials)).astype(study.trials.dtypes.to_dict())
    known = frame["key"].isin(study.trials["key"]) | frame["key"].duplicated()
    return frame[~known].reset_index(drop=True)


def _other_trial(trained: pd.Series, row: pd.Series) -> dict[str, Any]:
    probe: dict[str, Any] = {name: None if pd.isna(row[name]) else row[name] for name in PROBE_FIELDS}
    config = dataclasses.replace(config_of(trained), **probe)
    figures = {name: value for name, value in row.items() if name in trained.index and name not in PROBE_FIELDS}
    return {**trained, **figures, **probe, "key": config.key, "error": None}
