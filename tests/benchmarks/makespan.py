"""The end of a grid: how long slots stand idle while the last trials run, by the study's own dispatcher."""

from __future__ import annotations

import heapq
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from study.engine.devices import Pool
from study.engine.dispatcher import Dispatcher
from study.jobs import Job, plan
from study.space import search_space
from tests.benchmarks import hardware
from tests.benchmarks.measurements import Measurement

AIM = 1.15


def measure(rates: dict[str, float]) -> Iterator[Measurement]:
    """Of the paper's grid and of five seeds of it, at `rates`: images per second and core by cell, as measured here.

    rates: of `vae`, `categorical_vae`, `vae_behind_stn` and `stn`.
    """
    slots = hardware.usable_cores()
    for seeds in (1, 5):
        trials = search_space.read(search_space.find("paper_grid"), seeds=seeds).trials
        with tempfile.TemporaryDirectory() as folder:
            jobs = plan(trials, Path(folder))
        seconds = {job.key: duration(job, rates) for job in jobs}
        found = makespan(jobs, seconds, slots)
        # No schedule is shorter than the work shared evenly, nor than an STN with the longest trial that waits for it.
        least = max(sum(seconds.values()) / slots, max(seconds[job.key] + seconds.get(job.needs, 0) for job in jobs))
        parts = {
            "jobs": len(jobs),
            "slots": slots,
            "hours": round(found / 3600, 2),
            "least_hours": round(least / 3600, 2),
        }
        how = "simulated: the study's dispatcher at the rates of this run; least: even shares, critical path"
        yield Measurement(
            f"paper_grid, {seeds} seed{'s' if seeds > 1 else ''}: makespan / least",
            found / least,
            "x",
            aim=AIM,
            smaller_is_better=True,
            how=how,
            parts=parts,
        )


def duration(job: Job, rates: dict[str, float]) -> float:
    """Seconds of a job on one core: its training images at the measured rate of such a cell."""
    config = job.config
    if job.job_type == "stn":
        return 60_000 * job.epochs / rates["stn"]
    behind = rates["vae_behind_stn"] / rates["vae"] if config.stn == "pretrained" else 1.0
    return 60_000 * config.epochs / (rates[config.model] * behind)


def makespan(jobs: Sequence[Job], seconds: dict[str, float], slots: int) -> float:
    """When the last job ends, if Tune asks the dispatcher whenever something ends and keeps each slot in order."""
    dispatcher = Dispatcher(jobs, [Pool("cpu", {"CPU": 1}, slots)])
    names = (f"trial_{number}" for number in itertools.count())
    queue: list[str] = []
    running: list[tuple[float, str]] = []
    now, ended, suggested = 0.0, 0, next(names)
    while ended < len(jobs):
        # The dispatcher may hand out a job more than there are slots, which then waits for one.
        while isinstance(dispatcher.suggest(suggested), dict):
            queue.append(suggested)
            suggested = next(names)
        while queue and len(running) < slots:
            name = queue.pop(0)
            heapq.heappush(running, (now + seconds[dispatcher.job(name).key], name))
        now, name = heapq.heappop(running)
        dispatcher.on_trial_complete(name, {"status": "finished"})
        ended += 1
    return now
