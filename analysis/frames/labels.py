"""Names of cells and settings for figures and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import pandas as pd

from analysis.frames.study import PAPER_FACTORS, VALUE_ORDER
from tivae.registry import MODELS
from tivae.resolution import declared

TEST_SET_NAMES = {"base": "base test set", "augmented": "augmented test set"}
STN_NAMES = {"none": "no STN", "pretrained": "STN", "joint": "joint STN", "inverse": "inverse STN"}
SETTING_NAMES = {
    "latent_dim": "latents",
    "categories": "classes",
    "encoding_dim": "latent size",
    "beta": "β",
    "kl_weight": "KL weight",
    "train_dataset": "training data",
    "stn": "STN",
    "probe_stn": "STN at the probe",
}
_COUNTED = {"latent_dim": "latent", "categories": "class"}

# Letters of a line above a panel of which four stand side by side.
PANEL_WIDTH = 26

Cell: TypeAlias = Mapping[str, Any] | pd.Series


def model_name(model: str) -> str:
    """A model in a figure: VAE, raw pixels, ...; of one that can't be loaded here, the name of its class."""
    entry = MODELS.get(model)
    return model.rpartition(":")[2].replace("_", " ") if entry is None else entry.label


def arm_name(cell: Cell) -> str:
    """A cell's model as the literature calls it in its settings, or by its own name.

    AAVAE (Falcon et al. 2021): a VAE that decodes the base image and has no KL. CR-VAE (Sinha and Dieng 2021): one with
    the KL between the posteriors of two views.
    """
    if cell["model"] == "vae" and _is(cell, "consistency_form", "kl"):
        return "CR-VAE"
    if cell["model"] == "vae" and _is(cell, "reconstruction_target", "base") and _is(cell, "kl_weight", 0):
        return "AAVAE"
    return model_name(cell["model"])


def _is(cell: Cell, name: str, value: object) -> bool:
    return not pd.isna(found := cell.get(name)) and bool(found == value)


def file_name(model: str) -> str:
    """A model as part of the name of a file."""
    return re.sub(r"\W+", "_", model)


def is_control(model: str) -> bool:
    """Whether the model is a control, which is not trained; what can't be loaded here is taken to be trained."""
    entry = MODELS.get(model)
    return entry is not None and not entry.is_trained


def are_ceilings(models: pd.Series) -> pd.Series:
    """Which of the values of a column `model` are trained with labels: bounds of what others could reach."""

    def sees_labels(model: str) -> bool:
        entry = MODELS.get(model)
        return entry is not None and "labels" in entry.wants

    return models.map(sees_labels, na_action="ignore").fillna(False).astype(bool)


def without_ceilings(trials: pd.DataFrame) -> pd.DataFrame:
    """The trials, or cells, that see no labels; all where there are no others: what sees labels is a bound."""
    bounds = are_ceilings(trials["model"])
    return trials if bounds.all() else trials[~bounds]


def are_controls(models: pd.Series) -> pd.Series:
    """Which of the values of a column `model` are controls."""
    return models.map(is_control, na_action="ignore").fillna(False).astype(bool)


def are_bare(trials: pd.DataFrame) -> pd.Series:
    """Which rows of `trials` see the images themselves: no STN and no other front stands before the model."""
    return (trials["stn"] == "none") & trials.get("front", pd.Series(index=trials.index)).isna()


def in_order(models: Iterable[str]) -> list[str]:
    """The models without repeats, in the order in which the config lists them; others behind, by name."""
    known = VALUE_ORDER["model"]
    return sorted(set(models), key=lambda model: (known.index(model) if model in known else len(known), model))


def stn_name(stn: str) -> str:
    """A mode of the spatial transformer in a figure: "no STN", "STN" for the paper's, "joint STN", ..."""
    return STN_NAMES.get(stn, f"{stn} STN")


def in_front(cell: Cell) -> str:
    """What stands in front of a cell's model: a mode of the spatial transformer, or "front moments"."""
    front = cell.get("front")
    return stn_name(cell["stn"]) if front is None or pd.isna(front) else setting_label("front", front)


def setting_name(name: str) -> str:
    """A config field in a figure: "KL weight", "batch size", ..."""
    return SETTING_NAMES.get(name, name.replace("_", " "))


def setting_label(name: str, value: Any) -> str:
    """A config field with its value, such as "20 latents" or "batch size 64"."""
    if name in _COUNTED:
        return f"{value} {_COUNTED[name] if value == 1 else setting_name(name)}"
    if name == "model":
        return model_name(value)
    shown = f"{value:.4g}" if isinstance(value, float) else str(value).replace("_", " ")
    return f"{setting_name(name)} {shown}"


def percent(value: float, digits: int = 1) -> str:
    """A share as it is written everywhere, such as "77.9 %"."""
    return f"{100 * value:.{digits}f} %"


def cell_label(cell: Cell, factors: Sequence[str] = PAPER_FACTORS) -> str:
    """A cell in one line, such as "VAE, trained on base, no STN, 20 latents".

    factors: the paper's three are always named, of the others those that are given.
    """
    return ", ".join(filter(None, [*_paper_parts(cell), _others(cell, factors)]))


def panel_label(cell: Cell, factors: Sequence[str] = PAPER_FACTORS) -> str:
    """The same in short lines, for the title of a small panel."""
    model, *rest = _paper_parts(cell)
    first = ", ".join([model, *rest[1:]])
    others = _others(cell, factors)
    if len(others) > PANEL_WIDTH:
        others = others.replace(", ", "\n")
    return "\n".join(filter(None, [first, *rest[:1], others]))


def _paper_parts(cell: Cell) -> list[str]:
    name = named_model(cell)
    # Controls learn nothing from the training images, or next to nothing: their cells are named by the model alone.
    if is_control(cell["model"]):
        return [name] if in_front(cell) == stn_name("none") else [name, in_front(cell)]
    return [name, f"trained on {cell['train_dataset']}", in_front(cell)]


def named_model(cell: Cell) -> str:
    """A cell's model by what its own fields say of it where it has such a label, or else as of `arm_name`."""
    entry = MODELS.get(cell["model"])
    own = cell.get(entry.label_field) if entry is not None and entry.label_field is not None else None
    return arm_name(cell) if own is None or pd.isna(own) else str(own)


def in_name(model: str) -> set[str]:
    """The fields whose values `named_model` holds."""
    entry = MODELS.get(model)
    if entry is None or entry.label_field is None:
        return set()
    return {item.name for item in declared(entry, False)}


def _others(cell: Cell, factors: Sequence[str]) -> str:
    own = in_name(cell["model"])
    # Pixels have no latents, whatever an old config says.
    own |= {"latent_dim"} if cell["model"] == "pixels" else set()
    named = [name for name in factors if name not in (*PAPER_FACTORS, "front", *own) and not pd.isna(cell[name])]
    return ", ".join(setting_label(name, cell[name]) for name in named)
