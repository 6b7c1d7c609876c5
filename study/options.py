"""What a run is asked for, with the types of its options: made once, of the command line."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tivae.stages import Wanted

# Set by Ray for the command of a job.
_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"


class OptionsError(ValueError):
    """Options that do not go together, or not with where the command runs."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `study.run`, by their names there; `study.command_line` explains each.

    again: the command line that continues this run.
    """

    again: str = "python -m study.run"

    space: str | None = None
    list: bool = False
    dry_run: bool = False
    fields: bool = False

    quick: bool = False
    trials: int | None = None
    seeds: int | None = None
    until_decided: bool = False
    max_seeds: int | None = None
    set: Sequence[str] = ()
    data: Path | None = None
    measures: str = "standard"

    devices: str = "auto"
    trials_per_gpu: int = 4
    cpus_per_trial: int = 1
    max_concurrent: int | None = None
    time_limit: float | None = 120.0
    address: str | None = None
    storage: str | None = None
    node_timeout: float = 600.0
    dashboard: bool = False

    results_dir: Path = Path("results")
    name: str | None = None
    report: bool = True
    checkpoints: bool = True
    tensorboard: bool = True
    mlflow: str | None = None

    @property
    def wanted(self) -> Wanted:
        """What is computed of trials besides what their configs say."""
        return Wanted(measures=self.measures, keep=self.checkpoints)

    @property
    def time_limit_seconds(self) -> float | None:
        """Of an epoch."""
        return None if self.time_limit is None else 60 * self.time_limit


def outside_of_a_job(options: RunOptions) -> RunOptions:
    """The options of a Ray job with absolute paths, the process being in its user's home now; others as they are.

    Ray makes a job's working folder anew on each node and deletes it with the job, also while this process is in it.

    Raises `OptionsError` where the results would be in it.
    """
    if _JOB_VARIABLE not in os.environ:
        return options
    if not options.results_dir.is_absolute():
        raise OptionsError(
            f"--results-dir is {options.results_dir}, which is in the job's working folder, and Ray deletes that; "
            "give an absolute path"
        )
    space, data = options.space, options.data
    if space is not None and Path(space).is_file():
        space = os.path.abspath(space)
    options = replace(options, space=space, data=None if data is None else data.absolute())
    os.chdir(Path.home())
    return options
