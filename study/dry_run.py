"""`--dry-run`: trials, devices, expected time and statistical power of a run."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from analysis.frames.recipe import shown
from analysis.frames.study import PAPER_FACTORS
from study.engine import devices
from study.engine.devices import Pool
from study.jobs import Job, Planned
from study.monitor.progress import duration, label
from study.options import RunOptions
from study.power import power_lines
from study.space.quick import shrunk_one
from study.space.search import Search
from study.space.search_space import SearchSpace
from study.storage import siblings
from tivae import models
from tivae.config import FIELDS, TrialConfig, known_fields
from tivae.data.randomness import generator

# Training steps that are timed, after as many to warm up.
TIMED_STEPS = 12
# Jobs, and levels of a factor, that are listed one by one.
MOST_LISTED = 24
Log = Callable[[str], None]


def show(space: SearchSpace, options: RunOptions, console: Console) -> None:
    """Prints what is run, the slots and the expected time; writes nothing."""
    log = functools.partial(console.print, highlight=False, markup=False, soft_wrap=True)
    if space.search is not None:
        _show_search(space.search, options, log)
    else:
        _show_grid(space.trials, options.results_dir / space.name, options, log)


def _show_grid(trials: Sequence[TrialConfig], study: Path, options: RunOptions, log: Log) -> None:
    """The factors, a few jobs one by one, and the power to decide claims."""
    planned = Planned(trials, study, options.measures, siblings.beside(study))
    jobs = planned.jobs
    pools, slots, speed = _here(options)
    for line in _levels(trials):
        log(line)
    for job in jobs if len(jobs) <= MOST_LISTED else ():
        log(f"{job.key}  {label(job)}, {_epochs(job)}, about {duration(job.cost / speed)}")
    trainings = sum(job.job_type == "trial" and job.trained < job.epochs for job in jobs)
    stns = sum(job.job_type == "stn" for job in jobs)
    most = "at most " if options.until_decided else ""
    log(f"{most}{len(trials)} trials, {planned.ended} of them already finished")
    log(f"to run: {stns} STN pretrainings, {trainings} trainings, {len(trials) - planned.ended} readouts")
    if why := planned.why_trained_apart:
        log(why)
    log(f"devices: {devices.named(pools)}")
    log(f"expected time: {most}{duration(makespan(jobs, slots) / speed)} ({_speed_in_words(speed)})")
    if any(pool.device != "cpu" for pool in pools):
        log("the time is for CPU slots; GPUs are faster, by how much their first epochs will show")
    seeds = {job.config.seed for job in jobs}
    if len(seeds) > 1:
        one = [job for job in jobs if job.config.seed == min(seeds)]
        log(f"one seed of all cells: {duration(makespan(one, slots) / speed)}")
    for line in power_lines(trials, study):
        log(line)


def _levels(trials: Sequence[TrialConfig]) -> Iterator[str]:
    """The factors with their levels, and how many trials they make; not what follows from the paper's three factors."""
    cells: dict[tuple[Any, ...], list[TrialConfig]] = {}
    for config in trials:
        cells.setdefault(tuple(getattr(config, name) for name in PAPER_FACTORS), []).append(config)
    counts = []
    for name in known_fields():
        # Of a field that only some models or probes have, what the others lack is no level.
        given = (getattr(config, name) for config in trials)
        values = _in_order(value for value in given if value is not None or name in FIELDS)
        varies = any(len({getattr(config, name) for config in cell}) > 1 for cell in cells.values())
        if len(values) > 1 and (varies or name in PAPER_FACTORS):
            counts.append(f"{len(values)} {name}")
            listed = ", ".join(shown(value) for value in values[:MOST_LISTED])
            yield f"{name}: {listed}{', ...' if len(values) > MOST_LISTED else ''}"
    possible = math.prod(int(count.split()[0]) for count in counts)
    if counts:
        rest = "" if possible == len(trials) else f" of {possible} combinations"
        yield f"{' x '.join(counts)}: {len(trials)} trials{rest}"


def _in_order(values: Iterable[Any]) -> list[Any]:
    """Each once: numbers by their size, what a trial does not have last, all else as it comes."""
    found = list(dict.fromkeys(values))
    known = [value for value in found if value is not None]
    if all(isinstance(value, int | float) for value in known):
        known.sort()
    return known + [None] * (None in found)


def _show_search(search: Search, options: RunOptions, log: Log) -> None:
    """Parameters, objectives and the expected time of a search."""
    pools, slots, speed = _here(options)
    drawn = search.drawn(100)
    costs = [Job("trial", shrunk_one(config, options.given) if options.quick else config).cost for config in drawn]
    for item in search.parameters:
        condition = " and ".join(f"{name} is {' or '.join(map(str, wanted))}" for name, wanted in item.where.items())
        log(f"{item.name}: {item.domain}{f' (where {condition})' if condition else ''}")
    for name, direction in search.objectives.items():
        log(f"objective: {direction} {name}")
    pruned = f", pruned by {search.pruner.name}" if search.pruner.name != "none" else ""
    log(f"{search.trials} trials by {search.sampler.name}{pruned}, {len(search.start)} of them given")
    log(f"devices: {devices.named(pools)}")
    each = sum(costs) / len(costs) / speed
    least, most = min(costs) / speed, max(costs) / speed
    log(
        f"expected time: {duration(each * search.trials / slots)}, {duration(least)} to {duration(most)} a trial "
        f"({_speed_in_words(speed)}), pruning and pretraining of STNs left out"
    )


def _epochs(job: Job) -> str:
    """The epochs a job trains, in words."""
    if job.trained == job.epochs:
        return "no training"
    return f"{job.epochs} epochs" + (f", {job.trained} of them trained already" if job.trained else "")


def makespan(jobs: Sequence[Job], slots: int) -> float:
    """Cost until the last of `jobs` ends when each free slot takes the next one."""
    free = [0.0] * slots
    for job in jobs:
        slot = free.index(min(free))
        free[slot] += job.cost
    return max(free)


def images_per_second(threads: int) -> float:
    """Training speed of the paper's VAE with `threads` CPU threads, measured now in about two seconds."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        config = TrialConfig()
        model = models.build_trainable(config)
        optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, fused=True)
        images = torch.rand(config.batch_size, 1, config.images.size, config.images.size)
        source = generator(0, "timing")
        started = 0.0
        for step in range(2 * TIMED_STEPS):
            if step == TIMED_STEPS:
                started = time.perf_counter()
            optimiser.zero_grad(set_to_none=True)
            model.total(model.losses(images, model.noise(len(images), source), step)).backward()
            optimiser.step()
        return TIMED_STEPS * len(images) / (time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)


def _here(options: RunOptions) -> tuple[list[Pool], int, float]:
    """The pools of this machine, their slots, and the speed of a CPU slot in images per second."""
    pools = devices.SlotOptions.of(options).pools([devices.machine()])
    return pools, sum(pool.slots for pool in pools), images_per_second(options.cpus_per_trial)


def _speed_in_words(speed: float) -> str:
    return f"one CPU slot does {speed:,.0f} images/s of the paper's VAE here"
