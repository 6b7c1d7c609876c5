"""The ways of training that are compared, as endless steps; each step gives its number of images."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from typing import Any

import torch

from tivae import native, precision
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.loading import load
from tivae.data.placement import place
from tivae.models.stn import build as build_stn
from tivae.models.stn import freeze
from tivae.training import heap
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import Training, take_step
from tivae.training.stn_pretraining import StnTraining

# What a trial of the grid trains, by name; all on augmented images.
CELLS: dict[str, dict[str, Any]] = {
    "vae": {},
    "categorical_vae": {"model": "categorical_vae"},
    "vae_behind_stn": {"stn": "pretrained"},
    "joint": {"stn": "joint"},
    "inverse": {"stn": "inverse"},
}


def steps(name: str, threads: int) -> Iterator[int]:
    """The way called `name`: `study CELL`, `cuda CELL`, `mps CELL`, `script MODEL` or `pythae`."""
    torch.set_num_threads(threads)
    kind, _, cell = name.partition(" ")
    if kind == "script":
        from tests.benchmarks import researcher_script

        return researcher_script.steps(cell)
    if kind == "pythae":
        from tests.benchmarks import pythae_script

        return pythae_script.steps()
    return our_steps(cell, kind if kind in ("cuda", "mps") else "cpu")


def our_steps(cell: str, device: str = "cpu") -> Iterator[int]:
    """As the study trains."""
    heap.keep_freed_memory()
    return _steps(training(cell, device))


def eager_steps(cell: str) -> Iterator[int]:
    """The same loop on torch's own channels-last layers; within `kernels("torch")`."""
    return _steps(training(cell))


@contextlib.contextmanager
def kernels(kind: str) -> Iterator[None]:
    """A block in which models run on `native` kernels or on `torch`'s."""
    before = os.environ.get(native.VARIABLE)
    os.environ[native.VARIABLE] = kind
    try:
        yield
    finally:
        if before is None:
            del os.environ[native.VARIABLE]
        else:
            os.environ[native.VARIABLE] = before


def training(cell: str, device: torch.device | str = "cpu", **changes: Any) -> Training:
    """A training of one of `CELLS`, or of `stn` by itself, at its first epoch."""
    config = TrialConfig(**({"train_dataset": "augmented"} | CELLS.get(cell, {"stn": "pretrained"}) | changes))
    data = TrialData(load(), config, device)
    if cell == "stn":
        return StnTraining(config, data)
    frozen = freeze(place(build_stn(config), data.device)) if config.stn == "pretrained" else None
    return ModelTraining(config, data, frozen)


def _steps(training: Training) -> Iterator[int]:
    training.module.train()
    device = next(training.module.parameters()).device
    number = itertools.count()
    while True:
        images = training.images()
        order = torch.randperm(len(images), generator=training.generators["shuffle"]).to(device)
        for index in order.split(training.batch_size):
            # Not around the loop: the settings are the process's, and other ways take their turns in it.
            with precision.of(training.precision, device):
                take_step(training, images, index, next(number))
            yield len(index)
