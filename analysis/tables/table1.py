"""Table 1 of the paper with our figures beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import pandas as pd

from analysis import formats
from analysis.formats import Table
from analysis.frames.columns import config_names
from analysis.frames.labels import are_controls, cell_label, in_order
from analysis.frames.recipe import Recipe, recipe_of, seedless_configs, shown
from analysis.frames.study import MAIN_METRICS, PAPER_FACTORS, Study
from analysis.frames.trial import config_of
from analysis.inference import Summary, correctness_of, summary_of
from analysis.inference.correctness import Correctness
from analysis.paper import MODEL_NAMES, STN_NAMES, TABLE_1, PaperCell
from tivae.config import FIELD_NAMES

Source: TypeAlias = Study | pd.DataFrame

TITLE = "Table 1. Ours beside the paper's figures; n: seeds, diff.: ours - paper"
# Among other tables, which are numbered by themselves.
PUBLISHED_TITLE = "Ours beside the paper's Table 1; n: seeds, diff.: ours - paper, 95 %: intervals"
MOST_NAMED = 3


def table1(source: Source) -> pd.DataFrame:
    """A row per cell of the paper's table, in its order; cells without a finished trial hold only the paper's figures.

    Columns: experiment, train_dataset, model, stn, `seeds` (their number), and for each of base_accuracy,
    augmented_accuracy, base_loss, augmented_loss: its mean over seeds, `_sd`, `_low` and `_high` (95 % interval),
    `_paper` and `_difference`. `over` says what the intervals of the accuracies are over: "seeds and test images",
    "seeds" where predictions are missing, "test images" where there is one seed.

    Only trials in the paper's recipe count, never others of the same cell, such as other latent sizes. Where all
    trials share another setting (`--quick`, `--set epochs=5`) that setting counts; the table's notes say so.
    """
    trials = _trials(source)
    return _frame(trials, recipe_of(trials), _scores(source))


def paper_table(source: Source, *, intervals: bool = False) -> Table:
    """The table ready to print, `.text()`, `.markdown()` or `.latex()`.

    intervals: with the 95 % interval of each figure, where there is one, in place of the standard deviation over
    seeds; too wide for a terminal. Controls, where the study has any, stand below the accuracies. The notes say what
    one must know beside the figures: settings unlike the paper's, trials left out, failures.
    """
    trials = _trials(source)
    recipe = recipe_of(trials)
    frame = _frame(trials, recipe, _scores(source))
    blocks = []
    for heading, kind in (("Accuracy", "accuracy"), ("Test loss (weighted)", "loss")):
        texts = _texts(frame, kind, intervals)
        blocks.append((heading, texts, list(texts.columns[4:])))
    controls = controls_frame(source)
    if len(controls):
        texts = _control_texts(controls)
        blocks.insert(1, ("Accuracy of controls, which learn no encoding", texts, list(texts.columns[1:])))
    title = PUBLISHED_TITLE if intervals else TITLE
    return Table(title, tuple(blocks), tuple(_notes(trials, recipe, frame, intervals)), label="tab:paper")


def controls_frame(source: Source) -> pd.DataFrame:
    """A row per control that finished: control (its label), n, and of each accuracy its mean, `_low` and `_high`."""
    trials, scores = _trials(source), _scores(source)
    trials = trials[(trials["status"] == "finished") & are_controls(trials["model"])]
    configs = seedless_configs(trials)
    rows = []
    order = in_order(trials["model"])
    found = {config for config in configs if config is not None}
    for config in sorted(found, key=lambda one: (order.index(one.model), one.latent_dim or 0, one.key)):
        own = trials[[other == config for other in configs]]
        same_model = [other for other in configs if other is not None and other.model == config.model]
        varied = [name for name in config_names(trials) if len({getattr(other, name) for other in same_model}) > 1]
        row: dict[str, Any] = {"control": _control_label(own.iloc[0], varied), "n": len(own)}
        for metric in ("base_accuracy", "augmented_accuracy"):
            summary = _summary(own, metric, scores)
            if summary is not None:
                interval = summary.interval
                row |= {metric: summary.mean, f"{metric}_low": interval.low, f"{metric}_high": interval.high}
        rows.append(row)
    return pd.DataFrame(rows)


def _control_label(row: pd.Series, varied: Sequence[str]) -> str:
    return cell_label(row, list(dict.fromkeys(["latent_dim", *varied])))


def table1_text(source: Source) -> str:
    """Fixed-width text of at most 100 columns."""
    return paper_table(source).text()


def table1_markdown(source: Source) -> str:
    """Markdown."""
    return paper_table(source).markdown()


def table1_latex(source: Source) -> str:
    """LaTeX with booktabs."""
    return paper_table(source).latex()


def table1_csv(source: Source) -> str:
    """The frame in full precision."""
    return formats.csv(table1(source))


def _trials(source: Source) -> pd.DataFrame:
    trials = source.trials if isinstance(source, Study) else source
    missing = {"key", "status", "error", "seed", *PAPER_FACTORS, *MAIN_METRICS} - set(trials.columns)
    if missing:
        raise ValueError(f"the frame has no column {', '.join(sorted(missing))}; give a study or its `trials`")
    return trials


def _frame(trials: pd.DataFrame, recipe: Recipe, scores: Correctness | None) -> pd.DataFrame:
    configs = seedless_configs(trials)
    rows = [_row(cell, recipe.trials_of(trials, cell.factors, configs), scores) for cell in TABLE_1]
    dtypes = {"experiment": "Int64", "seeds": "Int64"} | dict.fromkeys((*PAPER_FACTORS, "over"), "string")
    return pd.DataFrame(rows).astype(dtypes)


def _row(cell: PaperCell, trials: pd.DataFrame, scores: Correctness | None) -> dict[str, Any]:
    row: dict[str, Any] = {"experiment": cell.experiment, **cell.factors, "seeds": len(trials), "over": pd.NA}
    for metric in MAIN_METRICS:
        paper = getattr(cell, metric)
        summary = _summary(trials, metric, scores)
        if summary is not None and metric == "base_accuracy":
            row["over"] = summary.interval.over
        mean, sd, low, high = [math.nan] * 4
        if summary is not None:
            mean, sd, low, high = summary.mean, summary.sd, summary.interval.low, summary.interval.high
        row |= {metric: mean, f"{metric}_sd": sd, f"{metric}_low": low, f"{metric}_high": high}
        row |= {f"{metric}_paper": paper, f"{metric}_difference": mean - paper}
    return row


def _summary(trials: pd.DataFrame, metric: str, scores: Correctness | None) -> Summary | None:
    values = trials[metric].dropna()
    return summary_of(values, metric, trials, scores=scores) if len(values) else None


def _scores(source: Source) -> Correctness | None:
    return correctness_of(source) if isinstance(source, Study) else None


def _texts(frame: pd.DataFrame, kind: str, intervals: bool) -> pd.DataFrame:
    """The table's part of one kind of figure as texts, under headings of the two test sets."""
    columns: dict[tuple[str, str], Sequence[str | None]] = {
        ("", "exp."): [str(number) for number in frame["experiment"]],
        ("", "trained on"): frame["train_dataset"].tolist(),
        ("", "model"): frame["model"].map(MODEL_NAMES).tolist(),
        ("", "STN"): frame["stn"].map(STN_NAMES).tolist(),
        ("", "n"): [str(seeds) if seeds else None for seeds in frame["seeds"]],
    }
    for test_set in ("base", "augmented"):
        name, group = f"{test_set}_{kind}", f"{test_set} test set"
        if intervals and frame[f"{name}_low"].notna().any():
            columns[group, "ours"] = [_number(value) for value in frame[name]]
            columns[group, "95 %"] = _intervals(frame, name)
        else:
            pairs = zip(frame[name], frame[f"{name}_sd"], strict=True)
            columns[group, "ours"] = [_with_sd(*pair) for pair in pairs]
        columns[group, "paper"] = [_number(value) for value in frame[f"{name}_paper"]]
        columns[group, "diff."] = [_number(value, "+") for value in frame[f"{name}_difference"]]
    return pd.DataFrame(columns)


