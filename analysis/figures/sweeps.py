"""Accuracy against latent size and against the weight of the KL divergence, the controls as lines."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described, intervals
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import beta, encoding_dim
from analysis.frames.columns import config_names
from analysis.frames.image_sets import pixels_in_words
from analysis.frames.labels import TEST_SET_NAMES, are_controls, in_order, model_name, percent, setting_label, stn_name
from analysis.frames.study import PAPER_FACTORS, Study
from analysis.frames.trial import TEST_SETS
from analysis.inference import cell_summaries, compare_cells, correctness_of
from tivae.config import ConfigError, TrialConfig

MAXIMUM_SERIES = 6
# Times the value at which its mean stands.
SEED_SHIFT = 1.06
# Up and down, at least, in the panels of differences.
DIFFERENCE_POINTS = 8.0


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
        raise NotSupported(f"no series of finished trials has two values of the {sweep.noun}")
    points = points[(points["is_control"] & points["on_line"]) | points["series"].isin(swept.index)]
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


def draw(ax: Axes, frame: pd.DataFrame, sweep: Sweep, series: Sequence[str] = ()) -> Axes:
    """One test set: a line per series with intervals as bars; controls as lines with their intervals as bands.

    frame: the rows of one test set. series: those to draw, in the order of their looks; all where none is given.
    The axis is logarithmic; where the sweep holds 0, that stands apart at the left, beyond a break.
    """
    own = frame[~frame["is_control"]]
    names = list(series) or list(own["series"].unique())
    place = _axis(ax, np.unique(own["x"].dropna().to_numpy()))
    for number, name in enumerate(names):
        part = own[own["series"] == name].sort_values("x")
        if part.empty:
            continue
        look = _look(part, number, names, own)
        line = part[part["on_line"]]
        for points, hollow in ((line, False), (part[~part["on_line"]], True)):
            if points.empty:
                continue
            bars = 100 * np.clip([points["mean"] - points["low"], points["high"] - points["mean"]], 0, None)
            drawn_as = look.points(hollow=True) if hollow else look.lines()
            label = None if hollow else name
            x = place(points["x"].to_numpy())
            ax.errorbar(x, 100 * points["mean"], yerr=bars, capsize=2, elinewidth=0.8, label=label, **drawn_as)
            _draw_seeds(ax, x, points["seeds"], look.colour, 100.0)
    controls: list[str] = []
    for name, part in frame[frame["is_control"]].groupby("series", sort=False):
        model = str(part["model"].iloc[0])
        _draw_control(ax, part, str(name), place, repeat=controls.count(model))
        controls.append(model)
    ax.set_xlabel(sweep.axis_label)
    ax.grid(axis="y")
    return ax


def draw_all(
    figure: Figure,
    frames: Sequence[tuple[Sweep, pd.DataFrame]],
    series: Sequence[str],
    gaps: pd.DataFrame | None = None,
) -> Figure:
    """A row per sweep and a column per test set, with one legend; below the `differences` of two series."""
    axes = figure.subplots(len(frames) + (gaps is not None), 2, sharey="row", squeeze=False)
    if gaps is not None:
        for ax, test_set in zip(axes[-1], TEST_SETS, strict=True):
            draw_difference(ax, gaps[gaps["test_set"] == test_set], frames[0][0], series)
        axes[-1, 0].set_ylabel("Difference (points)")
        axes = axes[:-1]
    for row, (sweep, frame) in zip(axes, frames, strict=True):
        for ax, test_set in zip(row, TEST_SETS, strict=True):
            draw(ax, frame[frame["test_set"] == test_set], sweep, series)
            ax.set_title(TEST_SET_NAMES[test_set])
        row[0].set_ylabel("Accuracy (%)")
    style.letter_panels(list(figure.axes))
    entries = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    # matplotlib lists lines before error bars; here the series come first, then the controls.
    names = [*filter(entries.__contains__, series), *(name for name in entries if name not in series)]
    figure.legend([entries[name] for name in names], names, loc="outside upper center", ncols=3)
    return figure


def draw_difference(ax: Axes, frame: pd.DataFrame, sweep: Sweep, pair: Sequence[str]) -> Axes:
    """The second of two series minus the first, where a point is seen. frame: as of `differences`, one test set."""
    place = _axis(ax, frame["x"].to_numpy())
    look = style.numbered_look(4)
    x = place(frame["x"].to_numpy())
    bars = np.nan_to_num([frame["mean"] - frame["low"], frame["high"] - frame["mean"]])
    ax.errorbar(x, frame["mean"], yerr=bars, capsize=2, elinewidth=0.8, **look.lines())
    _draw_seeds(ax, x, frame["seeds"], look.colour)
    ax.axhline(0, color=style.GREY, linewidth=0.8)
    # The claims are about a point: differences many times that may lie outside.
    last = max(abs(float(frame[name].fillna(0).iloc[-1])) for name in ("mean", "low", "high"))
    reach = max(DIFFERENCE_POINTS, 1.2 * last)
    ax.set_ylim(-reach, reach)
    for beyond, mean in zip(x, frame["mean"], strict=True):
        if abs(mean) > reach:
            up = int(np.sign(mean))
            text = f"{'↓' if up < 0 else '↑'} {mean:+.1f}".replace("-", "−")
            ax.annotate(text, (beyond, up * reach), xytext=(0, -3 * up), textcoords="offset points", ha="center",
                        va="top" if up > 0 else "bottom", fontsize=7)  # fmt: skip
    ax.set_title(f"{pair[1]} minus {pair[0]}")
    ax.set_xlabel(sweep.axis_label)
    ax.grid(axis="y")
    return ax


def _draw_seeds(ax: Axes, x: np.ndarray, seeds: pd.Series, colour: str, scale: float = 1.0) -> None:
    """Of points of several seeds each seed, beside its mean."""
    for place, text in zip(x, seeds, strict=True):
        values = [scale * float(value) for value in text.split()]
        if len(values) > 1:
            ax.plot([place * SEED_SHIFT] * len(values), values, color=colour, **style.SEED_MARK)


def drawn(sources: Sources) -> list[DrawnFigure]:
    """The figures of latent size and of KL weight, those of the two that the study varies."""
    figures, reasons = [], []
    for sweeps in ((LATENT_SIZE,), (KL_WEIGHT, BETA)):
        try:
            figures.append(_figure(sources.study, sweeps))
        except NotSupported as problem:
            reasons.append(str(problem))
    if not figures:
        raise NotSupported("; ".join(dict.fromkeys(reasons)))
    return figures


def _figure(study: Study, sweeps: Sequence[Sweep]) -> DrawnFigure:
    frames = [(sweep, numbers(study, sweep)) for sweep in sweeps]
    first = frames[0][1]
    title = f"Accuracy by {sweeps[0].noun}"
    series = _shown_series(first)
    everything = first.loc[~first["is_control"], "series"].nunique()
    rows = -(-len(series) // 3)
    gaps = differences(study, sweeps[0], first, series) if len(series) == 2 and len(frames) == 1 else None
    gaps = gaps if gaps is not None and len(gaps) else None
    height = 2.5 * len(frames) + 0.2 + 0.17 * rows + (0 if gaps is None else 1.7)
    figure = draw_all(style.new_figure(height), frames, series, gaps)
    sentences = [
        f"{title} on both test sets. {intervals(first['over'])}",
        f"{len(series)} of {everything} series, those with the best augmented accuracy."
        if len(series) < everything
        else "",
        "Hollow markers: the same size with another number of classes than the paper's."
        if not first["on_line"].all()
        else "",
        f"β = KL weight / reconstruction weight × {pixels_in_words(study.trials)} / 2." if BETA in sweeps else "",
        "Weight 0 stands beyond the break of the axis." if (first["x"] == 0).any() else "",
        "" if gaps is None else f"Below, their difference near 0{_over(gaps)}.",
        "Hollow dots beside a mean are its seeds." if (first["n"] > 1).any() else "",
        "Controls are lines." if first["is_control"].any() else "",
        described(study.trials),
    ]
    data = pd.concat([frame.assign(sweep=sweep.name) for sweep, frame in frames], ignore_index=True)
    caption = " ".join(filter(None, sentences))
    return DrawnFigure(f"accuracy_by_{sweeps[0].name}", title, caption, figure, data, _alt(title, first, series))


def _over(gaps: pd.DataFrame) -> str:
    over = gaps["over"].iloc[0]
    return f", with its 95 % interval over {over}" if over else ""


def _alt(title: str, frame: pd.DataFrame, series: Sequence[str]) -> str:
    """From where to where each series goes on the augmented test set."""
    parts = []
    own = frame[frame["on_line"] & (frame["test_set"] == "augmented")]
    for name in series:
        line = own[own["series"] == name].sort_values("x")
        ends = [f"{percent(row['mean'])} at {row['x']:g}" for _, row in line.iloc[[0, -1]].iterrows()]
        parts.append(f"{name} from {ends[0]} to {ends[1]}, at best {percent(line['mean'].max())}")
    return f"{title}, on the augmented test set: {'; '.join(parts)}."


def _swept(study: Study, sweep: Sweep) -> tuple[pd.DataFrame, list[str]]:
    """The finished trials that the sweep follows, with its value `x`, and the fields that tell their series apart."""
    trials = representatives.finished(study)
    trials = trials.assign(x=sweep.value(trials).to_numpy(dtype=np.float64, na_value=np.nan))
    is_control = are_controls(trials["model"])
    trials = _usual(trials, [name for name in study.factors() if name not in sweep.fields], is_control)
    return trials, _varied(trials[~are_controls(trials["model"])], sweep.fields)


def _usual(trials: pd.DataFrame, others: Sequence[str], is_control: pd.Series) -> pd.DataFrame:
    """The trials in which each of `others`, the paper's three apart, has the paper's or else its most common value."""
    kept = pd.Series(True, index=trials.index)
    for name in others:
        if name in PAPER_FACTORS:
            continue
        for model, own in trials[~is_control].groupby("model"):
            values = own[name].value_counts(dropna=False)
            paper = _paper_value(str(model), name)
            usual = paper if paper in values.index else values.index[0]
            same = own[name].isna() if pd.isna(usual) else own[name] == usual
            kept.loc[own.index] &= same.fillna(False).astype(bool)
    return trials[kept]


def _paper_value(model: str, name: str) -> object:
    try:
        return getattr(TrialConfig(model=model), name)
    except ConfigError:
        return None


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


def _shown_series(frame: pd.DataFrame) -> list[str]:
    own = frame[~frame["is_control"] & (frame["test_set"] == "augmented")]
    best = own.groupby("series", sort=False)["mean"].max().sort_values(ascending=False, kind="stable")
    chosen = set(best.index[:MAXIMUM_SERIES])
    return [name for name in own["series"].unique() if name in chosen]


def _look(part: pd.DataFrame, number: int, names: Sequence[str], own: pd.DataFrame) -> style.Transform:
    """The model's own look where each series is a model; else one by number."""
    model = str(part["model"].iloc[0])
    drawn_models = own[own["series"].isin(names)].groupby("series")["model"].first()
    return style.model_look(model) if drawn_models.is_unique else style.numbered_look(number)


