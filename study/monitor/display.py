"""The live table of a running study, or plain lines where the output is not a terminal."""

from __future__ import annotations

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from analysis.formats import printable
from study.jobs import Job
from study.monitor.progress import Progress, Score, duration, in_words, label

# Seconds between two lines of progress, or two drawings of the table.
LINE_INTERVAL = 30.0
REFRESH_INTERVAL = 0.5
# The largest share of the time that is spent on drawing.
REFRESH_SHARE = 0.01
# Running jobs of a line; the file status.json has all.
SHOWN_IN_LINES = 8
# Of the live table: rows that are shown on a terminal of any height, and lines beside the rows.
FEWEST_ROWS, OTHER_LINES = 4, 9
# Lines of the live table; all failures are in the dataframe.
SHOWN_FAILURES = 3
# First words of a line that are in colour.
_ENDINGS = ("done", "pruned", "FAILED")


class Display:
    """Shows `progress` while the block runs; in a terminal as a table, else as lines."""

    def __init__(self, progress: Progress, console: Console):
        self.progress, self.console = progress, console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._shown, self._took = -float("inf"), 0.0

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def tick(self) -> None:
        """Redraws the table, or prints a line of progress, if it is time."""
        interval = max(REFRESH_INTERVAL, self._took / REFRESH_SHARE) if self._live is not None else LINE_INTERVAL
        if time.monotonic() - self._shown < interval:
            return
        self._shown = time.monotonic()
        if self._live is not None:
            self._live.update(self._picture(), refresh=True)
            self._took = time.monotonic() - self._shown
        elif self.progress.running:
            running = list(self.progress.running.values())
            states = [_in_words(job.job, job.row) for job in running[:SHOWN_IN_LINES]]
            states += [f"and {len(running) - SHOWN_IN_LINES} more"] if len(running) > SHOWN_IN_LINES else []
            self.log(f"{summary(self.progress)} | {'; '.join(states)}")

    def _picture(self) -> _Picture:
        """The table laid out for the present size: rich would do so again for each line printed above it."""
        view = live_view(self.progress, self.console.width, self.console.height)
        return _Picture(self.console.render_lines(view, pad=False))

    def ended(self, job: Job, result: dict[str, Any]) -> None:
        """Logs how a job ended."""
        if result["status"] == "pruned":
            self.log(f"pruned {job.key} {label(job)}, after {result['epoch']} of {job.epochs} epochs", "yellow")
        elif result["status"] != "finished":
            self.log(f"FAILED {job.key} {label(job)}: {result['error']}", "bold red")
        elif job.job_type == "stn":
            aligned, identity = result.get("alignment_loss", 0.0), result.get("identity_loss", 0.0)
            self.log(f"done {job.key} {label(job)}: test MSE to the base image {identity:.3f} -> {aligned:.3f}")
        else:
            self.log(f"done {job.key} {label(job)}: {_outcome(self.progress.score, result)}")

    def log(self, text: str, style: str = "green") -> None:
        """Prints a line above the table; its first word, how a job ended, is in colour."""
        first, space, rest = text.partition(" ")
        line = Text.assemble((first, style if first in _ENDINGS else ""), space + rest)
        self.console.print(line, soft_wrap=True)


class _Picture:
    """Lines that are laid out already."""

    def __init__(self, lines: list[list[Segment]]):
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._lines:
            yield from line
            yield Segment.line()


def live_view(progress: Progress, width: int = 120, height: int = 50) -> Group:
    """Running jobs, as many as fit, the last failures, the best trial so far and the counts."""
    parts: list[Table | Text] = [running_table(progress, width, max(FEWEST_ROWS, height - OTHER_LINES))]
    if progress.failures:
        last = progress.failures[-SHOWN_FAILURES:]
        parts.append(failures_table((job.key, label(job), reason) for job, reason in last))
    if progress.best is not None:
        value, job = progress.best
        score = progress.score
        line = f" {job.key} {label(job)}, {score.name} {score.shown(value)}"
        parts.append(Text.assemble(("best so far:", "bold cyan"), line))
    return Group(*parts, Text(summary(progress)))


