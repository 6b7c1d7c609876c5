"""The files in search_spaces/ hold what their comments say."""

import dataclasses
import itertools
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis import tables
from study import command_line
from study.jobs import plan
from study.space import search_space
from tivae.config import TrialConfig, known_fields

ROOT = Path(__file__).resolve().parents[2]
FOUND = ROOT / "analysis" / "published" / "README.md"
GRIDS = ["paper_grid", "latent_size", "kl_weight", "matched_capacity", "full_factorial", "paper_reading"]
GRIDS += ["stn_training", "invariance", "invariance_finalists", "controls", "example"]

# Before a test adds models with fields of their own.
KNOWN = list(known_fields())
# Measured: the paper's grid of one seed takes 52 minutes on two cores, 56 beside some other work.
PAPER_GRID_HOURS = 56 / 60


@pytest.mark.parametrize("name", GRIDS)
def test_each_opens_with_its_command_question_and_expected_cost(name: str, tmp_path: Path) -> None:
    path = search_space.find(name)
    header = path.read_text().split("\nquestion:")[0]
    read = search_space.read(path)
    command = "my_grid" if name == "example" else name
    assert f"uv run python -m study.run {command}" in header
    assert read.question.endswith("?")
    expected = re.search(r"^# Expected: (\d+) trials, about ([\d.]+) (hours|minutes) on 2 CPU cores", header, re.M)
    assert expected is not None
    trials, time, unit = expected.groups()
    assert int(trials) == len(read.trials)
    hours = cost(read, tmp_path) / cost(search_space.read(search_space.find("paper_grid")), tmp_path) * PAPER_GRID_HOURS
    stated = float(time) / (60 if unit == "minutes" else 1)
    if name == "example":  # its trials are so short that start, probes and tables take most of the time
        assert hours < stated < 10 * hours
    else:
        assert stated == pytest.approx(hours, rel=0.05)


def cost(read: search_space.SearchSpace, nothing: Path) -> float:
    """Of all jobs of a search space, its STNs too, where nothing is computed yet."""
    return sum(job.cost for job in plan(read.trials, nothing))


def test_the_paper_grid_is_table_1_in_its_order() -> None:
    """All eight cells, and nothing but the paper's recipe, which is the default."""
    read = search_space.read(search_space.find("paper_grid"))
    rows = itertools.product(["vae", "categorical_vae"], ["base", "augmented"], ["none", "pretrained"])
    assert read.trials == tuple(
        TrialConfig(model=model, train_dataset=dataset, stn=stn) for model, dataset, stn in rows
    )


def test_invariance_is_chosen_on_validation_images_from_no_more_than_100_numbers() -> None:
    trials = search_space.read(search_space.find("invariance")).trials
    assert {trial.validation_images for trial in trials} == {10_000}
    ceilings = [trial for trial in trials if trial.model == "supervised"]
    assert {(trial.train_dataset, trial.latent_dim) for trial in ceilings} == {
        (kind, size) for kind in ("base", "augmented") for size in (10, 100)
    }
    learnt = [trial for trial in trials if trial.epochs and trial not in ceilings]
    assert {trial.train_dataset for trial in learnt} == {"augmented"}
    assert all(trial.encoding_dim <= 100 for trial in trials if trial.model != "pixels")
    controls = {(trial.model, trial.stn, trial.front) for trial in trials if not trial.epochs}
    fronts = [("none", None), ("pretrained", None), ("none", "moments")]
    assert controls == {(model, *front) for model in ("pixels", "pca", "hog", "untrained") for front in fronts}
    assert sum(trial.epochs for trial in trials) <= 12 * 20


def test_the_finalists_are_the_best_of_the_published_map_and_two_that_decode_nothing() -> None:
    """The eight best by validation images, of the same settings but for the epochs."""
    read = search_space.read(search_space.find("invariance_finalists"))
    assert {trial.seed for trial in read.trials} == {0, 1, 2}
    assert {trial.epochs for trial in read.trials if trial.epochs} == {20}
    trained = {trial for trial in read.trials if trial.epochs and trial.model != "supervised" and trial.seed == 0}
    ranked = tables.arms(study := analysis.load(FOUND.parent / "invariance")).frame.query("number <= 8")
    best = {dataclasses.replace(study.seedless[key], epochs=20) for key in ranked["key"]}
    others = trained - best
    assert len(best) == 8
    assert best <= trained
    assert {(t.model, t.stn, t.front, t.reconstruction_weight, t.hidden_widths) for t in others} == {
        ("vae", "none", None, 1.0, (32, 64, 128)),
        ("vicreg", "pretrained", None, None, (64, 128, 256)),
        ("vicreg", "none", "moments", None, (64, 128, 256)),
    }


