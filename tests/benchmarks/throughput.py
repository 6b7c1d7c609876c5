"""The whole machine: the study's slots together against what else a researcher would run."""

from __future__ import annotations

import contextlib
import importlib.util
import statistics
from collections.abc import Iterator

from tests.benchmarks import hardware
from tests.benchmarks.contestants import Contestant, take_turns
from tests.benchmarks.measurements import Measurement, of
from tests.benchmarks.scale import Scale

AIM_SCRIPT = 3.0
AIM_PYTHAE = 2.0


def measure(scale: Scale) -> Iterator[Measurement]:
    """Images per second on the clock, batch size 64, augmented training (pythae: without any augmentation)."""
    cores = hardware.usable_cores()
    with contextlib.ExitStack() as stack:

        def contestant(name: str, processes: int, threads: int) -> Contestant:
            entered = Contestant(name, processes, threads)
            stack.callback(entered.close)
            return entered

        others = [contestant(f"script {model}", 1, cores) for model in ("vae", "categorical_vae")]
        with_pythae = importlib.util.find_spec("pythae") is not None
        if with_pythae:
            others.append(contestant("pythae", 1, cores))
        ours = [contestant(f"study {model}", cores, 1) for model in ("vae", "categorical_vae")]
        rates = take_turns([*ours, *others], scale.rounds, scale.seconds)
    medians = {name: round(statistics.median(values)) for name, values in rates.items()}
    for model in ("vae", "categorical_vae"):
        how = f"{cores} one-thread trials / one script: torchvision transforms, {cores} DataLoader workers, all threads"
        ratios = _ratios(rates, f"study {model}", f"script {model}")
        yield of(f"whole machine, {model}: study / script", ratios, "x", aim=AIM_SCRIPT, how=how, parts=medians)
    if with_pythae:
        how = "the study's VAE with augmentation / pythae's trainer without; same layers and batch size, all threads"
        ratios = _ratios(rates, "study vae", "pythae")
        yield of("whole machine, vae: study / pythae", ratios, "x", aim=AIM_PYTHAE, how=how, parts=medians)
    else:
        print("pythae is not installed: uv run --group benchmarks python -m tests.benchmarks compares with it too")


def _ratios(rates: dict[str, list[float]], ours: str, theirs: str) -> list[float]:
    return [one / other for one, other in zip(rates[ours], rates[theirs], strict=True)]