def _axis(ax: Axes, values: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Makes the x axis logarithmic and returns the place of each value on it."""
    ax.set_xscale("log")
    positive = values[values > 0]
    smallest = positive.min()
    # Not matplotlib's symlog: its linear part would put 0 at a distance that looks like a value.
    zero = smallest / max(4.0, (positive.max() / smallest) ** 0.12)
    has_zero = bool((values == 0).any())
    ticks = _ticks(positive)
    if has_zero:
        ticks = [zero, *ticks]
        middle = np.sqrt(zero * smallest)
        mark: dict[str, Any] = {
            "marker": [(-1, -2), (1, 2)],
            "markersize": 7,
            "linestyle": "none",
            "color": "black",
            "clip_on": False,
        }
        ax.plot([middle / 1.06, middle * 1.06], [0, 0], transform=ax.get_xaxis_transform(), **mark)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    label = _tick_format(ticks[has_zero:])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: "0" if has_zero and value == zero else label(value)))
    lowest = zero if has_zero else smallest
    margin = (positive.max() / lowest) ** 0.05
    ax.set_xlim(lowest / margin, positive.max() * margin)
    return lambda x: np.where(x == 0, zero, x)


def _tick_format(ticks: Sequence[float]) -> Callable[[float], str]:
    """One format for all: powers of ten where one of them would be a long decimal."""
    powers = np.log10(ticks)
    if min(powers) < -2 and np.allclose(powers, powers.round()):
        return lambda value: f"$10^{{{round(np.log10(value))}}}$"
    return lambda value: f"{value:g}"


def _ticks(positive: np.ndarray) -> list[float]:
    """The values themselves where they are few, else powers of ten."""
    if len(positive) <= 7:
        return [float(value) for value in positive]
    powers = range(int(np.floor(np.log10(positive.min()))), int(np.ceil(np.log10(positive.max()))) + 1)
    return [10.0**power for power in powers if positive.min() <= 10.0**power <= positive.max()]


def _draw_control(
    ax: Axes, part: pd.DataFrame, name: str, place: Callable[[np.ndarray], np.ndarray], repeat: int = 0
) -> None:
    """A control of several sizes follows the axis; one of one size, such as the raw pixels, is a level across it.

    repeat: how many lines of the same control there are already, which all have other line styles.
    """
    model = str(part["model"].iloc[0])
    look = style.model_look(model)
    if repeat:
        look = dataclasses.replace(look, line=style.numbered_look(repeat + 1).line)
    part = part.dropna(subset=["x"]) if model != "pixels" else part
    left, right = ax.get_xlim()
    x = place(part["x"].to_numpy())
    if model == "pixels" or len(np.unique(x)) < 2:
        mean, low, high = (100 * part[column].iloc[0] for column in ("mean", "low", "high"))
        ax.axhline(mean, color=look.colour, linestyle=look.line, linewidth=1, label=name)
        ax.fill_between([left, right], [low] * 2, [high] * 2, color=look.colour, alpha=0.15, linewidth=0)
    else:
        part = part.assign(place=x).sort_values("place")
        ax.plot(part["place"], 100 * part["mean"], linewidth=1, label=name, **look.lines())
        ax.fill_between(
            part["place"], 100 * part["low"], 100 * part["high"], color=look.colour, alpha=0.15, linewidth=0
        )
    ax.set_xlim(left, right)
