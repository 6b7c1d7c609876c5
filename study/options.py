"""What a run is asked for, with the types of its options: made once, of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tivae.stages import Wanted


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
