"""Hands jobs to Ray Tune: each to a free slot, and none before the STN that it needs is there."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from ray.tune.search import Searcher

from study.devices import Pool
from study.jobs import Job

# Images of the paper's VAE per second and slot, until it has been measured.
SPEED_AT_FIRST = {"cuda": 20_000.0, "mps": 4_000.0, "cpu": 900.0}

# How much slower than that a pool that has not been measured may turn out without holding up the end.
MARGIN_AT_FIRST = 5.0


class Dispatcher(Searcher):
    """The order of a study's jobs, as a Tune searcher.

    Tune asks for a trial whenever it can hold one more; the answer is a job on the fastest pool that has room, or
    "not yet". A slow pool gets a job only while it would end it before the faster ones have done all that waits:
    it helps a long study and does not hold up its end. Each pool may hold one job more than it has slots, because
    Tune keeps a worker process only while another trial waits for it; not so for the last jobs, which would wait
    for one pool beside a free other.

    give_up: called with each job whose STN can't be had, and the reason.
    """

    def __init__(self, jobs: Sequence[Job], pools: Sequence[Pool], give_up: Callable[[Job, str], None]):
        super().__init__()
        self._give_up = give_up
        self._pools = list(pools)
        self._waiting = deque(jobs)
        self._waiting_cost = sum(job.cost for job in jobs)
        self._missing_stns = {job.key for job in jobs if job.kind == "stn"}
        self._given: dict[str, tuple[Job, Pool]] = {}
        self._load: Counter[str] = Counter()
        self._measured: dict[str, float] = {}

    def suggest(self, trial_id: str) -> Any:
        """The next job as Tune's config, None where it must wait, `FINISHED` where no job is left."""
        if not self._waiting:
            return Searcher.FINISHED
        job = next((job for job in self._waiting if job.needs not in self._missing_stns), None)
        pool = self._room(job) if job is not None else None
        if job is None or pool is None:
            return None
        self._remove(job)
        self._given[trial_id] = (job, pool)
        self._load[pool.device] += 1
        return {"job": {"kind": job.kind, "config": job.config.to_dict()}, "pool": _as_config(pool)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Learns the speed of the trial's kind of device, in cost per second."""
        if trial_id not in self._given or not result.get("wall_seconds"):
            return
        job, pool = self._given[trial_id]
        self._measured[pool.device] = job.cost / job.epochs / result["wall_seconds"]

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Frees the slot; after an STN, its trials may start, or are given up with its reason."""
        job, pool = self._given.pop(trial_id)
        self._load[pool.device] -= 1
        if job.kind != "stn":
            return
        if not error and result is not None and result.get("status") == "finished":
            self._missing_stns.discard(job.key)
            return
        reason = (result or {}).get("error") or "its worker died"
        for orphan in [waiting for waiting in self._waiting if waiting.needs == job.key]:
            self._remove(orphan)
            self._give_up(orphan, f"the STN {job.key} could not be pretrained ({reason})")

    def job(self, trial_id: str) -> Job:
        """The job that runs as Tune's trial `trial_id`."""
        return self._given[trial_id][0]

    def _remove(self, job: Job) -> None:
        self._waiting.remove(job)
        self._waiting_cost -= job.cost

    def _room(self, job: Job) -> Pool | None:
        spare = 1 if len(self._waiting) > sum(pool.slots for pool in self._pools) else 0
        for room in (0, spare):
            for number, pool in enumerate(self._pools):
                if self._load[pool.device] < pool.slots + room and self._is_worth_it(job, pool, self._pools[:number]):
                    return pool
        return None

    def _is_worth_it(self, job: Job, pool: Pool, faster: Sequence[Pool]) -> bool:
        """Whether `pool` would end the job before the faster pools have done everything that waits."""
        together = sum(other.slots * self._speed(other.device) for other in faster)
        margin = 1.0 if pool.device in self._measured else MARGIN_AT_FIRST
        return together == 0 or margin * job.cost / self._speed(pool.device) <= self._waiting_cost / together

    def _speed(self, device: str) -> float:
        return self._measured.get(device, SPEED_AT_FIRST[device])

    # Tune saves its searcher; ours has nothing to save, since the trials' records say what is left to do.
    def save(self, checkpoint_path: str) -> None:
        """Does nothing."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing."""

    def get_state(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Does nothing."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Does nothing."""


def _as_config(pool: Pool) -> dict[str, Any]:
    return {"device": pool.device, "threads": pool.threads, "resources": pool.resources}
