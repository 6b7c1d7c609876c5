"""The queue of jobs for Ray Tune: each goes to a free slot once the stages it needs are done."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ray.tune.search import Searcher

from study.engine.devices import Pool
from study.engine.load import Key, Load
from study.engine.worker import rows_of
from study.jobs import Job
from study.search.searched_jobs import SearchedJobs

# Of all workers together, at most, unless one would wait for longer than that with its epochs: a report costs the
# driver milliseconds, whatever is in it.
REPORTS_PER_SECOND, MOST_REPORT_SECONDS = 10.0, 10.0
# A job whose worker died is given out again this often; a trial that raises is recorded and not run again.
MAX_RETRIES = 3


class Dispatcher(Searcher):
    """The order of a study's jobs, as a Tune searcher.

    Tune asks for a trial whenever it can hold one more; the answer is a job on the fastest pool that has room, or
    "not yet". A slow pool gets a job only while it would end it before the faster ones have done all that waits:
    it helps a long study and does not hold up its end. No more jobs run than there are slots, whatever room Ray would
    have for them: one more is given to a pool only where Ray has none (`Pool.is_full`), because Tune is sure to keep a
    worker process only while another trial waits for it.

    A job whose worker died, whose pool is gone or whose device lacks an operation is put back, and goes on from its
    last epoch on whatever pool it is given to next: on another than that on which its worker died, where it can.

    search: asked for further jobs when a slot would be idle without them, and whether a trial is to be stopped.
    """

    def __init__(self, jobs: Sequence[Job], pools: Sequence[Pool], search: SearchedJobs | None = None):
        super().__init__()
        self._search, self._is_searched = search, search is None
        self._given_up: list[tuple[Job, str]] = []
        # By Tune's trial, the epoch after which it was given up.
        self._pruned: dict[str, int] = {}
        self._asked_costs: list[float] = []
        self._load = Load(pools)
        self._waiting = deque(jobs)
        self._waiting_cost = sum(job.cost for job in jobs)
        # The unfinished jobs that make each folder of a study, the first of which may run.
        self._makers: dict[str, list[Job]] = {}
        for job in jobs:
            self._makers.setdefault(job.makes, []).append(job)
        self._given: dict[str, tuple[Job, Pool]] = {}
        self._deaths: Counter[str] = Counter()
        self._died_on: dict[str, set[Key]] = {}
        self._put_back: set[str] = set()
        self._withdrawn: set[str] = set()
        self._stranded: list[str] = []

    def suggest(self, trial_id: str) -> Any:
        """The next job as Tune's config, None where it must wait, `FINISHED` where no job is left or can be run."""
        # Asked after each report, mostly with all slots taken.
        for job in self._ready() if self._load.has_room() else ():
            pool = self._load.room(job, *self._waiting_work(), self._died_on.get(job.key, ()))
            if pool is not None:
                return self._give(job, pool, trial_id)
            if self._load.everything_runs_everywhere:
                break
        # What is given out may come back. With nothing given out a job waits only for slots that are gone for good.
        return None if self._given else Searcher.FINISHED

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Measures the speed of the trial's pool, in cost per second, by the last epoch reported."""
        rows = rows_of(result)
        if trial_id not in self._given or not rows or not rows[-1].get("wall_seconds"):
            return
        job, pool = self._given[trial_id]
        # Only deaths that no epoch came between count: on machines that come and go a long trial may see many.
        self._deaths.pop(job.key, None)
        self._load.measured(pool, job.epoch_cost / rows[-1]["wall_seconds"])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Frees the slot; after an STN its trials may start, or are given up if it failed."""
        job, pool = self._given.pop(trial_id)
        self._load.free(pool)
        result = result or {}
        if self._is_to_be_given_again(trial_id, job, pool, result, error):
            self._put_back.add(trial_id)
            self._waiting.appendleft(job)
            self._waiting_cost += job.cost
            return
        self._makers[job.makes].remove(job)
        if job.job_type != "stn" or (not error and result.get("status") == "finished"):
            return
        if self._search is not None:
            self._search.failed(job)
        reason = result.get("error") or "its worker died"
        self._give_up_where(
            lambda waiting: waiting.needs == job.makes, f"the STN {job.key} could not be pretrained ({reason})"
        )

    def job(self, trial_id: str) -> Job:
        """The job that runs as Tune's trial `trial_id`."""
        return self._given[trial_id][0]

    def was_put_back(self, trial_id: str) -> bool:
        """Whether the job of this Tune trial has not ended with it, and will be given out again."""
        return trial_id in self._put_back

    def should_prune(self, trial_id: str, report: Mapping[str, Any]) -> bool:
        """Whether the search gives the trial up after any epoch of this report."""
        if (search := self._search) is None:
            return False
        for row in rows_of(report):
            # One that has finished by now is worth more than a trial given up.
            if search.should_prune(self.job(trial_id), row) and "status" not in report:
                self._pruned[trial_id] = row["epoch"]
                break
        return trial_id in self._pruned

    def pruned_after(self, trial_id: str) -> int | None:
        """The epoch after which the search gave the trial up; None where it has not."""
        return self._pruned.get(trial_id)

    def given_up(self) -> list[tuple[Job, str]]:
        """The jobs that were found since the last call to be impossible to run, each with the reason."""
        found, self._given_up = self._given_up, []
        return found

    def resize(self, pools: Sequence[Pool]) -> None:
        """Replaces the pools; trials on one that is gone are `stranded`."""
        self._load.pools = list(pools)
        there = {pool.key for pool in pools}
        self._stranded = [trial_id for trial_id, (_, pool) in self._given.items() if pool.key not in there]
        if pools and not self._load.everything_runs_everywhere:
            self._give_up_unfitting()

    def stranded(self) -> list[str]:
        """Tune's trials on a pool that has no slot any more, given out before it was gone."""
        self._stranded = [trial_id for trial_id in self._stranded if trial_id in self._given]
        return self._stranded

    def withdraw(self, trial_id: str) -> None:
        """Marks a trial that is stopped before it has started; its job is given out again."""
        self._withdrawn.add(trial_id)

    @property
    def left(self) -> int:
        """Jobs that wait; those that are given out are not counted."""
        return len(self._waiting)

    def _ready(self) -> Iterator[Job]:
        """The jobs that may start, in order; a search is asked where all that waits waits for an STN."""
        seen: set[tuple[str, ...]] = set()
        for job in tuple(self._waiting):
            # Where one job finds no room, none that is like it does.
            if self._may_start(job) and job.operations not in seen:
                seen.add(job.operations)
                yield job
        # No more than could run: a search learns from trials that have ended.
        search = self._search
        while search is not None and not self._is_searched and not seen and self._has_idle_slots():
            jobs = search.ask()
            self._is_searched = not jobs
            for asked in jobs:
                self._add(asked)
            yield from filter(self._may_start, jobs)

    def _has_idle_slots(self) -> bool:
        return len(self._waiting) < self._load.slots and self._load.has_room()

    def _may_start(self, job: Job) -> bool:
        """Whether its inputs are ready and no other job is making its outputs."""
        return not (job.needs and self._makers.get(job.needs)) and self._makers[job.makes][0] is job

    def _waiting_work(self) -> tuple[float, float]:
        """Number of waiting jobs, and their cost including that expected of a search."""
        left = self._search.left if self._search is not None and self._asked_costs else 0
        each = sum(self._asked_costs) / max(1, len(self._asked_costs))
        return len(self._waiting), self._waiting_cost + left * each

    def _give(self, job: Job, pool: Pool, trial_id: str) -> dict[str, Any]:
        self._remove(job)
        self._given[trial_id] = (job, pool)
        self._load.take(pool)
        return {
            "job": job.to_text(),
            "pool": dataclasses.asdict(pool) | {"place": pool.place},
            "intermediate": None if self._search is None else self._search.intermediate,
            "report_seconds": min(self._load.slots / REPORTS_PER_SECOND, MOST_REPORT_SECONDS),
        }

    def _add(self, job: Job) -> None:
        self._makers.setdefault(job.makes, []).append(job)
        self._asked_costs.append(job.cost)
        self._waiting.append(job)
        self._waiting_cost += job.cost

    def _is_to_be_given_again(self, trial_id: str, job: Job, pool: Pool, result: dict[str, Any], error: bool) -> bool:
        if trial_id in self._withdrawn:
            return True
        if result.get("status") == "unsupported":
            self._load.exclude(pool, job)
            self._give_up_unfitting()
            return bool(self._load.fitting(job))
        self._deaths[job.key] += error
        if error:
            self._died_on.setdefault(job.key, set()).add(pool.key)
        return error and self._deaths[job.key] <= MAX_RETRIES

    def _give_up_unfitting(self) -> None:
        places = " and ".join(pool.place for pool in self._load.pools)
        reason = f"it needs an operation that {places} lacks, and there is no other device"
        self._give_up_where(lambda waiting: not self._load.fitting(waiting), reason)

    def _give_up_where(self, is_lost: Callable[[Job], bool], reason: str) -> None:
        for job in [job for job in self._waiting if is_lost(job)]:
            self._remove(job)
            self._makers[job.makes].remove(job)
            self._given_up.append((job, reason))

    def _remove(self, job: Job) -> None:
        self._waiting.remove(job)
        self._waiting_cost -= job.cost