def _control_texts(frame: pd.DataFrame) -> pd.DataFrame:
    columns: dict[tuple[str, str], Sequence[str | None]] = {
        ("", "control"): frame["control"].tolist(),
        ("", "n"): frame["n"].astype(str).tolist(),
    }
    for test_set in ("base", "augmented"):
        name, group = f"{test_set}_accuracy", f"{test_set} test set"
        columns[group, "ours"] = [_number(value) for value in frame[name]]
        columns[group, "95 %"] = _intervals(frame, name)
    return pd.DataFrame(columns)


def _intervals(frame: pd.DataFrame, name: str) -> list[str | None]:
    pairs = zip(frame[f"{name}_low"], frame[f"{name}_high"], strict=True)
    return [None if math.isnan(low) else f"{low:.4f}–{high:.4f}" for low, high in pairs]


def _number(value: float, sign: str = "") -> str | None:
    return None if math.isnan(value) else f"{value:{sign}.4f}"


def _with_sd(mean: float, sd: float) -> str | None:
    text = _number(mean)
    return text if text is None or math.isnan(sd) else f"{text} ±{sd:.4f}"


def _notes(trials: pd.DataFrame, recipe: Recipe, frame: pd.DataFrame, intervals: bool) -> list[str]:
    notes = recipe.notes()
    if (frame["seeds"] > 1).any() and not intervals:
        notes.append("± is the standard deviation over seeds.")
    if intervals and (frame["seeds"] > 1).any():
        over = " or ".join(frame.loc[frame["seeds"] > 1, "over"].dropna().unique())
        notes.append(f"95 %: intervals by Student's t, of accuracies over {over}, of losses over seeds.")
    return [*notes, *_one_seed_note(frame), *_left_out_note(trials, recipe), *_ended_badly_notes(trials)]


