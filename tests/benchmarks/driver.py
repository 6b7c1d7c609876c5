"""What the driver of a study costs at hundreds of slots: `python -m tests.benchmarks.driver`.

All that runs in the driver's process is real: Tune's loop, searcher, scheduler and callbacks as `study.engine.tune.run`
sets them up, the placement groups and messages of Ray below them, progress, the live table in a terminal of 50 lines,
records, dataframes, TensorBoard's logs and status.json. Simulated are the workers, coroutines of one process that sleep
where a worker trains, report as a worker does and leave a record; and the nodes, of 8 slots each, which are one that
says that it has that many CPUs. What nodes cost by being looked up once a second is left out.

The cost is the CPU time of the driver's process, with all of its threads: that of an epoch where trials go on for ever
and each takes EPOCH_SECONDS; that of a trial where trials of one epoch end as fast as the driver lets them. Memory is
resident, after the last of the trials. Each number is of a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import functools
import json
import os
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.air.execution.resources import placement_group
from ray.tune import PlacementGroupFactory, Trainable
from rich.console import Console

from study.engine import tune, worker
from study.engine.devices import Pool
from study.engine.dispatcher import Dispatcher
from study.engine.worker import Supplies
from study.jobs import Job
from study.monitor.display import Display
from study.monitor.observer import Observer
from study.monitor.progress import Progress
from study.monitor.status_file import StatusFile
from study.monitor.tensorboard import TensorBoard
from study.storage.folder import Frames
from study.storage.recorder import Recorder
from study.storage.remote import Storage
from tests.benchmarks.measurements import Measurement
from tivae import records
from tivae.config import TrialConfig

SLOTS = (100, 300, 1000)
SLOTS_OF_A_NODE = 8
EPOCH_SECONDS = 2.0
AIM_EPOCH_SECONDS, AIM_TRIAL_SECONDS, AIM_MEMORY_GIB = 0.001, 0.030, 1.0
WARM_UP = 0.2
FOR_EVER = 100_000


def measure(slots: Sequence[int] = SLOTS, seconds: float = 40.0, trials: int = 2000) -> Iterator[Measurement]:
    """The driver's CPU time of an epoch and of a trial, and its memory."""
    for count in slots:
        found = _measured("epochs", count, seconds)
        how = f"{found['events']} epochs in {found['wall']:.0f} s; of {EPOCH_SECONDS:g} s each"
        aim = {"aim": AIM_EPOCH_SECONDS, "smaller_is_better": True, "parts": found, "how": how}
        yield Measurement(f"driver: CPU time of an epoch, {count} slots", found["each"], "s", **aim)
        yield Measurement(f"driver: epochs a second that fill a core, {count} slots", 1 / found["each"], "/s", how=how)
    for count in slots:
        found = _measured("trials", count, trials)
        how = f"{found['events']} trials of one epoch in {found['wall']:.0f} s"
        aim = {"aim": AIM_TRIAL_SECONDS, "smaller_is_better": True, "parts": found, "how": how}
        yield Measurement(f"driver: CPU time of a trial, {count} slots", found["each"], "s", **aim)
        yield Measurement(f"driver: trials a second that fill a core, {count} slots", 1 / found["each"], "/s", how=how)
        yield Measurement(
            f"driver: memory after {trials} trials, {count} slots",
            found["memory_gib"],
            "GiB",
            aim=AIM_MEMORY_GIB,
            smaller_is_better=True,
        )


