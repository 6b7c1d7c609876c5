"""Main effects and interactions of the factors on both accuracies, with intervals."""

from __future__ import annotations

import functools

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import beta, encoding_dim
from analysis.frames.labels import TEST_SET_NAMES, are_controls, model_name, setting_name, stn_name
from analysis.frames.study import PAPER_FACTORS, Study
from analysis.frames.trial import TEST_SETS
from analysis.inference import Factorial, factorial, factorial_over_images, holm

MAXIMUM_EFFECTS = 30
# One file of predictions is read for each trial of a study of one seed.
MAXIMUM_PREDICTIONS = 128
HIGHEST_ORDER = 3
MEAN = " − mean"
# Fields that mean the same for both models only in this form.
COMPARABLE = {"latent_dim": "encoding_dim", "categories": "encoding_dim", "kl_weight": "beta"}
COMPARABLE["reconstruction_weight"] = "beta"


def numbers(study: Study) -> tuple[pd.DataFrame, str]:
    """A row per effect and test set, and what the model left out.

    Columns: test_set, term, contrast, order, effect, low, high, p_value, adjusted_p_value, over, n. effect, low, high:
    in accuracy points, with the 95 % interval; over: "seeds", or "test images" in a study of one seed. What an effect
    is, `analysis.inference.Factorial` says. adjusted_p_value: Holm's, over all effects on that test set.

    Raises `NotSupported` where no trial has finished, no factor varies, or too few trials are there.
    """
    results, note = analyses(study)
    parts = []
    for test_set, result in results.items():
        effects = result.effects.assign(adjusted_p_value=holm(result.effects["p_value"]), over=result.over, n=result.n)
        parts.append(effects.assign(test_set=test_set))
    frame = pd.concat(parts, ignore_index=True)
    return frame[["test_set", *(name for name in frame if name != "test_set")]], note


# Two tables and a figure show them.
@functools.lru_cache(maxsize=2)
def analyses(study: Study) -> tuple[dict[str, Factorial], str]:
    """The factorial analysis of the accuracy on each test set, and what the model left out.

    Latents and classes count as the numbers that the probe reads, the KL weight as the equivalent beta. Where the
    trials do not cross all factors, the paper's three alone are taken. Controls have no part in it.

    Raises `NotSupported` where no trial has finished, no factor varies, or too few trials are there.
    """
    trials = representatives.finished(study)
    trials = trials[~are_controls(trials["model"])]
    trials = trials.assign(encoding_dim=encoding_dim(trials), beta=beta(trials))
    candidates = [COMPARABLE.get(name, name) for name in study.factors()]
    factors = [name for name in dict.fromkeys(candidates) if len(trials[name].unique()) > 1]
    paper = [name for name in PAPER_FACTORS if name in factors]
    problem = "no factor has two values"
    for tried in [factors] if factors == paper else [factors, paper]:
        try:
            results = {test_set: _factorial(study, trials, tried, test_set) for test_set in TEST_SETS}
            notes = [results[TEST_SETS[0]].note, _averaged_over(study, tried)]
            return results, "; ".join(filter(None, notes))
        except ValueError as error:
            problem = str(error)
    raise NotSupported(problem)


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """A line per effect: its value with its interval on both test sets; zero marked, orders of effects apart."""
    names = frame.drop_duplicates(["term", "contrast"]).reset_index(drop=True)
    place = {(row["term"], row["contrast"]): number for number, row in names.iterrows()}
    ax.axvline(0, color=style.BLACK, linewidth=0.8, zorder=0)
    for test_set, part in frame.groupby("test_set", sort=False):
        look = style.TEST_SET_LOOKS[str(test_set)]
        shift = -0.15 if test_set == "base" else 0.15
        y = [place[pair] + shift for pair in zip(part["term"], part["contrast"], strict=True)]
        bars = np.abs(part[["low", "high"]].to_numpy().T - part["effect"].to_numpy())
        name = TEST_SET_NAMES[str(test_set)]
        ax.errorbar(part["effect"], y, xerr=np.nan_to_num(bars), label=name, capsize=2.5, **look.points())
    for number in range(1, len(names)):
        is_new_order = names["order"][number] != names["order"][number - 1]
        colour, width = (style.GREY, 0.8) if is_new_order else ("#DDDDDD", 0.5)
        ax.axhline(number - 0.5, color=colour, linewidth=width, zorder=0)
    labels = [effect_label(row["term"], row["contrast"]) for _, row in names.iterrows()]
    ax.set_yticks(range(len(names)), labels)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("Effect on the accuracy (percentage points)")
    ax.grid(axis="x")
    return ax


