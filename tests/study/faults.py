"""A small study as a user runs it, and the ways to break it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from tests.waiting import HANG_SECONDS, until

ROOT = Path(__file__).resolve().parents[2]

SPACE = """
question: does it survive?
factors:
  model: [vae, categorical_vae]
  stn: [none, pretrained]
settings:
  {train_images: 1000, test_images: 200, epochs: 6, stn_epochs: 6, hidden_widths: [8, 16], train_dataset: augmented}
"""


class Study:
    """The command line for `space`, with everything it writes under `folder`; through: what starts the command."""

    def __init__(
        self,
        folder: Path,
        space: str = SPACE,
        results: Path | None = None,
        through: Sequence[str] = (),
        measures: str = "none",
    ):
        self.through, self.measures = through, measures
        self.space = folder / "small.yaml"
        self.space.write_text(space)
        self.results = results or folder / "results"
        self.folder = self.results / "small"

    def command(self, *arguments):
        fixed = ("--results-dir", str(self.results), "--no-report", "--measures", self.measures)
        return [*self.through, sys.executable, "-m", "study.run", str(self.space), *fixed, *arguments]

    def start(self, *arguments, **environment):
        """The running command; environment: variables beside this process's."""
        return subprocess.Popen(
            self.command(*arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )

    def run(self, *arguments, code=0, seconds=HANG_SECONDS, tracebacks=False, **environment):
        """Runs the command to its end, and returns what it printed; tracebacks: whether Ray may print its own."""
        process = self.start(*arguments, **environment)
        try:
            printed, _ = process.communicate(timeout=seconds)
        finally:
            process.kill()
        assert process.returncode == code, f"exit code {process.returncode}\n{printed}"
        assert tracebacks or "Traceback" not in printed, printed
        return printed

    def metrics(self):
        return metrics(self.folder)

    def epochs_done(self):
        """How far the work on storage is: checkpoints by the time they were written."""
        return {path: path.stat().st_mtime_ns for path in self._checkpoints() if path.exists()}

    def _checkpoints(self):
        yield from self.folder.glob("trainings/*/checkpoint.pt")
        yield from self.folder.glob("stns/*/checkpoint.pt")


def metrics(folder):
    """Status, metrics and epochs of each trial that has a record, without what depends on time and place."""
    found = {}
    for path in sorted(folder.glob("trials/*/record.json")):
        record = json.loads(path.read_text())
        times = ("wall_seconds", "images_per_second")
        epochs = [{name: value for name, value in row.items() if name not in times} for row in record["epochs"]]
        found[record["key"]] = (record["status"], record["metrics"], epochs)
    return found


def workers(process):
    """The worker processes of a running command that have a job."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            # Ray's own helpers have names with ray:: as well; without these a node is lost.
            if child.name().startswith("ray::ImplicitF"):
                found.append(child)
    return found


def kill_driver(process):
    """SIGKILL to the driver alone."""
    process.kill()
    process.communicate()


def kill_everything(process):
    """SIGKILL to the driver and all that it started, at once."""
    family = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.send_signal(signal.SIGSTOP)
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.kill()
    process.communicate()


def wait(condition, process):
    """Until the condition holds, or the command ends."""
    until(condition, lambda: process.poll() is not None)
