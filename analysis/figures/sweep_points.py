"""Accuracy along latent size or KL weight: the points of each series, and the differences of two series."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.figures.drawing import representatives
from analysis.figures.drawing.saving import NotSupported
from analysis.frames.cells import beta, encoding_dim
from analysis.frames.columns import config_names
from analysis.frames.labels import are_bare, are_controls, in_order, model_name, setting_label, stn_name
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.recipe import shown
from analysis.frames.study import PAPER_FACTORS, Study
from analysis.inference import cell_summaries, compare_cells, correctness_of
from tivae.config import ConfigError, TrialConfig


@dataclass(frozen=True)
class Sweep:
    """One quantity along which accuracy is followed.

    noun: in a sentence. fields: config fields that make up the quantity, which do not tell series apart.
    """

    name: str
    noun: str
    axis_label: str
    fields: tuple[str, ...]
    value: Callable[[pd.DataFrame], pd.Series]


LATENT_SIZE = Sweep(
    "latent_size",
    "latent size",
    "Latent size (latents, or latents × classes)",
    ("latent_dim", "categories"),
    encoding_dim,
)
KL_WEIGHT = Sweep("kl_weight", "KL weight", "KL weight (per nat)", ("kl_weight",), lambda trials: trials["kl_weight"])
BETA = Sweep("beta", "KL weight", "Equivalent β of a β-VAE (no unit)", ("kl_weight",), beta)


def numbers(study: Study, sweep: Sweep) -> pd.DataFrame:
    """A row per series, value of the sweep and test set.

    Columns: series (its label), model, is_control, x (the sweep's value), latent_dim, categories, on_line, test_set,
    n, mean, low, high, over, seeds (each one's accuracy, as one text). A series is what shares all settings but those
    of the sweep and the seed. mean, low, high: accuracy, a share, with its 95 % interval over what `over` says.
    on_line: whether the point is on its series' line; of several shapes of one size (10 x 10, 5 x 20) only the paper's
    number of classes is.

    Where another setting than the sweep's and the paper's three varies, trials count at its value in the paper, or,
    where none has that, at its most common one.

    Raises `NotSupported` where no trial has finished, or no series has two values.
    """
    trials, varied = _swept(study, sweep)
    # What follows from the model (the classes' temperature, say) tells no series apart, but must not be mixed.
    by = list(dict.fromkeys([*PAPER_FACTORS, *_varied(trials, ("x", "series")), "x", "latent_dim", "categories"]))
    points = cell_summaries(trials, by=by, scores=correctness_of(study))
    points["test_set"] = points["metric"].str.removesuffix("_accuracy")
    points["is_control"] = are_controls(points["model"])
    points["series"] = [_series_label(row, varied, sweep) for _, row in points.iterrows()]
    points["on_line"] = _on_line(points)
    swept = points[~points["is_control"] & points["x"].notna()].groupby("series")["x"].nunique()
    if swept.empty or swept.max() < 2:
        raise NotSupported(
            f"no series of finished trials, alike in all other settings, has two values of the {sweep.noun}"
        )
    points = points[(points["is_control"] & points["on_line"]) | points["series"].isin(swept.index[swept >= 2])]
    columns = ["series", "model", "train_dataset", "stn", "is_control", "x", "latent_dim", "categories", "on_line"]
    columns += ["test_set", "n", "mean", "low", "high", "over", "seeds"]
    rank = points["model"].map({model: number for number, model in enumerate(in_order(points["model"]))})
    points = points.assign(rank=rank).sort_values(["is_control", "rank", "series", "test_set", "x"], kind="stable")
    return points[columns].reset_index(drop=True)


def differences(study: Study, sweep: Sweep, frame: pd.DataFrame, pair: Sequence[str]) -> pd.DataFrame:
    """A row per value of the sweep that both series have on their lines, and test set: the second minus the first.

    frame: as of `numbers`. Columns: x, test_set, n (seeds that both have), mean, low, high (points, with the 95 %
    interval, over what `over` says), seeds.
    """
    trials, varied = _swept(study, sweep)
    labels = [_series_label(row, varied, sweep) for _, row in trials.assign(is_control=False).iterrows()]
    trials = trials.assign(series=labels)
    names = ["series", "x", "latent_dim", "categories"]
    line = frame.loc[frame["on_line"], names].drop_duplicates()
    trials = trials.merge(line, on=names)
    rows = []
    for x, test_set in itertools.product(sorted(set(line["x"].dropna())), TEST_SETS):
        first, second = (trials[(trials["series"] == name) & (trials["x"] == x)] for name in pair)
        found = compare_cells(first, second, f"{test_set}_accuracy", correctness_of(study))
        if found is not None:
            interval = found.interval()
            ends = [100 * value for value in (found.mean, interval.low, interval.high)]
            seeds = " ".join(f"{100 * value:.6g}" for value in found.by_seed)
            rows.append([x, test_set, found.seeds, *ends, found.over, seeds])
    return pd.DataFrame(rows, columns=["x", "test_set", "n", "mean", "low", "high", "over", "seeds"])


def _swept(study: Study, sweep: Sweep) -> tuple[pd.DataFrame, list[str]]:
    """The finished trials that the sweep follows, with its value `x`, and the fields that tell their series apart."""
    trials = representatives.finished(study)
    trials = trials.assign(x=sweep.value(trials).to_numpy(dtype=np.float64, na_value=np.nan))
    # A control's level is that of the images themselves.
    trials = trials[are_bare(trials) | ~are_controls(trials["model"])]
    is_control = are_controls(trials["model"])
    trials = _usual(trials, [name for name in study.factors() if name not in sweep.fields], is_control)
    return trials, _varied(trials[~is_control.loc[trials.index]], sweep.fields)


def _usual(trials: pd.DataFrame, others: Sequence[str], is_control: pd.Series) -> pd.DataFrame:
    """The trials in which each of `others`, the paper's three apart, has the paper's or else its most common value."""
    kept = pd.Series(True, index=trials.index)
    for name in others:
        if name in PAPER_FACTORS:
            continue
        for model, own in trials[~is_control].groupby("model"):
            values = own[name].value_counts(dropna=False)
            paper = _paper_value(str(model), name)
            is_there = values.index.isna().any() if paper is None else paper in values.index
            usual = paper if is_there else values.index[0]
            same = own[name].isna() if pd.isna(usual) else own[name] == usual
            kept.loc[own.index] &= same.fillna(False).astype(bool)
    return trials[kept]


def _paper_value(model: str, name: str) -> object:
    try:
        value = getattr(TrialConfig(model=model), name)
    except ConfigError:
        return None
    return shown(value) if isinstance(value, tuple) else value


def _varied(trials: pd.DataFrame, without: Sequence[str]) -> list[str]:
    return [name for name in config_names(trials) if name not in (*without, "seed") and len(trials[name].unique()) > 1]


def _series_label(point: pd.Series, varied: Sequence[str], sweep: Sweep) -> str:
    parts = [model_name(point["model"])]
    if not point["is_control"]:
        parts += [f"trained on {point['train_dataset']}"] if "train_dataset" in varied else []
        parts += [stn_name(point["stn"])] if "stn" in varied else []
    elif point["model"] != "pixels" and sweep is not LATENT_SIZE:
        parts.append(setting_label("latent_dim", point["latent_dim"]))
    return ", ".join(parts)


def _on_line(points: pd.DataFrame) -> pd.Series:
    """Of the points of one series, size and test set: that with the paper's number of classes, or else the first."""
    usual = TrialConfig(model="categorical_vae").categories
    odd = (points["categories"] != usual) & points["categories"].notna()
    order = points.assign(odd=odd.astype(int)).sort_values("odd", kind="stable")
    return ~order.duplicated(["series", "x", "test_set"]).reindex(points.index)
