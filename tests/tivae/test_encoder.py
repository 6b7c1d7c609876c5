"""Encoders from elsewhere: scikit-learn's PCA, a network of torchvision, plain functions."""

import numpy as np
import pytest
import torch
import torchvision
from sklearn.decomposition import PCA

import analysis
import tivae
from analysis.frames.labels import cell_label
from tivae import experiment
from tivae.config import ConfigError, TrialConfig

SIZES = {"train_images": 300, "test_images": 150}


def flat(batch):
    return batch.reshape(len(batch), -1)


@pytest.fixture(scope="module")
def pca(host):
    fitted = PCA(5, svd_solver="full").fit(flat(host.train_images[:300].astype(np.float64) / 255))
    return lambda batch: fitted.transform(flat(batch))


@pytest.fixture(scope="module")
def measured(host, pca, tmp_path_factory):
    """The study of a PCA of scikit-learn's, a network of torchvision's and the pixels; and the results by name."""
    folder = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(0)
    network = torchvision.models.squeezenet1_1(num_classes=12)
    common = {"data": host, "results": folder, **SIZES}
    found = {
        "PCA of mine": tivae.measure(pca, "PCA of mine", measures="all", **common),
        "SqueezeNet": tivae.measure(network, "SqueezeNet", size=64, channels=3, measures="curves", **common),
        "pixels": tivae.measure(flat, "pixels", measures="none", probe="linear_svm", **common),
    }
    return analysis.load(folder), found


def test_it_reads_as_the_same_encoder_of_this_repository(host, measured):
    own = experiment.run(TrialConfig(model="pca", latent_dim=5, **SIZES), host, measures="standard").metrics
    other = measured[1]["PCA of mine"].metrics
    for name in ("base_accuracy", "augmented_accuracy", "prediction_consistency", "rotation_accuracy_area"):
        assert other[name] == pytest.approx(own[name], abs=0.014), name
    assert other["latent_displacement"] == pytest.approx(own["latent_displacement"], rel=1e-3)
    assert other["local_sensitivity_rotation"] is None, "torch has no derivative of it"


def test_analysis_shows_each_with_a_key_and_a_label_of_its_own(measured):
    study, found = measured
    trials = study.trials.set_index("encoder")
    assert set(trials.index) == set(found)
    assert trials["key"].is_unique
    assert trials.loc["SqueezeNet", "latent_dim"] == 12
    assert trials.loc["pixels", "latent_dim"] == 784
    assert {cell_label(row, study.factors()).split(",")[0] for _, row in study.trials.iterrows()} == set(found)
    for key, config in ((result.config.key, result.config) for result in found.values()):
        assert study.trial(key).config == config
        assert study.trial(key).encodings("augmented").shape == (150, config.latent_dim)
    assert set(study.trial(found["SqueezeNet"].config.key).curves()) == {"rotation_degrees", "shift_pixels", "scale"}


def test_two_encoders_of_one_name_have_two_keys_and_one_measured_twice_has_one(host):
    common = {"data": host, "measures": "none", **SIZES}
    one = tivae.measure(flat, "mine", **common).config.key
    assert tivae.measure(lambda batch: flat(batch)[:, ::-1].copy(), "mine", **common).config.key != one
    assert tivae.measure(flat, "mine", **common).config.key == one


@pytest.mark.parametrize(
    ("encoder", "settings", "message"),
    [
        (lambda batch: flat(batch)[1:], {}, "for 100 images; it must give finite numbers, one row for each image"),
        (lambda batch: flat(batch) * np.nan, {}, "it must give finite numbers"),
        (lambda batch: batch.mean(), {}, r"gives shape \(\) for 100 images"),
        (flat, {"stn": "pretrained"}, "`stn` is pretrained, but an external encoder has none"),
        (flat, {"probe": "tree"}, "`probe` is 'tree'"),
        (flat, {"measures": "some"}, "`measures` is 'some'"),
    ],
)
def test_what_is_no_encoder_is_refused(host, encoder, settings, message):
    with pytest.raises(ValueError, match=message):
        tivae.measure(encoder, "bad", data=host, **(SIZES | settings))


def test_a_search_space_can_not_ask_for_one():
    with pytest.raises(ConfigError, match=r"it must be given to `tivae\.measure`"):
        TrialConfig(model="tivae.encoder:Encoder")
