"""A run in the folder of a study: what is left is computed, and shown and reported at the end."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from analysis.formats import TERMINAL_WIDTH
from analysis.frames.search import JOURNAL
from study.jobs import Planned
from study.options import RunOptions
from study.space.quick import shrunk_one
from study.space.search import Search
from study.storage.folder import Frames
from study.storage.mirror import Mirror
from study.storage.remote import Storage
from study.storage.siblings import adopt
from tivae import records
from tivae.config import TrialConfig

if TYPE_CHECKING:
    from study.monitor.progress import Progress
    from study.search.optuna_search import OptunaSearch

EXIT_FAILED_TRIALS = 1


class NodesLost(RuntimeError):
    """The study ended early because no node was left for its trials."""


@dataclass(frozen=True)
class Run:
    """One run in the folder `study` of this machine; `storage` is what all nodes write to.

    `grid`, `until_decided` and `search` give its exit code. They raise `KeyboardInterrupt` or `NodesLost` where it has
    ended early, after the table of what there is.
    """

    study: Path
    storage: Storage
    frames: Frames
    options: RunOptions
    console: Console

    def grid(self, trials: Sequence[TrialConfig]) -> int:
        """Runs what is left of the trials."""
        study, measures = self.study, self.options.measures
        if self.storage.is_at(study) and (taken := adopt(study, trials, measures)):
            self.log(f"{len(taken)} finished parts are reused from studies beside this one")
        planned = Planned(trials, study, measures)
        if planned.ended:
            self.log(f"{planned.ended} of {len(trials)} trials are already finished")
        if why := planned.why_trained_apart:
            self.log(why)
        progress = self._work(planned) if planned.jobs else None
        finished = self._show_table([config.key for config in trials])
        return self._ended(progress, len(trials) - finished, len(trials))

    def until_decided(self, trials: Sequence[TrialConfig], most_seeds: int) -> int:
        """Runs the trials in rounds of seeds, until each claim is decided."""
        from study import until_decided

        schedule = until_decided.planned(self.study, most_seeds)
        Mirror(self.storage, self.study).send_schedule()
        each = dataclasses.replace(self, options=dataclasses.replace(self.options, report=False))
        code = until_decided.run(trials, self.study, schedule, each.grid, self.log)
        if self.options.report:
            self._write_report()
        return code

    def search(self, search: Search) -> int:
        """Runs what is left of a search."""
        # Optuna takes a second to import, and matplotlib, of which tables of a search take their numbers, another.
        from analysis.tables.search import best_text
        from study.search.optuna_search import OptunaSearch

        options = self.options
        small = functools.partial(shrunk_one, given=options.given) if options.quick else None
        running = OptunaSearch(search, self.study, small)
        if running.ended:
            self.log(f"{running.ended} trials have already ended; {search.trials} are asked for")
        progress = self._work(running) if running.left else None
        results = self.frames.write()
        self.log(f"\n{best_text(results, self._width)}")
        self.log(f"\nSearch: {self.study.resolve() / JOURNAL}")
        return self._ended(progress, running.failed, search.trials)

    def log(self, text: str, style: str | None = None) -> None:
        """Prints a line as it is."""
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    @property
    def _width(self) -> int:
        return self.console.width if self.console.is_terminal else TERMINAL_WIDTH

    def _work(self, work: Planned | OptunaSearch) -> Progress:
        # Ray takes seconds to import: bad input is refused before.
        from study.engine import session

        return session.work(work, self)

    def _show_table(self, keys: list[str]) -> int:
        """Prints a table of the trials with these keys, and where everything is; gives how many have finished."""
        results = self.frames.write()
        if results is None:
            return 0
        # SciPy and matplotlib take a second to import, and memory that the driver of 10,000 trials is better without.
        from analysis.tables.terminal import summary

        mine = results.where(key=keys)
        self.log(f"\n{summary(mine, self._width)}")
        self.log(f"\nDataframes, records and weights: {self.study.resolve()}")
        return len(mine.finished)

    def _ended(self, progress: Progress | None, failed: int, trials: int) -> int:
        """Writes the report where anything has changed; the exit code. progress: None where nothing was left to do."""
        if progress is not None and progress.lost_nodes:
            raise NodesLost("the last node that could run trials has left the cluster")
        if progress is not None and not progress.is_over:
            raise KeyboardInterrupt
        if self.options.report and (progress is not None or not (self.study / "report").exists()):
            self._write_report()
        if failed:
            print(f"{failed} of {trials} trials failed; see the column `error` of trials.csv", file=sys.stderr)
        return EXIT_FAILED_TRIALS if failed else 0

    def _write_report(self) -> None:
        # Matplotlib takes seconds to import: bad input is refused before.
        from analysis import report

        self.log("Drawing the report's figures ...")
        try:
            # Shown in a terminal alone.
            with self.console.status("") as status:
                page = report.write(self.study, log=lambda name: status.update(name.replace("_", " ")))
        # The study's results are all written by now: a report that fails must not make them look lost.
        except Exception as error:
            why = records.reason(error)
            print(f"the report could not be written ({why}); the records and dataframes are complete", file=sys.stderr)
            return
        self.log(f"Report: {page.resolve()}")
