"""Table 1 of the paper with our results beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis import formats
from analysis.formats import Table
from analysis.frames.columns import config_names
from analysis.frames.labels import are_controls, cell_label, in_order
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.recipe import Recipe, recipe_of, shown
from analysis.frames.study import MAIN_METRICS, PAPER_FACTORS, Study
from analysis.inference import Summary, correctness_of, summary_of
from analysis.inference.correctness import Correctness
from analysis.paper import MODEL_NAMES, STN_NAMES, TABLE_1, PaperCell
from tivae.config import TrialConfig, known_fields

TITLE = "Ours beside the paper's Table 1; n: seeds, ±: half of a 95 % interval"
ON_OTHER_IMAGES = "The cells of the paper's Table 1 on {}; n: seeds, ±: half of a 95 % interval"
MOST_NAMED = 3
# All other columns are numbers.
_WORDS = [("", "trained on"), ("", "model"), ("", "STN"), ("", "control")]


def table1(study: Study) -> pd.DataFrame:
    """A row per cell of the paper's table, in its order; cells without a finished trial hold only the paper's values.

    Columns: experiment, train_dataset, model, stn, `seeds` (their number), and for each of base_accuracy,
    augmented_accuracy, base_loss, augmented_loss: its mean over seeds, `_sd`, `_low` and `_high` (95 % interval),
    `_paper` and `_difference`. `over`: what the intervals of the accuracies are over: "seeds and test images",
    "seeds" where predictions are missing, "test images" where there is one seed.

    Only trials in the paper's recipe count, never others of the same cell, such as other latent sizes. Where all
    trials share another setting (`--quick`, `--set epochs=5`) that setting counts; the table's notes say so.
    """
    return _frame(study, recipe_of(study.trials, study.seedless))


def paper_table(
    study: Study, test_sets: Sequence[str] = TEST_SETS, model_names: Mapping[str, str] = MODEL_NAMES
) -> Table:
    """The table ready to print, `.text()`, `.markdown()` or `.latex()`: accuracies in %, and losses.

    Controls, where the study has any, stand below the accuracies. The notes give what the intervals are over, settings
    unlike the paper's, trials left out, and failures. Trials on other images than the paper's are shown without it.
    """
    recipe = recipe_of(study.trials, study.seedless)
    frame = _frame(study, recipe)
    blocks = [
        ("Accuracy (%)", _texts(frame, "accuracy", test_sets, model_names)),
        ("Test loss (weighted)", _texts(frame, "loss", test_sets, model_names)),
    ]
    controls = controls_frame(study)
    if len(controls):
        blocks.insert(1, ("Accuracy (%) of controls, which learn no encoding", control_texts(controls, test_sets)))
    shown = tuple((heading, texts, [name for name in texts if name not in _WORDS]) for heading, texts in blocks)
    title = TITLE if recipe.is_on_papers_images else ON_OTHER_IMAGES.format(recipe.images_title)
    return Table(title, shown, tuple(_notes(study, recipe, frame)), label="tab:paper")


def controls_frame(study: Study) -> pd.DataFrame:
    """A row per control that finished: control (its label), n, and of each accuracy its mean, `_low` and `_high`."""
    trials, scores = study.finished[are_controls(study.finished["model"])], correctness_of(study)
    configs = [study.seedless.get(key) for key in trials["key"]]
    rows = []
    order = in_order(trials["model"])
    found = {config for config in configs if config is not None}
    for config in sorted(found, key=lambda one: (order.index(one.model), one.latent_dim or 0, *_front_order(one))):
        own = trials[[other == config for other in configs]]
        same_model = [other for other in found if other.model == config.model]
        varied = [
            name
            for name in config_names(trials)
            if len({getattr(other, name) for other in same_model if getattr(other, name) is not None}) > 1
        ]
        label = cell_label(own.iloc[0], list(dict.fromkeys(["latent_dim", *varied])))
        row: dict[str, Any] = {"control": label, "n": len(own)}
        for metric in ("base_accuracy", "augmented_accuracy"):
            summary = _summary(own, metric, scores)
            if summary is not None:
                interval = summary.interval
                row |= {metric: summary.mean, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _front_order(config: TrialConfig) -> tuple[bool, bool, str]:
    """Controls of the images themselves before those behind an STN or another front."""
    return config.front is not None, config.stn != "none", config.key


def control_texts(frame: pd.DataFrame, test_sets: Sequence[str] = TEST_SETS) -> pd.DataFrame:
    """`controls_frame` as texts, accuracies in %."""
    columns: dict[tuple[str, str], Sequence[str | None]] = {
        ("", "control"): frame["control"].tolist(),
        ("", "n"): frame["n"].astype(str).tolist(),
    }
    for test_set in test_sets:
        columns[f"{test_set} test set", "ours"] = _ours(frame, f"{test_set}_accuracy")
    return pd.DataFrame(columns)


def _frame(study: Study, recipe: Recipe) -> pd.DataFrame:
    scores = correctness_of(study)
    rows = [_row(cell, recipe, _trials_of(study, recipe, cell), scores) for cell in TABLE_1]
    dtypes = {"experiment": "Int64", "seeds": "Int64"} | dict.fromkeys((*PAPER_FACTORS, "over"), "string")
    return pd.DataFrame(rows).astype(dtypes)


def _trials_of(study: Study, recipe: Recipe, cell: PaperCell) -> pd.DataFrame:
    return recipe.trials_of(study.trials, cell.factors, study.seedless)


def _row(cell: PaperCell, recipe: Recipe, trials: pd.DataFrame, scores: Correctness) -> dict[str, Any]:
    row: dict[str, Any] = {"experiment": cell.experiment, **cell.factors, "seeds": len(trials), "over": pd.NA}
    for metric in MAIN_METRICS:
        paper = getattr(cell, metric) if recipe.is_on_papers_images else math.nan
        summary = _summary(trials, metric, scores)
        if summary is not None and metric == "base_accuracy":
            row["over"] = summary.interval.over
        mean, sd, low, high = [math.nan] * 4
        if summary is not None:
            mean, sd, low, high = summary.mean, summary.sd, summary.interval.low, summary.interval.high
        row |= {metric: mean, f"{metric}_sd": sd, f"{metric}_low": low, f"{metric}_high": high}
        row |= {f"{metric}_paper": paper, f"{metric}_difference": mean - paper}
    return row


def _summary(trials: pd.DataFrame, metric: str, scores: Correctness) -> Summary | None:
    values = trials[metric].dropna()
    return summary_of(values, metric, trials, scores=scores) if len(values) else None


def _texts(
    frame: pd.DataFrame, quantity: str, test_sets: Sequence[str], model_names: Mapping[str, str]
) -> pd.DataFrame:
    """The table's accuracies or losses (`quantity`) as texts, grouped by test set."""
    columns: dict[tuple[str, str], Sequence[str | None]] = {
        ("", "trained on"): frame["train_dataset"].tolist(),
        ("", "model"): frame["model"].map(model_names).tolist(),
        ("", "STN"): frame["stn"].map(STN_NAMES).tolist(),
        ("", "n"): [str(seeds) if seeds else None for seeds in frame["seeds"]],
    }
    for test_set in test_sets:
        name, group = f"{test_set}_{quantity}", f"{test_set} test set"
        columns[group, "ours"] = _ours(frame, name)
        if frame[f"{name}_paper"].notna().any():
            columns[group, "paper"] = [_number(value, name) for value in frame[f"{name}_paper"]]
    return pd.DataFrame(columns)