def _measured(what: str, slots: int, amount: float, profile: str | None = None) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.benchmarks.driver", "--one", what, str(slots), str(amount)]
    command += ["--profile", profile] if profile else []
    environment = os.environ | {"RAY_enable_worker_prestart": "0", "RAY_prestart_worker_first_driver": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise RuntimeError(done.stderr[-2000:] + done.stdout[-2000:])
    result: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


class Marks:
    """CPU time and clock of the driver at each event; ends the process after the last one that counts.

    amount: seconds of epochs, or the number of trials.
    """

    def __init__(self, what: str, slots: int, amount: float, profile: str | None):
        self._what, self._slots, self._amount = what, slots, amount
        self._events, self._began, self.starts = 0, False, 0
        self._profile = profile
        self._profiler = cProfile.Profile(time.thread_time)

    def count(self, running: int) -> None:
        """An epoch, or a trial, of which the first ones are left out: workers start, and modules are loaded.

        running: jobs that run now, all of which must before epochs count.
        """
        self._events += 1
        first = 3 * self._slots if self._what == "epochs" else max(self._slots, int(WARM_UP * self._amount))
        is_filled = self._what == "trials" or running == self._slots
        if not self._began and self._events >= first and is_filled:
            self._began, self._events, self.starts = True, 0, 0
            self._cpu, self._wall = time.process_time(), time.perf_counter()
            if self._profile:
                self._profiler.enable()
        elif self._began and self._is_over():
            self._tell()

    def _is_over(self) -> bool:
        if self._what == "epochs":
            return time.perf_counter() - self._wall >= self._amount
        return self._events >= self._amount - max(self._slots, int(WARM_UP * self._amount)) - self._slots

    def _tell(self) -> None:
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        if self._profile:
            self._profiler.disable()
            with open(self._profile, "w") as file:
                pstats.Stats(self._profiler, stream=file).sort_stats("tottime").print_stats(60)
                pstats.Stats(self._profiler, stream=file).sort_stats("cumulative").print_stats(90)
        # Kilobytes on Linux, bytes on macOS.
        unit = 1024**3 if sys.platform == "darwin" else 1024**2
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
        found = {"each": cpu / self._events, "events": self._events, "cpu": cpu, "wall": wall, "memory_gib": memory}
        found["starts"] = self.starts
        print(json.dumps(found), file=sys.__stdout__, flush=True)
        ray.shutdown()
        os._exit(0)


def _one(what: str, slots: int, amount: float, profile: str | None) -> None:
    """One study of simulated trials, which ends this process."""
    epochs = FOR_EVER if what == "epochs" else 1
    trials = slots if what == "epochs" else int(amount)
    names = [f"node{number}" for number in range(-(-slots // SLOTS_OF_A_NODE))]
    ray.init(num_cpus=slots, resources=dict.fromkeys(names, SLOTS_OF_A_NODE), include_dashboard=False)
    pools = [
        Pool("cpu", {"CPU": 1.0, name: 1.0}, SLOTS_OF_A_NODE, node=name, host=name, is_full=True) for name in names
    ]
    marks = Marks(what, slots, amount, profile)
    with tempfile.TemporaryDirectory() as folder, _simulated(slots, marks):
        study = Path(folder) / "study"
        jobs = [Job("trial", TrialConfig(seed=seed, epochs=epochs)) for seed in range(trials)]
        with open(os.devnull, "w") as terminal:
            console = Console(file=terminal, force_terminal=True, width=160, height=50)
            display = Display(Progress(jobs, slots, 0, time.monotonic), console)
            recorder = Recorder(study, Storage(str(study)), Frames(study), [TensorBoard(study)])
            status = StatusFile(study, display.progress)

            observer = Counting(what, marks, display, recorder, status.update)
            supplies = Supplies(data={}, storage=Storage(str(study)))
            with display:
                tune.run(Dispatcher(jobs, pools), lambda: pools, supplies, observer, study)


class Counting(Observer):
    """Counts epochs, or trials that end, once they are followed as in any study."""

    def __init__(self, what: str, marks: Marks, *followers: Any):
        super().__init__(*followers)
        self._what, self._marks = what, marks

    def ended(self, job: Job, result: dict[str, Any]) -> None:
        assert result["status"] == "finished", result
        super().ended(job, result)
        if self._what == "trials":
            self._marks.count(len(self._progress.running))

    def reported(self, job: Job, rows: list[dict[str, Any]]) -> None:
        super().reported(job, rows)
        for _ in rows if self._what == "epochs" else ():
            self._marks.count(len(self._progress.running))


@contextlib.contextmanager
def _simulated(slots: int, marks: Marks) -> Iterator[None]:
    """Within the block Tune's actors are simulated ones, and stay on their node by a resource of its own."""
    host = ray.remote(num_cpus=0, max_concurrency=4 * slots + 8)(Host).remote()

    def stand_in(*arguments: Any, **named: Any) -> Any:
        marks.starts += 1
        return ActorClass(host)

    placement_group.PlacementGroupAcquiredResources._annotate_remote_entity = stand_in
    tune._resources = lambda config: PlacementGroupFactory([dict(config["pool"]["resources"])])
    yield


class ActorClass:
    """What Tune starts as an actor: a worker of the host."""

    def __init__(self, host: Any):
        self._host = host

    def remote(self, config: dict[str, Any], storage: Any) -> Handle:
        """A new worker."""
        number = random.getrandbits(62)
        self._host.start.remote(number, config, storage)
        return Handle(self._host, number)


class Handle:
    """A worker, as Tune has actors: `handle.train.remote()`."""

    def __init__(self, host: Any, number: int):
        self._host, self._number = host, number

    def __getattr__(self, name: str) -> Any:
        return Method(functools.partial(self._host.call.remote, self._number, name))


class Method:
    """A method of a worker."""

    def __init__(self, call: Any):
        self._call = call

    def remote(self, *args: Any, **kwargs: Any) -> Any:
        """Its future result."""
        return self._call(args, kwargs)


class Host:
    """The process in which all simulated workers are."""

    def __init__(self) -> None:
        self._workers: dict[int, Simulated] = {}

    async def start(self, number: int, config: dict[str, Any], storage: Any) -> None:
        """A worker begins with its first trial."""
        self._workers[number] = Simulated(config=config, storage=storage)

    async def call(self, number: int, name: str, args: Any, kwargs: Any) -> Any:
        """What the worker's method returns."""
        worker = self._workers.get(number)
        while worker is None and name != "stop":
            await asyncio.sleep(0.01)
            worker = self._workers.get(number)
        if name == "train":
            await worker.passed()
            return worker.train()
        if name == "reset":
            return worker.reset(*args, **kwargs)
        if name == "stop":
            self._workers.pop(number, None)
        return None


class Simulated(Trainable):
    """A worker that sleeps for each epoch; what it reports is made by Tune as for any other."""

    def setup(self, config: dict[str, Any]) -> None:
        """A trial begins."""
        self._job, self._epoch, self._is_done = Job.from_text(config["job"]), 0, False
        self._study = Path(self._storage.storage_fs_path)
        self._reports = worker.Reports(config["report_seconds"])

    def reset_config(self, config: dict[str, Any]) -> bool:
        """Another trial begins in this worker."""
        self.setup(config)
        return True

    async def passed(self) -> None:
        """Returns when there is something to report."""
        self._next = None
        while self._next is None:
            if self._epoch == self._job.epochs:
                return
            if self._job.epochs == FOR_EVER:
                await asyncio.sleep(EPOCH_SECONDS * random.uniform(0.8, 1.2))
            self._epoch += 1
            self._next = self._reports.due(_row(self._epoch))

    def step(self) -> dict[str, Any]:
        """What a worker reports."""
        if self._next is not None:
            return self._next
        if self._is_done:
            return {"done": True, "__duplicate__": True}
        self._is_done = True
        folder = records.trial_folder(self._study, self._job.key)
        metrics = {f"metric_{number}": random.random() for number in range(60)}
        metrics |= {"base_accuracy": random.random(), "augmented_accuracy": random.random()}
        rows = [_row(epoch + 1) for epoch in range(self._epoch)]
        record = records.write_record(folder, "trial", self._job.config, metrics, rows, {"device": "cpu"})
        reported = {record["key"]: {name: record[name] for name in ("status", "error", "metrics")}}
        done = {"status": "finished", "error": None, "records": json.dumps(reported), "busy_seconds": 1.0}
        return self._reports.last(done)

    def _setup_logdir(self) -> None:
        """Has none."""

    def cleanup(self) -> None:
        """Nothing is left."""


def _row(epoch: int) -> dict[str, Any]:
    row = {name: random.random() for name in worker.REPORTED}
    return row | {"epoch": epoch, "wall_seconds": EPOCH_SECONDS, "images_per_second": 1000.0}


def main() -> None:
    """Prints the measurements."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.driver")
    parser.add_argument("--slots", type=int, nargs="+", default=SLOTS)
    parser.add_argument("--seconds", type=float, default=40.0, help="of epochs")
    parser.add_argument("--trials", type=int, default=2000)
    parser.add_argument("--profile", help="file for the profile of --one")
    parser.add_argument("--one", nargs=3, metavar=("epochs|trials", "SLOTS", "AMOUNT"), help="one number, as JSON")
    options = parser.parse_args()
    if options.one:
        _one(options.one[0], int(options.one[1]), float(options.one[2]), options.profile)
    for measurement in measure(options.slots, options.seconds, options.trials):
        print(measurement.as_line(), flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
