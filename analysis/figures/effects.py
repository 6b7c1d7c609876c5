"""Main effects and interactions of the factors on both accuracies, with intervals."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes

from analysis.figures.drawing import representatives, style
from analysis.figures.drawing.captions import counted, described
from analysis.figures.drawing.saving import DrawnFigure, NotSupported
from analysis.figures.drawing.sources import Sources
from analysis.frames.cells import beta, collapsed, encoding_dim
from analysis.frames.labels import TEST_SET_NAMES, are_controls, model_name, setting_name, stn_name
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.recipe import at_default
from analysis.frames.study import PAPER_FACTORS, Study
from analysis.inference import Design, balanced, correctness_of, factorial, holm
from analysis.inference.factorial import UNSET

MAXIMUM_EFFECTS = 30
HIGHEST_ORDER = 3
# Of a part of a study; with fewer cells nothing is crossed.
FEWEST_CELLS = 4
# Effects that a figure's alternative text names.
MOST_NAMED = 5
MEAN = " − mean"
# Fields that mean the same for both models only in this form.
COMPARABLE = {"latent_dim": "encoding_dim", "categories": "encoding_dim", "kl_weight": "beta"}
COMPARABLE["reconstruction_weight"] = "beta"


def numbers(study: Study) -> tuple[pd.DataFrame, str]:
    """A row per effect and test set, and a note on the part of the study that they are over.

    Columns: test_set, term, contrast, order, effect, low, high, p_value, adjusted_p_value, over, n, trials.
    effect, low, high: in accuracy points, with the 95 % interval over what `over` says; n: seeds. An effect is as
    `analysis.inference.Factorial` has it. adjusted_p_value: Holm's, over all effects on that test set; missing, as
    p_value is, with one seed.

    Raises `NotSupported` where no trial has finished, the study is a search, or no factors are crossed.
    """
    design, notes = chosen_design(study)
    scores = correctness_of(study)
    parts = []
    for test_set in TEST_SETS:
        order = min(HIGHEST_ORDER, len(design.factors))
        result = factorial(design, f"{test_set}_accuracy", order, scores)
        effects = result.effects.assign(adjusted_p_value=holm(result.effects["p_value"]), over=result.over)
        counts = {"n": design.trials["seed"].nunique(), "trials": len(design.trials)}
        parts.append(effects.assign(**counts, test_set=test_set))
    frame = pd.concat(parts, ignore_index=True)
    return frame[["test_set", *(name for name in frame if name != "test_set")]], notes


# A table and a figure show them.
@functools.lru_cache(maxsize=2)
def chosen_design(study: Study) -> tuple[Design, str]:
    """The largest balanced part of the study, and a note of what is held and left out.

    Latents and classes count as the numbers that the probe reads, the KL weight as the equivalent beta. Either all
    that the study varies is crossed, less some levels, or the paper's three factors with all else at the default
    recipe. Controls, and trials that collapsed, have no part in it.

    Raises `NotSupported` where no trial has finished, the study is a search, or no factors are crossed.
    """
    if Sources(study).optuna_search() is not None:
        raise NotSupported("a search chooses its trials by their results and crosses no factors")
    trials = representatives.finished(study)
    trials = trials[~are_controls(trials["model"])]
    broken = collapsed(trials)
    trials = trials[~broken]
    trials = trials.assign(encoding_dim=encoding_dim(trials), beta=beta(trials))
    varied = Study(trials, study.epochs, study.folders).factors() if len(trials) else []
    names = [COMPARABLE.get(name, name) for name in varied]
    factors = [name for name in dict.fromkeys(names) if len(trials[name].unique()) > 1]
    designs, problems = [], []
    for candidate, given in ((at_default(trials, study.seedless), list(PAPER_FACTORS)), (trials, factors)):
        try:
            design = balanced(candidate, given)
        except ValueError as problem:
            problems.append(str(problem))
            continue
        if len(design.trials) == len(trials) or design.cells >= FEWEST_CELLS:
            designs.append(design)
    if not designs:
        raise NotSupported(problems[-1] if problems else "no four cells cross two factors")
    design = max(designs, key=lambda found: found.cells)
    count = int(broken.sum())
    note = f"{counted(count, 'collapsed trial')} left out, as the collapse diagnostics say" if count else ""
    return design, "; ".join(filter(None, [_part(design, trials, factors), note]))


def _part(design: Design, trials: pd.DataFrame, factors: Sequence[str]) -> str:
    """A note on the trials of the design; "" where it has them all."""
    if len(design.trials) == len(trials):
        return ""
    held = [name for name in factors if name not in design.factors and len(design.trials[name].unique()) == 1]
    parts = [f"{setting_name(name)} {_level(design.trials[name].iloc[0])}" for name in held]
    left_out = [
        f"{setting_name(name)} {', '.join(map(_level, levels))}"
        for name, levels in design.left_out.items()
        if name in design.factors
    ]
    text = f"over {len(design.trials)} of {len(trials)} trials, which are balanced"
    text += f"; held: {', '.join(parts)}" if parts else ""
    return text + (f"; left out, not crossed with all others: {'; '.join(left_out)}" if left_out else "")


def draw(ax: Axes, frame: pd.DataFrame) -> Axes:
    """A line per effect: its value with its interval on both test sets; zero marked, orders of effects apart."""
    names = frame.drop_duplicates(["term", "contrast"]).reset_index(drop=True)
    place = {(row["term"], row["contrast"]): number for number, row in names.iterrows()}
    ax.axvline(0, color=style.BLACK, linewidth=0.8, zorder=0)
    for test_set, part in frame.groupby("test_set", sort=False):
        mark = style.TEST_SET_MARKS[str(test_set)]
        shift = -0.15 if test_set == "base" else 0.15
        y = [place[pair] + shift for pair in zip(part["term"], part["contrast"], strict=True)]
        bars = style.whiskers(part["effect"], part["low"], part["high"])
        name = TEST_SET_NAMES[str(test_set)]
        ax.errorbar(part["effect"], y, xerr=bars, label=name, capsize=2.5, **mark.points())
    labels = [effect_label(row["term"], row["contrast"]) for _, row in names.iterrows()]
    style.label_rows(ax, labels, list(names["order"]))
    ax.set_xlabel("Effect on the accuracy (points)")
    return ax


def effect_label(term: str, contrast: str) -> str:
    """Such as "STN: STN − no STN" or "latent size: 50 − mean", and of an interaction "model × latent size 50"."""
    parts = [
        (setting_name(name), _contrast_label(name, part))
        for name, part in zip(term.split(" x "), contrast.split(", "), strict=True)
    ]
    if len(parts) == 1:
        return f"{parts[0][0]}: {parts[0][1]}"
    # Of two levels there is one effect, which needs no more words.
    return " × ".join(
        _level_in_words(name, part.removesuffix(MEAN)) if part.endswith(MEAN) else name for name, part in parts
    )


def _level_in_words(name: str, level: str) -> str:
    """Such as "latent size 50", but "joint STN", which says what it is of."""
    return level if name in level.split() else f"{name} {level}"


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
    style.legend_above(figure, [ax])
    over = frame["over"].iloc[0]
    selected = f" The main effects and the largest interactions, {count} of {everything}." if count < everything else ""
    caption = (
        "Effects of the factors on the accuracy with 95 % intervals: of two levels the second minus the first, "
        "averaged over all other factors; of more levels each against the mean of all. An interaction says by how "
        f"much the effect of one factor changes with the other.{selected} "
        + (f"Intervals are over {over}. " if over else "One seed without predictions has no intervals. ")
        + f"{note[:1].upper()}{note[1:]}. " * bool(note)
        + described(sources.study.trials)
    )
    return [DrawnFigure("effects", "Main effects and interactions", caption, figure, frame, _alt(frame))]


def _alt(frame: pd.DataFrame) -> str:
    """The main effects on augmented images, the largest first, with their intervals."""
    main = frame[(frame["order"] == 1) & (frame["test_set"] == "augmented")]
    main = main.sort_values("effect", key=lambda values: -values.abs(), kind="stable").head(MOST_NAMED)
    parts = [
        f"{effect_label(row['term'], row['contrast'])} {row['effect']:+.1f} points"
        + ("" if pd.isna(row["low"]) else f" ({row['low']:+.1f} to {row['high']:+.1f})")
        for _, row in main.iterrows()
    ]
    return f"Main effects on the augmented test set: {'; '.join(parts)}."


def _contrast_label(factor: str, contrast: str) -> str:
    """`contrast` as the factorial analysis words it, "pretrained - none" or "encoding_dim 50", in a figure's words."""
    translate = {"model": model_name, "stn": stn_name}.get(factor, _level)
    if contrast.startswith(f"{factor} "):
        return f"{translate(contrast.removeprefix(f'{factor} '))}{MEAN}"
    second, _, first = contrast.rpartition(" - ")
    return f"{translate(second)} − {translate(first)}"


def _level(value: object) -> str:
    """A level as the figure writes it: numbers without needless digits."""
    text = UNSET if pd.isna(value) else str(value)
    try:
        return f"{float(text):g}"
    except ValueError:
        return text.replace("_", " ")
