"""Published results, README and code agree: all that is published is made again from the published trials."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

import analysis
from analysis import publish
from analysis.paper import TABLE_1
from analysis.publishing import cost, sentences
from analysis.verify import verify

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
FOUND = (publish.FOLDER / "README.md").read_text()
STUDIES = sorted(path for path in publish.FOLDER.glob("*") if (path / "trials").is_dir())


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: path.name)
def test_all_that_is_published_of_a_study_and_said_of_it_is_made_again_from_its_trials(folder):
    items = list(verify(folder))
    assert [str(item) for item in items if item.where is not None] == []
    assert len(items) > 8


def test_all_of_it_is_small():
    assert sum(path.stat().st_size for path in publish.FOLDER.rglob("*") if path.is_file()) < 20 * 2**20


def test_each_study_has_its_section_with_its_command_and_its_row():
    sections = re.findall(r"^## `(\w+)`$", FOUND, re.MULTILINE)
    assert sorted(sections) == [folder.name for folder in STUDIES]
    rows = re.findall(r"^\| `(\w+)` \| \d+ \|", README.partition("## Beyond the paper")[2], re.MULTILINE)
    assert set(rows) == {folder.name for folder in STUDIES} - set(sentences.AT_LENGTH)
    for folder in STUDIES:
        commands = json.loads((folder / "about.json").read_text())["command"].split("; ")
        assert all(command.startswith("uv run python -m ") for command in commands)
        assert "".join(f"    {command}\n" for command in commands) in sentences.section(FOUND, folder.name)
        if folder.name not in sentences.AT_LENGTH:
            assert re.search(r"\b\d\d\.\d / \d\d\.\d\b", sentences.section(FOUND, folder.name))


def test_the_cost_of_all_is_shown():
    table = cost.table([analysis.load(folder) for folder in STUDIES]).markdown()
    assert table.strip() in FOUND


def test_pictures_that_are_shown_are_there_and_those_that_are_there_are_shown():
    pictures = re.findall(r"\]\((analysis/published/[^)]+\.png)\)", README)
    assert pictures
    assert [picture for picture in pictures if not (ROOT / picture).is_file()] == []
    shown = set(re.findall(r"\]\((\w+/figures/\w+\.png)\)", FOUND))
    there = {str(path.relative_to(publish.FOLDER)) for path in publish.FOLDER.glob("*/figures/*.png")}
    assert shown == there - {"paper_grid/figures/accuracy_by_cell.png"}


def test_no_claim_is_judged_of_one_seed():
    for folder in STUDIES:
        if len(analysis.load(folder).trials["seed"].unique()) == 1 and (folder / "tables" / "verdicts.csv").exists():
            found = pd.read_csv(folder / "tables" / "verdicts.csv")["verdict"]
            assert set(found) <= {"not judged", "not tested"}, folder.name


def test_controls_read_base_images_better_than_the_papers_vae():
    controls = pd.read_csv(publish.FOLDER / "invariance" / "tables" / "controls.csv").set_index("model")
    papers_vae = TABLE_1[0].base_accuracy + 0.001  # ours, of three seeds, is 0.780
    assert controls["base_accuracy"].min() > papers_vae


def test_interpretations_that_are_said_to_matter_or_not_are_apart_by_more_or_less_than_a_seed():
    errors = pd.read_csv(publish.FOLDER / "paper_reading" / "tables" / "readings.csv").set_index("reading")[
        "plain_vae_loss_error"
    ]
    best = "pixel std 0.3205, interpolation nearest, fill grey"
    no_matter = [f"{best}, {other}" for other in ("batch size 128", "whole pixel shifts True", "training warps fixed")]
    worse = ("output activation linear", "hidden widths 16-32-64", "hidden widths 64-128-256")
    losses = analysis.load(publish.FOLDER / "paper_grid").where(model="vae", stn="none").cells()
    seeds = max((100 * losses[f"{metric}_sd"] / losses[metric]).max() for metric in ("base_loss", "augmented_loss"))
    assert "another seed moves such a loss by as much" in " ".join(FOUND.split())
    assert (errors[no_matter] - errors[best]).abs().max() < seeds
    assert (errors[[f"{best}, {other}" for other in worse]] - errors[best]).min() > seeds
