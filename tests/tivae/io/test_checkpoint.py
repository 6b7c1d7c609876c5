import os
import pickle
import signal
import time
import warnings

import pytest
import torch

from tests.waiting import until
from tivae.io import checkpoint, files
from tivae.io.files import DamagedFile


class Interrupted(Exception):
    pass


class RunsCode:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_what_is_saved_is_loaded(tmp_path):
    content = {"weights": torch.arange(6.0).view(2, 3), "rows": [{"epoch": 1, "loss": 0.25, "note": None}], "name": "x"}
    checkpoint.save(tmp_path / "deep" / "file.pt", content)
    loaded = checkpoint.load(tmp_path / "deep" / "file.pt")
    assert torch.equal(loaded.pop("weights"), content.pop("weights"))
    assert loaded == content


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "file.pt"
    for number in (1, 2):
        checkpoint.save(path, {"number": number})
    assert checkpoint.load(path) == {"number": 2}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("old", [None, b"old"])
def test_a_write_that_fails_leaves_what_was_there_and_no_trace(tmp_path, old):
    path = tmp_path / "file.pt"
    if old is not None:
        path.write_bytes(old)

    def write():
        with files.replacing(path) as file:
            file.write(b"half")
            raise Interrupted

    with pytest.raises(Interrupted):
        write()
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == ({} if old is None else {"file.pt": old})


def test_a_file_is_not_there_before_it_is_whole(tmp_path):
    path = tmp_path / "file.pt"
    with files.replacing(path) as file:
        file.write(b"half")
        file.flush()
        assert not path.exists()
    assert path.read_bytes() == b"half"


def test_whatever_moment_a_writer_is_killed_at_a_whole_checkpoint_is_left(tmp_path):
    path, content = tmp_path / "checkpoint.pt", {"weights": torch.arange(50_000.0), "number": 0}
    checkpoint.save(path, content)
    for kill in range(20):
        with warnings.catch_warnings():
            # Of Python 3.12: this process has threads, and the child may not wait for them. It does not.
            warnings.simplefilter("ignore", DeprecationWarning)
            writer = os.fork()
        if writer == 0:
            while True:
                content["number"] += 1
                checkpoint.advance(path, content)
        # At least one is written, however slow the disk is.
        until(checkpoint.previous(path).exists)
        time.sleep(0.01 + 0.001 * kill)
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
        found = [file for file in (path, checkpoint.previous(path)) if file.exists()]
        # Between its two renames the last state is the one before.
        assert all(torch.equal(checkpoint.load(file)["weights"], content["weights"]) for file in found)
        assert found
    assert max(checkpoint.load(file)["number"] for file in found) > 0
    files.clear(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
    assert not list(tmp_path.glob(".*.tmp"))


def test_a_missing_file_is_told_apart_from_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        checkpoint.load(tmp_path / "nothing.pt")


def truncated(path):
    checkpoint.save(path, {"weights": torch.zeros(1000)})
    path.write_bytes(path.read_bytes()[:2000])


def altered(path):
    checkpoint.save(path, {"weights": torch.zeros(1000)})
    content = bytearray(path.read_bytes())
    content[100:200] = bytes(100)
    path.write_bytes(content)


DAMAGE = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not a checkpoint"),
    "random": lambda path: path.write_bytes(bytes(range(256)) * 20),
    "truncated": truncated,
    "altered": altered,
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_file_is_refused_in_one_line_with_its_name(tmp_path, damage):
    path = tmp_path / "file.pt"
    damage(path)
    with pytest.raises(DamagedFile, match=r"file\.pt can't be read \(.+\)$") as caught:
        checkpoint.load(path)
    assert "\n" not in str(caught.value)


def test_something_other_than_a_dictionary_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "file.pt")
    with pytest.raises(DamagedFile, match=r"file\.pt holds a list; it must be a dictionary"):
        checkpoint.load(tmp_path / "file.pt")


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
def test_code_in_a_file_is_not_run(tmp_path, save):
    save({"weights": RunsCode(tmp_path / "written")}, tmp_path / "file.pt")
    with pytest.raises(DamagedFile, match=r"file\.pt can't be read"):
        checkpoint.load(tmp_path / "file.pt")
    assert not (tmp_path / "written").exists()


def test_the_code_of_the_test_above_would_run(tmp_path):
    pickle.loads(pickle.dumps(RunsCode(tmp_path / "written"))).close()
    assert (tmp_path / "written").exists()


def test_flipped_bits_are_noticed_or_change_nothing(tmp_path):
    """torch.load alone reads three of four such files as if nothing had happened."""
    content = {
        "weights": torch.randn(300, generator=torch.Generator().manual_seed(0)),
        "rows": [{"epoch": 1, "loss": 0.5}],
    }
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, content)
    raw = path.read_bytes()
    noticed = 0
    for at in range(0, len(raw), 7):
        changed = bytearray(raw)
        changed[at] ^= 1 << (at % 8)
        path.write_bytes(changed)
        try:
            read = checkpoint.load(path)
        except DamagedFile:
            noticed += 1
            continue
        assert read["rows"] == content["rows"]
        assert torch.equal(read["weights"], content["weights"])
    assert noticed > len(raw) / 7 / 2
