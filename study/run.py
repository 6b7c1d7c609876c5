"""`python -m study.run SPACE`: from a search space to its tables and report (`study.command_line`)."""

from __future__ import annotations

import sys

from study import signals

if __name__ == "__main__":
    # The rest takes seconds to import.
    signals.end_at_once(signals.command(sys.argv[1:]))

from study import command_line

if __name__ == "__main__":
    # A wrong option, and --help, need none of the rest.
    command_line.parser().parse_args()

import dataclasses
import functools
import re
import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from analysis import formats
from analysis.command_line import warnings_in_lines
from analysis.frames.search import JOURNAL
from analysis.frames.study import QUESTION
from analysis.tables.table1 import table1
from analysis.tables.terminal import WIDTH, table1_terminal
from study import dry_run
from study.engine import address, devices, private
from study.jobs import Job, plan, why_trained_apart
from study.monitor.mlflow_log import MLflowError
from study.monitor.progress import Progress
from study.options import OptionsError, RunOptions, outside_of_a_job
from study.space import search_space as spaces
from study.space.quick import QUICK_TRIALS, SUFFIX, shrunk, shrunk_one, warning
from study.space.schema import field_list
from study.space.search import Search
from study.storage.folder import FolderError, Frames, StudyPaths, opened
from study.storage.lease import held
from study.storage.mirror import Mirror
from study.storage.remote import StorageError, of_study
from study.storage.siblings import adopt
from tivae import records, registry
from tivae.config import ConfigError, TrialConfig
from tivae.data.image_set import DataError
from tivae.evaluation.measures import chosen
from tivae.io.record import NewerRecord
from tivae.io.redaction import redacted

if TYPE_CHECKING:
    from study.search.optuna_search import OptunaSearch


class NodesLost(RuntimeError):
    """The study ended early because no node was left for its trials."""


