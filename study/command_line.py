"""The options of `study.run`, in groups with examples, and of `study.status`; a typo gets a suggestion."""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import tomllib
from pathlib import Path
from typing import Any, NoReturn

from study.options import INFORMATION, RunOptions, port

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
    groups: dict[str, argparse._ArgumentGroup] = {}
    for item in dataclasses.fields(RunOptions):
        if title := item.metadata.get("group"):
            if title not in groups:
                groups[title] = made.add_argument_group(title)
            _add(groups[title], item)
    version_of = f"tivae {version()}"
    groups[INFORMATION].add_argument("--version", action="version", version=version_of, help="print the version")
    return made


def status_parser() -> argparse.ArgumentParser:
    """The parser of `study.status`."""
    made = Parser(prog="python -m study.status", description="Progress of a study, running or not.")
    made.add_argument("results", type=Path, help="the study's folder, such as results/paper_grid")
    made.add_argument(
        "--serve",
        nargs="?",
        type=port,
        const=0,
        metavar="PORT",
        help="show its page, live, in a browser here",
    )
    return made


class Parser(argparse.ArgumentParser):
    """Names the nearest option where one is not known; a part of a name is none: --seed would be taken for --seeds."""

    def __init__(self, **given: Any):
        super().__init__(allow_abbrev=False, **given)

    def error(self, message: str) -> NoReturn:
        """Prints the message, with a hint, and exits with 2."""
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        if unknown:
            near = difflib.get_close_matches(unknown[1], self._option_string_actions, n=1)
            message += f"; did you mean {near[0]}?" if near else "; see --help"
            if unknown[1] == "--seed":
                message += " One seed is --set seed=5, how many --seeds 5"
        super().error(message)


def version() -> str:
    """The version of this repository, from pyproject.toml."""
    content = (Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    return str(tomllib.loads(content)["project"]["version"])


def _add(group: argparse._ArgumentGroup, item: dataclasses.Field[Any]) -> None:
    name, help = item.name.replace("_", "-"), item.metadata["help"]
    if isinstance(item.default, bool):
        action = "store_false" if item.default else "store_true"
        group.add_argument(f"--no-{name}" if item.default else f"--{name}", dest=item.name, action=action, help=help)
    elif item.default == ():
        group.add_argument(f"--{name}", action="append", default=[], metavar=item.metadata["metavar"], help=help)
    else:
        given = {"type": item.metadata["type"], "metavar": item.metadata["metavar"], "default": item.default}
        group.add_argument(f"--{name}", **given, help=help)
