"""Answers to the NeurIPS paper checklist and to REFORMS, as far as they follow from a study's records.

What an author alone can say (claims, limitations, ethics) is left to the author, and named as such.
"""

from __future__ import annotations

import pandas as pd

from analysis import formats
from analysis.figures.drawing.captions import has_one_test_set
from analysis.frames.cells import VALIDATION, chosen_by
from analysis.frames.image_sets import image_set_of
from analysis.frames.labels import is_control
from analysis.frames.study import Study
from analysis.publishing import cost

# Item by item: its number and subject in our words, and the name of the answer below. What follows from no record is
# left out of both lists.
NEURIPS = (
    ("4", "Experimental result reproducibility", "reproducibility"),
    ("5", "Open access to data and code", "access"),
    ("6", "Experimental setting and details", "settings"),
    ("7", "Statistical significance of the experiments", "uncertainty"),
    ("8", "Compute resources", "compute"),
    ("12", "Licences of existing assets", "assets"),
    ("13", "New assets", "new_assets"),
)
NEURIPS_LEFT = "1 to 3 (claims, limitations, theory), 9 to 11 (ethics, impacts, safeguards) and 14 onwards"
REFORMS = (
    ("2a", "Data set, uniquely identified", "data"),
    ("2b", "Code, uniquely identified", "code"),
    ("2c", "Computing infrastructure", "compute"),
    ("2d, 2e", "Instructions and a script that reproduce all results", "reproducibility"),
    ("3d", "Outcome variable", "outcome"),
    ("3e", "Sample size", "sizes"),
    ("4c", "Transformations of the data", "transformations"),
    ("5a", "Models that were trained", "models"),
    ("5c", "Evaluation method", "evaluation"),
    ("5d, 5e", "Selection of models and hyper-parameters", "selection"),
    ("5f", "Baselines", "baselines"),
    ("6a", "Separation of training and test data", "leakage"),
    ("7a", "Performance metrics", "metrics"),
    ("7b, 7c", "Uncertainty and statistical tests", "uncertainty"),
)
REFORMS_LEFT = "1a to 1c (goals), the rest of 3 and 4 (how the data came about), 5b, 6b, 6c and 8 (external validity)"


def of(study: Study, command: str) -> str:
    """The text of `checklists.md`."""
    answers = _answers(study, command)
    return (
        "# Checklists\n\nWritten from the records of the trials; check each answer before you use it.\n\n"
        f"## NeurIPS paper checklist\n\n{_table(NEURIPS, answers)}\nLeft to the authors: {NEURIPS_LEFT}.\n\n"
        f"## REFORMS (Kapoor et al. 2024)\n\n{_table(REFORMS, answers)}\nLeft to the authors: {REFORMS_LEFT}.\n"
    )


def _table(items: tuple[tuple[str, str, str], ...], answers: dict[str, str]) -> str:
    rows = [(number, subject, answers[name]) for number, subject, name in items]
    return formats.markdown(pd.DataFrame(rows, columns=["item", "subject", "answer"]))


def _answers(study: Study, command: str) -> dict[str, str]:
    own = {
        "reproducibility": f"Yes. One command: {command}. python -m analysis.verify makes tables and verdicts again "
        "from the records and, with --retrain, trains trials again; equal numbers are promised on the same model of "
        "device with the same kernels and versions.",
        "access": f"Yes: code, search space, records and predictions of {len(study)} trials; no weights, which "
        "the same command makes.",
        "code": f"Commit {_listed(study.trials, 'commit')}.",
        "compute": _compute(study),
        "uncertainty": _uncertainty(study),
        "new_assets": "Records, predictions and model cards, described by ro-crate-metadata.json and CITATION.cff; "
        "MIT licence.",
    }
    finished = study.finished
    return own | _of_data(finished if len(finished) else study.trials) | _of_method(study)


