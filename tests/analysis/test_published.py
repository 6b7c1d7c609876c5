"""Published results, README and code agree: every table is made again from the published trials."""

import json
from pathlib import Path

import pytest

import analysis
from analysis import publish, tables

ROOT = Path(__file__).resolve().parents[2]
STUDIES = sorted(path for path in publish.FOLDER.glob("*") if path.is_dir())


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_every_published_table_is_made_again_from_the_published_trials(folder):
    made, _ = tables.all_of(analysis.load(folder))
    assert {f"{table.name}.md": table.table.markdown() for table in made} == {
        path.name: path.read_text() for path in folder.glob("tables/*.md")
    }
    about = json.loads((folder / "about.json").read_text())
    assert about["command"].startswith("uv run python -m study.run")
    assert about["trials"] == len(list(folder.glob("trials/*/record.json")))


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in publish.FOLDER.rglob("*") if path.is_file()) < 10 * 2**20


def test_the_readme_shows_the_published_tables_and_pictures():
    readme = (ROOT / "README.md").read_text()
    for name in ("table1", "verdicts"):
        table = (publish.FOLDER / "paper_grid" / "tables" / f"{name}.md").read_text()
        assert table.strip() in readme, f"the README's {name} is not the published one"
