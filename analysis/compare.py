"""`python -m analysis.compare A B`: the differences between two studies, or between two trials."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

import analysis
from analysis import formats
from analysis.command_line import command_line
from analysis.formats import Table
from analysis.frames.image_sets import image_set_of
from analysis.frames.labels import cell_label
from analysis.frames.metric_columns import TEST_SETS
from analysis.frames.study import Study
from analysis.frames.trial import Trial
from analysis.inference import ImageComparison, compare_cells, compare_images
from tivae.config import known_fields
from tivae.io.files import DamagedFile
from tivae.io.record import read


def compare(first: str | Path, second: str | Path) -> list[Table]:
    """Tables of what differs between two results folders, or two trials (`<results>/trials/<key>`).

    Raises `ValueError` if a path is neither, or if one is a study and the other a trial.
    """
    paths = [Path(first), Path(second)]
    are_trials = [path.parent.name == "trials" for path in paths]
    if all(are_trials):
        one, two = (_trial(path) for path in paths)
        return [settings(one, two), flips(one, two), per_class(one, two)]
    if any(are_trials):
        raise ValueError(f"{first} and {second} are a study and a trial; give two studies or two trials")
    one_study, two_study = (analysis.load(path) for path in paths)
    return [study_settings(one_study, two_study), seeds(one_study, two_study), image_flips(one_study, two_study)]


def settings(first: Trial, second: Trial) -> Table:
    """The fields, and the recipe, in which two trials differ."""
    one, two = first.config, second.config
    names = [name for name in known_fields() if getattr(one, name) != getattr(two, name)]
    rows = [(name, _shown(getattr(one, name)), _shown(getattr(two, name))) for name in names]
    if first.row["recipe"] != second.row["recipe"]:
        rows.insert(0, ("recipe", str(first.row["recipe"]), str(second.row["recipe"])))
    notes = () if rows else ("The two have the same settings: they are the same trial.",)
    frame = pd.DataFrame(rows, columns=["setting", *_names(first, second)])
    return Table("Settings that differ", (("", frame, []),), notes)


def flips(first: Trial, second: Trial) -> Table:
    """Test images that one of two trials classifies correctly and the other does not, with McNemar's test.

    Raises `ValueError` if predictions are missing, or are not of the same images.
    """
    rows = [_flip_row(test_set, _images(first, second, test_set), _names(first, second)) for test_set in TEST_SETS]
    return Table("Test images whose verdict flips", (("", pd.DataFrame(rows), list(rows[0])[1:]),), (_MCNEMAR_NOTE,))


def per_class(first: Trial, second: Trial) -> Table:
    """Accuracy of each class in two trials, and the difference."""
    one, two = _pair_of_predictions(first, second)
    rows = []
    for number, name in enumerate(image_set_of(first.row).classes):
        mine = (one["label"] == number).to_numpy()
        row: dict[tuple[str, str], str | None] = {("", "class"): name}
        for test_set in TEST_SETS:
            right = [float((frame[test_set] == number)[mine].mean()) if mine.any() else None for frame in (one, two)]
            row |= {(test_set, key): _number(value) for key, value in zip(_names(first, second), right, strict=True)}
            difference = None if right[0] is None or right[1] is None else right[1] - right[0]
            row[test_set, "diff."] = _number(difference, "+")
        rows.append(row)
    frame = pd.DataFrame(rows)
    return Table("Accuracy by class", (("", frame, list(frame.columns)[1:]),))


def study_settings(first: Study, second: Study) -> Table:
    """The fields, and the recipe, whose values differ between two studies, with all values of each."""
    rows = []
    for name in ("recipe", *known_fields()):
        values = [_values(study, name) for study in (first, second)]
        if values[0] != values[1]:
            rows.append((name, *(", ".join(sorted(found)) or "-" for found in values)))
    notes = () if rows else ("The two cover the same settings.",)
    frame = pd.DataFrame(rows, columns=["setting", "first", "second"])
    return Table("Settings that differ", (("", frame, []),), notes)


def seeds(first: Study, second: Study) -> Table:
    """Cells that both studies have, seed by seed: second minus first in points of accuracy.

    A cell is what the factors of either study name; settings in which a whole study differs from the other are the
    comparison.
    """
    rows = []
    for label, one, two in _common_cells(first, second):
        row: dict[str, str | None] = {"cell": label}
        for test_set in TEST_SETS:
            found = compare_cells(one, two, f"{test_set}_accuracy")
            if found is None:
                row |= {"n": "0", test_set: None, f"{test_set} 95 %": None}
                continue
            interval = found.interval()
            known = not pd.isna(interval.low)
            row |= {"n": str(found.seeds), test_set: f"{100 * found.mean:+.2f}"}
            row[f"{test_set} 95 %"] = f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}" if known else None
        rows.append(row)
    if not rows:
        return Table("Paired seeds", (), ("The two have no cell in common.",))
    note = "Second minus first, in points of accuracy, paired by seed; one seed has no interval."
    frame = pd.DataFrame(rows)
    return Table("Paired seeds", (("", frame, list(frame.columns[1:])),), (note,))


def image_flips(first: Study, second: Study) -> Table:
    """For each common cell and seed, the test images that flip, where both studies keep predictions."""
    rows, missing = [], 0
    for label, one, two in _common_cells(first, second):
        both = one.merge(two, on="seed", suffixes=("_first", "_second"))
        for _, pair in both.iterrows():
            trials = first.trial(pair["key_first"]), second.trial(pair["key_second"])
            try:
                found = [(test_set, _images(*trials, test_set)) for test_set in TEST_SETS]
            except ValueError:
                missing += 1
                continue
            for test_set, comparison in found:
                rows.append({"cell": label, "seed": str(pair["seed"])} | _flip_row(test_set, comparison))
    notes: tuple[str, ...] = (_MCNEMAR_NOTE,) if rows else ()
    if missing:
        notes += (f"{missing} pairs of trials have no predictions of the same images.",)
    frame = pd.DataFrame(rows)
    blocks = (("", frame, list(frame.columns[3:])),) if rows else ()
    return Table("Test images whose verdict flips", blocks, notes or ("The two have no trial pair in common.",))


_MCNEMAR_NOTE = (
    "Fixed: wrong in the first, right in the second; broken: the reverse. p: McNemar's exact test. "
    "It is about these trained models, not about other seeds."
)


def _trial(path: Path) -> Trial:
    if not path.is_dir():
        raise ValueError(f"{path} is not a trial; give <results>/trials/<key>")
    recipe = None
    with contextlib.suppress(FileNotFoundError, DamagedFile):
        recipe = read(path)["recipe"]
    return analysis.load(path.parent.parent, recipe=recipe).trial(path.name)


def _names(first: Trial, second: Trial) -> tuple[str, str]:
    """Heads of columns: the keys, where they tell the trials apart."""
    return (first.key, second.key) if first.key != second.key else ("first", "second")


def _pair_of_predictions(first: Trial, second: Trial) -> tuple[pd.DataFrame, pd.DataFrame]:
    one, two = first.predictions(), second.predictions()
    if image_set_of(first.row) != image_set_of(second.row) or not one["label"].equals(two["label"]):
        raise ValueError(
            f"{first.key} and {second.key} were tested on other images; their `dataset` and `test_images` must agree"
        )
    return one, two


def _images(first: Trial, second: Trial, test_set: str) -> ImageComparison:
    one, two = _pair_of_predictions(first, second)
    return compare_images(one["label"], one[test_set], two[test_set])


def _flip_row(test_set: str, found: ImageComparison, names: Sequence[str] = ("first", "second")) -> dict[str, str]:
    right = (found.both + found.only_first, found.both + found.only_second)
    return {
        "test set": test_set,
        **{name: f"{count / found.n:.4f}" for name, count in zip(names, right, strict=True)},
        "fixed": str(found.only_second),
        "broken": str(found.only_first),
        "p": str(formats.p_value(found.p_value)),
    }


def _common_cells(first: Study, second: Study) -> list[tuple[str, pd.DataFrame, pd.DataFrame]]:
    factors = list(dict.fromkeys([*first.cell_factors(), *second.cell_factors()]))
    groups = [
        {
            tuple(None if pd.isna(value) else value for value in cell): part
            for cell, part in _with_columns(study.finished, factors).groupby(factors, dropna=False, sort=False)
        }
        for study in (first, second)
    ]
    common = [cell for cell in groups[0] if cell in groups[1]]
    return [(cell_label(groups[0][cell].iloc[0], factors), groups[0][cell], groups[1][cell]) for cell in common]


def _with_columns(trials: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The trials with these columns: fields that only models of the other study have are missing."""
    return trials.reindex(columns=list(dict.fromkeys([*trials, *names])))


def _values(study: Study, name: str) -> set[str]:
    if name == "recipe":
        return set(study.trials["recipe"].dropna().astype(str))
    return {_shown(getattr(config, name)) for config in study.configs.values()}


def _shown(value: object) -> str:
    return "-" if value is None else str(value)


def _number(value: float | None, sign: str = "") -> str | None:
    return None if value is None else f"{value:{sign}.4f}"


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code is 0, or 2 where the two can't be compared."""
    parser = argparse.ArgumentParser(prog="python -m analysis.compare", description=(__doc__ or "").partition(": ")[2])
    parser.add_argument("first", type=Path, help="a results folder, or <results>/trials/<key>")
    parser.add_argument("second", type=Path, help="another one to compare it with")
    parser.add_argument("--markdown", action="store_true", help="Markdown in place of text")
    options = parser.parse_args(arguments)
    tables = compare(options.first, options.second)
    print("\n".join(table.markdown() if options.markdown else table.text() for table in tables))
    return 0


if __name__ == "__main__":
    sys.exit(main())
