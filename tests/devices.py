"""`uv run python -m tests.devices`: every path of a trial on this machine's GPU or MPS, beside the CPU; a few minutes.

Each row is a small trial of noise images, whole: training, probe and all measures. `runs` says what the device lacks or
gets wrong, `losses` how far they are off the CPU's at most, relative, and `repeats` whether a second run gives the same
bits. Then the images per second of one trial, and of several that share the device. Paste the output into a report.
"""

from __future__ import annotations

import argparse
import contextlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.contestants import Contestant, take_turns
from tests.pretended_device.trials import CONFIGS, HOST, config_of, losses
from tivae import device_support, experiment, records
from tivae.config import TrialConfig
from tivae.io import provenance

# In float32; TF32 and bfloat16 round at 1e-3 and 1e-2, and Adam's first steps are as long for tiny gradients as others.
TOLERANCE = 0.05
SHARING = (1, 2, 4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the tables; 0 where every path runs and agrees with the CPU, 1 where one does not, 2 without a device."""
    parser = argparse.ArgumentParser(prog="python -m tests.devices", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--device", help="cuda, mps, or cpu to try the command itself; default: what torch finds")
    parser.add_argument("--only", nargs="+", choices=CONFIGS, default=list(CONFIGS), help="some trials only")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement of speed; 0: none")
    options = parser.parse_args(arguments)
    device = options.device or _found()
    if device is None:
        print("error: torch finds neither CUDA nor MPS here; --device cpu tries the command itself", file=sys.stderr)
        return 2
    for name, value in _machine(device).items():
        print(f"- {name}: {value}")
    print("\n| trial | runs | losses | repeats | seconds |\n|---|---|---|---|---|")
    failures = 0
    for name in options.only:
        runs, off, repeats, seconds = _tried(name, device)
        failures += runs != "yes" or not off <= TOLERANCE or not repeats
        print(f"| {name} | {runs} | {off:.1e} | {'yes' if repeats else 'no'} | {seconds:.1f} |", flush=True)
    moved = _moved(device)
    failures += moved != "yes"
    print(f"\n- goes on on the CPU and back from its last epoch: {moved}")
    if options.seconds:
        print("\n| images/s, VAE, batch 64 | median | over one |\n|---|---|---|")
        for line in _speeds(device, options.seconds):
            print(line, flush=True)
    print(f"\n{failures} failures" if failures else "\nall paths run")
    return int(failures > 0)


def _found() -> str | None:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else None


def _machine(device: str) -> dict[str, Any]:
    names = {"device": device, "name": provenance._device_name(torch.device(device)), "torch": torch.__version__}
    return names | {"platform": platform.platform(), "commit": provenance.commit(), "CUDA": torch.version.cuda}


def _tried(name: str, device: str) -> tuple[str, float, bool, float]:
    """Whether it runs, the largest relative difference of a loss, whether a second run is equal, and seconds."""
    config, started = config_of(name), time.perf_counter()
    try:
        lacking = device_support.missing(config, device)
        first, second = (_losses(config, device) for _ in range(2))
    except Exception as error:
        return records.reason(error)[:200], float("nan"), False, time.perf_counter() - started
    seconds, expected = time.perf_counter() - started, _losses(config, "cpu")
    off = max((abs(first[key] / expected[key] - 1) for key in expected if expected[key]), default=0.0)
    return lacking or "yes", off, first == second, seconds


def _losses(config: TrialConfig, device: str) -> dict[str, float]:
    return losses(experiment.run(config, HOST, device, measures="all").metrics)


def _moved(device: str) -> str:
    """Whether a trial goes there, to the CPU and back, epoch by epoch."""
    config = config_of("joint", epochs=3)

    class Moved(Exception):
        pass

    def move(row: dict[str, Any]) -> None:
        if row["epoch"] < 3:
            raise Moved

    with tempfile.TemporaryDirectory() as folder:
        try:
            for place in (device, "cpu"):
                with contextlib.suppress(Moved):
                    experiment.run(config, HOST, place, checkpoint=Path(folder) / "c.pt", on_epoch=move)
            result = experiment.run(config, HOST, device, checkpoint=Path(folder) / "c.pt")
        except Exception as error:
            return records.reason(error)[:200]
    return "yes" if result.provenance["resumed"] == 2 else f"resumed {result.provenance['resumed']} times"


def _speeds(device: str, seconds: float) -> Iterator[str]:
    alone = None
    for trials in SHARING:
        with contextlib.closing(Contestant(f"{device} vae", trials, 1)) as contestant:
            rate = statistics.median(take_turns([contestant], 3, seconds)[contestant.name])
        alone = alone or rate
        yield f"| {trials} trials at once | {rate:,.0f} | {rate / alone:.2f} |"


if __name__ == "__main__":
    sys.exit(main())
