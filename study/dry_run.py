"""What a run would do: its trials, devices and expected time."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from study import devices
from study.jobs import Job, plan
from study.progress import duration, label
from tivae import models
from tivae.config import TrialConfig
from tivae.randomness import generator

# Training steps that are timed, after as many to warm up.
TIMED_STEPS = 12


def show(trials: Sequence[TrialConfig], study: Path, options: argparse.Namespace, console: Console) -> None:
    """Prints a line for each job, the slots, and the time that the whole should take here; writes nothing."""
    jobs = plan(trials, study)
    pools = devices.pools(machine(), **devices.options(options))
    slots = sum(pool.slots for pool in pools)
    speed = images_per_second(options.cpus_per_trial)

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    for job in jobs:
        say(f"{job.key}  {label(job)}, {job.epochs} epochs, about {duration(job.cost / speed)}")
    finished = len(trials) - sum(job.kind == "trial" for job in jobs)
    say(f"{len(trials)} trials, {finished} of them finished already; {len(jobs)} jobs to run")
    say(f"devices: {', '.join(f'{pool.slots} x {pool.device}' for pool in pools)}")
    expected = makespan(jobs, slots)
    say(
        f"expected time: {duration(expected / speed)} (one CPU slot does {speed:,.0f} images/s of the paper's VAE here)"
    )
    if any(pool.device != "cpu" for pool in pools):
        say("the time is that of CPU slots; a GPU is faster by what its first epochs will show")


def machine() -> dict[str, float]:
    """This machine's resources, as Ray would count them."""
    found: dict[str, float] = {"CPU": _cpus()}
    if torch.cuda.is_available():
        found["GPU"] = torch.cuda.device_count()
    if torch.backends.mps.is_available():
        found["mps"] = 1
    return found


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
        model = models.build(config)
        optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, fused=True)
        images = torch.rand(config.batch_size, 1, 28, 28)
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


def _cpus() -> int:
    # What this process may use, which in a container is less than what the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
