"""Load of the pools, and the choice of a pool for a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from study.engine.devices import Pool
from study.jobs import Job

# Images of the paper's VAE per second and slot, until it has been measured.
SPEED_AT_FIRST = {"cuda": 20_000.0, "mps": 4_000.0, "cpu": 1_400.0}

# How much slower than that a device that has not been measured may turn out without holding up the end.
MARGIN_AT_FIRST = 8.0
# Less than that is the spread of measurements.
MUCH_FASTER = 1.5

Key = tuple[str, str]


class Load:
    """The load of `pools`, which may change at any time."""

    def __init__(self, pools: Sequence[Pool]):
        self.pools = list(pools)
        self._taken: Counter[Key] = Counter()
        self._measured: dict[Key, float] = {}
        self._lacking: dict[Key, set[tuple[str, ...]]] = {}

    @property
    def slots(self) -> int:
        """Slots of all pools together."""
        return sum(pool.slots for pool in self.pools)

    def take(self, pool: Pool) -> None:
        """Takes a slot of the pool."""
        self._taken[pool.key] += 1

    def free(self, pool: Pool) -> None:
        """Frees a slot of the pool."""
        self._taken[pool.key] -= 1

    def measured(self, pool: Pool, cost_per_second: float) -> None:
        """Sets the measured speed of a slot of this pool."""
        self._measured[pool.key] = cost_per_second

    def exclude(self, pool: Pool, job: Job) -> None:
        """Excludes the pool for jobs with the same operations."""
        self._lacking.setdefault(pool.key, set()).add(job.operations)

    @property
    def everything_runs_everywhere(self) -> bool:
        """Whether no pool lacks an operation: where one job has room, any other has."""
        return not self._lacking

    def fitting(self, job: Job) -> list[Pool]:
        """The pools that can run the job, busy or not."""
        return [pool for pool in self.pools if job.operations not in self._lacking.get(pool.key, ())]

    def has_room(self) -> bool:
        """Whether any pool has a free slot."""
        return any(self._taken[pool.key] < pool.slots + pool.is_full for pool in self.pools)

    def room(self, job: Job, waiting_jobs: float, waiting_cost: float, avoided: Collection[Key] = ()) -> Pool | None:
        """The fastest pool that should get the job now, given the waiting work; None if it should wait.

        avoided: pools that are taken only where the job fits on no other.
        """
        fitting = self.fitting(job)
        fitting = [pool for pool in fitting if pool.key not in avoided] or fitting
        elsewhere = self._mean_speeds()
        known = {pool.key: self._measured.get(pool.key) or elsewhere.get(pool.device) for pool in fitting}
        speeds = {pool.key: known[pool.key] or SPEED_AT_FIRST[pool.device] for pool in fitting}
        fitting = sorted(fitting, key=lambda pool: -speeds[pool.key])

        def is_worth_it(pool: Pool) -> bool:
            """Whether `pool` would end the job before the faster pools have done everything that waits."""
            speed = speeds[pool.key]
            faster = (other for other in fitting if speeds[other.key] > MUCH_FASTER * speed)
            together = sum(other.slots * speeds[other.key] for other in faster)
            margin = 1.0 if known[pool.key] is not None else MARGIN_AT_FIRST
            return together == 0 or margin * job.cost / speed <= waiting_cost / together

        # The last jobs would wait for one pool beside a free other.
        for spare in (0, 1) if waiting_jobs > self.slots else (0,):
            for pool in fitting:
                if self._taken[pool.key] < pool.slots + spare * pool.is_full and is_worth_it(pool):
                    return pool
        return None

    def _mean_speeds(self) -> dict[str, float]:
        """By type of device, of the pools on which it was measured."""
        measured: dict[str, list[float]] = {}
        for (_, device), speed in self._measured.items():
            measured.setdefault(device, []).append(speed)
        return {device: sum(speeds) / len(speeds) for device, speeds in measured.items()}
