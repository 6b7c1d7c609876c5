"""The options of `python -m study.run`, in groups, with examples; a word that is nearly an option gets a hint."""

from __future__ import annotations

import argparse
import difflib
import re
import tomllib
from pathlib import Path
from typing import NoReturn

EXAMPLES = """examples:
  python -m study.run --list                                     the search spaces
  python -m study.run paper_grid --quick                         every step, in minutes
  python -m study.run paper_grid --seeds 3                       the paper's grid; again: only what is missing
  python -m study.run paper_grid --dry-run                       what it would do, and how long that takes
  python -m study.run latent_size --set epochs=5 --name short    a setting replaced, in a folder of its own
  python -m study.status results/paper_grid --serve              the live page, from another terminal
"""


def parser(description: str) -> argparse.ArgumentParser:
    """The parser of `study.run`."""
    made = Parser(
        prog="python -m study.run",
        usage="%(prog)s SPACE [options]",
        description=description,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("space", nargs="?", help="a name in search_spaces/, or the path of a .yaml file")
    _add_looks(made.add_argument_group("look, and run nothing"))
    _add_what(made.add_argument_group("what is run"))
    _add_where(made.add_argument_group("where it runs"))
    _add_results(made.add_argument_group("what comes out"))
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


def _add_looks(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--list", action="store_true", help="list the search spaces and end")
    group.add_argument("--dry-run", action="store_true", help="show the trials, devices and expected time, run nothing")
    group.add_argument("--fields", action="store_true", help="show the fields of a trial and exit")
    group.add_argument("--version", action="version", version=f"tivae {version()}")


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--quick", action="store_true", help="a small version that goes through every step")
    group.add_argument("--trials", type=_positive, help="length of a search, in place of the file's")
    group.add_argument("--seeds", type=int, help="number of seeds, 0 to N-1, in place of the file's")
    group.add_argument(
        "--until-decided", action="store_true", help="seeds in rounds, only for cells whose claims are not decided yet"
    )
    group.add_argument("--max-seeds", type=_positive, help="of --until-decided; default: 10")
    group.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="replace a setting or factor; may be repeated"
    )
    group.add_argument("--data", type=Path, help="folder with the data set's files; default: found or fetched")
    group.add_argument(
        "--measures", default="standard", help="none, standard (the default), all, or names of measures, see README"
    )


def _add_where(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--devices", default="auto", help="auto (all there are), or a list such as cuda,cpu; kinds: cuda, mps, cpu"
    )
    group.add_argument("--trials-per-gpu", type=_positive, default=4, help="trials that share a GPU; default: 4")
    group.add_argument("--cpus-per-trial", type=_positive, default=1, help="CPU cores, and torch threads, of a trial")
    group.add_argument("--max-concurrent", type=_positive, help="run at most this many trials at once")
    group.add_argument(
        "--time-limit", type=_minutes, metavar="MINUTES", default=120.0, help="of an epoch; default: 120, 0 for none"
    )
    group.add_argument("--address", help="a Ray cluster: auto, or host:port of its head; default: this machine alone")
    group.add_argument(
        "--storage", metavar="PATH-or-URL", help="where all nodes write: a shared folder, s3://bucket/path, ..."
    )
    group.add_argument(
        "--node-timeout",
        type=_seconds,
        metavar="SECONDS",
        default=600.0,
        help="for a node of a cluster to start a worker, and for the storage to answer it; default: 600",
    )
    group.add_argument("--dashboard", action="store_true", help="with Ray's dashboard, for this machine only")


def _add_results(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--results-dir", type=Path, default=Path("results"), help="default: results")
    group.add_argument("--name", help="the study's folder in the results; default: the space's name")
    group.add_argument(
        "--no-report", dest="report", action="store_false", help="end with the table, without the report's figures"
    )
    group.add_argument(
        "--no-checkpoints",
        dest="checkpoints",
        action="store_false",
        help="keep nothing that more epochs of a training could go on from",
    )
    group.add_argument("--no-tensorboard", dest="tensorboard", action="store_false", help="no logs for TensorBoard")
    group.add_argument("--mlflow", metavar="URI", help="log to this MLflow server or store as well")


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
