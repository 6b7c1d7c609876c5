"""The deterministic autoencoder, and controls that are not trained: pixels, PCA, HOG, an untrained encoder."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn import decomposition

import tivae
from tests.small import small
from tivae import records, stages
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.models import MODELS, Unsupported, build

CONTROLS = [name for name in MODELS if not MODELS[name].is_trained]
FIXED = {"train_images": 200, "test_images": 100}


def control(name, **changes):
    return TrialConfig(model=name, **(FIXED | changes))


@pytest.fixture(scope="module")
def recorded_control(host, tmp_path_factory):
    """Gives the record and folder of a control's trial, computed once."""
    study, known = tmp_path_factory.mktemp("controls"), {}

    def of(name, **changes):
        config = control(name, **changes)
        if config.key not in known:
            known[config.key] = stages.run_trial(config, host, "cpu", study, measures="none")
        return known[config.key], records.trial_folder(study, config.key)

    return of


def images_of(host, config):
    return TrialData(host, config, "cpu").base_train().batch(slice(0, 200))


@pytest.mark.parametrize("name", CONTROLS)
def test_controls_go_the_way_of_every_trial(host, recorded_control, name):
    record, folder = recorded_control(name)
    assert record["status"] == "finished", record["error"]
    assert record["epochs"] == []
    assert record["config"]["epochs"] == 0
    assert record["metrics"]["base_accuracy"] > 0.25
    assert record["metrics"]["base_loss"] is record["metrics"]["base_kl"] is record["metrics"]["train_loss"] is None
    assert TrialConfig.from_dict(record["config"]).key == record["key"]
    loaded = tivae.load(folder)
    stored = torch.load(folder / "encodings.pt", weights_only=True)["base"][:10].numpy()
    np.testing.assert_allclose(loaded.encode(host.test_images[:10]), stored, rtol=1e-4, atol=1e-5)
    assert stored.shape == (10, loaded.config.encoding_dim)


def test_pixels_are_the_images(host):
    config = control("pixels")
    images = images_of(host, config)
    model = build(config)
    assert torch.equal(model.features(model.encode(images), "pixels"), images.reshape(200, 784))
    assert config.encoding_dim == 784


def test_pca_is_that_of_scikit_learn(host):
    config = control("pca", latent_dim=5)
    model = build(config)
    model.fit(TrialData(host, config, "cpu").base_train())
    images = images_of(host, config)
    plain = decomposition.PCA(5, svd_solver="full").fit(images.flatten(1).double().numpy())
    expected = plain.transform(images.flatten(1).double().numpy())
    found = model.encode(images).numpy()
    # The sign of a direction means nothing.
    signs = np.sign((expected * found).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, rtol=1e-3, atol=1e-3)
    back = plain.inverse_transform(expected)
    np.testing.assert_allclose(model.reconstruct(images).flatten(1).numpy(), back, rtol=1e-3, atol=1e-3)


def test_pca_has_a_reconstruction_and_no_other_loss(recorded_control):
    record, folder = recorded_control("pca")
    metrics = record["metrics"]
    assert 0.05 < metrics["base_reconstruction"] < metrics["augmented_reconstruction"] < 1
    assert metrics["base_original_frame_reconstruction"] == metrics["base_reconstruction"]
    assert tivae.load(folder).reconstruct(np.zeros((2, 28, 28), np.uint8)).shape == (2, 28, 28)


def test_pca_learns_from_the_images_it_is_set_to(recorded_control):
    augmented, _ = recorded_control("pca", train_dataset="augmented")
    base, _ = recorded_control("pca")
    assert augmented["metrics"]["augmented_reconstruction"] < base["metrics"]["augmented_reconstruction"]
    assert augmented["metrics"]["base_reconstruction"] > base["metrics"]["base_reconstruction"]


