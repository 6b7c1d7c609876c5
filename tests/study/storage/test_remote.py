"""What is left on a storage reaches other machines, whole, and comes back."""

import pickle
from pathlib import Path

import pytest

from analysis.inference import interim
from study.storage import remote as storages
from study.storage.mirror import Mirror
from study.storage.remote import Storage, StorageError, of_study
from tivae import records

TRIAL = "trials/abc"


@pytest.fixture
def remote(tmp_path):
    """A storage that is reached through pyarrow's file systems, as a bucket would be."""
    return of_study(f"file://{tmp_path}/remote", tmp_path / "results" / "grid")


def _fill(study, part=TRIAL, **files):
    folder = study / part
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


def _content(folder):
    return {path.name: path.read_text() for path in Path(folder).glob("*")}


def test_without_a_storage_it_is_the_results_folder(tmp_path):
    assert of_study(None, tmp_path / "grid").folder == tmp_path / "grid"
    assert of_study(str(tmp_path / "shared"), Path("results/grid")).folder == tmp_path / "shared" / "grid"


def test_a_url_has_no_folder_and_keeps_its_options():
    storage = of_study("s3://bucket/path/?region=nowhere&scheme=http", Path("results/grid"))
    assert storage.folder is None
    assert storage.place == "s3://bucket/path/grid?region=nowhere&scheme=http"


@pytest.mark.parametrize("given", ["nosuch://x/y", "s3://"])
def test_a_url_that_pyarrow_does_not_know_is_reported(given):
    with pytest.raises(StorageError, match=r"--storage .* is not usable \(.*it must be a folder, or a URL such as"):
        of_study(given, Path("results/grid"))


def test_a_password_is_never_shown():
    storage = of_study("s3://user:secret@bucket/path?region=nowhere", Path("grid"))
    assert "secret" in storage.place
    assert storage.shown == "s3://***@bucket/path/grid?region=nowhere"
    with pytest.raises(StorageError) as message:
        of_study("nosuch://user:secret@x/y", Path("grid"))
    assert "secret" not in str(message.value)


def test_a_worker_finds_what_is_there_and_leaves_what_it_made(remote):
    with remote.at_hand(TRIAL) as (study, send):
        assert not (study / TRIAL).exists()
        _fill(study, checkpoint_pt="epoch 1")
        send("checkpoint.pt")
    # Another worker, on another machine, goes on with it.
    with pickle.loads(pickle.dumps(remote)).at_hand(TRIAL) as (study, send):
        assert _content(study / TRIAL) == {"checkpoint.pt": "epoch 1"}
        (study / TRIAL / "checkpoint.pt").unlink()
        assert remote.has(TRIAL)
        _fill(study, record_json="done", model_pt="weights")
        send()
        scratch = study
    assert not scratch.exists()
    with remote.at_hand(TRIAL) as (study, _):
        assert _content(study / TRIAL) == {"record.json": "done", "model.pt": "weights"}


def test_only_the_folders_that_were_asked_for_are_brought(remote):
    with remote.at_hand(TRIAL, "stns/s") as (study, send):
        _fill(study, record_json="trial")
        _fill(study, "stns/s", stn_pt="weights")
        send()
    with remote.at_hand("stns/s") as (study, _):
        assert [path.name for path in study.iterdir()] == ["stns"]


def test_a_shared_folder_is_written_directly(tmp_path):
    storage = of_study(str(tmp_path), Path("results/grid"))
    with storage.at_hand(TRIAL) as (study, send):
        _fill(study, checkpoint_pt="epoch 1")
        send("checkpoint.pt")
    assert _content(tmp_path / "grid" / TRIAL) == {"checkpoint.pt": "epoch 1"}


