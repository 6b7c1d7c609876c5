"""Ray clusters of several nodes on this machine, and the command running on them."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from ray.cluster_utils import Cluster

from study.monitor import status_file
from tests.waiting import HANG_SECONDS, until

ROOT = Path(__file__).resolve().parents[2]

SPACE = """
question: does a cluster give what one machine gives?
factors:
  model: [vae, categorical_vae]
  stn: [none, pretrained]
settings:
  {train_images: 300, test_images: 200, epochs: 2, stn_epochs: 1, hidden_widths: [4, 8], train_dataset: augmented}
"""


@contextlib.contextmanager
def cluster_of(*nodes: dict) -> Iterator[tuple[Cluster, list]]:
    """A head without slots, and worker nodes with these resources, which have no data set."""
    before = os.environ.get("TIVAE_DATA")
    os.environ["TIVAE_DATA"] = "/nowhere/at/all"
    cluster = Cluster()
    try:
        add_node(cluster, num_cpus=0, include_dashboard=False)
        yield cluster, [add_node(cluster, **node) for node in nodes]
    finally:
        cluster.shutdown()
        os.environ.pop("TIVAE_DATA")
        if before is not None:
            os.environ["TIVAE_DATA"] = before


def add_node(cluster: Cluster, **resources):
    """The new node; Ray gives a node half a minute to start, which on a busy machine may not do."""
    for _ in range(2):
        with contextlib.suppress(Exception):
            return cluster.add_node(**resources)
    return cluster.add_node(**resources)


class Command:
    """`python -m study.run` on the space above; what it prints is read as it comes."""

    def __init__(self, folder: Path, *arguments: str):
        path = folder / "small.yaml"
        path.write_text(SPACE)
        self.study = folder / "results" / "small"
        environment = {name: value for name, value in os.environ.items() if name != "TIVAE_DATA"}
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "study.run", str(path), "--results-dir", str(folder / "results")),
                *("--no-report", "--no-tensorboard", *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.printed = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Command":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def wait_until(self, condition) -> None:
        """Waits while the command runs."""
        until(condition, lambda: self._process.poll() is not None)
        assert self._process.poll() is None, self.printed

    def running(self) -> list[dict]:
        """The jobs that run, as another terminal would see them."""
        return (status_file.read(self.study) or {"running": []})["running"]

    def end(self, code: int = 0) -> str:
        """What the command printed until its end, which must have this exit code."""
        self._process.wait(HANG_SECONDS)
        self._reader.join()
        assert self._process.returncode == code, self.printed
        return self.printed

    def _read(self) -> None:
        for line in self._process.stdout:
            self.printed += line
