"""A study's folder: one run at a time, and dataframes that follow the records."""

import os
import subprocess
import sys

import pytest

from study.storage.folder import FolderError, Frames, opened
from tivae import records
from tivae.config import TrialConfig


def test_the_folder_is_made_and_can_be_opened_again(tmp_path):
    for _ in range(2):
        with opened(tmp_path / "new", "grid") as study:
            assert study == tmp_path / "new" / "grid"
            assert study.is_dir()


def test_a_second_run_names_who_has_the_folder(tmp_path):
    script = (
        "import sys; from pathlib import Path; from study.storage.folder import opened\n"
        "with opened(Path(sys.argv[1]), 'grid'): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(FolderError, match=rf"being filled by process {other.pid} on .*another --name"),
            opened(tmp_path, "grid"),
        ):
            pass
        with opened(tmp_path, "other"):
            pass
        other.kill()
        other.wait()
        with opened(tmp_path, "grid"):
            pass
    finally:
        other.kill()
        other.communicate()


def test_a_folder_that_is_a_file_is_reported(tmp_path):
    (tmp_path / "results").write_text("mine")
    with pytest.raises(FolderError, match=r"can.t be written .*--results-dir"), opened(tmp_path / "results", "grid"):
        pass
    assert (tmp_path / "results").read_text() == "mine"


def test_a_read_only_folder_is_reported(read_only):
    with pytest.raises(FolderError, match="can't be written"), opened(read_only, "grid"):
        pass


def test_frames_follow_the_records(tmp_path):
    frames = Frames(tmp_path)
    assert frames.write() is None
    records.write_unfinished(TrialConfig(), tmp_path, "failed", "ValueError: odd")
    frames.update()
    assert not (tmp_path / "trials.csv").exists(), "rewritten although it has just been written"
    study = frames.write()
    assert list(study.trials["error"]) == ["ValueError: odd"]
    assert {path.name for path in tmp_path.glob("*.*")} >= {
        "trials.csv",
        "trials.parquet",
        "epochs.csv",
        "epochs.parquet",
    }


def test_rewriting_takes_a_twentieth_of_the_time_at_most(tmp_path, monkeypatch):
    now, written = [0.0], []
    monkeypatch.setattr("study.storage.folder.time.monotonic", lambda: now[0])

    def slow(folder):
        now[0] += 30.0
        raise ValueError("nothing yet")

    monkeypatch.setattr("study.storage.folder.analysis.load", slow)
    frames = Frames(tmp_path)
    frames.write()
    for _ in range(100):
        before = now[0]
        now[0] += 10.0
        frames.update()
        if now[0] > before + 10.0:
            written.append(before + 10.0)
    assert written, "never written again"
    assert min(later - earlier for earlier, later in zip([30.0, *written], written, strict=False)) >= 30 / 0.05


def test_a_lock_that_is_a_link_changes_nothing_behind_it(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(FolderError, match=r"\.lock is a symbolic link"), opened(tmp_path, "grid"):
        pass
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_lock_that_is_a_pipe_is_reported(tmp_path):
    (tmp_path / "grid").mkdir()
    os.mkfifo(tmp_path / "grid" / ".lock")
    with pytest.raises(FolderError, match=r"\.lock is not a regular file; remove it"), opened(tmp_path, "grid"):
        pass


@pytest.mark.parametrize("place", ["trials/0123abcd", "report", "tune", "trainings", "stns", "tensorboard"])
def test_a_study_whose_folders_lead_elsewhere_is_refused(tmp_path, place):
    (tmp_path / "mine").mkdir()
    folder = tmp_path / "grid" / place
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.symlink_to(tmp_path / "mine")
    with pytest.raises(FolderError, match=rf"{place} is a symbolic link, .*remove it"), opened(tmp_path, "grid"):
        pass
    assert not list((tmp_path / "mine").iterdir())
