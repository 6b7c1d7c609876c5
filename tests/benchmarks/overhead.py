"""What the engine costs beside the trials: `python -m tests.benchmarks.overhead`.

Trials that do next to nothing run through the real command, with records, dataframes and logs: an encoder that is not
trained, on 100 images. The first ones are left out, in which workers start and import torch. The driver's cost is the
processor time of its own process, its trials being elsewhere.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from study.run import main as run_command
from study.storage import recorder

WARM_UP = 20
SLOTS = 2

_SETTINGS = "{model: untrained, latent_dim: 2, hidden_widths: [1], train_images: 100, test_images: 100"
GRID = f"""
question: what does a trial of a grid cost?
settings: {_SETTINGS}}}
seeds: TRIALS
"""
SEARCH = f"""
question: what does a trial of a search cost?
search: optuna
settings: {_SETTINGS}, validation_images: 50, train_images: 150}}
parameters: {{probe_regularisation: {{log_uniform: [0.001, 1000]}}}}
objectives: {{validation_base_accuracy: maximise}}
sampler: tpe
trials: TRIALS
""".replace("train_images: 100, test_images: 100, ", "test_images: 100, ")


def run(few: int = 200, many: int = 2000) -> dict[str, float]:
    """Seconds and driver's seconds per trial of a grid and of a search of `few` trials, and of a grid of `many`."""
    grid, search, large = measured("grid", few), measured("search", few), measured("grid", many)
    return {
        f"grid_{few}_wall_seconds_per_trial": grid["wall"],
        f"grid_{few}_driver_seconds_per_trial": grid["driver"],
        f"search_{few}_wall_seconds_per_trial": search["wall"],
        f"search_{few}_driver_seconds_per_trial": search["driver"],
        f"grid_{many}_wall_seconds_per_trial": large["wall"],
        f"grid_{many}_driver_seconds_per_trial": large["driver"],
        f"grid_{many}_last_{few}_driver_seconds_per_trial": large["driver_at_the_end"],
        f"grid_{many}_driver_memory_gib": large["memory_gib"],
    }


def measured(kind: str, trials: int) -> dict[str, float]:
    """One study in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.overhead", "--one", kind, str(trials)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:])
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def _one(kind: str, trials: int) -> dict[str, float]:
    marks: list[tuple[float, float]] = []
    ended = recorder.Recorder.ended

    def marked(self: Any, job: Any, result: Any) -> None:
        assert result["status"] == "finished", result
        ended(self, job, result)
        marks.append((time.perf_counter(), time.process_time()))

    recorder.Recorder.ended = marked  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        space = Path(folder) / "space.yaml"
        space.write_text({"grid": GRID, "search": SEARCH}[kind].replace("TRIALS", str(trials)))
        arguments = [str(space), "--results-dir", folder, "--measures", "none", "--no-report"]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            code = run_command([*arguments, "--max-concurrent", str(SLOTS)])
        assert code == 0, printed.getvalue()
    assert len(marks) == trials
    return {
        "wall": _per_trial(marks[WARM_UP:], 0),
        "driver": _per_trial(marks[WARM_UP:], 1),
        "driver_at_the_end": _per_trial(marks[-200:], 1),
        # Kilobytes on Linux, bytes on macOS.
        "memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        / (1024**3 if sys.platform == "darwin" else 1024**2),
    }


def _per_trial(marks: list[tuple[float, float]], number: int) -> float:
    return (marks[-1][number] - marks[0][number]) / (len(marks) - 1)


def main() -> None:
    """Prints the measurements as JSON."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.overhead")
    parser.add_argument("--few", type=int, default=200)
    parser.add_argument("--many", type=int, default=2000)
    parser.add_argument("--one", nargs=2, metavar=("grid|search", "TRIALS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    # Optuna and Ray write to stderr only; the last line of stdout is the result.
    found = _one(options.one[0], int(options.one[1])) if options.one else run(options.few, options.many)
    print(json.dumps(found, indent=None if options.one else 1))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
