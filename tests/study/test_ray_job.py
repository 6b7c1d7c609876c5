"""The `ray job submit` of study/CLUSTER.md and the `ray start` before it, literally, on one machine."""

import contextlib
import importlib.util
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.study.clusters import ROOT, SPACE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("aiohttp") is None, reason="it needs the extra `cluster`"),
]
SECONDS = 400


def commands(beginning):
    """The guide's commands that begin so, each as one line, without its comment."""
    text = (ROOT / "study/CLUSTER.md").read_text().replace("\\\n", " ")
    found = re.findall(rf"^ *({re.escape(beginning)}[^\n#]*)", text, re.MULTILINE)
    assert found, beginning
    return [" ".join(command.split()) for command in found]


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


@pytest.fixture(params=[1, 2], ids=["one node", "two nodes"])
def dashboard(request, tmp_path):
    """The dashboard's address of a cluster of a head that takes no trials, and this many nodes of one core."""
    head, port = free_port(), free_port()
    temporary = f"/tmp/{tmp_path.name[-20:]}-{head}"
    (start,) = commands("uv run ray start --head")
    join = commands("uv run ray start --address=HEAD:6379")[0]
    start = start.replace("--port=6379", f"--port={head}")
    # Nodes of one machine can't share the port that jobs are handed to.
    run(tmp_path, f"{start} --dashboard-port={port} --temp-dir={temporary} --dashboard-agent-listen-port={free_port()}")
    for _ in range(request.param):
        join_here = join.replace("HEAD:6379", f"127.0.0.1:{head}")
        run(tmp_path, f"{join_here} --num-cpus=1 --dashboard-agent-listen-port={free_port()}")
    yield f"http://127.0.0.1:{port}"
    started = [it for it in psutil.process_iter(["cmdline"]) if temporary in " ".join(it.info["cmdline"] or ())]
    # Ray's agents rename themselves.
    own = {*started, *(child for process in started for child in process.children(recursive=True))}
    for process in own:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(own, 10)


def run(folder, command):
    """The output of one of the guide's commands in this environment, with a home and a token of its own."""
    words = shlex.split(command.replace("uv run --extra cluster ", "").replace("uv run ", ""))
    home = folder / "home"
    home.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TIVAE_"))}
    environment |= {
        "HOME": str(home),
        "RAY_AUTH_MODE": "token",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    if not (home / ".ray").exists():
        subprocess.run(["ray", "get-auth-token", "--generate"], env=environment, check=True, capture_output=True)
    if data := os.environ.get("TIVAE_DATA"):
        environment["TIVAE_DATA"] = data
    # Ray's processes stay and hold what they inherit: a file, where a pipe would never end.
    with open(folder / "printed.txt", "w+") as printed:
        done = subprocess.run(
            words, env=environment, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT, timeout=SECONDS, check=False
        )
        printed.seek(0)
        text = printed.read()
    assert done.returncode == 0, text
    return text


def test_the_study_runs_as_a_ray_job(dashboard, tmp_path):
    space = tmp_path / "small.yaml"
    space.write_text(SPACE)
    (submit,) = commands("uv run --extra cluster ray job submit")
    for literal, here in {
        "http://127.0.0.1:8265": dashboard,
        "--no-wait ": "",
        "paper_grid": str(space),
        "s3://bucket/studies": f"file://{tmp_path}/bucket",
        "/home/me/results": f"{tmp_path}/results --no-report",
    }.items():
        assert literal in submit
        submit = submit.replace(literal, here)
    assert "Table 1" in run(tmp_path, submit)
    records = [json.loads(path.read_text()) for path in (tmp_path / "results" / "small").glob("trials/*/record.json")]
    assert [record["status"] for record in records] == ["finished"] * 4
