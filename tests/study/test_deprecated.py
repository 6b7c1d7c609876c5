"""A run uses no deprecated interface of Ray, torch or any other library: neither its driver nor its workers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]

# The driver reads its fields; a worker alone builds it.
OUTDATED = """
import warnings

from tivae.models.autoencoders.vae import VAE


class Outdated(VAE):
    def __init__(self, config):
        super().__init__(config)
        warnings.warn("an old way of torch's", FutureWarning, stacklevel=2)
"""

SPACE = """
question: is anything outdated?
factors: {model: [vae, categorical_vae, 'outdated:Outdated'], stn: [none, pretrained]}
settings: {train_images: 200, test_images: 100, epochs: 1, stn_epochs: 1, hidden_widths: [4], train_dataset: augmented}
"""


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """What was noted in the processes of a run, one of whose models warns: a line each time."""
    folder = tmp_path_factory.mktemp("deprecated")
    (folder / "outdated.py").write_text(OUTDATED)
    (folder / "space.yaml").write_text(SPACE)
    strict = Path(__file__).with_name("strict")
    environment = {
        "PYTHONPATH": f"{strict}:{folder}",
        "TIVAE_TEST_WARNINGS": str(folder / "noted"),
        "TIVAE_TEST_CODE": ":".join(map(str, (ROOT / "tivae", ROOT / "study", ROOT / "analysis", folder))),
    }
    command = [sys.executable, "-m", "study.run", str(folder / "space.yaml"), "--results-dir", str(folder)]
    done = subprocess.run(
        [*command, "--max-concurrent", "1", "--no-report"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / "noted").read_text().splitlines()


def test_no_deprecated_interface_is_used(noted):
    assert [line for line in noted if "an old way of torch's" not in line] == []


def test_one_in_a_worker_is_noted(noted):
    """Negative control: where this fails, the test above looks at nothing."""
    assert any("FutureWarning an old way of torch's" in line for line in noted)
