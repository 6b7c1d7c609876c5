"""`uv run --group benchmarks python -m tests.benchmarks`: how fast this is here, beside what else one would run.

About 10 minutes on two cores. Close other programs: ratios are of ways that take turns, but turns are short.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks import driver, gpu, hardware, makespan, one_core, parts_of_a_trial, reading, starting, throughput
from tests.benchmarks.measurements import Measurement
from tests.benchmarks.scale import FULL, QUICK, Scale
from tivae.data.loading import load

PARTS = ("one_core", "makespan", "throughput", "trial", "starting", "gpu")
# Only if they are named: what a thousand slots and ten thousand trials cost, half an hour more.
LARGE = ("driver", "reading")
DEFAULT_FILE = Path("results/benchmarks.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints and writes all measurements; 0 whether or not aims are met."""
    options = _parser().parse_args(arguments)
    scale = QUICK if options.quick else FULL
    machine = hardware.describe()
    print("\n".join(f"{name:15s} {value}" for name, value in machine.items()), flush=True)
    if options.quick:
        print("QUICK VERSION: goes through every step; its numbers are not meaningful")
    content = {"format": 1, "quick": scale.is_quick, "hardware": machine, "measurements": []}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for measurement in _measurements(options.only or PARTS, scale):
        print(measurement.as_line(), flush=True)
        content["measurements"].append(measurement.as_json())
        # At once: a part that fails later takes none of them away.
        options.out.write_text(json.dumps(content, indent=1) + "\n")
    print(f"written to {options.out}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="go through every step in seconds; numbers are not meaningful"
    )
    parser.add_argument("--only", nargs="+", choices=(*PARTS, *LARGE), help="some parts only (makespan needs one_core)")
    parser.add_argument("--out", type=Path, default=DEFAULT_FILE, help=f"JSON file; default: {DEFAULT_FILE}")
    return parser


def _measurements(parts: Sequence[str], scale: Scale) -> Iterator[Measurement]:
    rates: dict[str, float] = {}
    if "one_core" in parts:
        for measurement in one_core.measure(scale):
            yield measurement
            if "study" in measurement.parts:
                rates[measurement.name.removeprefix("one core, ").partition(":")[0]] = measurement.parts["study"]
    if "makespan" in parts and rates:
        yield from makespan.measure(rates)
    if "throughput" in parts:
        yield from throughput.measure(scale)
    host = load()
    if "trial" in parts:
        yield from parts_of_a_trial.measure(scale, host)
    if "starting" in parts:
        yield from starting.measure(scale, host)
    if "gpu" in parts:
        yield from gpu.measure(scale)
    if "driver" in parts:
        yield from driver.measure(*(((8,), 3.0, 40) if scale.is_quick else ()))
    if "reading" in parts:
        yield from reading.measure(*((20, 20) if scale.is_quick else ()))


if __name__ == "__main__":
    raise SystemExit(main())
