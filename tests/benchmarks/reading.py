"""How long results of thousands of trials take to read and to show: `python -m tests.benchmarks.reading`.

CPU seconds of one process each. The trials are made up: records of 12 epochs as `tivae` writes them, 8 kB each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import analysis
from analysis import tables
from analysis.frames.records import write_index
from analysis.report import explore
from study.monitor.serving import LivePage
from tests.analysis.synthetic import record, write_record
from tests.benchmarks.measurements import Measurement
from tivae.config import TrialConfig
from tivae.io import record_index

AIM_LOAD_SECONDS, AIM_PAGE_SECONDS = 2.0, 10.0


def measure(loaded: int = 10_000, shown: int = 1_000) -> Iterator[Measurement]:
    """Of `analysis.load` with and without the index that a run leaves, and of the live page."""
    for count, parts in ((loaded, ("load", "load, first time")), (shown, ("page",))):
        with tempfile.TemporaryDirectory() as folder:
            study = Path(folder) / "study"
            for seed in range(count):
                write_record(study, record(TrialConfig(seed=seed, epochs=12)))
            # What has been written a moment ago is left out of the index.
            time.sleep(record_index._SETTLED_NANOSECONDS / 1e9)
            for part in parts:
                if part == "load":
                    write_index(study)
                else:
                    (study / record_index.NAME).unlink(missing_ok=True)
                command = [sys.executable, "-m", "tests.benchmarks.reading", "--one", part, str(study)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                aims = {"load": AIM_LOAD_SECONDS, "page": AIM_PAGE_SECONDS}
                seconds = json.loads(done.stdout.splitlines()[-1])
                yield Measurement(
                    f"{part}: {count} trials", seconds, "s", aim=aims.get(part), smaller_is_better=True, how="CPU"
                )


def _one(part: str, study: Path) -> float:
    # Both are loaded as they are needed.
    tables.all_of, explore.content  # noqa: B018
    started = time.process_time()
    if part == "page":
        page = LivePage(study, lambda: None)
        page.page(), page.data()
    else:
        analysis.load(study)
    return time.process_time() - started


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reading")
    parser.add_argument("--loaded", type=int, default=10_000)
    parser.add_argument("--shown", type=int, default=1_000)
    parser.add_argument("--one", nargs=2, metavar=("PART", "STUDY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(_one(options.one[0], Path(options.one[1]))))
        return
    for measurement in measure(options.loaded, options.shown):
        print(measurement.as_line(), flush=True)


if __name__ == "__main__":
    main()
