"""A file that says when it is not what was written."""

import json

import pytest

from tivae.io import sealed_json
from tivae.io.files import DamagedFile

CONTENT = {"status": "finished", "metrics": {"accuracy": 0.8125, "name": "ä"}, "epochs": [{"epoch": 1}], "none": None}


@pytest.fixture
def path(tmp_path):
    sealed_json.write(tmp_path / "record.json", CONTENT)
    return tmp_path / "record.json"


def test_what_was_written_is_read(path):
    assert sealed_json.parse(path.read_bytes(), path) == CONTENT
    assert json.loads(path.read_bytes()).keys() == {"digest", *CONTENT}


def test_every_flipped_bit_is_noticed(path):
    raw = path.read_bytes()
    for at in range(len(raw)):
        for bit in range(8):
            changed = bytearray(raw)
            changed[at] ^= 1 << bit
            with pytest.raises(DamagedFile, match=r"^here (is damaged|is not JSON)"):
                sealed_json.parse(bytes(changed), "here")


def test_every_cut_is_noticed(path):
    raw = path.read_bytes()
    for length in range(len(raw)):
        with pytest.raises(DamagedFile, match="here"):
            sealed_json.parse(raw[:length], "here")


def test_a_file_without_a_digest_is_read_as_it_is():
    assert sealed_json.parse(json.dumps(CONTENT).encode(), "x") == CONTENT


@pytest.mark.parametrize("raw", [b"", b"[1]", b"7", b"{", b"\xff", b"[" * 100_000])
def test_what_is_no_object_is_refused(raw):
    with pytest.raises(DamagedFile, match=r"^x "):
        sealed_json.parse(raw, "x")