def _one_seed_note(frame: pd.DataFrame) -> list[str]:
    single = frame[frame["over"] == "test images"]
    if single.empty:
        return []
    names = ("base_accuracy", "augmented_accuracy")
    width = max((single[f"{name}_high"] - single[f"{name}_low"]).max() / 2 for name in names)
    return [
        f"Cells of one seed: 95 % intervals of their accuracies are ±{width:.4f} or less, over test images; "
        "what another seed would give is not known."
    ]


def _left_out_note(trials: pd.DataFrame, recipe: Recipe) -> list[str]:
    """Names the fields in which finished trials differ from the recipe."""
    configs = seedless_configs(trials)
    used = pd.concat([recipe.trials_of(trials, cell.factors, configs) for cell in TABLE_1]).index
    rest = trials[(trials["status"] == "finished") & ~trials.index.isin(used) & ~are_controls(trials["model"])]
    if rest.empty:
        return []
    values: dict[str, dict[str, None]] = {}
    for _, row in rest.iterrows():
        for name, value in _unlike(row, recipe).items():
            values.setdefault(name, {})[value] = None
    named = "; ".join(f"{name} {', '.join(found)}" for name, found in values.items())
    return [f"Finished trials that are not of this table: {len(rest)}" + (f" ({named})." if named else ".")]


def _unlike(row: pd.Series, recipe: Recipe) -> dict[str, str]:
    try:
        config = config_of(row)
    except ValueError:
        # Of another version: its model or mode is all that can be named.
        return {name: str(row[name]) for name in PAPER_FACTORS if pd.notna(row[name])}
    cell = {name: getattr(config, name) for name in PAPER_FACTORS}
    expected = recipe.config(cell, config.seed)
    if expected is None:
        return {}
    names = [name for name in FIELD_NAMES if getattr(config, name) != getattr(expected, name)]
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
