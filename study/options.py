"""The options of a run: type, default and help of each, in one place."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tivae.stages import Wanted

# Set by Ray for the command of a job.
JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"


class OptionsError(ValueError):
    """Options that do not go together, or not with where the command runs."""


# The groups of options in the help.
INFORMATION, WHAT, WHERE, OUTPUT = "information (nothing is run)", "what is run", "where it runs", "output"


def _option(group: str, help: str, default: Any = None, *, metavar: str | None = None, type: Any = str) -> Any:
    return field(default=default, metadata={"group": group, "help": help, "metavar": metavar, "type": type})


def _flag(group: str, help: str, default: bool = False) -> Any:
    """An option without a value; of one that is true by default the command line has `--no-...`."""
    return field(default=default, metadata={"group": group, "help": help})


def _minutes(text: str) -> float | None:
    return _number(text, float, lambda number: 0 <= number < 1e6, "a number of minutes, 0 or more") or None


def _seconds(text: str) -> float:
    return _number(text, float, lambda number: 0 < number < 1e6, "a number of seconds above 0")


def _positive(text: str) -> int:
    return int(_number(text, int, lambda number: number >= 1, "a whole number of at least 1"))


def port(text: str) -> int:
    """The number of a port; 0 is any that is free."""
    return int(_number(text, int, lambda number: 0 <= number <= 65_535, "a port, a whole number from 0 to 65535"))


def _number(text: str, type: Callable[[str], float], is_legal: Callable[[float], bool], rule: str) -> float:
    try:
        number = type(text)
    except ValueError:
        number = math.nan
    if not is_legal(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not {rule}")
    return number


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of `study.run`, of which `study.command_line` makes its parser.

    again: the command line that continues this run.
    """

    again: str = "python -m study.run"
    space: str | None = None

    list: bool = _flag(INFORMATION, "list the search spaces")
    dry_run: bool = _flag(INFORMATION, "show the trials, devices and expected time")
    fields: bool = _flag(INFORMATION, "list the fields that --set and a search space take")

    quick: bool = _flag(WHAT, "a small version that runs every step, in minutes")
    trials: int | None = _option(WHAT, "length of a search; default: the file's", metavar="N", type=_positive)
    seeds: int | None = _option(WHAT, "number of seeds, 0 to N-1; default: the file's", metavar="N", type=int)
    until_decided: bool = _flag(WHAT, "add seeds in rounds, only to cells with undecided claims")
    max_seeds: int | None = _option(WHAT, "of --until-decided; default: 10", metavar="N", type=_positive)
    set: Sequence[str] = _option(WHAT, "replace a setting or a factor; can be repeated", (), metavar="KEY=VALUE")
    data: Path | None = _option(  # noqa: RUF009
        WHAT, "the data set's files; default: found or downloaded", metavar="FOLDER", type=Path
    )
    measures: str = _option(WHAT, "none, standard (default), all, or names of measures", "standard", metavar="NAMES")

    devices: str = _option(WHERE, "auto (all there are), or a list of cuda, mps, cpu", "auto", metavar="TYPES")
    trials_per_gpu: int = _option(WHERE, "trials that share a GPU; default: 4", 4, metavar="N", type=_positive)
    cpus_per_trial: int = _option(WHERE, "cores, and torch threads; default: 1", 1, metavar="N", type=_positive)
    max_concurrent: int | None = _option(WHERE, "run at most N trials at once", metavar="N", type=_positive)
    time_limit: float | None = _option(
        WHERE, "of an epoch; default: 120; 0: none", 120.0, metavar="MINUTES", type=_minutes
    )
    address: str | None = _option(WHERE, "Ray cluster: auto, or host:port; default: this machine alone", metavar="HEAD")
    storage: str | None = _option(WHERE, "where all nodes write: a shared folder, s3://bucket/path, ...", metavar="URL")
    node_timeout: float = _option(
        WHERE,
        "for a node of a cluster to start a worker, and for the storage to answer it; default: 600",
        600.0,
        metavar="SECONDS",
        type=_seconds,
    )
    dashboard: bool = _flag(WHERE, "start Ray's dashboard, for this machine only")

    results_dir: Path = _option(  # noqa: RUF009
        OUTPUT, "default: results", Path("results"), metavar="FOLDER", type=Path
    )
    name: str | None = _option(OUTPUT, "the study's folder there; default: the space's name")
    report: bool = _flag(OUTPUT, "end with the table, without a report", True)
    checkpoints: bool = _flag(OUTPUT, "keep no states to train further from", True)
    tensorboard: bool = _flag(OUTPUT, "no logs for TensorBoard", True)
    mlflow: str | None = _option(OUTPUT, "log to this MLflow server or store, too", metavar="URI")

    @property
    def wanted(self) -> Wanted:
        """What to compute of trials beyond their configs."""
        # torch takes seconds to import, which the command line must not wait for.
        from tivae.stages import Wanted

        return Wanted(measures=self.measures, keep=self.checkpoints)

    @property
    def overrides(self) -> dict[str, Any]:
        """The settings and factors that replace those of the search space. Raises `SpaceError`, `OptionsError`."""
        from study.space.search_space import parse_override

        found: dict[str, Any] = {}
        for name, value in map(parse_override, self.set):
            if name in found:
                raise OptionsError(f"--set {name} is given twice; give it once, several values as {name}=[1,2]")
            found[name] = value
        return found

    @property
    def given(self) -> frozenset[str]:
        """The fields that the command line sets."""
        return frozenset(self.overrides) | frozenset(() if self.seeds is None else ("seed",))

    @property
    def time_limit_seconds(self) -> float | None:
        """The time limit of an epoch."""
        return None if self.time_limit is None else 60 * self.time_limit


def outside_of_a_job(options: RunOptions) -> RunOptions:
    """The options of a Ray job with absolute paths, the process being in its user's home now; others as they are.

    Ray makes a job's working folder anew on each node and deletes it with the job, also while this process is in it.

    Raises `OptionsError` where the results would be in it.
    """
    if JOB_VARIABLE not in os.environ:
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
