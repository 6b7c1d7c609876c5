"""Classes of test images in half a byte each, and labels once for many trials: the predictions of a published copy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tivae.io import checkpoint

# Of a published copy, beside its trials.
LABELS = "labels.pt"
MOST_CLASSES = 16


def pack(content: Mapping[str, Tensor]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A trial's predictions as they are published, and the labels that they name by a digest.

    Predictions of more than 16 classes take a byte each, their labels among them.
    """
    if max(int(classes.max()) for classes in content.values()) >= MOST_CLASSES:
        return {name: classes.byte() for name, classes in content.items()}, {}
    labels = _halved(content["labels"])
    digest = hashlib.sha256(labels.numpy().tobytes()).hexdigest()[:12]
    predicted = {name: _halved(classes) for name, classes in content.items() if name != "labels"}
    return {"images": len(content["labels"]), "labels": digest, **predicted}, {digest: labels}


def unpacked(content: Mapping[str, Any], results: Path) -> Mapping[str, Any]:
    """What `pack` was given; `content` itself where it was not packed.

    Raises `FileNotFoundError` and `DamagedFile` where the labels beside the trials can't be read, and `KeyError` and
    `TypeError` where `content` is none.
    """
    if "images" not in content:
        return content
    count = content["images"]
    labels = checkpoint.load(results / LABELS)[content["labels"]]
    return {"labels": _whole(labels, count)} | {
        name: _whole(value, count) for name, value in content.items() if name not in ("images", "labels")
    }


def _halved(classes: Tensor) -> Tensor:
    values = classes.numpy().astype(np.uint8)
    values = np.append(values, np.zeros(len(values) % 2, np.uint8))
    return torch.from_numpy(values[::2] << 4 | values[1::2])


def _whole(packed: Tensor, count: int) -> Tensor:
    values = packed.numpy()
    return torch.from_numpy(np.stack([values >> 4, values & 15], axis=1).reshape(-1)[:count])
