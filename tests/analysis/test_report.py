"""The report of studies that never ran: what it says, and that it is safe and self-contained."""

import re
import time
from html.parser import HTMLParser

import pytest

import analysis
from analysis.command_line import EXIT_BAD_INPUT
from analysis.figures.drawing import saving
from analysis.paper import TABLE_1
from analysis.report import answer, explore, write
from analysis.report.__main__ import main
from tests.analysis.frames.test_search import write_search
from tests.analysis.synthetic import grid, papers_metrics, record, study_of, write_record, write_study
from tivae.config import RECIPE, TrialConfig
from tivae.io import checkpoint

VOID = {"meta", "img", "br", "hr", "input", "link", "source"}
HOSTILE = "<script>alert('x')</script> & [odd](http://example.org) ](x)"


class Checker(HTMLParser):
    """Collects what is wrong with a page, its text, and where its links lead."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.text, self.links, self.places = [], [], [], [], set()

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        if tag in ("link", "iframe", "object"):
            self.wrong.append(f"a {tag}")
        for name, value in attributes:
            if name == "href":
                self.links.append(value)
            if name == "id":
                self.places.add(value)
            if name in ("src", "srcset") and not (value or "").startswith("data:"):
                self.wrong.append(f"{name}={value}")
            if name.startswith("on"):
                self.wrong.append(name)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]) and "nav" not in self.open:
            self.text.append(data)


def read(path):
    """A page's text, after checking that it is well-formed, loads nothing, and links what is there."""
    checker = Checker()
    checker.feed(path.read_text())
    assert not checker.wrong
    assert not checker.open
    for link in checker.links:
        assert link[1:] in checker.places if link.startswith("#") else (path.parent / link).is_file()
    return " ".join(" ".join(checker.text).split())


@pytest.fixture(scope="module")
def grid_page(tmp_path_factory):
    return write(write_study(tmp_path_factory.mktemp("study") / "paper_grid", grid(seeds=2)), figures=False)


def test_verdicts_come_before_the_table_and_the_table_before_the_trials(grid_page):
    text = read(grid_page)
    places = [text.index(title) for title in ("Verdicts on the paper", "Table 1", "What was run", "Trials, and how")]
    assert places == sorted(places)
    assert text.index("How much do rotations") < text.index("What transformations cost") < places[0]
    assert "16 trials: 16 finished" in text
    assert "4.00 hours inside trials" in text
    assert "a processor" in text


def test_every_trial_can_be_run_again(grid_page):
    text = read(grid_page)
    for config in grid(seeds=2):
        assert f"--name {config.key}" in text


def test_the_markdown_says_the_same(grid_page):
    text = (grid_page.parent / "report.md").read_text()
    assert text.startswith("# Study paper\\_grid\n")
    for title in ("## In short", "## Verdicts on the paper's claims", "## Table 1", "## What was run"):
        assert title in text


def test_figures_are_embedded_and_linked(tmp_path, monkeypatch):
    monkeypatch.setattr(saving, "FORMATS", {"png": {}})
    results = write_study(tmp_path / "grid", grid(epochs=1))
    page = write(results, tmp_path / "out")
    assert page == tmp_path / "out" / "report.html"
    assert "data:image/png;base64," in page.read_text()
    read(page)
    linked = re.findall(r"!\[.*?\]\((.*?)\)", (tmp_path / "out" / "report.md").read_text())
    assert linked
    assert all((tmp_path / "out" / path).stat().st_size > 1000 for path in linked)


def test_tables_are_written_as_files_too(grid_page):
    folder = grid_page.parent / "tables"
    names = {path.stem for path in folder.iterdir()}
    assert {"verdicts", "table1", "effects", "seeds_needed"} <= names
    assert len(list(folder.iterdir())) == 3 * len(names)


def test_effects_and_the_seeds_they_need_are_in_the_report(grid_page):
    text = read(grid_page)
    for title in ("Main effects and interactions", "Seeds that a difference needs"):
        assert text.index("Table 1") < text.index(title) < text.index("What was run")


def test_controls_are_in_the_report(tmp_path):
    controls = [TrialConfig(model=model) for model in ("pixels", "pca", "untrained")]
    metrics = {"base_accuracy": 0.5, "augmented_accuracy": 0.4, "base_loss": 1.0, "augmented_loss": 1.0}
    text = read(write(write_study(tmp_path, [*grid()[:1], *controls], lambda *_: metrics), figures=False))
    message = text[text.index("Controls reach") : text.index("Best on transformed images")]
    for name in ("raw pixels", "PCA, 10 latents", "untrained encoder, 10 latents"):
        assert text.count(name) >= 2  # in the answer, and in Table 1
        assert f"{name} 50.0 % and 40.0 %" in message


def test_a_study_without_controls_tells_those_that_are_published(grid_page):
    message = read(grid_page).partition("Controls reach")[2]
    assert "raw pixels 83.4 % and 69.2 %" in message
    assert "(of a published study, fitted on 50,000 training images; this one has no controls)" in message


