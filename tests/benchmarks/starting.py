"""How long it takes until something is trained: a study from its command, and a trial in a worker that is there."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from tests.benchmarks.contestants import REPOSITORY
from tests.benchmarks.measurements import Measurement, of
from tests.benchmarks.scale import Scale
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import take_step

AIM_STUDY_SECONDS = 15.0
AIM_TRIAL_SECONDS = 0.3

_SPACE = """
question: how long does it take to start?
settings: {train_dataset: augmented, train_images: 500, test_images: 100, epochs: 1}
seeds: 1
"""


def measure(scale: Scale, host: Images) -> Iterator[Measurement]:
    """Seconds on the clock, with everything in the caches that an earlier run leaves there."""
    repetitions = 1 if scale.is_quick else 3
    how = "from the command to the start of the first trial; data, bytecode and kernels in their caches"
    if not scale.is_quick:
        _until_first_trial()
        seconds = [_until_first_trial() for _ in range(repetitions)]
        yield of("study: command to first trial", seconds, "s", aim=AIM_STUDY_SECONDS, smaller_is_better=True, how=how)
    _until_second_step(host)
    seconds = [_until_second_step(host) for _ in range(2 * repetitions + 1)]
    how = "data to the device, model, optimiser, test sets and the first step, less a later step"
    yield of("trial: start-up in a warm worker", seconds, "s", aim=AIM_TRIAL_SECONDS, smaller_is_better=True, how=how)


def _until_first_trial() -> float:
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "starting.yaml"
        space.write_text(_SPACE)
        command = [sys.executable, "-m", "study.run", str(space), "--results-dir", folder]
        started = time.time()
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise RuntimeError(f"the study ended with exit code {done.returncode}: {done.stderr[-500:]}")
        (record,) = Path(folder).glob("starting/trials/*/record.json")
        # The record is written when the trial ends, and says how long that took.
        taken = json.loads(record.read_text())["provenance"]["wall_seconds"]
        return record.stat().st_mtime - taken - started


def _until_second_step(host: Images) -> float:
    config = TrialConfig(train_dataset="augmented")
    started = time.perf_counter()
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    images = training.images()
    training.module.train()
    index = torch.arange(config.batch_size)
    take_step(training, images, index, 0)
    first = time.perf_counter()
    take_step(training, images, index, 1)
    return (first - started) - (time.perf_counter() - first)