def test_a_record_is_sent_and_brought_last(remote, tmp_path, monkeypatch):
    _fill(tmp_path / "mine", record_json="done", model_pt="weights", zeta_pt="late")
    sent, brought = [], []
    write, replacing = Storage.write, storages.files.replacing
    monkeypatch.setattr(Storage, "write", lambda self, name, content: sent.append(name) or write(self, name, content))
    monkeypatch.setattr(storages.files, "replacing", lambda path: brought.append(path.name) or replacing(path))
    remote.send(TRIAL, tmp_path / "mine")
    mirror = Mirror(remote, tmp_path / "other")
    mirror.bring_all()
    assert len(sent) == len(brought) == 3
    assert sent[-1].endswith(records.RECORD)
    assert brought[-1] == records.RECORD


def test_a_file_is_whole_or_absent(remote, tmp_path, monkeypatch):
    _fill(tmp_path / "mine", model_pt="weights")
    monkeypatch.setattr(storages, "PAUSES", ())
    # A worker that dies while it writes.
    with monkeypatch.context() as patch:
        patch.setattr(Storage, "_system", property(_Dying))
        with pytest.raises(OSError, match="killed"):
            remote.send(TRIAL, tmp_path / "mine")
    assert not remote.has(TRIAL)
    remote.send(TRIAL, tmp_path / "mine")
    assert remote.has(TRIAL)


class _Dying:
    """A file system that gives up before the file is renamed."""

    def __init__(self, storage):
        self._system = storage._opened[0]

    def __getattr__(self, name):
        return getattr(self._system, name)

    def move(self, source, destination):
        raise OSError("killed")


def test_a_failure_of_the_network_is_tried_again(remote, tmp_path, monkeypatch):
    _fill(tmp_path / "mine", model_pt="weights")
    monkeypatch.setattr(storages, "PAUSES", (0.0, 0.0))
    failures = iter([OSError("once"), OSError("twice")])
    write = Storage.write

    def flaky(self, name, content):
        for failure in failures:
            raise failure
        write(self, name, content)

    monkeypatch.setattr(Storage, "write", flaky)
    remote.send(TRIAL, tmp_path / "mine")
    assert remote.has(TRIAL)


def test_the_mirror_brings_what_has_changed_and_nothing_twice(remote, tmp_path, monkeypatch):
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    _fill(theirs, record_json="failed", epochs_pt="1")
    remote.send(TRIAL, theirs)
    Mirror(remote, mine).bring_all()
    assert _content(mine / TRIAL) == {"record.json": "failed", "epochs.pt": "1"}
    brought = []
    bring = Storage.bring
    monkeypatch.setattr(Storage, "bring", lambda self, part, study: brought.append(part) or bring(self, part, study))
    Mirror(remote, mine).bring_all()
    assert brought == []
    _fill(theirs, record_json="finished")
    remote.send(TRIAL, theirs)
    _fill(theirs, "trials/running", checkpoint_pt="epoch 3")
    remote.send("trials/running", theirs)
    Mirror(remote, mine).bring_all()
    assert brought == [TRIAL], "a trial without a record is not finished, and stays where it is"
    assert _content(mine / TRIAL)["record.json"] == "finished"


def test_the_schedule_of_a_study_is_that_of_the_storage_on_every_machine(remote, tmp_path):
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir()
    interim.write(mine, interim.planned(10))
    Mirror(remote, mine).send_schedule()
    Mirror(remote, theirs).bring_all()
    assert interim.read({"": theirs}) == interim.planned(10)
    here = Mirror(of_study(None, mine), mine)
    here.send_schedule()
    here.bring_all()
    assert interim.read({"": mine}) == interim.planned(10)


def test_what_was_begun_without_the_storage_continues_with_it(remote, tmp_path):
    mine = tmp_path / "mine"
    _fill(mine, checkpoint_pt="epoch 3")
    _fill(mine, "stns/known", stn_pt="mine")
    _fill(tmp_path / "theirs", "stns/known", stn_pt="theirs")
    remote.send("stns/known", tmp_path / "theirs")
    Mirror(remote, mine).send_unfinished([TRIAL, "stns/known", "trials/never_begun"])
    with remote.at_hand(TRIAL, "stns/known") as (study, _):
        assert _content(study / TRIAL) == {"checkpoint.pt": "epoch 3"}
        assert _content(study / "stns/known") == {"stn.pt": "theirs"}


