"""Progress of a study: finished and running trials, and the time left; displayed elsewhere."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from analysis.frames.recipe import like_papers, shown
from study.jobs import Job
from study.monitor.utilisation import Utilisation
from tivae.config import FIELDS, known_fields

# Relative error of the expected costs of different sorts of jobs.
COST_ERROR = 1 / 3
# Of an epoch, at most, that is taken to be done before it is reported.
EPOCH_SHARE = 0.9


@dataclass
class RunningJob:
    """A job that a worker has; `row` holds the metrics of its last epoch."""

    job: Job
    device: str
    row: dict[str, Any] = field(default_factory=dict)
    heard: float = 0.0
    """When it started, or its last epoch ended."""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return int(self.row.get("epoch", 0))

    @property
    def share(self) -> float:
        """The share of the job that is done, in [0, 1]."""
        done = self.job.epoch_cost * max(0, self.epoch - self.job.trained)
        return min(1.0, done / self.job.cost)


@dataclass(frozen=True)
class Score:
    """The metric that ranks trials while a study runs: of a search its objective, which no test image is part of."""

    metric: str = "augmented_accuracy"
    is_maximized: bool = True

    @property
    def name(self) -> str:
        """The metric in words."""
        return self.metric.replace("_", " ")

    def is_better(self, value: float, than: float) -> bool:
        """Whether `value` beats another."""
        return value > than if self.is_maximized else value < than

    def shown(self, value: float) -> str:
        """The value with its unit: accuracies in %."""
        return f"{100 * value:.2f} %" if self.metric.endswith("accuracy") else f"{value:.4g}"


class Progress:
    """Counts jobs as they start, report and end.

    clock: seconds; slots: how many jobs run at once; finished_before: trials that an earlier run finished;
    unknown: trials that a search has not suggested yet; score: the metric that ranks trials.
    """

    def __init__(
        self,
        jobs: Sequence[Job],
        slots: int,
        finished_before: int,
        clock: Callable[[], float],
        unknown: int = 0,
        score: Score | None = None,
    ):
        self.score = score or Score()
        self._clock = clock
        self._started = clock()
        self._slots = slots
        self.utilisation = Utilisation(slots, clock)
        # Cost per second and slot, of the last epochs that were reported.
        self._speeds: deque[float] = deque(maxlen=4 * slots)
        self._measured: set[tuple[str, ...]] = set()
        self.jobs = list(jobs)
        self._cost = self._unfinished_cost = sum(job.cost for job in jobs)
        self._operations = {job.operations for job in jobs}
        self.unknown = unknown
        self.trials = sum(len(job.trials) for job in jobs) + finished_before + unknown
        self.finished = finished_before
        self.failed = 0
        self.pruned = 0
        self.ended_jobs = 0
        self.running: dict[str, RunningJob] = {}
        self.best: tuple[float, Job] | None = None
        # Whether it ended early because no node was left for its jobs.
        self.lost_nodes = False
        self.failures: list[tuple[Job, str]] = []

    @property
    def waiting(self) -> int:
        """Jobs that wait for a worker."""
        return len(self.jobs) - self.ended_jobs - len(self.running) + self.unknown

    @property
    def is_over(self) -> bool:
        """Whether every job has ended."""
        return not (self.waiting or self.running)

    @property
    def waiting_trials(self) -> int:
        """Trials that wait for a worker: neither running nor ended."""
        running = sum(len(running.job.trials) for running in self.running.values())
        return self.trials - self.finished - self.failed - self.pruned - running

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._started

    def add(self, job: Job) -> None:
        """A search has suggested a job; a trial is one of the `unknown`."""
        self.jobs.append(job)
        self._cost += job.cost
        self._unfinished_cost += job.cost
        self._operations.add(job.operations)
        self.unknown -= job.job_type == "trial"

    def set_left(self, left: int) -> None:
        """A search has `left` trials still to suggest: some that it suggested had been run before."""
        self.finished += self.unknown - left
        self.unknown = left

    def start(self, job: Job, device: str) -> None:
        """A worker has started the job."""
        self.running[job.key] = RunningJob(job, device, heard=self._clock())
        self.utilisation.started()

    def report(self, job: Job, row: dict[str, Any]) -> None:
        """An epoch of the job is done; `wall_seconds` of the row is the time it took."""
        self.running[job.key].row = row
        self.running[job.key].heard = self._clock()
        if row.get("wall_seconds"):
            self._speeds.append(job.epoch_cost / row["wall_seconds"])
            self._measured.add(job.operations)

    def put_back(self, job: Job) -> None:
        """The job has lost its worker and waits again."""
        self.running.pop(job.key, None)

    def resize(self, slots: int) -> None:
        """The number of slots has changed."""
        self._slots = max(1, slots)
        self._speeds = deque(self._speeds, maxlen=4 * self._slots)
        self.utilisation.resize(slots)

    def end(self, job: Job, result: dict[str, Any], trials: Mapping[str, dict[str, Any]] | None = None) -> None:
        """The job ended, and its trials as in `trials` (`status` and metrics by key), or else as the job did."""
        self.running.pop(job.key, None)
        self.ended_jobs += 1
        self.utilisation.ended(result.get("busy_seconds", 0.0))
        self._unfinished_cost -= job.cost
        for trial in job.trials:
            self._end_trial(trial, (trials or {}).get(trial.key, result))

    def _end_trial(self, job: Job, result: dict[str, Any]) -> None:
        if result["status"] != "finished":
            if result["status"] == "failed":
                self.failed += 1
                self.failures.append((job, result["error"]))
            self.pruned += result["status"] == "pruned"
            return
        self.finished += 1
        self.consider(job, result.get(self.score.metric))

    def consider(self, job: Job, value: float | None) -> None:
        """A finished trial has this score, which may be the best so far."""
        if value is not None and (self.best is None or self.score.is_better(value, self.best[0])):
            self.best = (value, job)

    def seconds_left(self) -> float | None:
        """Expected seconds until the last job ends, at least one while a job is left; None until an epoch is done."""
        if not self._speeds:
            return None
        speed = sum(self._speeds) / len(self._speeds)
        rests = [self._rest(running, speed) for running in self.running.values()]
        waiting = self._unfinished_cost - sum(running.job.cost for running in self.running.values())
        if self.unknown and self.jobs:
            waiting += self.unknown * self._cost / len(self.jobs)
        # Neither all slots together nor the job with most left to do can be faster than this.
        left = max((waiting + sum(rests)) / self._slots, max(rests, default=0.0)) / speed
        return max(1.0, left) if self.running or waiting > 0 else left

    def seconds_left_between(self) -> tuple[float, float] | None:
        """The same as a range: as wide as the speeds of late epochs, and costs that are good to a third, leave it."""
        middle = self.seconds_left()
        if middle is None:
            return None
        speeds = sorted(self._speeds)
        spread = (speeds[-1 - len(speeds) // 10] / speeds[len(speeds) // 10] - 1) / 2
        unknown = self._operations - self._measured
        share = min(0.6, 0.05 + spread + (COST_ERROR if unknown or self.unknown else 0.0))
        return middle * (1 - share), middle * (1 + share)

    def _rest(self, running: RunningJob, speed: float) -> float:
        """The remaining work of a job, by its epochs and, since the last one, by the clock."""
        since = min(
            (self._clock() - running.heard) * speed, EPOCH_SHARE * running.job.cost / max(1, running.job.epochs)
        )
        return max(0.0, running.job.cost * (1 - running.share) - since)


def in_words(between: tuple[float, float] | None) -> str:
    """A time left, such as "12 to 18 min"; "?" for None."""
    if between is None:
        return "?"
    low, high = (duration(seconds) for seconds in between)
    unit = high.split(" ", 1)[1]
    if unit == "min" and low.endswith(" s"):
        low = f"{max(1, round(between[0] / 60))} min"
    if low == high:
        return low
    return f"{low.removesuffix(f' {unit}')} to {high}" if unit in ("s", "min") else f"{low} to {high}"


@functools.lru_cache(maxsize=4096)
def label(job: Job) -> str:
    """A job in a few words: its cell, seed and settings unlike the paper's."""
    config = job.config
    if job.job_type == "stn":
        return f"STN pretraining, seed {config.seed}"
    size = "x".join(str(number) for number in (config.latent_dim, config.categories) if number)
    # A control leaves out what it does not have.
    cell = " ".join(part for part in (config.train_dataset, config.model, size) if part)
    usual = like_papers(config)
    fields = [(name, field) for name, field in known_fields().items() if name not in _NOT_IN_LABELS]
    # Of a model's or a probe's own field the paper says nothing.
    known = {name: getattr(usual, name) if name in FIELDS else field.default for name, field in fields}
    values = {name: getattr(config, name) for name in known}
    unusual = [f"{name} {_short(value)}" for name, value in values.items() if value not in (None, known[name])]
    readouts = [f"{len(job.trials)} readouts"] if job.others else []
    return ", ".join([cell, f"STN {config.stn}", *unusual, f"seed {config.seed}", *readouts])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(value)


# Named in every label, or alike in all trials as a rule.
_NOT_IN_LABELS = (
    *("train_dataset", "model", "latent_dim", "categories", "stn", "seed", "epochs", "stn_epochs"),
    *("train_images", "test_images", "validation_images"),
)


def duration(seconds: float | None) -> str:
    """Seconds as 45 s, 12 min or 1 h 20 min; "?" for None."""
    if seconds is None:
        return "?"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
