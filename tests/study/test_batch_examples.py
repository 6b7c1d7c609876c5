"""The examples for SLURM and Kubernetes: what can be checked without a queue and without a cluster."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

import study
from tests.waiting import HANG_SECONDS

SLURM = Path(study.__file__).with_name("slurm_example.sh")
KUBERAY = Path(study.__file__).with_name("kuberay_example.yaml")

# Stands for SLURM's commands: they write down what they were called with.
STANDS_IN = {
    "srun": 'echo "srun $*" >>calls; exit ${STEP_CODE}',
    "scontrol": 'if [ "$1" = show ]; then echo n1; echo n2; else echo "scontrol $*" >>calls; fi',
    "squeue": 'echo "${JOB_STATE}"',
}


@pytest.fixture
def job(tmp_path):
    """Runs the script as SLURM would: its exit code, and the calls of SLURM's commands that it made."""
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name, body in STANDS_IN.items():
        (commands / name).write_text(f"#!/bin/bash\n{body}\n")
        (commands / name).chmod(0o755)

    def run(step_code, state="RUNNING"):
        variables = {
            "JOB_ID": "42",
            "SUBMIT_DIR": tmp_path,
            "JOB_NODELIST": "n[1-2]",
            "JOB_NUM_NODES": 2,
            "CPUS_ON_NODE": 8,
        }
        environment = {f"SLURM_{name}": str(value) for name, value in variables.items()}
        environment |= {
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
            "STEP_CODE": str(step_code),
            "JOB_STATE": state,
        }
        done = subprocess.run(
            ["bash", str(SLURM), "paper_grid", "--seeds", "5"],
            env=environment,
            timeout=HANG_SECONDS,
            check=False,
            capture_output=True,
        )
        return done.returncode, (tmp_path / "calls").read_text().splitlines()

    return run


def test_ray_starts_on_all_nodes_and_the_study_on_the_first(job, tmp_path):
    code, (call,) = job(0)
    assert code == 0
    assert "ray symmetric-run --address n1:20042 --min-nodes 2 --num-cpus 8" in call
    assert call.endswith("-- python -m study.run paper_grid --seeds 5 --address n1:20042")
    assert not list((tmp_path / ".ray").iterdir()), "the job's token is left behind"


@pytest.mark.parametrize(
    ("code", "state", "again"),
    [
        (143, "RUNNING", True),
        (130, "RUNNING", True),
        (143, "CANCELLED", False),
        (1, "RUNNING", False),
        (2, "RUNNING", False),
    ],
    ids=["pre-empted", "interrupted", "cancelled", "trials failed", "bad input"],
)
def test_only_a_job_that_was_taken_away_is_queued_again(job, code, state, again):
    ended, calls = job(code, state)
    assert ended == code
    assert calls[1:] == (["scontrol requeue 42"] if again else [])


def test_the_kuberay_job_asks_for_the_token_and_shares_one_volume():
    cluster = yaml.safe_load(KUBERAY.read_text())["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert groups[0]["rayStartParams"]["num-cpus"] == "0"
    for group in groups:
        (container,) = group["template"]["spec"]["containers"]
        assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/studies"]
        assert container["resources"]["limits"] == container["resources"]["requests"]
