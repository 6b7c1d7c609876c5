"""A study in a notebook: what is shown, what can be called, and the example from its first cell to its last."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

import analysis
from tests.analysis.synthetic import grid, record, study_of, write_record
from tests.waiting import HANG_SECONDS
from tivae.config import TrialConfig

ROOT = Path(analysis.__file__).parents[1]
PNG = b"\x89PNG"


@pytest.fixture
def study(tmp_path):
    return study_of(tmp_path / "paper_grid", grid(seeds=2))


def shown(value):
    """What a notebook shows of a value: HTML, a picture or text."""
    for name in ("_repr_png_", "_repr_html_", "__repr__"):
        if hasattr(value, name):
            return getattr(value, name)()
    return None


def test_the_example_runs_from_its_first_cell_to_its_last():
    cells = json.loads((ROOT / "analysis" / "example.ipynb").read_text())["cells"]
    names, outputs = {}, []
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        assert cell["outputs"] == []
        tree = ast.parse("".join(cell["source"]))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "example.ipynb", "exec"), names)
        if last is not None:
            outputs.append(shown(eval(compile(ast.Expression(last.value), "example.ipynb", "eval"), names)))
    assert len(outputs) == 7
    assert all(outputs)
    assert sum(output[:4] == PNG for output in outputs if isinstance(output, bytes)) == 2


def test_a_study_shows_its_question_and_cells(study):
    html = study._repr_html_()
    assert "How much do rotations" in html
    assert "16 trials (16 finished)" in html
    assert "<table" in html


def test_a_trial_shows_its_accuracies_and_settings_and_a_figure_its_title(study):
    html = study.best()._repr_html_()
    assert all(f"<th>{name}</th>" in html for name in ("augmented_accuracy", "latent_dim", "probe_fit"))
    assert "<th>platform</th>" not in html
    titles = study.figure("stn_gain").legends[0].get_title().get_text()
    assert titles == "What the spatial transformer gains"


def test_a_hostile_name_is_text(tmp_path):
    write_record(tmp_path / "<b>odd</b>", record(TrialConfig()))
    study = analysis.load(tmp_path / "<b>odd</b>")
    assert "<b>odd" not in study._repr_html_()
    assert "<b>odd" not in study.best()._repr_html_()


def test_tables_are_dataframes_and_figures_are_matplotlibs(study):
    assert isinstance(study.table1(), pd.DataFrame)
    assert "verdict" in study.verdicts()
    figure = study.figure("stn_gain")
    assert isinstance(figure, Figure)
    assert figure._repr_png_()[:4] == PNG
    assert isinstance(study.show(), Figure)


def test_a_figure_that_is_none_gets_the_nearest_one(study):
    with pytest.raises(
        ValueError, match=r"`efects` is not a figure; did you mean `effects`\? it must be one of accuracy"
    ):
        study.figure("efects")


def test_the_best_trial_is_a_usual_seed_of_the_best_cell(tmp_path):
    """One seed of another cell is luckier than all of them."""
    known = {10: (0.70, 0.90, 0.71), 20: (0.84, 0.83, 0.80)}
    configs = [TrialConfig(latent_dim=size, seed=seed) for size in known for seed in range(3)]

    def metrics(config, _):
        return dict.fromkeys(("base_accuracy", "augmented_accuracy"), known[config.latent_dim][config.seed])

    best = study_of(tmp_path, configs, metrics).best()
    assert (best.row["latent_dim"], best.row["seed"]) == (20, 1)


def test_the_best_trial_is_by_the_metric(study):
    cells = study.cells(["base_accuracy"])
    best = cells.loc[cells["base_accuracy"].idxmax()]
    assert study.best("base_accuracy").row["model"] == best["model"]
    assert study.best("base_accuracy").row["stn"] == best["stn"]
    assert repr(study.best()).startswith(f"<Trial {study.best().key}: ")
    with pytest.raises(ValueError, match="no finished trial has `validation_base_loss`"):
        study.best("validation_base_loss")
    with pytest.raises(ValueError, match="`acuracy` is not a column"):
        study.best("acuracy")


def test_of_losses_and_times_the_lowest_is_best_and_other_columns_have_no_best(study):
    cells = study.cells(["augmented_loss"])
    assert study.best("augmented_loss").row["model"] == cells.loc[cells["augmented_loss"].idxmin(), "model"]
    with pytest.raises(ValueError, match="`device` is not numeric; give a metric"):
        study.best("device")
    for name in ("augmented_reconstruction_hard", "latent_dim"):
        with pytest.raises(ValueError, match=f"whether a high or a low `{name}` is best is not known"):
            study.best(name)


def test_a_trial_says_what_stands_in_front_and_what_its_study_varies(tmp_path):
    configs = [TrialConfig(**given) for given in ({}, {"front": "moments"}, {"latent_dim": 20})]
    study = study_of(tmp_path, configs)
    words = [repr(study.trial(config.key)) for config in configs]
    assert "no STN, 10 latents" in words[0]
    assert "front moments, 10 latents" in words[1]
    assert "no STN, 20 latents" in words[2]


def test_a_part_of_a_study_is_as_good_as_the_whole(study):
    part = study.where(model="vae")
    assert len(part.verdicts()) == len(study.verdicts())
    assert part.trial(part.trials["key"][0]).study is part


@pytest.mark.parametrize("of", ["study", "trial"])
def test_completion_offers_public_names_only(study, of):
    offered = dir(study if of == "study" else study.best())
    assert not [name for name in offered if name.startswith("_")]
    expected = {
        "study": {"table1", "verdicts", "figure", "best", "trials", "epochs"},
        "trial": {"reconstructions", "show", "config", "predictions", "row", "key"},
    }
    assert expected[of] <= set(offered)


def test_it_works_from_any_folder(study, tmp_path):
    """As the README tells: with the repository on PYTHONPATH."""
    program = f"import analysis; print(len(analysis.load({str(tmp_path / 'paper_grid')!r})))"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
    )
    assert done.stdout == "16\n", done.stderr