@pytest.mark.parametrize(
    ("settings", "are_told"),
    [
        ({"latent_dim": 5, "stn": "pretrained", "batch_size": 32, "probe_features": "sample"}, True),
        ({"validation_images": 10_000}, True),
        ({"dataset": "mnist"}, False),
        ({"train_images": 1000}, False),
        ({"rotation_degrees": 45}, False),
        ({"fill": "grey"}, False),
        ({"pixel_std": 0.5}, False),
        ({"probe": "k_nearest"}, False),
        ({"probe_fit": "both"}, False),
    ],
)
def test_published_controls_are_told_of_where_nothing_that_reaches_them_is_set_or_varied(tmp_path, settings, are_told):
    study = study_of(tmp_path, [TrialConfig(), TrialConfig(**settings)])
    assert ("Controls reach" in dict(answer.answers(study, []))) == are_told


def test_the_answer_has_that_of_a_classifier_that_never_saw_augmented_images(grid_page):
    message = read(grid_page).partition("What transformations cost")[2].partition("Claim")[0]
    assert "For a classifier that never saw augmented images: " in message


def test_a_search_is_in_the_report(tmp_path):
    results = write_search(tmp_path / "search", objectives=("validation_augmented_accuracy",))
    text = read(write(results, figures=False))
    assert "11 trials: 9 finished, 1 pruned, 1 failed." in text
    assert text.index("What the search found") < text.index("Failures")


def test_pruned_trials_alone_are_a_report(tmp_path):
    write_record(tmp_path, record(TrialConfig(), "pruned"))
    assert "1 trial: 1 pruned." in read(write(tmp_path, figures=False))


def test_hostile_text_is_shown_and_not_run(tmp_path):
    results = write_study(tmp_path / "[odd](x)", grid())
    content = record(TrialConfig(seed=9), "failed", HOSTILE)
    content["provenance"]["device_name"] = HOSTILE
    write_record(results, content)
    page = write(results, figures=False)
    assert HOSTILE in read(page)
    assert "[odd](" not in (page.parent / "report.md").read_text()


def test_a_study_half_done_says_so(tmp_path):
    results = write_study(tmp_path / "grid", grid()[:3])
    running = TrialConfig(seed=5)
    rows = record(running)["epochs"][:2]
    folder = results / "trials" / running.key
    checkpoint.save(folder / "checkpoint.pt", {"key": running.key, "rows": rows, "recipe": RECIPE})
    text = read(write(results, figures=False))
    assert "The study has not ended" in text
    assert "1 running" in text


def test_failures_only(tmp_path):
    write_record(tmp_path, record(TrialConfig(), "failed", "NonFiniteLoss: nan at step 3"))
    text = read(write(tmp_path, figures=False))
    assert "No trial has finished." in text
    assert "NonFiniteLoss: nan at step 3" in text
    assert "Verdicts" not in text


def test_one_trial(tmp_path):
    text = read(write(write_study(tmp_path, [TrialConfig()]), figures=False))
    assert "1 trial: 1 finished" in text
    assert "cells have no finished trial." in text


def test_each_claim_that_is_not_tested_has_its_reason(tmp_path):
    apart = [TrialConfig(**cell.factors | {"stn": "joint"}, seed=9) for cell in TABLE_1 if cell.stn == "pretrained"]
    text = read(write(write_study(tmp_path, [*grid(), *apart], lambda *_: {}), figures=False))
    joint = "Not tested: An STN trained jointly with the model gives better accuracy on transformed images than a "
    assert f"{joint}pretrained one. No seed has finished in all of its cells." in text


def test_a_quick_study_is_labelled(tmp_path):
    text = read(write(write_study(tmp_path / "grid-quick", grid(epochs=2)), figures=False))
    assert "its numbers are not meaningful" in text


def test_a_thousand_trials_are_listed_in_part_and_in_time(tmp_path):
    configs = [TrialConfig(latent_dim=size, seed=seed, epochs=1) for size in range(2, 102, 4) for seed in range(40)]
    results = write_study(tmp_path / "many", configs, lambda _, draw: {"base_accuracy": draw.random()})
    started = time.process_time()
    page = write(results, figures=False)
    assert time.process_time() - started < 60
    text = read(page)
    assert "The first 100 of 1000 trials; all of them are in trials.csv." in text
    assert page.stat().st_size < 5_000_000


@pytest.mark.parametrize("case", ["empty", "missing", "file"])
def test_nothing_to_report_is_one_line_and_exit_code_2(case, tmp_path, capsys):
    path = tmp_path / case
    if case == "empty":
        path.mkdir()
    elif case == "file":
        path.write_text("mine")
    assert main([str(path)]) == EXIT_BAD_INPUT
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert str(path) in error


def test_the_command_prints_where_the_report_is(tmp_path, capsys):
    results = write_study(tmp_path / "grid", grid(), papers_metrics)
    assert main([str(results), "--no-figures", "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out' / 'report.html'}\n"


def test_what_the_page_explores_takes_no_longer_for_each_trial_the_more_there_are(tmp_path, monkeypatch):
    """What a study varies is found by a walk through all of it: not once more for each trial."""
    asked, factors = [], analysis.Study.factors
    monkeypatch.setattr(analysis.Study, "factors", lambda study: asked.append(len(study.trials)) or factors(study))
    for seeds in (1, 3):
        explore.content(study_of(tmp_path / str(seeds), grid(seeds)))
    assert asked.count(8) == asked.count(24) < 8
