"""A figure's files: four of them, whole, with the numbers that the picture shows."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures.drawing import saving
from analysis.figures.drawing.saving import DrawnFigure, save

FORMATS = saving.FORMATS


@pytest.fixture(autouse=True)
def _all_formats(_coarse, monkeypatch):
    monkeypatch.setattr(saving, "FORMATS", FORMATS)


@pytest.fixture
def drawn():
    figure = Figure()
    figure.subplots().plot([0, 1], [2, 3])
    return DrawnFigure("line", "A line", "Of two points.", figure, pd.DataFrame({"x": [0, 1], "y": [2.5, 1 / 3]}))


def test_a_figure_becomes_four_files(drawn, tmp_path):
    saved = save(drawn, tmp_path / "new" / "folder")

    assert {kind: path.read_bytes()[:5] for kind, path in saved.paths.items()} == {
        "png": b"\x89PNG\r",
        "pdf": b"%PDF-",
        "svg": b"<?xml",
    }
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == [
        *("line.csv", "line.pdf", "line.png", "line.svg")
    ]
    assert (saved.name, saved.title, saved.caption) == ("line", "A line", "Of two points.")


def test_the_numbers_are_saved_in_full_precision(drawn, tmp_path):
    saved = save(drawn, tmp_path)

    pd.testing.assert_frame_equal(pd.read_csv(saved.data_path), drawn.data, check_exact=True)


def test_the_same_figure_gives_the_same_bytes(drawn, tmp_path):
    first, second = save(drawn, tmp_path / "first"), save(drawn, tmp_path / "second")

    for kind in first.paths:
        assert first.paths[kind].read_bytes() == second.paths[kind].read_bytes(), kind


def test_a_picture_that_cannot_be_drawn_leaves_the_old_one(drawn, tmp_path, monkeypatch):
    old = save(drawn, tmp_path).paths["png"].read_bytes()

    def fail(file, **_):
        file.write(b"half")
        raise RuntimeError("no memory")

    monkeypatch.setattr(drawn.figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="no memory"):
        save(drawn, tmp_path)

    assert (tmp_path / "line.png").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_cannot_be_made_is_an_os_error(drawn, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        save(drawn, tmp_path / "file" / "folder")
