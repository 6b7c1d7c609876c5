"""What TensorBoard would show of a study."""

import os
import sys
import threading
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.record_writer import masked_crc32c

from study.jobs import Job
from study.monitor import event_file
from study.monitor.tensorboard import FOLDER, TensorBoard
from tivae.config import TrialConfig

JOB = Job("trial", TrialConfig())


def _row(epoch):
    return {"epoch": epoch, "wall_seconds": 9.0, "train_loss": 1 / epoch, "temperature": None}


def _record(epochs):
    metrics = {"base_accuracy": 0.75, "probe_converged": True}
    return {"epochs": [_row(epoch) for epoch in range(1, epochs + 1)], "metrics": metrics, "config": {"seed": 0}}


def _scalars(study):
    """(tag, step, value) of each scalar in the trial's folder, as TensorBoard reads its files."""
    found = []
    for path in sorted((study / FOLDER).glob(f"*_{JOB.key}/events.*")):
        found += [
            (value.tag, event.step, value.simple_value)
            for event in _events(path)
            for value in event.summary.value
            if value.HasField("simple_value")
        ]
    return found


def _events(path):
    content = path.read_bytes()
    while content:
        length = int.from_bytes(content[:8], "little")
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def _losses(study):
    return [(step, value) for tag, step, value in _scalars(study) if tag == "loss_vae/train_loss"]


@pytest.fixture
def write(tmp_path):
    """Writes a run's epochs `first` to `last`, and its end where there is a record."""

    def write(first, last, record=None):
        board = TensorBoard(tmp_path)
        if rows := [_row(epoch) for epoch in range(first, last + 1)]:
            board.reported(JOB, rows)
        if record is not None:
            board.ended(JOB, record)
        board.close()
        return tmp_path

    return write


def test_each_epoch_and_the_accuracies_are_shown_and_all_metrics_as_a_table(write):
    study = write(1, 3, _record(3))
    assert _losses(study) == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    assert {tag for tag, _, _ in _scalars(study)} == {"loss_vae/train_loss", "accuracy/base_accuracy"}
    tables = {
        name: _tags(study)[f"{name}/text_summary"].tensor.string_val[0].decode() for name in ("config", "metrics")
    }
    assert tables["config"].splitlines() == ["| name | value |", "| --- | --- |", "| seed | 0 |"]
    assert tables["metrics"].splitlines()[2:] == ["| base_accuracy | 0.75 |", "| probe_converged | true |"]


def test_an_interrupted_trial_continues_without_a_gap_or_an_epoch_twice(write):
    write(1, 2)
    study = write(3, 4)
    assert [step for step, _ in _losses(study)] == [1, 2, 3, 4]
    study = write(5, 5, _record(5))
    assert [step for step, _ in _losses(study)] == [1, 2, 3, 4, 5]


def test_epochs_that_were_never_reported_are_taken_from_the_record(write):
    write(1, 1)
    assert [step for step, _ in _losses(write(4, 4, _record(4)))] == [1, 2, 3, 4]


def test_a_trial_that_starts_again_is_not_shown_twice(write, tmp_path):
    write(1, 3)
    assert [step for step, _ in _losses(write(1, 2, _record(2)))] == [1, 2]
    board = TensorBoard(tmp_path)
    for epochs in ((1,), (2, 1), (2,)):
        board.reported(JOB, [_row(epoch) for epoch in epochs])
    board.ended(JOB, _record(2))
    assert [step for step, _ in _losses(tmp_path)] == [1, 2]


def test_a_trial_that_ended_without_a_word_has_its_metrics(write):
    assert [step for step, _ in _losses(write(1, 0, _record(2)))] == [1, 2]


def _tags(study):
    return {
        value.tag: value
        for path in (study / FOLDER).glob("*/events.*")
        for event in _events(path)
        for value in event.summary.value
    }


def test_hparams_shows_the_settings_of_all_trials(write):
    """An experiment, of which TensorBoard takes the first trial's, would hide what that one does not have."""
    tags = _tags(write(1, 1, _record(1)))
    hidden = {tag for tag in tags if tag.startswith("_hparams_/")}
    assert hidden == {"_hparams_/session_start_info", "_hparams_/session_end_info"}
    assert b"seed" in tags["_hparams_/session_start_info"].metadata.plugin_data.content


def test_a_run_is_named_by_its_cell_and_losses_of_models_have_axes_of_their_own(tmp_path):
    board = TensorBoard(tmp_path)
    other = Job("trial", TrialConfig(model="categorical_vae", seed=3))
    for job in (JOB, other):
        board.reported(job, [_row(1) | {"train_kl": 1.0, "images_per_second": 500.0}])
    board.reported(Job("stn", TrialConfig(stn="pretrained", stn_epochs=1)), [_row(1)])
    board.close()
    assert sorted(path.name for path in (tmp_path / FOLDER).glob("base_*")) == [
        f"base_categorical_vae_10x10_STN_none_seed_3_{other.key}",
        f"base_vae_10_STN_none_seed_0_{JOB.key}",
    ]
    assert sorted(_tags(tmp_path)) == [
        *("epoch/train_kl", "loss_categorical_vae/train_loss", "loss_stn/train_loss", "loss_vae/train_loss"),
        "speed/images_per_second",
    ]


def test_files_are_those_of_tensorboardx_but_for_their_times(tmp_path):
    """Byte for byte: TensorBoard checks the checksums, and leaves out all that follows a wrong one."""
    written = event_file.EventFile(tmp_path / "ours")
    written.write(event_file.scalars({"a/b": 0.5}, 7))
    (ours,) = (tmp_path / "ours").iterdir()
    with SummaryWriter(str(tmp_path / "theirs")) as writer:
        writer.add_scalar("a/b", 0.5, 7)
    (theirs,) = (tmp_path / "theirs").iterdir()
    assert ours.name.startswith("events.out.tfevents.")
    assert len(ours.read_bytes()) == len(theirs.read_bytes())
    for mine, other in zip(_events(ours), _events(theirs), strict=True):
        mine.wall_time = other.wall_time
        assert mine == other
    for path in (ours, theirs):
        content = path.read_bytes()
        while content:
            length = int.from_bytes(content[:8], "little")
            sums = int.from_bytes(content[8:12], "little"), int.from_bytes(content[12 + length : 16 + length], "little")
            assert sums == (masked_crc32c(content[:8]), masked_crc32c(content[12 : 12 + length]))
            content = content[16 + length :]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="system: open files are counted in /proc")
def test_many_trials_at_once_need_no_thread_and_no_open_file(tmp_path):
    # Threads and files of tests before may go meanwhile: only what is new counts.
    board, threads = TensorBoard(tmp_path), set(threading.enumerate())
    for seed in range(20):
        board.reported(Job("trial", TrialConfig(seed=seed)), [_row(1)])
    assert set(threading.enumerate()) <= threads
    assert not [file for file in Path("/proc/self/fd").iterdir() if str(tmp_path) in os.path.realpath(file)]
