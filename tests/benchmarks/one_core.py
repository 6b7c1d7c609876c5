"""One training core: the study's way of training against torch's channels-last layers, and against the machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import torch

from tests.benchmarks import hardware, ways
from tests.benchmarks.measurements import Measurement, of
from tests.benchmarks.scale import Scale
from tivae import models
from tivae.config import TrialConfig

AIM_RATIO = 1.3
AIM_SHARE = 0.4
# The aim is for the models of the paper without an STN; the others are shown.
MODELS = ("vae", "categorical_vae")


def measure(scale: Scale) -> Iterator[Measurement]:
    """Images per second of CPU time, one thread, in turns of steps; CPU time does not count what other work takes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from _measured(scale)
    finally:
        torch.set_num_threads(threads)


def _measured(scale: Scale) -> Iterator[Measurement]:
    peak = hardware.Peak()
    for cell in ("vae", "categorical_vae", "vae_behind_stn", "joint", "inverse"):
        ours, eager = ways.our_steps(cell), ways.eager_steps(cell)
        rates: dict[str, list[float]] = {"study": [], "eager": []}
        peaks = []
        _rate(ours, scale.seconds / 4, native=True), _rate(eager, scale.seconds / 4, native=False)
        for _ in range(scale.rounds):
            rates["study"].append(_rate(ours, scale.seconds / 2, native=True))
            rates["eager"].append(_rate(eager, scale.seconds / 2, native=False))
            peaks.append(peak.measure())
        ratios = [one / other for one, other in zip(rates["study"], rates["eager"], strict=True)]
        medians = {name: round(statistics.median(values)) for name, values in rates.items()}
        aim = AIM_RATIO if cell in MODELS else None
        how = "images per second of CPU time, one thread: study / the same loop on torch's channels-last layers"
        yield of(f"one core, {cell}: study / eager", ratios, "x", aim=aim, how=how, parts=medians)
        if cell not in MODELS:
            continue
        flops = hardware.flops_per_training_image(models.build(TrialConfig(model=cell)))
        shares = [rate * flops / 1e9 / best for rate, best in zip(rates["study"], peaks, strict=True)]
        parts = {
            "mflop_per_image": round(flops / 1e6, 1),
            "peak_gflops": round(statistics.median(peaks), 1),
            "peak": peak.how,
        }
        how = "arithmetic of convolutions and linear layers per second / fp32 peak measured in the same round"
        yield of(f"one core, {cell}: share of fp32 peak", shares, "", aim=AIM_SHARE, how=how, parts=parts)

    stn = ways.our_steps("stn")
    _rate(stn, scale.seconds / 4, native=True)
    rates_of_stn = [_rate(stn, scale.seconds / 2, native=True) for _ in range(scale.rounds)]
    yield of(
        "one core, stn: images per second", rates_of_stn, "", parts={"study": round(statistics.median(rates_of_stn))}
    )


def _rate(steps: Iterator[int], seconds: float, *, native: bool) -> float:
    with ways.kernels("native" if native else "torch"):
        started, images = time.thread_time(), 0
        while time.thread_time() - started < seconds:
            images += next(steps)
        return images / (time.thread_time() - started)
