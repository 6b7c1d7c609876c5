"""The commands of study/CLUSTER.md, literally, on one machine: Ray's, the study's, and as a Ray job."""

import contextlib
import importlib.util
import json
import os
import re
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.study.clusters import ROOT, SPACE
from tests.waiting import HANG_SECONDS

TEXT = (ROOT / "study/CLUSTER.md").read_text()
slow = pytest.mark.slow
needs_extra = pytest.mark.skipif(importlib.util.find_spec("aiohttp") is None, reason="it needs the extra `cluster`")
# What the tests below run, in whatever order.
TOKEN = ("export RAY_AUTH_MODE=token", "uv run ray get-auth-token --generate", "chmod 600 ~/.ray/auth_token")
HEAD, JOIN = "uv run ray start --head", "uv run ray start --address=HEAD:6379"
MAC = f"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=1 {JOIN}"
RUN, JOB = "uv run python -m study.run paper_grid", "uv run --extra cluster ray job submit"


def commands():
    """The guide's commands, each as one line, without its comment."""
    blocks = re.findall(r"^```sh\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(re.sub(r"  +#.*", "", line).split()) for line in lines if line.strip()]


def command(beginning):
    """The one command that begins so."""
    (found,) = {line for line in commands() if line.startswith(beginning)}
    return found


def test_every_command_of_the_guide_is_run_by_a_test():
    tested = (*TOKEN, HEAD, JOIN, MAC, RUN, JOB)
    assert [line for line in commands() if not line.startswith(tested)] == []
    assert all(command(beginning) for beginning in tested)


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


@dataclass
class Guided:
    """A cluster that was started as the guide says."""

    folder: Path
    head: str
    dashboard: str

    @property
    def home(self):
        return self.folder / "home"

    def run(self, line, **literals):
        """What a command of the guide prints, with other values for some of its words, in this environment."""
        for literal, here in literals.items():
            assert literal in line, (literal, line)
            line = line.replace(literal, here)
        line = line.replace("uv run --extra cluster ", "").replace("uv run ", "")
        self.home.mkdir(exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TIVAE_"))}
        environment |= {"HOME": str(self.home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        if data := os.environ.get("TIVAE_DATA"):
            environment["TIVAE_DATA"] = data
        # Ray's processes stay and hold what they inherit: a file, where a pipe would never end.
        with open(self.folder / "printed.txt", "w+") as printed:
            done = subprocess.run(
                ["sh", "-c", f"{TOKEN[0]}; {line}"],
                env=environment,
                cwd=ROOT,
                stdout=printed,
                stderr=subprocess.STDOUT,
                timeout=HANG_SECONDS,
                check=False,
            )
            printed.seek(0)
            text = printed.read()
        assert done.returncode == 0, text
        return text


@contextlib.contextmanager
def started(folder, nodes):
    """The cluster of a head that takes no trials, and this many nodes of one core."""
    head, port = free_port(), free_port()
    temporary = f"/tmp/{folder.name[-20:]}-{head}"
    guided = Guided(folder, f"127.0.0.1:{head}", f"http://127.0.0.1:{port}")
    for line in TOKEN[1:]:
        guided.run(line)
    assert stat.S_IMODE((guided.home / ".ray" / "auth_token").stat().st_mode) == 0o600
    try:
        # Nodes of one machine can't share the port that jobs are handed to.
        more = f" --dashboard-port={port} --temp-dir={temporary} --dashboard-agent-listen-port={free_port()}"
        guided.run(command(HEAD) + more, **{"--port=6379": f"--port={head}"})
        for join in (command(JOIN), command(MAC))[:nodes]:
            more = f" --num-cpus=1 --dashboard-agent-listen-port={free_port()}"
            guided.run(join + more, **{"HEAD:6379": guided.head})
        yield guided
    finally:
        found = [it for it in psutil.process_iter(["cmdline"]) if temporary in " ".join(it.info["cmdline"] or ())]
        # Ray's agents rename themselves.
        own = {*found, *(child for process in found for child in process.children(recursive=True))}
        for process in own:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(own, 10)


@pytest.fixture
def space(tmp_path):
    """A small study in the place of the paper's grid."""
    path = tmp_path / "small.yaml"
    path.write_text(SPACE)
    return path


def statuses(folder):
    return [json.loads(path.read_text())["status"] for path in (folder / "small").glob("trials/*/record.json")]


@slow
@needs_extra
@pytest.mark.parametrize("nodes", [1, 2], ids=["one node", "two nodes"])
def test_the_study_runs_as_a_ray_job(tmp_path, space, nodes):
    with started(tmp_path, nodes) as cluster:
        literals = {
            "http://127.0.0.1:8265": cluster.dashboard,
            "--no-wait ": "",
            "paper_grid": str(space),
            "s3://bucket/studies": f"file://{tmp_path}/bucket",
            "/home/me/results": f"{tmp_path}/results --no-report",
        }
        assert "Table 1" in cluster.run(command(JOB), **literals)
    assert statuses(tmp_path / "results") == ["finished"] * 4


@slow
def test_the_study_runs_on_the_nodes_and_is_looked_at_from_another_terminal(tmp_path, space):
    with started(tmp_path, 2) as cluster:
        # `auto` would find whatever cluster of this machine was started last.
        literals = {"--address auto": f"--address {cluster.head}", "/mnt/shared/studies": f"{tmp_path}/shared"}
        line = f"{command(RUN)} --results-dir {tmp_path}/results --no-report"
        printed = cluster.run(line, paper_grid=str(space), **{"--seeds 5": "--seeds 1"}, **literals)
        assert "on 2 x cpu" in printed
        assert "Table 1" in printed
        assert "`ray status`" in TEXT
        assert "2.0 CPU" in cluster.run(f"ray status --address {cluster.head}")
        assert "`python -m study.status results/paper_grid`" in TEXT
        assert "4" in cluster.run(f"python -m study.status {tmp_path}/results/small")
    assert statuses(tmp_path / "results") == ["finished"] * 4
    assert (tmp_path / "shared" / "small" / "trials").is_dir()
