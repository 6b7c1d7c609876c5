"""A model card for the best model of each sort of a study, from the records; weights are not published."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import yaml

from analysis import formats, reproduce
from analysis.frames.cells import VALIDATION, chosen_by
from analysis.frames.columns import config_names
from analysis.frames.labels import cell_label, file_name, model_name
from analysis.frames.study import Study
from analysis.inference import summarise
from tivae.config import TrialConfig
from tivae.registry import MODELS, PROBES
from tivae.resolution import DEFAULT_PROBE

FOLDER = "model_cards"
_METRICS = ("base_accuracy", "augmented_accuracy", "base_loss", "augmented_loss")


def of(study: Study) -> dict[Path, str]:
    """The text of each card by its path: of the best cell of every model that is trained."""
    finished = study.finished
    cards = {}
    for model in finished["model"].dropna().unique():
        entry = MODELS.get(model)
        own = finished[finished["model"] == model]
        if entry is not None and entry.is_trained and own["augmented_accuracy"].notna().any():
            cards[Path(FOLDER) / f"{file_name(str(model))}.md"] = _card(study, own)
    return cards


def _card(study: Study, trials: pd.DataFrame) -> str:
    metric = chosen_by(trials)
    cells = dict(list(trials.groupby(_settings(trials), dropna=False, sort=False)))
    best = max(cells.values(), key=lambda cell: float(cell[metric].mean()))
    best = best.sort_values("seed")
    first = best.iloc[0]
    config = study.config(first["key"])
    title = cell_label(first, study.cell_factors())
    parts = [
        f"---\n{yaml.safe_dump(_head(config, best, title), sort_keys=False, allow_unicode=True)}---\n",
        f"# {title}\n\n{_what_it_is(config)}\n",
        f"## How it was chosen\n\n{_how_chosen(metric, len(cells), len(best))}\n",
        f"## Results\n\n{_results(best)}",
        f"## Use\n\n{_USE}\n\n    {_command(config)}\n",
        f"## Computed with\n\n{_computed_with(best)}\n",
        f"## Settings\n\n{_settings_table(config)}",
    ]
    return "\n".join(parts)


_USE = (
    "For research on invariance to spatial transformations. It encodes greyscale images of the data set below and no "
    "others; nothing is known of other images, and nothing of it may decide about people. The weights are not "
    "published: this trains the first seed's again, and `tivae.load` reads them from the trial's folder."
)


def _command(config: TrialConfig) -> str:
    """The command that trains it again; own images are named by their file alone."""
    return re.sub(r"dataset=/([^/ ]+)(?= |$)", r"dataset=\1", reproduce.command(config))


def _settings(trials: pd.DataFrame) -> list[str]:
    """The fields that tell the cells apart."""
    names = [name for name in config_names(trials) if name not in ("seed", "dataset_facts")]
    varying = [name for name in names if len(trials[name].unique()) > 1]
    return varying or ["model"]


def _head(config: TrialConfig, best: pd.DataFrame, title: str) -> dict[str, object]:
    """The metadata that model hubs read."""
    images = config.images
    metrics = [
        {"type": "accuracy", "name": name, "value": round(float(best[name].mean()), 4)}
        for name in ("base_accuracy", "augmented_accuracy")
    ]
    task = {"type": "image-feature-extraction", "name": f"{_probe(config)} of the encodings"}
    result = {"task": task, "dataset": {"name": images.title, "type": images.name}, "metrics": metrics}
    return {
        "license": "mit",
        "library_name": "pytorch",
        "datasets": [images.name],
        "tags": ["variational-autoencoder", "invariance"],
        "model-index": [{"name": title, "results": [result]}],
    }


def _probe(config: TrialConfig) -> str:
    return PROBES[config.probe or DEFAULT_PROBE].label


def _what_it_is(config: TrialConfig) -> str:
    images = config.images
    reader = "a linear classifier" if config.probe is None else f"a classifier ({_probe(config)})"
    return (
        f"A {model_name(config.model)} whose encodings {reader} reads, trained on the images of "
        f"{images.title} ({images.size} x {images.size} pixels, {len(images.classes)} classes) for "
        f"{config.epochs} epochs."
    )


def _how_chosen(metric: str, cells: int, seeds: int) -> str:
    chosen_on = (
        "held-out validation images, so that the test accuracies below are of images that had no part in the choice"
        if metric == VALIDATION
        else "the test images themselves, so that its accuracy below is on the high side"
    )
    return (
        f"It has the highest `{metric}`, the mean over its seeds ({seeds}), of the {cells} cells of its sort in the "
        f"study: by {chosen_on}."
    )


def _results(best: pd.DataFrame) -> str:
    rows = []
    for name in _METRICS:
        values = best[name].dropna()
        if values.empty:
            continue
        summary = summarise(values)
        low, high = summary.interval.low, summary.interval.high
        rows.append((name, summary.n, f"{summary.mean:.4f}", "-" if math.isnan(low) else f"{low:.4f}–{high:.4f}"))
    frame = pd.DataFrame(rows, columns=["metric", "seeds", "mean", "95 % over seeds"])
    return formats.markdown(frame, ["seeds", "mean"])


def _computed_with(best: pd.DataFrame) -> str:
    names = [n for n in ("device", "device_name", "kernels", "threads", "torch", "commit") if n in best]
    lines = {", ".join(f"{name} {row[name]}" for name in names if pd.notna(row[name])) for _, row in best.iterrows()}
    hours = float(best["wall_seconds"].sum()) / 3600
    return "\n".join(f"- {line}" for line in sorted(lines)) + f"\n- {hours:.1f} hours for {len(best)} seeds."


def _settings_table(config: TrialConfig) -> str:
    values = {name: value for name, value in config.to_dict().items() if value is not None and name != "dataset_facts"}
    frame = pd.DataFrame({"field": list(values), "value": [str(value) for value in values.values()]})
    return formats.markdown(frame)