def running_table(progress: Progress, width: int = 120, most: int = 1000) -> Table:
    """A row for each running job, of the first `most`, with a line on how many more there are."""
    jobs = list(progress.running.items())
    shown = jobs if len(jobs) <= most else jobs[: most - 1]
    rows = ((key, label(running.job), running.device, running.job.epochs, running.row) for key, running in shown)
    table = table_of(rows, width)
    if len(shown) < len(jobs):
        table.add_row("", Text(f"... and {len(jobs) - len(shown)} more run"))
    return table


# The columns of the live table, and the width in letters from which each is shown.
_COLUMNS = {
    "trial": 64,
    "what": 0,
    "device": 72,
    "epoch": 0,
    "train loss": 72,
    "base loss": 72,
    "augmented loss": 48,
    "images/s": 64,
}


def table_of(running: Iterable[tuple[str, str, str, int, dict[str, Any]]], width: int = 120) -> Table:
    """A row for each of (key, label, device, epochs in all, metrics of the last epoch), in `width` letters."""
    shown = [name for name, least in _COLUMNS.items() if width >= least]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in shown:
        # On a narrow terminal the words wrap, and the numbers stay whole.
        words, heading = name in ("trial", "what", "device"), name.replace(" ", "\n")
        table.add_column(heading, justify="left" if words else "right", no_wrap=name != "what")
    for key, what, device, epochs, row in running:
        train = row.get("train_loss", row.get("train_alignment_loss"))
        losses = (_number(value) for value in (train, row.get("base_loss"), row.get("augmented_loss")))
        speed = f"{row['images_per_second']:,.0f}" if "images_per_second" in row else ""
        texts = (printable(part) for part in (key, what, device))
        cells = (*texts, f"{int(row.get('epoch', 0))}/{epochs}", *losses, speed)
        named = dict(zip(_COLUMNS, cells, strict=True))
        table.add_row(*(Text(named[name]) for name in shown))
    return table


def failures_table(failures: Iterable[tuple[str, str, str]]) -> Table:
    """A row for each of (key, label, reason)."""
    table = Table(box=None, pad_edge=False)
    table.add_column("failed", no_wrap=True, style="red")
    table.add_column("what", no_wrap=True)
    table.add_column("reason")
    for failure in failures:
        table.add_row(*(escape(printable(part)) for part in failure))
    return table


def summary(progress: Progress) -> str:
    """One line: done, running, waiting, failed, best, elapsed and left."""
    parts = [f"{progress.finished}/{progress.trials} trials done"]
    parts += [f"{len(progress.running)} running", f"{progress.waiting_trials} waiting"]
    if progress.pruned:
        parts.append(f"{progress.pruned} pruned")
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.best is not None:
        parts.append(f"best {progress.score.name} {progress.score.shown(progress.best[0])}")
    parts += [f"{duration(progress.elapsed)} so far", f"{in_words(progress.seconds_left_between())} left"]
    return ", ".join(parts)


def _outcome(score: Score, result: dict[str, Any]) -> str:
    """The accuracies on the test sets; of a search its objective, and nothing of the test sets."""
    if score != Score():
        value = result.get(score.metric)
        return f"no {score.name}" if value is None else f"{score.name} {score.shown(value)}"
    base, augmented = (score.shown(result[f"{name}_accuracy"]) for name in ("base", "augmented"))
    return f"accuracy {base} base, {augmented} augmented"


def _in_words(job: Job, row: dict[str, Any]) -> str:
    loss = row.get("train_loss", row.get("train_alignment_loss"))
    metrics = f", loss {_number(loss)}" if loss is not None else ""
    return f"{label(job)}: epoch {int(row.get('epoch', 0))}/{job.epochs}{metrics}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
