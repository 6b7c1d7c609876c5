"""The script that a researcher would write: torchvision's data set and transforms, DataLoader workers, eager torch.

Written with care and without tricks: pinned defaults, persistent workers, one optimiser, no metric read in each step.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import datasets
from torchvision.transforms import v2

from tivae import models, native
from tivae.config import TrialConfig
from tivae.data.loading import load


def steps(model_name: str, batch_size: int = 64) -> Iterator[int]:
    """Endless optimiser steps on augmented images, with all threads that torch has."""
    os.environ[native.VARIABLE] = "torch"
    with tempfile.TemporaryDirectory() as folder:
        loader = DataLoader(
            datasets.FashionMNIST(_raw_files(Path(folder)), train=True, transform=transform()),
            batch_size=batch_size,
            shuffle=True,
            num_workers=max(1, torch.get_num_threads()),
            persistent_workers=True,
        )
        yield from _endless(model_name, loader)


def _endless(model_name: str, loader: DataLoader[Any]) -> Iterator[int]:
    model = models.build(TrialConfig(model=model_name)).to(memory_format=torch.contiguous_format).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
    source = torch.Generator().manual_seed(0)
    step = 0
    while True:
        for images, _ in loader:
            losses = model.losses(images, model.noise(len(images), source), step)
            optimiser.zero_grad()
            model.total(losses).backward()
            optimiser.step()
            step += 1
            yield len(images)


def transform() -> v2.Compose:
    """The paper's section 3.1: rotation, translation and scale, each applied to half of the images."""
    warps = [
        v2.RandomAffine(10),
        v2.RandomAffine(0, translate=(4 / 28, 4 / 28)),
        v2.RandomAffine(0, scale=(0.8, 1.2)),
    ]
    applied = [v2.RandomApply([warp], p=0.5) for warp in warps]
    return v2.Compose([*applied, v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.2860], [0.3530])])


def _raw_files(root: Path) -> Path:
    """The training images as torchvision wants to find them."""
    host = load()
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, images, labels in (
        ("train", host.train_images, host.train_labels),
        ("t10k", host.test_images, host.test_labels),
    ):
        _write(folder / f"{part}-images-idx3-ubyte", images)
        _write(folder / f"{part}-labels-idx1-ubyte", labels)
    return root


def _write(file: Path, values: np.ndarray) -> None:
    header = np.array([0x0800 + values.ndim, *values.shape], dtype=">u4")
    file.write_bytes(header.tobytes() + np.asarray(values, dtype=np.uint8).tobytes())
