"""Faults survived, with the metrics of an undisturbed run, bit for bit. `uv run pytest -m slow` runs them all."""

import json
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from study.space.search_space import read
from tests.damage import cut, empty, flip
from tests.study.faults import Study, kill_driver, kill_everything, wait, workers
from tests.waiting import HANG_SECONDS, slowness

# Far less than an epoch of that many images takes.
LIMIT = ("--time-limit", "0.1", "--set", "hidden_widths=[64, 128, 256]")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A study that ran through, to copy and to compare with."""
    study = Study(tmp_path_factory.mktemp("undisturbed"))
    study.run()
    assert {status for status, _, _ in study.metrics().values()} == {"finished"}
    return study


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


@pytest.fixture
def finished(undisturbed, tmp_path):
    """A copy of the undisturbed study."""
    shutil.copytree(undisturbed.results, tmp_path / "results")
    return Study(tmp_path)


@pytest.mark.parametrize("moment", range(10))
def test_a_worker_killed_at_any_moment(undisturbed, study, moment):
    source = random.Random(moment)
    process = study.start()
    try:
        wait(lambda: study.epochs_done(), process)
        time.sleep(source.uniform(0, 4))
        for worker in source.sample(workers(process), k=min(1, len(workers(process)))):
            worker.kill()
        printed, _ = process.communicate(timeout=HANG_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    assert study.metrics() == undisturbed.metrics()


@pytest.mark.parametrize("kill", [kill_driver, kill_everything])
@pytest.mark.parametrize("moment", range(3))
def test_the_driver_killed_alone_or_with_its_workers(undisturbed, study, moment, kill):
    process = study.start()
    wait(lambda: study.epochs_done(), process)
    time.sleep(moment)
    kill(process)
    study.run()
    assert study.metrics() == undisturbed.metrics()


def test_the_stn_stage_killed(undisturbed, study):
    process = study.start("--set", "stn=pretrained")
    wait(lambda: list(study.folder.glob("stns/*/checkpoint.pt")), process)
    kill_everything(process)
    assert not list(study.folder.glob("stns/*/record.json"))
    study.run()
    assert study.metrics() == undisturbed.metrics()


def test_a_hundred_restarts(study, tmp_path):
    long = ("--set", "epochs=120", "--set", "train_images=3000")
    source = random.Random(0)
    for restart in range(100):
        process = study.start(*long)
        before = study.epochs_done()
        wait(lambda before=before: study.epochs_done() != before, process)
        time.sleep(source.uniform(0, 0.2))
        assert process.poll() is None, f"it was done after {restart} restarts; give it more epochs"
        (kill_everything if restart % 2 else kill_driver)(process)
    study.run(*long)
    (tmp_path / "other").mkdir()
    through = Study(tmp_path / "other")
    through.run(*long)
    assert study.metrics() == through.metrics()


def test_a_trial_that_hangs_is_ended_tried_again_and_recorded_with_its_reason(study):
    printed = study.run("--set", "stn=none", "--set", "model=vae", "--set", "train_images=60000", *LIMIT, code=1)
    assert printed.count("it continues from its last epoch (no epoch ended within 6 s; see --time-limit)") == 3
    ((status, metrics, epochs),) = study.metrics().values()
    assert (status, metrics, epochs) == ("failed", {}, [])
    (path,) = study.folder.glob("trials/*/record.json")
    assert json.loads(path.read_text())["error"] == "no epoch ended within 6 s; see --time-limit"


def test_trials_killed_for_memory_are_tried_again_and_recorded_with_that_reason(undisturbed, study):
    # Of the machine's memory more is used than Ray is set to allow.
    short = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}
    printed = study.run("--set", "stn=none", "--set", "model=vae", code=1, tracebacks=True, **short)
    assert printed.count("it continues from its last epoch") == 3
    (path,) = study.folder.glob("trials/*/record.json")
    assert "memory" in json.loads(path.read_text())["error"]
    study.run()
    assert study.metrics() == undisturbed.metrics()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_within_20_seconds(undisturbed, study, number):
    process = study.start()
    wait(lambda: study.epochs_done(), process)
    process.send_signal(number)
    began = time.monotonic()
    printed, _ = process.communicate(timeout=HANG_SECONDS)
    assert time.monotonic() - began < 20 * slowness()
    assert process.returncode == 130, printed
    assert "To continue: python -m study.run" in printed
    assert "Traceback" not in printed
    study.run()
    assert study.metrics() == undisturbed.metrics()


def test_two_runs_of_one_study_at_once(undisturbed, study):
    first = study.start()
    try:
        wait(lambda: study.epochs_done(), first)
        printed = study.run(code=2)
        assert f"error: {study.folder} is being filled by process {first.pid}" in printed
        output, _ = first.communicate(timeout=HANG_SECONDS)
    finally:
        first.kill()
    assert first.returncode == 0, output
    assert study.metrics() == undisturbed.metrics()


@pytest.mark.parametrize("damage", [cut, empty, flip])
def test_a_damaged_record_is_named_and_its_trial_alone_run_again(undisturbed, finished, damage):
    records = sorted(finished.folder.glob("trials/*/record.json"))
    damage(records[0])
    before = {path: path.stat().st_mtime_ns for path in records[1:]}
    printed = finished.run()
    assert str(records[0]) in printed
    assert "3 of 4 trials are already finished" in printed
    assert {path: path.stat().st_mtime_ns for path in records[1:]} == before
    assert finished.metrics() == undisturbed.metrics()


def test_a_trial_whose_folder_is_a_file_fails_alone(study):
    first, *others = [config.key for config in read(study.space).trials if config.stn == "none"]
    path = study.folder / "trials" / first
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    printed = study.run("--set", "stn=none", code=1)
    assert f"FAILED {first}" in printed
    assert "remove what lies in the place of a folder" in printed
    assert {key: status for key, (status, _, _) in study.metrics().items()} == dict.fromkeys(others, "finished")
    assert path.read_text() == "mine"


@pytest.mark.parametrize("damage", [cut, empty, flip])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(undisturbed, study, damage):
    process = study.start("--set", "stn=none")
    wait(lambda: list(study.folder.glob("trainings/*/checkpoint.previous.pt")), process)
    kill_everything(process)
    checkpoints = list(study.folder.glob("trainings/*/checkpoint.pt"))
    assert checkpoints
    for path in checkpoints:
        damage(path)
    printed = study.run()
    for path in checkpoints:
        assert f"{path} is not used" in printed
    assert study.metrics() == undisturbed.metrics()


@pytest.mark.parametrize("damage", [cut, empty, flip])
def test_a_damaged_stn_is_pretrained_again(undisturbed, finished, damage):
    (stn,) = finished.folder.glob("stns/*/stn.pt")
    damage(stn)
    (vae,) = (
        path.parent
        for path in finished.folder.glob("trials/*/record.json")
        if (config := json.loads(path.read_text())["config"])["stn"] == "pretrained" and config["model"] == "vae"
    )
    shutil.rmtree(vae)
    printed = finished.run()
    assert str(stn) in printed
    assert finished.metrics() == undisturbed.metrics()


@pytest.mark.parametrize("name", ["model.pt", "predictions.pt", "encodings.pt"])
def test_a_damaged_file_of_a_finished_trial_is_named_and_its_trial_alone_read_out_again(undisturbed, finished, name):
    file, *others = sorted(finished.folder.glob(f"trials/*/{name}"))
    good, before = file.read_bytes(), {path: path.stat().st_mtime_ns for path in others}
    flip(file)
    printed = finished.run()
    assert f"{file} can't be read" in printed
    assert "3 of 4 trials are already finished" in printed
    assert {path: path.stat().st_mtime_ns for path in others} == before
    assert file.read_bytes() == good
    assert finished.metrics() == undisturbed.metrics()


@pytest.mark.parametrize("damage", [cut, empty, flip])
@pytest.mark.parametrize("name", ["trials.parquet", "epochs.parquet", "trials.csv"])
def test_damaged_dataframes_are_made_again_from_the_records(undisturbed, finished, damage, name):
    good = (undisturbed.folder / name).read_bytes()
    damage(finished.folder / name)
    finished.run()
    assert (finished.folder / name).read_bytes() == good


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True)
    if done.returncode:
        pytest.skip("system: a file system can't be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_is_reported_and_room_made_lets_it_continue(undisturbed, tmp_path, small_disk):
    study = Study(tmp_path, results=small_disk / "results")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"0" * (63 * 2**20 + 2**19))
    printed = study.run(code=1, tracebacks=True)
    assert "No space left on device" in printed
    assert "study/run.py" not in printed
    ballast.unlink()
    study.run()
    assert study.metrics() == undisturbed.metrics()


def test_a_results_folder_turned_read_only_is_reported(undisturbed, tmp_path):
    # Root writes everywhere, unless that right is taken from it.
    bound = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
    if bound and shutil.which("setpriv") is None:
        pytest.skip("system: root may write everywhere")
    study = Study(tmp_path, through=bound)
    process = study.start()
    wait(lambda: study.epochs_done(), process)
    folders = [study.folder, *(path for path in study.folder.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o500)
    printed, _ = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode in (1, 2), printed
    assert "Permission denied" in printed
    assert "study/run.py" not in printed
    for folder in folders:
        folder.chmod(0o700)
    study.run()
    assert study.metrics() == undisturbed.metrics()
