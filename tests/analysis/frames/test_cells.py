"""Cells as figures and tables name them, and what makes models comparable."""

import pytest

import analysis
from analysis.frames import cells, labels
from tests.analysis import synthetic
from tivae.config import TrialConfig


@pytest.mark.parametrize(
    ("config", "factors", "label"),
    [
        ({}, [], "VAE, trained on base, no STN"),
        (
            {"model": "categorical_vae", "stn": "pretrained", "train_dataset": "augmented"},
            [],
            "categorical VAE, trained on augmented, STN",
        ),
        (
            {"latent_dim": 20, "kl_weight": 1e-5},
            ["latent_dim", "kl_weight"],
            "VAE, trained on base, no STN, 20 latents, KL weight 1e-05",
        ),
        ({"batch_size": 128}, ["batch_size", "categories"], "VAE, trained on base, no STN, batch size 128"),
    ],
)
def test_cells_are_named_in_words(config, factors, label):
    row = TrialConfig(**config).to_dict()

    assert labels.cell_label(row, ["train_dataset", "model", "stn", *factors]) == label
    assert labels.panel_label(row, factors).replace("\n", ", ").split(", ")[0] == label.split(", ")[0]


def test_controls_are_named_by_the_model_alone():
    row = TrialConfig().to_dict() | {"model": "pixels"}

    assert labels.cell_label(row) == "raw pixels"


def test_cells_are_numbered_by_model_and_without_seeds(tmp_path):
    study = synthetic.study_of(tmp_path, synthetic.grid(seeds=2))
    trials = cells.with_cells(study.trials, study.cell_factors())

    assert trials["cell"].nunique() == 8
    assert trials.groupby("cell")["seed"].apply(list).map(sorted).map(tuple).unique().tolist() == [(0, 1)]
    assert trials.groupby("model", sort=False)["cell"].unique().map(sorted).to_dict() == {
        "vae": [0, 1, 2, 3],
        "categorical_vae": [4, 5, 6, 7],
    }


def test_a_default_that_most_cells_of_a_model_have_is_not_named(tmp_path):
    configs = [
        *(TrialConfig(latent_dim=size, batch_size=128) for size in (10, 20, 30)),
        TrialConfig(latent_dim=20, kl_weight=0.1),
        TrialConfig(model="categorical_vae", latent_dim=20),
        TrialConfig(model="pca", latent_dim=100),
    ]
    study = synthetic.study_of(tmp_path, configs, lambda *_: {})
    trials = cells.with_cells(study.trials, study.cell_factors())
    names = dict(zip(trials["key"], trials["cell_label"], strict=True))

    # Of the weights the default is what most have; of the batches it is another.
    assert [names[config.key].partition("no STN, ")[2] or names[config.key] for config in configs] == [
        "10 latents, batch size 128",
        "20 latents, batch size 128",
        "30 latents, batch size 128",
        "20 latents, KL weight 0.1, batch size 64",
        "20 latents",
        "PCA, 100 latents",
    ]


def test_a_damaged_record_is_in_no_cell(tmp_path):
    synthetic.write_study(tmp_path, [TrialConfig()], lambda *_: {})
    synthetic.write_record(tmp_path, b"{", "0" * 12)
    study = analysis.load(tmp_path)

    assert len(cells.with_cells(study.trials, study.cell_factors())) == 1


def test_the_papers_weight_is_two_betas(tmp_path):
    configs = [TrialConfig(), TrialConfig(model="categorical_vae"), TrialConfig(kl_weight=0)]
    trials = synthetic.study_of(tmp_path, configs, lambda *_: {}).trials
    found = dict(zip(zip(trials["model"], trials["kl_weight"], strict=True), cells.beta(trials), strict=True))

    assert found == {("vae", 0.001): 0.392, ("categorical_vae", 0.001): 0.0131, ("vae", 0.0): 0.0}
    assert dict(zip(trials["model"], cells.encoding_dim(trials), strict=True)) == {"vae": 10, "categorical_vae": 100}