def test_a_shared_folder_that_is_the_results_folder_needs_no_copies(tmp_path):
    study = tmp_path / "results" / "grid"
    _fill(study, record_json="done")
    mirror = Mirror(of_study(None, study), study)
    mirror.bring_all()
    mirror.bring(TRIAL)
    mirror.finish()
    assert _content(study / TRIAL) == {"record.json": "done"}


@pytest.mark.parametrize("kind", ["folder", "url"])
def test_a_node_proves_that_it_sees_the_same_place_and_can_write(tmp_path, kind, remote):
    storage = remote if kind == "url" else of_study(str(tmp_path / "shared"), Path("grid"))
    storage.lay_out("token")
    assert storage.check_from_here("token", "node1") is None
    assert storage.check_from_here("other", "node2")
    assert storage.answers("token") == {"node1"}
    assert not storage.has(".probe")


def test_a_node_with_a_folder_of_its_own_of_the_same_name_is_found_out(tmp_path):
    ours, theirs = of_study(str(tmp_path / "ours"), Path("grid")), of_study(str(tmp_path / "theirs"), Path("grid"))
    ours.lay_out("token")
    assert "No such file" in theirs.check_from_here("token", "node1")
    assert not (tmp_path / "theirs").exists(), "nothing is made where the storage is not"
    assert ours.answers("token") == set()


def test_a_storage_that_cannot_be_written_is_reported(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match=r"--storage .*file/grid can't be written .*; give a folder or URL"):
        of_study(str(tmp_path / "file"), Path("grid")).lay_out("token")


def test_a_read_only_storage_is_reported(read_only):
    with pytest.raises(StorageError, match="can't be written"):
        of_study(str(read_only / "shared"), Path("grid")).lay_out("token")


def test_what_a_node_has_written_is_waited_for(tmp_path, monkeypatch):
    """NFS shows a folder as it was half a minute ago."""
    storage = of_study(f"file://{tmp_path}", tmp_path / "grid")
    storage.lay_out("token")
    late = ["first", "second"]
    monkeypatch.setattr(storages.time, "sleep", lambda _: storage.check_from_here("token", late.pop(0)))
    assert storage.answers("token", {"first", "second"}, 60.0) == {"first", "second"}
    assert not late
    storage.lay_out("token")
    assert storage.answers("token", {"first"}, 0.0) == set()


def test_what_is_sent_whole_is_not_sent_again(remote, monkeypatch):
    sent = []
    with remote.at_hand(TRIAL, "stns/s") as (study, send):
        monkeypatch.setattr(Storage, "write", lambda self, name, content: sent.append(name))
        _fill(study, record_json="done")
        send()
        send()
        assert sent == [f"{TRIAL}/record.json"]
        # Of the named files those that have changed.
        _fill(study, epoch_5_pt="a state", checkpoint_pt="epoch 5", other="not named")
        for number in (6, 7):
            send("epoch.5.pt", "checkpoint.pt")
            _fill(study, checkpoint_pt=f"epoch {number}, now longer")
        assert sent[1:] == [f"{TRIAL}/epoch.5.pt", f"{TRIAL}/checkpoint.pt", f"{TRIAL}/checkpoint.pt"]


def test_a_run_that_tries_the_storage_leaves_the_trial_of_another_alone(remote):
    for token in ("mine", "theirs"):
        remote.lay_out(token)
    remote.answers("mine")
    assert remote.check_from_here("theirs", "node") is None
    assert remote.answers("theirs") == {"node"}
    assert not list(Path(remote.place.removeprefix("file://")).rglob("*"))