# Seeds of --until-decided at most.
MOST_SEEDS = 10
EXIT_FAILED_TRIALS = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = signals.EXIT_INTERRUPTED


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code is 0, 1 (trials failed), 2 (bad input) or 130 (interrupted)."""
    given = command_line.parser().parse_args(arguments)
    options = RunOptions(**vars(given), again=_command(arguments))
    with signals.interrupting(), warnings_in_lines():
        return _ended(options, Console())


def _ended(options: RunOptions, console: Console) -> int:
    try:
        return _run(options, console)
    except BAD_INPUT as error:
        print(f"error: {redacted(' '.join(str(error).split()))}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except NodesLost as error:
        print(f"error: {error}. To continue with another: {options.again}", file=sys.stderr)
        return EXIT_FAILED_TRIALS
    except OSError as error:
        message = redacted(" ".join(str(error).split()))
        print(f"error: {message}; finished work is kept, and the same command continues", file=sys.stderr)
        return EXIT_FAILED_TRIALS
    except KeyboardInterrupt:
        signals.ignore()
        print(f"\nStopped. To continue: {options.again}", file=sys.stderr)
        return EXIT_INTERRUPTED


def _run(options: RunOptions, console: Console) -> int:
    options = outside_of_a_job(options)
    if options.list:
        _list(console)
        return 0
    if options.fields:
        print(field_list(shutil.get_terminal_size().columns), end="")
        return 0
    if options.address is None:
        private.require_token()
    elif not options.dry_run:
        address.check(options.address)
    if options.space is None:
        known = ", ".join(path.stem for path in spaces.available())
        raise spaces.SpaceError(f"no search space is given; it must be one of {known}, or the path of a .yaml file")
    with registry.importing():
        chosen(options.measures)
    overrides = dict(spaces.parse_override(text) for text in options.set)
    path = spaces.find(options.space)
    space = spaces.read(path, overrides=overrides, seeds=options.seeds)
    if options.until_decided:
        if space.search is not None:
            raise spaces.SpaceError(f"--until-decided is given, but {space.name} is a search; it applies to grids only")
        space = spaces.read(path, overrides=overrides, seeds=_most_seeds(options))
    if options.trials is not None and space.search is None:
        raise spaces.SpaceError(
            f"--trials is {options.trials}, but {space.name} is a grid; it applies to searches only"
        )
    trials = shrunk(space.trials, _given(options)) if options.quick else space.trials
    name = space.name + (SUFFIX if options.quick else "") if options.name is None else options.name
    _check_name(name)
    console.print(f"{name}: {space.question}", highlight=False, markup=False, soft_wrap=True)
    if options.quick:
        small = trials or shrunk(space.search.drawn(20) if space.search else [], _given(options))
        console.print(warning(small), style="bold", highlight=False, soft_wrap=True)
    if options.dry_run and space.search is not None:
        dry_run.show_search(space.search, _search_trials(space.search, options), options, console)
        return 0
    if options.dry_run:
        dry_run.show(trials, options.results_dir / name, options, console)
        return 0
    with opened(options.results_dir, name) as study:
        (study / QUESTION).write_text(f"{space.question}\n", encoding="utf-8")
        place = StudyPaths(study, of_study(options.storage, study), Frames(study))
        with held(place.storage, study):
            Mirror(place.storage, study).bring_all()
            if space.search is not None:
                return _search(space.search, place, options, console)
            if options.until_decided:
                return _until_decided(trials, place, options, console)
            return _study(trials, place, options, console)


def _most_seeds(options: RunOptions) -> int:
    if options.seeds is not None or options.quick:
        other = "--quick, which judges nothing" if options.quick else "--seeds"
        raise spaces.SpaceError(f"--until-decided is given with {other}; give --max-seeds or nothing")
    return options.max_seeds or MOST_SEEDS


def _until_decided(trials: Sequence[TrialConfig], place: StudyPaths, options: RunOptions, console: Console) -> int:
    from study import until_decided

    schedule = until_decided.planned(place.study, _most_seeds(options))
    Mirror(place.storage, place.study).send_schedule()
    without_report = dataclasses.replace(options, report=False)
    show = functools.partial(console.print, highlight=False, markup=False, soft_wrap=True)
    code = until_decided.run(
        trials, place.study, schedule, lambda some: _study(some, place, without_report, console), show
    )
    if options.report:
        _write_report(place.study, console)
    return code


def _study(trials: Sequence[TrialConfig], place: StudyPaths, options: RunOptions, console: Console) -> int:
    study = place.study
    if place.storage.folder is not None and place.storage.folder.resolve() == study.resolve():
        taken = adopt(study, trials, options.measures)
        if taken:
            console.print(f"{len(taken)} finished parts are reused from studies beside this one", highlight=False)
    jobs = plan(trials, study, options.measures)
    waiting = {trial.key for job in jobs for trial in job.trials}
    finished = [config for config in trials if config.key not in waiting]
    if finished:
        console.print(f"{len(finished)} of {len(trials)} trials are already finished", highlight=False)
    if why := why_trained_apart(job.config for job in jobs):
        console.print(why, highlight=False, markup=False, soft_wrap=True)
    progress = _work(jobs, finished, place, options, console) if jobs else None
    _show_table(trials, place.frames, study, console)
    if progress is not None and progress.ended_jobs < len(jobs):
        raise _early_end(progress)
    if options.report and (jobs or not (study / "report").exists()):
        _write_report(study, console)
    failed = sum(len(job.trials) for job in plan(trials, study))
    if failed:
        print(f"{failed} of {len(trials)} trials failed; see the column `error` of trials.csv", file=sys.stderr)
        return EXIT_FAILED_TRIALS
    return 0


def _search(search: Search, place: StudyPaths, options: RunOptions, console: Console) -> int:
    # Optuna takes a second to import, and matplotlib, of which tables of a search take their numbers, another.
    from analysis.tables.search import best_text
    from study.search.optuna_search import OptunaSearch

    study = place.study
    small = functools.partial(shrunk_one, given=_given(options)) if options.quick else None
    running = OptunaSearch(search, study, _search_trials(search, options), small)
    before = running.ended
    if before:
        console.print(f"{before} of {running.budget} trials have already ended", highlight=False)
    progress = _work([], [], place, options, console, running) if running.left else None
    results = place.frames.write()
    console.print()
    console.print(best_text(results), highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nSearch: {study.resolve() / JOURNAL}", highlight=False, markup=False, soft_wrap=True)
    if running.ended < running.budget:
        raise _early_end(progress)
    if options.report and (running.ended > before or not (study / "report").exists()):
        _write_report(study, console)
    if running.failed:
        print(
            f"{running.failed} of {running.budget} trials failed; see the column `error` of trials.csv", file=sys.stderr
        )
        return EXIT_FAILED_TRIALS
    return 0


def _search_trials(search: Search, options: RunOptions) -> int:
    trials = options.trials or search.trials
    return min(trials, QUICK_TRIALS) if options.quick and options.trials is None else trials


def _given(options: RunOptions) -> set[str]:
    """The fields that the command line sets."""
    named = {spaces.parse_override(text)[0] for text in options.set}
    return named if options.seeds is None else named | {"seed"}


def _work(
    jobs: Sequence[Job],
    finished: Sequence[TrialConfig],
    place: StudyPaths,
    options: RunOptions,
    console: Console,
    search: OptunaSearch | None = None,
) -> Progress:
    # Ray takes seconds to import: bad input is refused before.
    from study.engine import session

    return session.work(jobs, finished, place, options, console, search)


def _early_end(progress: Progress | None) -> BaseException:
    """What is raised after the table of a run that has not come to its end."""
    lost = progress is not None and progress.lost_nodes
    return NodesLost("the last node that could run trials has left the cluster") if lost else KeyboardInterrupt()


def _show_table(trials: Sequence[TrialConfig], frames: Frames, study: Path, console: Console) -> None:
    """The table of this run's trials (the paper's Table 1 where they have a cell of it), and where everything is."""
    results = frames.write()
    if results is None:
        return
    mine = results.where(key=[config.key for config in trials])
    of_the_paper = table1(mine)["base_accuracy"].notna().any()
    shown = (
        table1_terminal(mine, console.width if console.is_terminal else WIDTH)
        if of_the_paper or mine.finished.empty
        else formats.text(mine.cells().round(4))
    )
    console.print()
    console.print(shown, highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"\nDataframes, records and weights: {study.resolve()}", highlight=False, markup=False, soft_wrap=True
    )


def _write_report(study: Path, console: Console) -> None:
    # Matplotlib takes seconds to import: bad input is refused before.
    from analysis import report

    console.print("Drawing the report's figures ...", highlight=False)
    try:
        # Shown in a terminal alone.
        with console.status("") as status:
            page = report.write(study, log=lambda name: status.update(name.replace("_", " ")))
    # The study's results are all written by now: a report that fails must not make them look lost.
    except Exception as error:
        print(
            f"the report could not be written ({records.reason(error)}); the records and dataframes are complete",
            file=sys.stderr,
        )
        return
    console.print(f"Report: {page.resolve()}", highlight=False, markup=False, soft_wrap=True)


def _list(console: Console) -> None:
    for path in spaces.available():
        space = spaces.read(path)
        trials = len(space.trials) if space.search is None else space.search.trials
        line = f"{space.name:18} {trials:5} trials  {space.question}"
        # In a terminal the question stays in its column; elsewhere a space is a line.
        width = console.width if console.is_terminal else len(line)
        print(textwrap.fill(line, max(width, 60), subsequent_indent=" " * 33))


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise FolderError(
            f"--name is {name!r}; it must be letters, digits, '.', '_' and '-', starting with one of the first two"
        )


def _command(arguments: Sequence[str] | None) -> str:
    return signals.command(sys.argv[1:] if arguments is None else arguments, redacted)


BAD_INPUT = (
    NewerRecord,
    OptionsError,
    spaces.SpaceError,
    ConfigError,
    FolderError,
    devices.DeviceError,
    devices.ClusterError,
    StorageError,
    MLflowError,
    DataError,
)


if __name__ == "__main__":
    sys.exit(main())