def test_latent_size_gives_both_models_the_same_sizes() -> None:
    read = search_space.read(search_space.find("latent_size"))
    sizes = [2, 5, 10, 20, 50, 100, 200, 400, 784]
    for model in ("vae", "categorical_vae"):
        trials = [trial for trial in read.trials if trial.model == model and trial.seed == 1]
        assert sorted(trial.encoding_dim for trial in trials) == sizes
    shapes = {(t.latent_dim, t.categories) for t in read.trials if t.categories}
    assert shapes == {(1, 2), (1, 5), *((count, 10) for count in (1, 2, 5, 10, 20, 40)), (98, 8)}


def test_kl_weight_gives_both_models_the_same_betas() -> None:
    read = search_space.read(search_space.find("kl_weight"))
    betas: dict[str, list[float]] = {"vae": [], "categorical_vae": []}
    for trial in read.trials:
        if trial.seed == 0 and (trial.model, trial.kl_weight) != ("categorical_vae", 0.001):
            assert trial.reconstruction_weight is not None
            betas[trial.model].append(trial.kl_weight / trial.reconstruction_weight * 28 * 28 / 2)
    stated = [0, 0.0039, 0.012, 0.039, 0.12, 0.39, 1.2, 3.9]
    assert betas["vae"] == pytest.approx(stated, rel=0.05)
    assert betas["categorical_vae"] == pytest.approx(betas["vae"], rel=1e-9)
    assert {trial.model for trial in read.trials if trial.kl_weight == 0.001} == set(betas)


def test_matched_capacity_gives_every_model_100_numbers() -> None:
    read = search_space.read(search_space.find("matched_capacity"))
    assert {trial.encoding_dim for trial in read.trials} == {100}
    cells = {(t.train_dataset, t.model, t.latent_dim, t.categories, t.stn) for t in read.trials if t.seed == 0}
    shapes = [("vae", 100, None), ("autoencoder", 100, None), ("categorical_vae", 10, 10)]
    expected = {(*shape, stn) for shape in shapes for stn in ("none", "pretrained")}
    expected |= {("categorical_vae", 5, 20, "none"), ("categorical_vae", 20, 5, "none")}
    assert cells == {(dataset, *shape) for dataset in ("base", "augmented") for shape in expected}
    assert {t.seed for t in read.trials if t.model == "autoencoder"} == set(range(5))


def test_every_stn_of_stn_training_sees_as_many_epochs() -> None:
    read = search_space.read(search_space.find("stn_training"))
    epochs = {t.stn: t.stn_epochs if t.stn == "pretrained" else t.epochs for t in read.trials if t.stn != "none"}
    assert epochs == dict.fromkeys(("pretrained", "joint", "inverse"), 20)


def test_controls_and_ceilings_stand_before_and_behind_the_stn_of_the_paper_grid() -> None:
    read = search_space.read(search_space.find("controls"))
    cells = {(t.model, t.stn) for t in read.trials}
    models = ("pixels", "pca", "hog", "untrained", "supervised")
    assert cells == set(itertools.product(models, ("none", "pretrained")))
    grid = search_space.read(search_space.find("paper_grid"), seeds=5).trials
    assert {t.stn_key for t in read.trials} == {t.stn_key for t in grid}


READOUTS = [
    *({"probe_fit": "both"}, {"probe": "linear_svm"}, {"probe": "k_nearest"}),
    *({"probe_regularisation": [0.01, 1, 100]}, {"probe_stn": "bypassed"}),
]


@pytest.mark.parametrize("probe", READOUTS, ids=str)
def test_other_probes_of_the_paper_grid_cost_no_training(probe: dict[str, object]) -> None:
    path = search_space.find("paper_grid")
    trained = {trial.training_key for trial in search_space.read(path, seeds=5).trials}
    read = search_space.read(path, overrides=probe, seeds=5).trials
    assert {trial.training_key for trial in read} == trained
    assert len({trial.key for trial in read}) >= 40


