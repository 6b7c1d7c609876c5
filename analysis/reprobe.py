"""`python -m analysis.reprobe RESULTS`: other probes of a finished study's models, without training."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import analysis
from analysis import formats
from analysis.frames.image_sets import image_set_of
from analysis.frames.study import Study
from analysis.frames.trial import Trial
from tivae import precision
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.data.loading import load
from tivae.evaluation.readout import read_out
from tivae.io.files import replacing

EXIT_BAD_INPUT = 2
# Of a results folder, with a table per probe.
FOLDER = "reprobe"
PROBE_FIELDS = ("probe", "probe_features", "probe_stn", "probe_fit", "probe_regularisation")
SHOWN = ("key", "model", "train_dataset", "stn", "seed", *PROBE_FIELDS, "base_accuracy", "augmented_accuracy", "error")


def reprobe(
    study: Study,
    data: Mapping[str, Images],
    device: str = "cpu",
    on_trial: Callable[[int, int, str], None] | None = None,
    on_row: Callable[[pd.DataFrame], None] | None = None,
    **probe: Any,
) -> pd.DataFrame:
    """A row per finished trial: its key, cell and seed, the probe's settings, and all metrics of the new probe.

    data: the images of each data set of the study.
    probe: of `PROBE_FIELDS` those that change; trials that have that probe already are left out, and none without
    any. A trial whose model does not have the features, or whose weights can't be read, has the reason in `error` and
    no metrics.
    on_trial: called before each trial with its number, their count and its key.
    on_row: called after each trial with all rows so far.
    """
    rows = []
    trials = [study.trial(key) for key in study.finished["key"]]
    trials = [trial for trial in trials if not probe or _changes(trial.config, probe)]
    for number, trial in enumerate(trials, start=1):
        if on_trial is not None:
            on_trial(number, len(trials), trial.key)
        config = trial.config
        row: dict[str, Any] = {name: getattr(config, name) for name in ("model", "train_dataset", "stn", "seed")}
        row = {"key": trial.key} | row | {"error": None}
        try:
            changed = dataclasses.replace(config, **probe)
            row |= {name: getattr(changed, name) for name in PROBE_FIELDS} | _metrics(
                trial, changed, data[config.dataset], device
            )
        except (ValueError, OSError) as problem:
            row["error"] = str(problem)
        rows.append(row)
        if on_row is not None:
            on_row(pd.DataFrame(rows))
    return pd.DataFrame(rows)


def _changes(config: TrialConfig, probe: dict[str, Any]) -> bool:
    try:
        return dataclasses.replace(config, **probe) != config
    except ConfigError:
        # Its row says so.
        return True


def _metrics(trial: Trial, config: TrialConfig, data: Images, device: str) -> dict[str, Any]:
    trained = trial.model()
    stn = None if trained.stn is None else trained.stn.to(device)
    # As the trial itself was read out.
    with precision.of(config.precision, device):
        return read_out(config, TrialData(data, config, device), trained.model.to(device), stn).metrics


def _given(options: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(options, name) for name in PROBE_FIELDS}
    return {name: value for name, value in given.items() if value is not None}


def _said(started: float) -> Callable[[int, int, str], None]:
    def say(number: int, count: int, key: str) -> None:
        print(f"{number} of {count}: {key}, {time.monotonic() - started:.0f} s so far", file=sys.stderr)

    return say


def _file_name(probe: dict[str, Any]) -> str:
    parts: Iterator[str] = (f"{name.removeprefix('probe_')}_{value}" for name, value in probe.items())
    return "-".join(parts) or "same"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code is 0, or 2 where there is nothing to probe or no such probe."""
    parser = argparse.ArgumentParser(prog="python -m analysis.reprobe", description="Other probes, without training.")
    parser.add_argument("results", type=Path, help="a results folder, such as results/paper_grid")
    parser.add_argument("--probe", help="logistic_regression or linear_svm")
    parser.add_argument("--features", dest="probe_features", help="mean, sample, logits, probabilities, one_hot, ...")
    parser.add_argument("--stn", dest="probe_stn", help="used or bypassed, where a trial has one")
    parser.add_argument("--fit", dest="probe_fit", help="matched, base, augmented, both or training")
    parser.add_argument("--regularisation", dest="probe_regularisation", type=float, help="scikit-learn's C")
    parser.add_argument("--data", type=Path, help="folder with the data set's files; default: found or fetched")
    parser.add_argument("--device", default="cpu", help="default: cpu")
    options = parser.parse_args(arguments)
    try:
        probe = _given(options)
        # Refuses values that are legal for no model before the first of many minutes.
        TrialConfig(model=_model_with(probe.get("probe_features")), **probe)
        study = analysis.load(options.results)
        path = options.results / FOLDER / f"{_file_name(probe)}.csv"

        def write(frame: pd.DataFrame) -> None:
            with replacing(path) as file:
                file.write(formats.csv(frame).encode())

        # After each trial: what is interrupted keeps the rows it has.
        known = [image_set_of(row) for _, row in study.finished.iterrows()]
        data = {images.name: load(images, options.data) for images in dict.fromkeys(known)}
        frame = reprobe(study, data, options.device, _said(time.monotonic()), write, **probe)
        if frame.empty:
            print("every finished trial has that probe already")
            return 0
        write(frame)
    except (ValueError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    print(formats.text(frame.reindex(columns=list(SHOWN)).round(4)))
    print(path)
    return 0


def _model_with(features: str | None) -> str:
    """A model that has these features."""
    for model in ("vae", "categorical_vae", "autoencoder", "pca", "pixels"):
        try:
            TrialConfig(model=model, probe_features=features)
        except ConfigError:
            continue
        return model
    return "vae"


if __name__ == "__main__":
    sys.exit(main())
