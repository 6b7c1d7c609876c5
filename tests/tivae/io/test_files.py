"""Files of strangers: only regular ones are opened, none behind a link, none without bound."""

import gzip
import os
import socket
import subprocess
import threading
import time
import zipfile

import pytest
import torch

from tivae.io import checkpoint, files
from tivae.io.files import DamagedFile, LinkedFolder


def _link(path):
    path.with_name("elsewhere").write_text("secret")
    path.symlink_to("elsewhere")


def _socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))


SPECIAL = {
    "link": (_link, "a symbolic link"),
    "dangling link": (lambda path: path.symlink_to("nothing"), "a symbolic link"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "a symbolic link"),
    "pipe": (os.mkfifo, "not a regular file"),
    "folder": (os.mkdir, "not a regular file"),
    "socket": (_socket, "not a regular file"),
}


@pytest.mark.parametrize(("make", "expected"), SPECIAL.values(), ids=SPECIAL)
def test_only_regular_files_are_opened(tmp_path, monkeypatch, make, expected):
    monkeypatch.chdir(tmp_path)  # the path of a socket may not be long
    make(tmp_path / "f")
    with pytest.raises(
        DamagedFile, match=rf"f is {expected}; it must be a regular file$|f is {expected}; it must be one$"
    ):
        files.read(tmp_path / "f")
    with pytest.raises(DamagedFile, match=r"f can't be read \(.*/f is "):
        checkpoint.load(tmp_path / "f")


def test_a_device_is_refused_also_where_links_are_followed(tmp_path):
    (tmp_path / "f").symlink_to("/dev/zero")
    with pytest.raises(DamagedFile, match="not a regular file"):
        files.read(tmp_path / "f", follow=True)
    _link(tmp_path / "link")
    assert files.read(tmp_path / "link", follow=True) == b"secret"


def test_a_file_is_read_to_its_bound(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert files.read(path, 5) == b"12345"
    with pytest.raises(DamagedFile, match=r"f has 0.0 MiB; it may have"):
        files.read(path, 4)


@pytest.mark.parametrize("path", ["nothing", "file/in it"])
def test_what_is_not_there_is_missing(tmp_path, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / path)


def test_gzip_files_unpack_to_a_bound():
    content = bytes(1000)
    packed = gzip.compress(content)
    assert files.unzipped(packed, "x", 1000) == content
    assert files.unzipped(packed + gzip.compress(b"more") + bytes(8), "x", 1004) == content + b"more"
    for bomb in (packed, gzip.compress(content[:900]) + gzip.compress(content[:900])):
        with pytest.raises(DamagedFile, match="x unpacks to more than"):
            files.unzipped(bomb, "x", 999)
    for damaged in (packed[:-1], packed[:20], b"text", packed + b"text"):
        with pytest.raises(DamagedFile, match="x is damaged or no gzip file"):
            files.unzipped(damaged, "x", 1000)


def _compressed(path):
    with zipfile.ZipFile(path) as saved:
        parts = {name: saved.read(name) for name in saved.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, content in parts.items():
            bomb.writestr(name, content)


def _shared_bytes(path):
    """Lists one part of the file a hundred times."""
    with zipfile.ZipFile(path, "a") as bomb:
        largest = max(bomb.filelist, key=lambda part: part.file_size)
        bomb.filelist.extend([largest] * 100)
        bomb._didModify = True


@pytest.mark.parametrize("make", [_compressed, _shared_bytes])
def test_tensors_take_no_more_than_their_file(tmp_path, make):
    path = tmp_path / "f.pt"
    checkpoint.save(path, {"weights": torch.zeros(100_000)})
    assert checkpoint.load(path)["weights"].sum() == 0
    make(path)
    with pytest.raises(DamagedFile, match="unpacks to more than its size"):
        checkpoint.load(path)


@pytest.mark.parametrize("place", ["trials", "trials/key", "trials/key/record.json", "report/tables/x.csv"])
def test_a_folder_with_a_link_in_it_is_refused(tmp_path, place):
    study = tmp_path / "study"
    path = study / place
    path.parent.mkdir(parents=True)
    files.check_folder(study)
    path.symlink_to(tmp_path)
    with pytest.raises(LinkedFolder, match=rf"study/{place} is a symbolic link, .*remove it"):
        files.check_folder(study)


def test_the_folder_itself_may_be_a_link_and_may_be_missing(tmp_path):
    (tmp_path / "study").mkdir()
    (tmp_path / "link").symlink_to("study")
    files.check_folder(tmp_path / "link")
    files.check_folder(tmp_path / "nothing")


def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("mine")
    files.temporary_name(tmp_path / "f").symlink_to("mine")
    with files.replacing(tmp_path / "f") as file:
        file.write(b"new")
    assert (tmp_path / "mine").read_text() == "mine"
    assert (tmp_path / "f").read_bytes() == b"new"


def test_what_processes_that_are_gone_left_is_removed_and_what_others_write_is_left(tmp_path):
    gone = subprocess.Popen(["true"])
    gone.wait()
    mine = files.temporary_name(tmp_path / "f")
    left = mine.with_name(mine.name.replace(str(os.getpid()), str(gone.pid)))
    recent, old = tmp_path / ".f.another.1.tmp", tmp_path / ".f.another.2.tmp"
    for path in (mine, left, recent, old):
        path.write_text("")
    os.utime(old, (0, time.time() - files.ABANDONED_SECONDS - 1))
    files.clear(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, recent])


def test_threads_that_write_a_file_at_the_same_time_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "file"

    def write(content):
        with files.replacing(path) as file:
            file.write(content)

    with files.replacing(path) as file:
        other = threading.Thread(target=write, args=[b"theirs"])
        other.start()
        other.join()
        assert path.read_bytes() == b"theirs"
        file.write(b"mine")
    assert path.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [path]
