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
import re
import shutil
import textwrap
from collections.abc import Sequence

from rich.console import Console

from analysis.command_line import EXIT_BAD_INPUT, warnings_in_lines
from analysis.frames.study import QUESTION
from study import dry_run
from study.engine import address, devices, private
from study.monitor.mlflow_log import MLflowError
from study.options import OptionsError, RunOptions, outside_of_a_job
from study.running import EXIT_FAILED_TRIALS, NodesLost, Run
from study.space import search_space as spaces
from study.space.quick import QUICK_TRIALS, SUFFIX, shrunk, warning
from study.space.schema import field_list
from study.storage.folder import FolderError, Frames, opened
from study.storage.lease import held
from study.storage.mirror import Mirror
from study.storage.remote import StorageError, of_study
from tivae import registry
from tivae.config import ConfigError
from tivae.data.image_set import DataError
from tivae.evaluation.measures import chosen
from tivae.io.record import NewerRecord
from tivae.io.redaction import redacted
from tivae.native import library

# Seeds of --until-decided at most.
MOST_SEEDS = 10
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
        print(f"error: {error}. When a node has joined, continue with: {options.again}", file=sys.stderr)
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
    if options.dashboard and options.address is not None:
        raise OptionsError("--dashboard is for a run on this machine; a cluster's dashboard is on its head, port 8265")
    if options.address is None:
        private.require_token()
    elif not options.dry_run:
        address.check(options.address)
    library.wanted()
    space = _space(options)
    with registry.importing():
        chosen(options.measures)
    # In a terminal between words; elsewhere each is a line.
    whole = not console.is_terminal
    console.print(f"{space.name}: {space.question}", highlight=False, markup=False, soft_wrap=whole)
    for name in space.unused:
        note = f"note: `{name}` is given, but none of these trials uses it"
        console.print(note, style="bold", highlight=False, markup=False, soft_wrap=whole)
    if options.quick:
        small = space.trials or shrunk(space.search.drawn(20) if space.search else [], options.given)
        console.print(warning(small), style="bold", highlight=False, soft_wrap=whole)
    if options.dry_run:
        dry_run.show(space, options, console)
        return 0
    with opened(options.results_dir, space.name) as study:
        (study / QUESTION).write_text(f"{space.question}\n", encoding="utf-8")
        storage = of_study(options.storage, study)
        with held(storage, study):
            Mirror(storage, study).bring_all()
            run = Run(study, storage, Frames(study), options, console)
            if space.search is not None:
                return run.search(space.search)
            if options.until_decided:
                return run.until_decided(space.trials, _most_seeds(options))
            return run.grid(space.trials)


def _space(options: RunOptions) -> spaces.SearchSpace:
    """What the options ask for, under the name of the study. Raises `SpaceError` and `FolderError`."""
    if options.space is None:
        known = ", ".join(path.stem for path in spaces.available())
        raise spaces.SpaceError(f"no search space is given; it must be one of {known}, or the path of a .yaml file")
    if options.max_seeds is not None and not options.until_decided:
        raise OptionsError(
            f"--max-seeds is {options.max_seeds}, but it is for --until-decided alone; for a fixed number give --seeds"
        )
    path, overrides = spaces.find(options.space), options.overrides
    space = spaces.read(path, overrides=overrides, seeds=options.seeds)
    search = space.search
    if options.until_decided:
        if search is not None:
            raise spaces.SpaceError(f"--until-decided is given, but {space.name} is a search; it applies to grids only")
        space = spaces.read(path, overrides=overrides, seeds=_most_seeds(options))
    if options.trials is not None and search is None:
        raise spaces.SpaceError(
            f"--trials is {options.trials}, but {space.name} is a grid; it applies to searches only"
        )
    name = space.name + (SUFFIX if options.quick else "") if options.name is None else options.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        what = "the file's name" if options.name is None else "--name"
        remedy = "; give --name" if options.name is None else ""
        raise FolderError(
            f"{what} is {name!r}; it must be 1 to 100 of A-Z, a-z, 0-9, '.', '_' and '-', starting with a letter or "
            f"digit{remedy}"
        )
    if search is not None:
        length = min(QUICK_TRIALS, search.trials) if options.quick else search.trials
        search = dataclasses.replace(search, trials=options.trials or length)
    trials = shrunk(space.trials, options.given) if options.quick else space.trials
    return dataclasses.replace(space, name=name, trials=trials, search=search)


def _most_seeds(options: RunOptions) -> int:
    """The seeds of `--until-decided`."""
    if options.seeds is not None or options.quick:
        other = "--quick, which judges nothing" if options.quick else "--seeds"
        raise spaces.SpaceError(f"--until-decided is given with {other}; give --max-seeds or nothing")
    if options.max_seeds is None:
        return MOST_SEEDS
    # SciPy takes a second to import.
    from analysis.inference.interim import FIRST_SEEDS

    if options.max_seeds < FIRST_SEEDS:
        raise spaces.SpaceError(
            f"--max-seeds is {options.max_seeds}; it must be at least {FIRST_SEEDS}, those of the first analysis"
        )
    return options.max_seeds


def _list(console: Console) -> None:
    for path in spaces.available():
        try:
            space = spaces.read(path)
        except spaces.SpaceError as error:
            print(f"{path.stem:18} can't be read: {error}")
            continue
        trials = len(space.trials) if space.search is None else space.search.trials
        line = f"{space.name:18} {trials:5} trials  {space.question}"
        # In a terminal the question stays in its column; elsewhere a space is a line.
        width = console.width if console.is_terminal else len(line)
        print(textwrap.fill(line, max(width, 60), subsequent_indent=" " * 33))


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