def test_interpretations_behind_an_stn_are_crossed_for_both_models_with_three_seeds() -> None:
    read = search_space.read(search_space.find("paper_reading"))
    best = {"pixel_std": 0.3205, "interpolation": "nearest", "fill": "grey"}
    candidates = [t for t in read.trials if (t.resampling or t.stn_corners) and t.probe_stn is None]
    assert all(getattr(t, name) == value for t in candidates for name, value in best.items())
    behind = {
        (t.resampling, t.stn_corners, t.model, t.train_dataset, t.seed) for t in candidates if t.stn == "pretrained"
    }
    cells = list(itertools.product(("vae", "categorical_vae"), ("base", "augmented")))
    for options, seeds in (
        (("successive", None), 3),
        (("successive", "centres_in_grid_at_use"), 3),
        *(((None, corners), 1) for corners in ("centres", "centres_in_grid", "centres_in_grid_at_use")),
    ):
        assert {found[2:] for found in behind if found[:2] == options} == {
            (*cell, seed) for cell in cells for seed in range(seeds)
        }


def test_the_full_factorial_holds_the_paper_grid_and_equal_sizes_and_betas() -> None:
    read = search_space.read(search_space.find("full_factorial"))
    assert set(search_space.read(search_space.find("paper_grid")).trials) <= set(read.trials)
    cells: dict[str, set[tuple[object, ...]]] = {"vae": set(), "categorical_vae": set()}
    for t in read.trials:
        assert t.reconstruction_weight is not None
        beta = round(t.kl_weight / t.reconstruction_weight * 28 * 28 / 2, 4)
        cells[t.model].add((t.train_dataset, t.stn, t.encoding_dim, beta, t.seed))
    assert cells["vae"] == cells["categorical_vae"]
    assert {cell[3] for cell in cells["vae"]} == {0.0131, 0.392, 3.92}


def test_the_example_shows_every_part_and_lists_every_field() -> None:
    path = search_space.find("example")
    text = path.read_text()
    parts = ["question", "settings", "factors", "seeds", "blocks"]
    parts += ["values", "range", "linspace", "logspace", "where"]
    code = "\n".join(line.split("#")[0] for line in text.splitlines())
    assert [part for part in parts if not re.search(rf"\b{part}:", code)] == []
    listed = re.findall(r"^#   ([a-z_]+)  ", text, re.M)
    assert listed == KNOWN


@pytest.fixture
def digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the README's `digits.py` makes, in the working folder."""
    blocks = re.findall(r"^```python\n(# digits\.py\n.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    (tmp_path / "digits.py").write_text(blocks[0])
    monkeypatch.chdir(tmp_path)
    runpy.run_path("digits.py")
    return tmp_path / "digits.npz"


def test_the_digits_of_the_readme_are_a_data_set_of_ten_classes_framed_as_mnist_is(digits: Path) -> None:
    images = TrialConfig(dataset=str(digits)).images
    assert (images.size, len(images.classes)) == (28, 10)
    assert (images.train_images, images.test_images) == (1300, 497)
    with np.load(digits) as content:
        pixels = content["train_images"]
    frame = pixels.copy()
    frame[:, 4:-4, 4:-4] = 0
    assert frame.max() == 0
    assert pixels.max() == 255
    # It is the same wherever it is made: its digest is part of each trial's key.
    assert images.sha256 == TrialConfig(dataset="digits.npz").images.sha256


@pytest.mark.usefixtures("digits")
def test_the_commands_of_the_campaign_are_of_spaces_and_fields_that_there_are() -> None:
    section = FOUND.read_text().partition("## The campaign")[2].partition("\n## ")[0]
    commands = re.findall(r"^    uv run python -m study\.run (.*)$", section, re.M)
    assert len(commands) > 10
    for command in commands:
        options = command_line.parser().parse_args(shlex.split(command))
        overrides = dict(search_space.parse_override(text) for text in options.set)
        read = search_space.read(search_space.find(options.space), overrides=overrides, seeds=options.seeds)
        assert read.trials or read.search
    named = {command.split()[0] for command in commands}
    spaces = {path.stem for path in search_space.available()}
    assert named == spaces - {"example", "full_factorial"}