def test_the_untrained_encoder_is_the_vae_before_its_first_step(host):
    config = control("untrained", hidden_widths=(8, 16), seed=4)
    model = build(config).eval()
    vae = build(small(seed=4)).eval()
    images = images_of(host, config)
    with torch.no_grad():
        expected = vae.features(vae.encode(images), "mean")
        torch.testing.assert_close(model.features(model.encode(images), "mean"), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_behind_an_stn_reads_its_output(host, recorded_control, name):
    record, folder = recorded_control(name, stn="pretrained", stn_epochs=1)
    assert record["status"] == "finished", record["error"]
    assert 0 < record["metrics"]["stn_frame_kept"] <= 1
    loaded = tivae.load(folder)
    seen = loaded.config.standardisation.standardised(pixels := torch.tensor(host.test_images[:10]))
    with torch.no_grad():
        expected = loaded.model.encode(loaded.stn(seen)).numpy()
    stored = torch.load(folder / "encodings.pt", weights_only=True)["base"][:10].numpy()
    np.testing.assert_allclose(stored, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loaded.encode(pixels), expected, rtol=1e-4, atol=1e-5)


def test_pca_behind_an_stn_has_an_error_in_each_frame(recorded_control):
    metrics = recorded_control("pca", stn="pretrained", stn_epochs=1)[0]["metrics"]
    assert metrics["base_original_frame_reconstruction"] != metrics["base_reconstruction"]


# Of `skimage.feature.hog` 0.26, 9 orientations, cells of 7 x 7, blocks of 2 x 2, "L2-Hys", on test image 3.
OF_SCIKIT_IMAGE = [
    *(0.333366, 0.17646, 0.006282, 0.012117, 0.135726, 0.159287, 0.100377, 0.157566, 0.296924),
    *(0.333366, 0.12208, 0.096031, 0.098107, 0.051065, 0.145942, 0.073454, 0.143092, 0.158624),
]


def test_histograms_of_gradients_are_those_of_scikit_image(host):
    config = control("hog", latent_dim=20)
    images = TrialData(host, config, "cpu").base_test().batch(slice(0, 10))
    found = build(config).description(images)
    assert found.shape == (10, 324)
    assert found[3, :9].tolist() == [0] * 9
    assert found[3, 36:54].tolist() == pytest.approx(OF_SCIKIT_IMAGE, abs=2e-6)
    assert float(found[3].double().sum()) == pytest.approx(28.466629, abs=1e-4)
    assert float(found.double().mean()) == pytest.approx(0.1035526, abs=1e-6)


def test_histograms_are_blind_to_contrast_and_count_no_gradient_in_flat_images(host):
    config = control("hog")
    model, standardised = build(config), config.standardisation.standardised
    images = torch.tensor(host.test_images[:20] // 2)
    plain, doubled = (model.description(standardised(pixels)) for pixels in (images, 2 * images))
    torch.testing.assert_close(plain, doubled, rtol=0, atol=1e-3)
    assert model.description(torch.ones(1, 1, 28, 28)).abs().max() == 0


UNUSED = {
    **{"learning_rate": 0.1, "kl_weight": 1.0, "batch_size": 7, "weight_decay": 0.5, "epochs": 3},
    **{"output_activation": "linear", "learning_rate_schedule": "cosine", "reconstruction_weight": 2.0},
    **{"consistency_weight": 1.0, "reconstruction_target": "base", "training_warps": "fixed"},
}


@pytest.mark.parametrize(
    ("name", "unused"),
    [
        ("pixels", UNUSED | {"latent_dim": 3, "hidden_widths": (4,), "train_dataset": "augmented"}),
        ("pca", UNUSED | {"hidden_widths": (4,)}),
        ("hog", UNUSED | {"hidden_widths": (4,)}),
        ("untrained", UNUSED | {"train_dataset": "augmented"}),
    ],
)
def test_fields_without_use_make_no_other_trial(name, unused):
    assert TrialConfig(model=name, **unused) == TrialConfig(model=name)
    for field in unused:
        assert getattr(TrialConfig(model=name), field) == (0 if field == "epochs" else None)


@pytest.mark.parametrize(
    ("name", "used"),
    [
        ("pixels", {"probe_fit": "training", "train_dataset": "augmented"}),
        ("pca", {"train_dataset": "augmented"}),
        ("pca", {"latent_dim": 3}),
        ("untrained", {"latent_dim": 3}),
        ("untrained", {"hidden_widths": (4,)}),
        ("pixels", {"stn": "pretrained", "batch_size": 7}),
    ],
)
def test_fields_with_use_are_kept(name, used):
    config = TrialConfig(model=name, **used)
    assert config != TrialConfig(model=name, **({"stn": "pretrained"} if "stn" in used else {}))
    assert TrialConfig.from_dict(config.to_dict()) == config
    for field, value in used.items():
        assert getattr(config, field) == value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "pca", "latent_dim": 785}, "`latent_dim` is 785; it must be at most 784"),
        ({"model": "hog", "latent_dim": 325}, "`latent_dim` is 325; it must be at most 324"),
        ({"model": "pixels", "probe_features": "mean"}, "`probe_features` is mean, which a pixels does not have"),
        ({"model": "pixels", "learning_rate": -1}, "`learning_rate` is -1; it must be a number above 0"),
        ({"learning_rate": None}, "`learning_rate` is None; it must be a number"),
    ],
)
def test_bad_values_are_refused(changes, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        TrialConfig(**changes)


@pytest.mark.parametrize("name", ["pixels", "untrained"])
def test_what_a_control_does_not_have_is_reported(name):
    model = build(control(name))
    with pytest.raises(Unsupported, match=f"{name} makes no reconstructions"):
        model.reconstruct(torch.zeros(1, 1, 28, 28))
    with pytest.raises(Unsupported, match=f"{name} has no prior to sample from"):
        model.sample(1, generator(0, "test"))
    with pytest.raises(Unsupported, match=f"feature is logits; a {name} has "):
        model.features(torch.zeros(1, 784), "logits")


class TestAutoencoder:
    CONFIG = small(model="autoencoder")

    def test_its_loss_is_the_reconstruction_alone(self, host, tmp_path):
        record = stages.run_trial(self.CONFIG, host, "cpu", tmp_path, measures="none")
        assert record["status"] == "finished", record["error"]
        row = record["epochs"][-1]
        for part in ("train", "base", "augmented"):
            assert row[f"{part}_loss"] == pytest.approx(row[f"{part}_reconstruction"], rel=1e-6)
            assert row[f"{part}_kl"] is None
            assert record["metrics"][f"{part}_kl"] is None
        assert record["epochs"][1]["train_loss"] < record["epochs"][0]["train_loss"]
        assert record["config"]["kl_weight"] is None
        with pytest.raises(Unsupported, match="autoencoder has no prior"):
            tivae.load(records.trial_folder(tmp_path, self.CONFIG.key)).sample(1)

    def test_it_decodes_its_code_without_noise(self, host):
        model = build(self.CONFIG).eval()
        images = images_of(host, self.CONFIG)[:10]
        noises = (model.noise(10, generator(seed, "test")) for seed in (0, 1))
        first, second = (model.losses(images, noise, 0).reconstruction for noise in noises)
        assert torch.equal(first, second)
        expected = (model.reconstruct(images) - images).square().mean(dim=(1, 2, 3))
        torch.testing.assert_close(first, expected)

    def test_the_kl_weight_makes_no_other_trial(self):
        assert dataclasses.replace(self.CONFIG, kl_weight=1.0) == self.CONFIG
