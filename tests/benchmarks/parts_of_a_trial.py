"""Where a trial's time goes: training, evaluation after each epoch, and what follows the last epoch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from tests.benchmarks import ways
from tests.benchmarks.measurements import Measurement
from tests.benchmarks.scale import Scale
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.evaluation import measures, readout
from tivae.models.stn import build as build_stn
from tivae.models.stn import freeze
from tivae.training import final_metrics
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import train

AIM = 0.1
EPOCHS = 20


def measure(scale: Scale, host: Images) -> Iterator[Measurement]:
    """Of trials that are trained for one epoch on all images, all else measured as it is; 20 epochs by calculation."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for cell in ("vae", "categorical_vae", "vae_behind_stn"):
            yield _measurement(cell, scale, host)
    finally:
        torch.set_num_threads(threads)


def _measurement(cell: str, scale: Scale, host: Images) -> Measurement:
    images = {"train_images": scale.images, "test_images": scale.test_images}
    config = TrialConfig(train_dataset="augmented", epochs=1, **ways.CELLS[cell], **images)
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[[], Any]) -> Any:
        started = time.thread_time()
        found = function()
        seconds[name] = time.thread_time() - started
        return found

    data = TrialData(host, config, "cpu")
    frozen = freeze(build_stn(config)) if config.stn == "pretrained" else None
    training: ModelTraining = timed("start", lambda: ModelTraining(config, data, frozen))
    timed("epoch", lambda: train(training))
    timed("evaluation of an epoch", lambda: training.measure(1))
    timed("final metrics", lambda: final_metrics.of_model(training.evaluation, training.stn, True, training.rows[-1]))
    read = timed("encodings and probe", lambda: readout.read_out(config, data, training.model, training.stn))
    timed("measures", lambda: measures.measure(config, data, training.model, training.stn, read, "standard"))
    training_seconds = seconds["epoch"] - seconds["evaluation of an epoch"]
    after = sum(seconds[name] for name in ("final metrics", "encodings and probe", "measures"))
    evaluation = EPOCHS * seconds["evaluation of an epoch"]
    whole = seconds["start"] + EPOCHS * training_seconds + evaluation + after
    return Measurement(
        f"one trial, {cell}: probe, evaluation and measures",
        (evaluation + after) / whole,
        "of 20 epochs' CPU time",
        aim=AIM,
        smaller_is_better=True,
        how=f"one epoch of {scale.images:,} images measured, 20 by calculation; all else measured once",
        parts={name: round(value, 2) for name, value in seconds.items()} | {"whole_trial": round(whole, 1)},
    )