def _ours(frame: pd.DataFrame, name: str) -> list[str | None]:
    rows = zip(frame[name], frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
    return [_number(mean, name, (high - low) / 2) for mean, low, high in rows]


def _number(value: float, metric: str, half: float = math.nan) -> str | None:
    if math.isnan(value):
        return None
    if metric.endswith("accuracy"):
        return formats.percents(value, half)
    digits = 3 if abs(value) < 1 else 2
    return f"{value:.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def _notes(study: Study, recipe: Recipe, frame: pd.DataFrame) -> list[str]:
    notes = recipe.notes()
    if (frame["seeds"] > 1).any():
        over = " or ".join(frame.loc[frame["seeds"] > 1, "over"].dropna().unique())
        notes.append(f"±: half of a 95 % interval by Student's t, of accuracies over {over}, of losses over seeds.")
    if (frame["over"] == "test images").any():
        notes.append("±, one seed: over test images alone; what another seed would give is not known.")
    return [*notes, *_left_out_note(study, recipe), *_ended_badly_notes(study.trials)]


def _left_out_note(study: Study, recipe: Recipe) -> list[str]:
    """Names the fields in which finished trials differ from the recipe."""
    used = pd.concat([_trials_of(study, recipe, cell) for cell in TABLE_1]).index
    trials = study.finished
    rest = trials[~trials.index.isin(used) & ~are_controls(trials["model"])]
    if rest.empty:
        return []
    values: dict[str, dict[str, None]] = {}
    for _, row in rest.iterrows():
        for name, value in _unlike(row, study.configs.get(row["key"]), recipe).items():
            values.setdefault(name, {})[value] = None
    named = "; ".join(f"{name} {', '.join(found)}" for name, found in values.items())
    return [f"Finished trials that are not of this table: {len(rest)}" + (f" ({named})." if named else ".")]


def _unlike(row: pd.Series, config: TrialConfig | None, recipe: Recipe) -> dict[str, str]:
    if config is None:
        # Of another version: its model or mode is all that can be named.
        return {name: str(row[name]) for name in PAPER_FACTORS if pd.notna(row[name])}
    cell = {name: getattr(config, name) for name in PAPER_FACTORS}
    expected = recipe.config(cell, config.seed)
    if expected is None:
        return {}
    names = [name for name in known_fields() if getattr(config, name) != getattr(expected, name)]
    if not names:
        return {name: str(value) for name, value in cell.items()}
    return {name: shown(getattr(config, name)) for name in names}


def _ended_badly_notes(trials: pd.DataFrame) -> list[str]:
    notes = []
    for status in ("failed", "damaged"):
        rows = trials[trials["status"] == status]
        if rows.empty:
            continue
        named = [f"{row['key']}: {row['error']}" for _, row in rows.head(MOST_NAMED).iterrows()]
        more = [f"and {len(rows) - MOST_NAMED} more"] if len(rows) > MOST_NAMED else []
        notes.append(f"{status.capitalize()} trials: {len(rows)} ({'; '.join([*named, *more])}).")
    return notes
