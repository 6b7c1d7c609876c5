"""What has been read of records is read again as soon as a record is another file, and is the same until then."""

import json
import os
import shutil

import pandas as pd
import pytest

import analysis
from analysis.frames import records
from analysis.frames.records import write_index
from tests.analysis.synthetic import grid, record, write_record, write_study
from tivae.config import TrialConfig
from tivae.io import record_index


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    """Files count that have just been written."""
    monkeypatch.setattr(record_index, "_SETTLED_NANOSECONDS", -(10**12))


@pytest.fixture
def study(tmp_path):
    """Eight finished trials and a failed one, with a column that no list has, and their index."""
    write_study(tmp_path, grid())
    write_record(tmp_path, record(TrialConfig(seed=7), "failed", "NonFiniteLoss: nan"))
    write_record(tmp_path, record(TrialConfig(seed=8), mine=0.5))
    write_index(tmp_path)
    return tmp_path


@pytest.fixture
def read(monkeypatch):
    """The keys of the records that have been read."""
    found, read = [], records.read
    monkeypatch.setattr(records, "read", lambda trial: found.append(trial.name) or read(trial))
    return found


def _without_index(study):
    (study / record_index.NAME).unlink()
    return analysis.load(study)


def _same(one, other):
    pd.testing.assert_frame_equal(one.trials, other.trials)
    pd.testing.assert_frame_equal(one.epochs, other.epochs)


def test_no_record_is_read_twice_and_the_frames_are_the_same(study, read):
    found = analysis.load(study)
    assert read == []
    _same(found, _without_index(study))
    assert len(read) == len(found.trials) == 10


def test_a_record_that_is_written_again_is_read_and_that_alone(study, read):
    key = TrialConfig(seed=8).key
    os.utime(study / "trials" / key / "record.json", ns=(1, 1))
    before = (study / "trials" / key / "record.json").stat()
    write_record(study, record(TrialConfig(seed=8), base_accuracy=0.125))
    os.utime(study / "trials" / key / "record.json", ns=(before.st_atime_ns, before.st_mtime_ns))
    found = analysis.load(study)
    assert read == [key]
    assert found.trials.set_index("key").base_accuracy[key] == 0.125
    assert "mine" not in found.trials
    _same(found, _without_index(study))


def test_records_that_come_and_go_are_seen(study, read):
    gone, new = TrialConfig(seed=8).key, TrialConfig(seed=9)
    shutil.rmtree(study / "trials" / gone)
    write_record(study, record(new))
    found = analysis.load(study)
    assert read == [new.key]
    assert gone not in set(found.trials.key)
    _same(found, _without_index(study))


def test_a_damaged_record_is_never_covered(study, read):
    key = TrialConfig(seed=8).key
    path = study / "trials" / key / "record.json"
    path.write_bytes(path.read_bytes()[:-9])
    write_index(study)
    read.clear()
    assert analysis.load(study).trials.set_index("key").status[key] == "damaged"
    assert read == [key]


def test_a_copy_of_the_folder_is_read_anew(study, read, tmp_path_factory):
    """A stranger's index says nothing about the files here."""
    copy = tmp_path_factory.mktemp("copy") / "study"
    shutil.copytree(study, copy)
    assert len(analysis.load(copy).trials) == len(read) == 10


@pytest.mark.parametrize("damage", [b"", b"x", b"[]", b"0" * 64 + b"\n{}"], ids=["empty", "short", "list", "digest"])
def test_an_index_that_can_not_be_used_changes_nothing(study, read, damage):
    (study / record_index.NAME).write_bytes(damage)
    assert len(analysis.load(study).trials) == len(read) == 10


def test_an_index_of_other_code_is_void(study, read, monkeypatch):
    monkeypatch.setattr(records, "_version", lambda: "another")
    analysis.load(study)
    assert len(read) == 10


def test_what_was_written_a_moment_ago_is_left_out(study, monkeypatch):
    """It may be written again without a change of its times."""
    monkeypatch.setattr(record_index, "_SETTLED_NANOSECONDS", 10**15)
    (study / record_index.NAME).unlink()
    write_index(study)
    assert not (study / record_index.NAME).exists()


def test_a_link_in_a_records_place_is_not_followed(study):
    key = TrialConfig(seed=8).key
    assert record_index.signature(study / "trials" / key) is not None
    path = study / "trials" / key / "record.json"
    path.rename(study / "elsewhere.json")
    path.symlink_to(study / "elsewhere.json")
    assert record_index.signature(study / "trials" / key) is None


def test_numbers_come_back_to_the_last_digit(study):
    content = json.loads((study / record_index.NAME).read_bytes().partition(b"\n")[2])
    value = content["trials"]["base_accuracy"][0]
    assert any(value == number for number in _without_index(study).trials.base_accuracy)
