"""One GPU: images per second of one trial, and of several that share it."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator

import torch

from tests.benchmarks.contestants import Contestant, take_turns
from tests.benchmarks.measurements import Measurement, of
from tests.benchmarks.scale import Scale

SHARING = (1, 2, 4)


def measure(scale: Scale) -> Iterator[Measurement]:
    """Nothing where there is no GPU."""
    if not torch.cuda.is_available():
        print("no GPU here: the GPU path is not measured")
        return
    rates: dict[int, list[float]] = {}
    for trials in SHARING:
        with contextlib.closing(Contestant("cuda vae", trials, 1)) as contestant:
            rates[trials] = take_turns([contestant], scale.rounds, scale.seconds)["cuda vae"]
        yield of(f"one GPU, {trials} trials: images per second", rates[trials], "", how="augmented VAE, batch size 64")
    alone = statistics.median(rates[1])
    for trials in SHARING[1:]:
        yield of(f"one GPU, {trials} trials / one", [rate / alone for rate in rates[trials]], "x")
