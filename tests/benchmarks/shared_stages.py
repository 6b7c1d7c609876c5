"""`uv run python -m tests.benchmarks.shared_stages`: what readouts and more epochs cost beside the training they share.

CPU time of this process on one thread; what is compared takes turns, cell by cell. With the default 2,000 images about
10 minutes; `--images 60000 --epochs 20` is the paper's grid.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from study.space import search_space
from tivae import records, stages
from tivae.config import TrialConfig
from tivae.data.image_set import Images
from tivae.data.loading import load
from tivae.stages import Wanted, Workspace

READOUTS = [
    {"probe": probe, "probe_regularisation": strength, "probe_fit": fit}
    for probe, strength, fit in itertools.product(
        ("logistic_regression", "linear_svm"), (0.1, 1.0, 10.0), ("matched", "both")
    )
]
READOUT_AIM, CONTINUING_AIM = 1.25, 1.03


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints both ratios beside their aims; the exit code is 0 where both are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split(": ", 1)[1].split("\n\n")[0])
    parser.add_argument("--images", type=int, default=2000, help="training images; a sixth as many test images")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--measures", default="standard")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    host = load()
    small = {"train_images": options.images, "test_images": max(100, options.images // 6), "epochs": options.epochs}
    cells = [
        dataclasses.replace(config, **small) for config in search_space.read(search_space.find("paper_grid")).trials
    ]
    wanted = Wanted(measures=options.measures)
    with tempfile.TemporaryDirectory() as folder:
        met = [_readouts(cells, host, Path(folder), wanted), _continuing(cells, host, Path(folder))]
    return 0 if all(met) else 1


def _readouts(cells: Sequence[TrialConfig], host: Images, folder: Path, wanted: Wanted) -> bool:
    """Each cell with one readout, and with twelve, each training its own STN and model."""
    seconds = {"one": 0.0, "twelve": 0.0}
    for number, config in enumerate(cells):
        each = {"one": [config], "twelve": [dataclasses.replace(config, **changes) for changes in READOUTS]}
        # Which is first changes, lest one always finds warm caches.
        for name in sorted(each, reverse=bool(number % 2)):
            workspace = Workspace(host, "cpu", folder / name)
            seconds[name] += _cpu_seconds(
                lambda configs=each[name], workspace=workspace: _finished(configs, workspace, wanted)
            )
        print(f"  {number + 1} of {len(cells)} cells: {_in_words(seconds)}", flush=True)
    readouts = len(list((folder / "twelve").glob("trials/*/record.json")))
    what = f"{len(cells)} cells x 2 probes x 3 C x 2 fits ({readouts} trials) over {len(cells)} trials"
    return _told(what, seconds["twelve"] / seconds["one"], READOUT_AIM)


def _continuing(cells: Sequence[TrialConfig], host: Images, folder: Path) -> bool:
    """Trainings of a quarter of the epochs that go on to all, and in one go; without readouts, of which one is more."""
    seconds = {"in one go": 0.0, "continued": 0.0}
    weights = {}
    for number, config in enumerate(config for config in cells if config.stn == "none"):
        quarter = dataclasses.replace(config, epochs=max(1, config.epochs // 4))
        steps = {"in one go": [config], "continued": [quarter, config]}
        for name in sorted(steps, reverse=bool(number % 2)):
            workspace = Workspace(host, "cpu", folder / name)
            for step in steps[name]:
                seconds[name] += _cpu_seconds(
                    lambda step=step, workspace=workspace: stages.run_training([step], workspace, None)
                )
            state = records.trained_state(config, workspace.study)
            assert state is not None
            weights[name] = state["module"]
        same = all(torch.equal(weights["continued"][part], value) for part, value in weights["in one go"].items())
        assert same, f"{config} differs where it was continued"
        print(f"  {number + 1} trainings, equal bit for bit: {_in_words(seconds)}", flush=True)
    what = f"a quarter of {cells[0].epochs} epochs, then all of them, over one go"
    return _told(what, seconds["continued"] / seconds["in one go"], CONTINUING_AIM)


def _finished(configs: Sequence[TrialConfig], workspace: Workspace, wanted: Wanted) -> None:
    found = stages.run_trials(configs, workspace, wanted=wanted)
    assert {record["status"] for record in found} == {"finished"}, [record["error"] for record in found]


def _cpu_seconds(work: Callable[[], None]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _in_words(seconds: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} s" for name, value in seconds.items())


def _told(what: str, ratio: float, aim: float) -> bool:
    print(f"{'met  ' if ratio <= aim else 'NOT  '} {ratio:.3f} of at most {aim}: {what}", flush=True)
    return ratio <= aim


if __name__ == "__main__":
    raise SystemExit(main())
