"""A search as a source of jobs for the engine: asked for one when a slot is free, and whether to prune a trial."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.jobs import Job, stn_job, trial_job
from study.monitor.progress import Progress

if TYPE_CHECKING:
    # Optuna takes a second to import, and grids need none of it.
    from study.search.optuna_search import OptunaSearch


class SearchedJobs:
    """The jobs that `search` suggests, each counted in `progress` as it is handed out."""

    def __init__(self, search: OptunaSearch, study: Path, progress: Progress):
        self._search, self._study, self._progress = search, study, progress
        self._stns: set[str] = set()

    @property
    def left(self) -> int:
        """Trials that have not been asked for."""
        return self._search.left

    @property
    def intermediate(self) -> str | None:
        """The metric that every trial must report after each epoch."""
        return self._search.pruned_by

    def ask(self) -> list[Job]:
        """The next trial, after the pretraining of its STN where no earlier one has it; [] after the last one."""
        config = self._search.ask()
        jobs = []
        if config is not None:
            stn = None if config.stn_key in self._stns else stn_job(config, self._study)
            jobs = ([stn] if stn is not None else []) + [trial_job([config], self._study)]
            self._stns.update(job.key for job in jobs if job.job_type == "stn")
        for job in jobs:
            self._progress.add(job)
        self._progress.set_left(self._search.left)
        return jobs

    def failed(self, stn: Job) -> None:
        """Its pretraining has failed: the next trial behind it tries again."""
        self._stns.discard(stn.key)

    def should_prune(self, job: Job, row: Mapping[str, Any]) -> bool:
        """Whether the trial is to be stopped, by the metrics of its last epoch."""
        if job.job_type != "trial" or self.intermediate is None or "epoch" not in row:
            return False
        return self._search.should_prune(job.config, int(row["epoch"]), row.get(self.intermediate))