def effect_label(term: str, contrast: str) -> str:
    """Such as "model: CVAE − VAE" or "latent size: 50 − mean", and of an interaction "model × latent size 50"."""
    parts = [
        (setting_name(name), _contrast_label(name, part))
        for name, part in zip(term.split(" x "), contrast.split(", "), strict=True)
    ]
    if len(parts) == 1:
        return f"{parts[0][0]}: {parts[0][1]}"
    # Of two levels there is one effect, which needs no more words.
    return " × ".join(f"{name} {part.removesuffix(MEAN)}" if part.endswith(MEAN) else name for name, part in parts)


def shown_effects(frame: pd.DataFrame, most: int = MAXIMUM_EFFECTS) -> pd.DataFrame:
    """The rows that are drawn: all, or the main effects first and then the largest interactions, up to `most`."""
    effects = frame.groupby(["term", "contrast"], sort=False).agg(
        order=("order", "first"), size=("effect", lambda values: values.abs().max())
    )
    if len(effects) <= most:
        return frame
    effects["is_interaction"] = effects["order"] > 1
    kept = effects.sort_values(["is_interaction", "size"], ascending=[True, False], kind="stable").index[:most]
    pairs = pd.MultiIndex.from_frame(frame[["term", "contrast"]])
    return frame[pairs.isin(kept)]


def drawn(sources: Sources) -> list[DrawnFigure]:
    """One figure with all effects."""
    frame, note = numbers(sources.study)
    shown = shown_effects(frame)
    count, everything = (len(part.drop_duplicates(["term", "contrast"])) for part in (shown, frame))
    figure = style.new_figure(0.3 * count + 0.85)
    ax = draw(figure.add_subplot(), shown)
    handles, labels = ax.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=2)
    selected = f" The main effects and the largest interactions, {count} of {everything}." if count < everything else ""
    caption = (
        "Effects of the factors on the accuracy with 95 % intervals: of two levels the second minus the first, "
        "averaged over all other factors; of more levels each against the mean of all. An interaction says by how "
        f"much the effect of one factor changes with the other.{selected} Intervals are over {frame['over'].iloc[0]}. "
        + f"Model: {note}. " * bool(note)
        + described(sources.study.trials)
    )
    return [DrawnFigure("effects", "Main effects and interactions", caption, figure, frame)]


def _averaged_over(study: Study, factors: list[str]) -> str:
    """What the study varies beside `factors`, in words; "" where it varies nothing else."""
    others = [name for name in study.factors() if COMPARABLE.get(name, name) not in factors]
    return f"averaged over {', '.join(map(setting_name, others))}" if others else ""


def _factorial(study: Study, trials: pd.DataFrame, factors: list[str], test_set: str) -> Factorial:
    if not factors:
        raise ValueError("no factor has two values")
    if len(trials["seed"].unique()) > 1:
        order = min(HIGHEST_ORDER, len(factors))
        return factorial(trials, f"{test_set}_accuracy", factors, order=order)
    if len(trials) > MAXIMUM_PREDICTIONS:
        raise ValueError(f"{len(trials)} trials of one seed are too many to compare image by image; run more seeds")
    predictions = [study.trial(key).predictions() for key in trials["key"]]
    images = min(map(len, predictions))
    correct = [(part[test_set] == part["label"]).to_numpy()[:images] for part in predictions]
    return factorial_over_images(trials.reset_index(drop=True), np.array(correct), factors)


def _contrast_label(factor: str, contrast: str) -> str:
    """`contrast` as the factorial analysis words it, "pretrained - none" or "encoding_dim 50", in a figure's words."""
    translate = {"model": model_name, "stn": stn_name}.get(factor, _level)
    if contrast.startswith(f"{factor} "):
        return f"{translate(contrast.removeprefix(f'{factor} '))}{MEAN}"
    second, _, first = contrast.rpartition(" - ")
    return f"{translate(second)} − {translate(first)}"


def _level(text: str) -> str:
    """A level as the figure writes it: numbers without needless digits."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text.replace("_", " ")
