"""The gain from the spatial transformer: each trained model without and with it, joined by a line."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import counted, described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.labels import TEST_SET_NAMES, are_controls, in_order, model_name
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.recipe import config_without
from analysis.frames.study import Study
from analysis.inference import correctness_of, estimate
from analysis.inference.correctness import stacked
from tivae.config import TrialConfig, known_fields

# What the fields of the STN itself are named; they differ within a pair.
OWN = ("stn", "probe_stn")
MARKS = {"base": style.numbered_mark(0), "augmented": style.numbered_mark(1)}


def numbers(study: Study) -> pd.DataFrame:
    """A row per pair and test set: model, train_dataset, seed, key_without, key_with, test_set, without, with, gain.

    A pair has one seed and one setting of all factors but the STN; its gain is in points.

    Raises `NotSupported` where there is none.
    """
    trials = representatives.finished(study)
    trials = trials[~are_controls(trials["model"]) & trials["stn"].isin(["none", "pretrained"])]
    by = [name for name in study.cell_factors() if not name.startswith(OWN)]
    by = list(dict.fromkeys(["model", "train_dataset", *by, "seed"]))
    known = [(study.configs[row["key"]], row) for _, row in trials.iterrows() if row["key"] in study.configs]
    plain: dict[TrialConfig | None, pd.Series] = {config: row for config, row in known if config.stn == "none"}
    own = [name for name in known_fields() if name.startswith(OWN)]
    rows = []
    for config, arm in known:
        # One whose probe does not read behind the STN has no gain of it.
        if (
            config.stn == "none"
            or config.probe_stn == "bypassed"
            or (other := plain.get(config_without(config, own))) is None
        ):
            continue
        keys = {"key_without": other["key"], "key_with": arm["key"]}
        for test_set in TEST_SETS:
            without, behind = (float(row[f"{test_set}_accuracy"]) for row in (other, arm))
            gain = 100 * (behind - without)
            row = {name: other[name] for name in by}
            rows.append(row | keys | {"test_set": test_set, "without": without, "with": behind, "gain": gain})
    if not rows:
        raise NotSupported("no trial is there both without and with the pretrained spatial transformer")
    return pd.DataFrame(rows)


def draw(ax: Axes, frame: pd.DataFrame, means: pd.DataFrame) -> Axes:
    """The pairs of one model and test set: a line each, by training data; below their mean gains, as of `gains`."""
    by_data = means.set_index("train_dataset")
    for train_dataset, part in frame.groupby("train_dataset", sort=False):
        mark = MARKS[str(train_dataset)]
        for number, (_, pair) in enumerate(part.iterrows()):
            label = f"trained on {train_dataset}" if number == 0 else None
            ends = [100 * pair["without"], 100 * pair["with"]]
            ax.plot([0, 1], ends, label=label, alpha=0.8, linewidth=0.9, **mark.lines())
        gain = by_data.loc[train_dataset]
        half = "" if np.isnan(gain["low"]) else f" ± {(gain['high'] - gain['low']) / 2:.1f}"
        text = f"{gain['mean']:+.1f}{half} points".replace("-", "−")
        place = 0.13 if train_dataset == "base" else 0.03
        ax.text(0.5, place, text, color=mark.colour, ha="center", transform=ax.transAxes)
    ax.set_xticks([0, 1], ["no STN", "STN"])
    ax.set_xlim(-0.25, 1.25)
    ax.margins(y=0.4)
    ax.grid(axis="y")
    return ax


def gains(study: Study, frame: pd.DataFrame) -> pd.DataFrame:
    """A row per model, train_dataset and test_set of the pairs: n (seeds), mean, low, high (points, with the 95 %
    interval, NaN where there is none) and over.
    """
    scores, rows = correctness_of(study), []
    for names, part in frame.groupby(["model", "train_dataset", "test_set"], sort=False):
        metric = f"{names[2]}_accuracy"
        known = [stacked(part[name].tolist(), metric, scores) for name in ("key_with", "key_without")]
        if known[0] is None or known[1] is None or known[0].shape != known[1].shape:
            values = part.groupby("seed")["gain"].mean().to_numpy()
        else:
            # Other settings of a seed are no seeds of their own.
            apart = 100 * (known[0] - known[1])
            values = np.stack([apart[(part["seed"] == seed).to_numpy()].mean(axis=0) for seed in part["seed"].unique()])
        found = estimate(values)
        interval = found.interval()
        rows.append([*names, found.seeds, found.mean, interval.low, interval.high, found.over])
    return pd.DataFrame(rows, columns=["model", "train_dataset", "test_set", "n", "mean", "low", "high", "over"])


def drawn(sources: Sources) -> list[DrawnFigure]:
    """A panel per model and test set."""
    frame = numbers(sources.study)
    means = gains(sources.study, frame)
    models = in_order(frame["model"])
    columns = min(2, len(models))
    rows = -(-len(models) // columns)
    figure = style.new_figure(2.3 * rows + 0.4, 3.6 * columns)
    axes = figure.subplots(rows, len(TEST_SETS) * columns, sharey=True, squeeze=False)
    panels = [(model, test_set) for model in models for test_set in TEST_SETS]
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax, (model, test_set) in zip(axes.flat, panels, strict=False):
        draw(ax, *(part[(part["model"] == model) & (part["test_set"] == test_set)] for part in (frame, means)))
        ax.set_title(f"{model_name(model)}\n{TEST_SET_NAMES[test_set]}")
    for ax in axes[:, 0]:
        ax.set_ylabel("Accuracy (%)")
    style.legend_above(figure, axes[0, :1])
    pairs = len(frame) // len(TEST_SETS)
    over = " or ".join(filter(None, means["over"].unique()))
    caption = (
        f"Accuracy without and with the pretrained spatial transformer: {counted(pairs, 'pair')} of trained models, "
        "alike in seed and all settings else; numbers are the mean gains"
        + (f", ± half of a 95 % interval over {over}. " if over else ". ")
        + described(sources.study.trials)
    )
    by_test_set = means.groupby("test_set", sort=False)["mean"].mean()
    alt = "; ".join(
        f"on the {TEST_SET_NAMES[str(name)]} {value:+.1f} points in the mean" for name, value in by_test_set.items()
    )
    title = "What the spatial transformer gains"
    return [DrawnFigure("stn_gain", title, caption, figure, frame, f"{title}: {alt}.")]
