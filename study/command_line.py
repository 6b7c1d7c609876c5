"""The options of `study.run`, in groups with examples, and of `study.status`; a typo gets a suggestion."""

from __future__ import annotations

import argparse
import difflib
import re
import tomllib
from pathlib import Path
from typing import NoReturn

DESCRIPTION = """Runs a search space: trains models, measures them, writes tables and a report.
The same command again continues where it stopped, and runs nothing twice."""
EXAMPLES = """examples:
  python -m study.run --list                          the search spaces
  python -m study.run paper_grid --quick              every step, in minutes
  python -m study.run paper_grid --seeds 3            runs what is missing
  python -m study.run paper_grid --dry-run            trials, devices and time
  python -m study.run latent_size --set epochs=5      with a setting replaced
  python -m study.status results/paper_grid --serve   the live page
"""


def parser() -> argparse.ArgumentParser:
    """The parser of `study.run`; it needs no import that takes time, so that `--help` answers at once."""
    made = Parser(
        prog="python -m study.run",
        usage="%(prog)s SPACE [options]",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("space", nargs="?", help="a name in search_spaces/, or the path of a .yaml file")
    _add_information(made.add_argument_group("information (nothing is run)"))
    _add_what(made.add_argument_group("what is run"))
    _add_where(made.add_argument_group("where it runs"))
    _add_results(made.add_argument_group("output"))
    return made


def status_parser() -> argparse.ArgumentParser:
    """The parser of `study.status`."""
    made = Parser(prog="python -m study.status", description="Progress of a study, running or not.")
    made.add_argument("results", type=Path, help="the study's folder, such as results/paper_grid")
    made.add_argument(
        "--serve",
        nargs="?",
        type=int,
        const=0,
        metavar="PORT",
        help="show its page, live, in a browser here",
    )
    return made


class Parser(argparse.ArgumentParser):
    """Names the nearest option where one is not known."""

    def error(self, message: str) -> NoReturn:
        """Prints the message, with a hint, and exits with 2."""
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        if unknown:
            near = difflib.get_close_matches(unknown[1], self._option_string_actions, n=1)
            message += f"; did you mean {near[0]}?" if near else "; see --help"
        super().error(message)


def version() -> str:
    """Of this repository, as pyproject.toml has it."""
    content = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(content)["project"]["version"])


def _add_information(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--list", action="store_true", help="list the search spaces")
    group.add_argument("--dry-run", action="store_true", help="show the trials, devices and expected time")
    group.add_argument("--fields", action="store_true", help="list the fields that --set and a search space take")
    group.add_argument("--version", action="version", version=f"tivae {version()}", help="print the version")


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--quick", action="store_true", help="a small version that runs every step, in minutes")
    group.add_argument("--trials", type=_positive, metavar="N", help="length of a search; default: the file's")
    group.add_argument("--seeds", type=int, metavar="N", help="number of seeds, 0 to N-1; default: the file's")
    group.add_argument(
        "--until-decided", action="store_true", help="add seeds in rounds, only to cells with undecided claims"
    )
    group.add_argument("--max-seeds", type=_positive, metavar="N", help="of --until-decided; default: 10")
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting or a factor; can be repeated"
    )
    group.add_argument("--data", type=Path, metavar="FOLDER", help="the data set's files; default: found or downloaded")
    group.add_argument(
        "--measures", metavar="NAMES", default="standard", help="none, standard (default), all, or names of measures"
    )


def _add_where(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--devices", metavar="TYPES", default="auto", help="auto (all there are), or a list of cuda, mps, cpu"
    )
    group.add_argument(
        "--trials-per-gpu", type=_positive, metavar="N", default=4, help="trials that share a GPU; default: 4"
    )
    group.add_argument(
        "--cpus-per-trial", type=_positive, metavar="N", default=1, help="cores, and torch threads; default: 1"
    )
    group.add_argument("--max-concurrent", type=_positive, metavar="N", help="run at most N trials at once")
    group.add_argument(
        "--time-limit", type=_minutes, metavar="MINUTES", default=120.0, help="of an epoch; default: 120; 0: none"
    )
    group.add_argument("--address", metavar="HEAD", help="Ray cluster: auto, or host:port; default: this machine alone")
    group.add_argument("--storage", metavar="URL", help="where all nodes write: a shared folder, s3://bucket/path, ...")
    group.add_argument(
        "--node-timeout",
        type=_seconds,
        metavar="SECONDS",
        default=600.0,
        help="for a node of a cluster to start a worker, and for the storage to answer it; default: 600",
    )
    group.add_argument("--dashboard", action="store_true", help="start Ray's dashboard, for this machine only")


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--results-dir", type=Path, metavar="FOLDER", default=Path("results"), help="default: results")
    group.add_argument("--name", help="the study's folder there; default: the space's name")
    group.add_argument("--no-report", dest="report", action="store_false", help="end with the table, without a report")
    group.add_argument(
        "--no-checkpoints",
        dest="checkpoints",
        action="store_false",
        help="keep no states to train further from",
    )
    group.add_argument("--no-tensorboard", dest="tensorboard", action="store_false", help="no logs for TensorBoard")
    group.add_argument("--mlflow", metavar="URI", help="log to this MLflow server or store, too")


def _minutes(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes, 0 or more")
    return number or None


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number
