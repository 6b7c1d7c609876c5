"""Two thousand trials in one study: what the processes hold and what lies on disk stays bounded."""

import contextlib

import psutil
import pytest

from tests.study.faults import Study, workers

pytestmark = pytest.mark.slow

TRIALS = 2000
SPACE = f"""
question: does it grow?
settings: {{model: untrained, latent_dim: 2, hidden_widths: [1], train_images: 100, test_images: 100}}
seeds: {TRIALS}
"""
MIB = 2**20


def _resident(processes):
    """MiB that are in memory, each process's own."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += (process.memory_info().rss - process.memory_info().shared) / MIB
    return total


def _size(folder):
    """MiB of the files below `folder`, which come and go."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total / MIB


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """By the number of trials that have ended: the driver's memory, a worker's, and what Tune keeps on disk, in MiB."""
    study = Study(tmp_path_factory.mktemp("long"), space=SPACE)
    process = study.start("--no-tensorboard", "--max-concurrent", "2")
    driver = psutil.Process(process.pid)
    printed, found = [], {}
    with process, process.stdout as lines:
        # Read all the time, or the command would wait for it.
        ended = 0
        for line in lines:
            printed.append(line)
            if line.startswith(("done ", "FAILED ")):
                ended += 1
                if ended % 100 == 0:
                    busy = workers(process)
                    memory = _resident([driver]), _resident(busy) / max(len(busy), 1)
                    found[ended] = (*memory, _size(study.folder / "tune"))
    assert process.returncode == 0, "".join(printed)[-3000:]
    assert len(study.metrics()) == TRIALS
    return found


def test_the_drivers_memory_grows_by_less_than_100_kib_a_trial(course):
    early, late = course[200][0], course[2000][0]
    assert late - early < 1800 * 100 / 1024, course


def test_a_workers_memory_is_flat(course):
    early, late = course[500][1], course[2000][1]
    assert late < 1.1 * early + 20, course


def test_what_tune_keeps_on_disk_is_bounded(course):
    assert course[2000][2] < 32, course
