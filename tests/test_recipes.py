"""Each recipe of the README's "Add a model, ..." works as it stands there."""

import re
import sys
from pathlib import Path

import pytest

import analysis
from analysis import figures
from study.run import main
from study.space import search_space
from tivae import registry, stages
from tivae.config import TrialConfig

README = (Path(__file__).parents[1] / "README.md").read_text()
SMALL = {"train_images": 200, "test_images": 100, "hidden_widths": (4, 8), "epochs": 1}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """The folder with the README's files, which this process can import from."""
    folder = tmp_path_factory.mktemp("recipes")
    part = re.search(r"^## Add a model.*?(?=^###? )", README, flags=re.MULTILINE | re.DOTALL)
    assert part is not None
    # Data sets are added below, with a test of their own.
    for content in re.findall(r"^```\w+\n(.*?)^```", part[0], flags=re.MULTILINE | re.DOTALL):
        (folder / content.split("\n")[0].removeprefix("# ")).write_text(content)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def space(recipes):
    return search_space.read(recipes / "my_space.yaml", overrides=SMALL)


@pytest.fixture(scope="module")
def study(recipes, space, host, tmp_path_factory):
    """All that is not trained twice: the trials of seed 0, with the measure."""
    folder = tmp_path_factory.mktemp("study")
    with registry.importing():
        for config in space.trials:
            if config.seed == 0 and config.probe != "k_nearest":
                record = stages.run_trial(config, host, "cpu", folder, measures="my_measures:participation")
                assert record["status"] == "finished", record["error"]
    return analysis.load(folder)


def test_there_is_a_recipe_for_each(recipes):
    names = {path.name for path in recipes.iterdir() if path.is_file()}
    assert names >= {"my_models.py", "my_probes.py", "my_measures.py", "my_space.yaml", "participation.py"}


def test_the_search_space_plans_its_trials(recipes, space, capsys):
    # Three models, as the one with a field of its own has two values of it; three probes, three seeds.
    assert len(space.trials) == 3 * 3 * 3
    options = ["--dry-run", "--measures", "standard,my_measures:participation"]
    assert main([str(recipes / "my_space.yaml"), *options]) == 0
    assert "27" in capsys.readouterr().out


def test_the_model_the_probe_and_the_measure_are_in_the_trials(study):
    trials = study.trials
    assert len(trials) == 3 * 2
    assert set(trials["probe"].dropna()) == {"my_probes:Centroids"}
    assert sorted(trials["free_nats"].dropna().unique()) == [0.05, 0.5]
    assert trials["participation_ratio"].ge(1).all()
    free = trials[trials["model"] == "my_models:FreeBitsVAE"]
    expected = free["augmented_reconstruction"] + 1e-3 * free["augmented_penalised_kl"]
    assert free["augmented_loss"].to_numpy() == pytest.approx(expected.to_numpy(), rel=1e-5)


def test_the_figure_is_drawn(study, recipes, tmp_path, monkeypatch):
    import participation

    monkeypatch.setattr(figures, "ALL", {"participation": participation.drawn})
    written, _ = figures.write_all(study, tmp_path)
    assert [figure.name for figure in written] == ["by_latents"]
    assert written[0].data_path.exists()


def test_the_encoder_is_measured(recipes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile((recipes / "my_encoder.py").read_text(), "my_encoder.py", "exec"), {})
    trials = analysis.load(tmp_path / "results" / "mine").trials
    assert trials["encoder"].tolist() == ["PCA of mine"]
    assert trials["base_accuracy"].item() > 0.5
    assert trials["rotation_accuracy_area"].item() > 0.3


REGISTRIES = (registry.MODELS, registry.PROBES, registry.MEASURES, registry.FRONTS)


@pytest.mark.parametrize("name", [name for registered in REGISTRIES for name in registered])
def test_every_entry_declares_what_the_rest_needs(name):
    entry = next(each[name] for each in REGISTRIES if name in each.names)
    assert entry.__doc__
    if name in registry.MODELS.names:
        assert entry.label
        # Some learn from the warps of what they see.
        assert TrialConfig(model=name, train_dataset="augmented").probe_features == entry.feature_names[0]
    if name in registry.PROBES.names:
        assert entry.label
    if name in registry.MEASURES.names:
        assert all(metric.meaning for metric in entry.metrics)