def _of_data(finished: pd.DataFrame) -> dict[str, str]:
    sets = {}
    for _, row in finished.iterrows():
        images = image_set_of(row)
        sets[images.name] = images
    named = ", ".join(f"{images.title} ({images.name})" for images in sets.values())
    digests = [
        digest
        for images in sets.values()
        for digest in [file.digest for file in images.files] or [f"sha256:{images.sha256}"]
    ]
    sizes = "; ".join(
        f"{images.title}: {_used(finished, 'train_images', images.train_images)} training and "
        f"{_used(finished, 'test_images', images.test_images)} test images, {len(images.classes)} classes"
        for images in sets.values()
    )
    licences = "; ".join(f"{images.title}: {images.licence or 'see its source'}" for images in sets.values())
    return {
        "data": f"{named}; verified by the digests of its files ({', '.join(digests)}).",
        "sizes": f"{sizes}.",
        "outcome": f"The class of an image, one of {max(len(images.classes) for images in sets.values())}.",
        "assets": f"{licences}. Libraries and their versions are in trials.csv.",
    }


def _used(finished: pd.DataFrame, name: str, all_of_them: int) -> str:
    values = finished[name].fillna(all_of_them).astype(int).unique()
    return " or ".join(f"{value:,}" for value in sorted(values))


def _of_method(study: Study) -> dict[str, str]:
    finished = study.finished if len(study.finished) else study.trials
    models = finished["model"].unique()
    trained = [name for name in models if not is_control(name)]
    controls = sorted(filter(is_control, models))
    held_out = chosen_by(finished) == VALIDATION
    factors = ", ".join(study.factors()) or "none"
    among = "" if has_one_test_set(study) else " of the same data set and warps"
    return {
        "models": f"{', '.join(trained) or 'none'}; all settings of each trial are in its record.",
        "baselines": f"{', '.join(controls)}." if controls else "None in this study.",
        "settings": f"Every field of every trial is in trials.csv; varied are {factors}. Optimiser AdamW, "
        f"{_listed(finished, 'epochs')} epochs, batches of {_listed(finished, 'batch_size')}, learning rate "
        f"{_listed(finished, 'learning_rate')}.",
        "transformations": f"Pixels are standardised by the data set's mean and {_stds(finished)}. Augmented images: "
        f"rotation within {_listed(finished, 'rotation_degrees')} degrees, shifts within "
        f"{_listed(finished, 'shift_pixels')} pixels, scale within {_listed(finished, 'scale_range')} of 1, each with "
        f"probability {_listed(finished, 'warp_probability')}.",
        "evaluation": "A probe, fitted on encodings of the training images, classifies the test images as they are and "
        f"one frozen augmented set of them, the same for every trial{among}.",
        "selection": "By validation images held out of the training set; the test sets had no part in it."
        if held_out
        else "None: every setting that was run is reported. A best cell is named by its test accuracy.",
        "leakage": "Models and probes see training images alone; the published split is kept, and warps of the test "
        "images come from a generator of their own.",
        "metrics": "Accuracy on both test sets, and losses, in trials.csv; analysis.COLUMNS explains each.",
    }


def _stds(finished: pd.DataFrame) -> str:
    own = finished["pixel_std"]
    given = [f"a std of {_listed(finished, 'pixel_std')}"] if own.notna().any() else []
    return " or ".join([*(["std"] if own.isna().any() else []), *given])


def _uncertainty(study: Study) -> str:
    finished = study.finished
    seeds = int(finished["seed"].nunique())
    if not seeds:
        return "No: no trial has finished."
    if seeds == 1:
        return "In part: one seed (intervals are over test images; what another seed gives is not known)."
    return (
        f"Yes: {seeds} seeds; 95 % intervals over seeds and test images (crossed) of accuracies, over seeds of losses "
        "(Student's t); p-values and intervals of claims corrected by Holm's method."
    )


def _compute(study: Study) -> str:
    found = cost.frame([study]).iloc[0]
    where = ", ".join(
        f"{_listed(study.trials, name)} ({name})"
        for name in ("device_name", "kernels", "torch")
        if name in study.trials
    )
    return (
        f"{found['hours']:.1f} {cost.unit([study])} for {found['trials']:.0f} trials ({found['run']:.0f} trainings), "
        f"on {where}; of each trial in trials.csv. Preliminary runs are not counted."
    )


def _listed(trials: pd.DataFrame, name: str) -> str:
    values = trials[name].dropna().unique() if name in trials else []
    texts = sorted({f"{value:g}" if isinstance(value, float) else str(value) for value in values})
    return " or ".join(texts) or "not recorded"
