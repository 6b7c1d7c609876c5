"""One run at a time on a shared storage, which is tried before anything is computed."""

import json
import os
import threading

import pytest

from study import signals
from study.storage import lease
from study.storage.lease import held
from study.storage.remote import Storage, StorageError, of_study
from tests.waiting import until


@pytest.fixture(params=["folder", "url"])
def place(request, tmp_path):
    """What is given as --storage: a shared folder, or a URL of it."""
    folder = tmp_path / "shared"
    folder.mkdir()
    return str(folder) if request.param == "folder" else f"file://{folder}"


@pytest.fixture
def studies(tmp_path):
    """The results folders of two machines."""
    found = [tmp_path / name / "grid" for name in ("one", "other")]
    for study in found:
        study.mkdir(parents=True)
    return found


def test_a_second_run_names_who_has_the_storage(place, studies):
    one, other = studies
    expected = rf"being filled by process {os.getpid()} on .*another --name"
    with (
        held(of_study(place, one), one),
        pytest.raises(StorageError, match=expected),
        held(of_study(place, other), other),
    ):
        pass
    with held(of_study(place, other), other):
        pass


def test_what_a_killed_run_left_holds_its_own_study_up_for_no_time_and_others_for_a_minute(place, studies, tmp_path):
    one, other = studies
    with held(of_study(place, one), one):
        left = (tmp_path / "shared" / "grid" / ".lease").read_bytes()
    path = tmp_path / "shared" / "grid" / ".lease"
    path.write_bytes(left)
    with held(of_study(place, one), one):
        pass
    path.write_bytes(left)
    with pytest.raises(StorageError, match="being filled"), held(of_study(place, other), other):
        pass
    old = path.stat().st_mtime - lease.VALID_SECONDS - 1
    os.utime(path, (old, old))
    with held(of_study(place, other), other):
        pass
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"[]", b"no JSON", b"[" * 100_000])
def test_a_lease_that_says_nothing_still_holds(place, studies, tmp_path, content):
    one, other = studies
    with held(of_study(place, one), one):
        (tmp_path / "shared" / "grid" / ".lease").write_bytes(content)
        with pytest.raises(StorageError, match="being filled"), held(of_study(place, other), other):
            pass


def test_it_is_renewed(place, studies, tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "RENEWED_SECONDS", 0.01)
    with held(of_study(place, studies[0]), studies[0]):
        path = tmp_path / "shared" / "grid" / ".lease"
        written = path.read_bytes()
        path.unlink()
        until(path.exists)
        assert path.read_bytes() == written
        assert json.loads(written)["process"] == os.getpid()


def test_the_results_folder_itself_needs_no_lease(studies):
    with held(of_study(None, studies[0]), studies[0]):
        assert not list(studies[0].iterdir())


def test_a_storage_that_can_not_be_written_is_reported_before_anything_is_computed(tmp_path, studies):
    (tmp_path / "file").write_text("mine")
    for place in (str(tmp_path / "file"), f"file://{tmp_path}/file"):
        with pytest.raises(StorageError, match="can't be"), held(of_study(place, studies[0]), studies[0]):
            pass


def test_a_storage_that_does_not_answer_is_given_up(place, studies, monkeypatch):
    answer = threading.Event()
    monkeypatch.setattr(lease, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(Storage, "lay_out", lambda self, token: answer.wait(60))
    silent = held(of_study(place, studies[0]), studies[0])
    with pytest.raises(StorageError, match=r"does not answer within 0 s; check the address"), silent:
        pass
    answer.set()


def test_a_shared_folder_with_links_in_it_is_refused(tmp_path, studies):
    (tmp_path / "shared" / "grid").mkdir(parents=True)
    (tmp_path / "shared" / "grid" / "trials").symlink_to(tmp_path)
    storage = of_study(str(tmp_path / "shared"), studies[0])
    with pytest.raises(StorageError, match="trials is a symbolic link"), held(storage, studies[0]):
        pass


def test_a_run_that_slept_while_another_took_its_study_is_interrupted(place, studies, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(lease, "RENEWED_SECONDS", 0.01)
    path, theirs = tmp_path / "shared" / "grid" / ".lease", b'{"token": "another"}'

    def sleep_while_it_is_taken():
        path.write_bytes(theirs)
        threading.Event().wait(60)

    taken = held(of_study(place, studies[0]), studies[0])
    with signals.interrupting(), pytest.raises(KeyboardInterrupt), taken:
        sleep_while_it_is_taken()
    assert path.read_bytes() == theirs
    assert "Another run has taken the study" in capfd.readouterr().err
