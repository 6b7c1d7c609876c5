import copy
import shutil

import numpy as np
import pytest
import torch

import tivae
from tests.small import STANDARD
from tests.tivae.conftest import CONFIGS
from tivae import records
from tivae.data.datasets import TrialData
from tivae.io import sealed_json
from tivae.trained import load

each_trial = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture
def images(host):
    return host.test_images[:20]


@pytest.fixture
def copied(recorded, tmp_path):
    """Gives a copy of a recorded trial's folder, to be spoilt."""
    return lambda name: shutil.copytree(recorded(name).folder, tmp_path / "trial")


@each_trial
def test_encodings_of_the_test_images_are_the_stored_ones(recorded, host, name):
    trial = recorded(name)
    stored = torch.load(trial.folder / "encodings.pt", weights_only=True)
    model = load(trial.folder)
    encodings = model.encode(host.test_images[:600])
    assert encodings.dtype == np.float32
    np.testing.assert_allclose(encodings, stored["base"].numpy(), rtol=1e-4, atol=1e-4)
    augmented = STANDARD.pixels(TrialData(host, trial.config, "cpu").augmented_test().batch(slice(0, 600)))
    np.testing.assert_allclose(model.encode(augmented), stored["augmented"].numpy(), rtol=1e-3, atol=1e-3)
    assert np.abs(encodings - stored["augmented"].numpy()).max() > 0.1


@each_trial
def test_the_loaded_config_is_that_of_the_trial(recorded, name):
    trial = recorded(name)
    model = tivae.load(str(trial.folder))
    assert model.config == trial.config
    assert (model.stn is not None) == (name == "stn")


@each_trial
def test_everything_has_its_shape_and_range_and_is_the_same_each_time(recorded, images, name):
    trial = recorded(name)
    model, again = load(trial.folder), load(trial.folder)
    assert model.encode(images).shape == (20, trial.config.encoding_dim)
    assert np.array_equal(model.encode(images), again.encode(images))
    for method in ("reconstruct", "transform"):
        output = getattr(model, method)(images)
        assert output.shape == (20, 28, 28)
        assert output.dtype == np.float32
        assert output.min() >= 0
        assert output.max() <= 1
        assert np.array_equal(output, getattr(again, method)(images))
    sample = model.sample(7)
    assert sample.shape == (7, 28, 28)
    assert sample.dtype == np.float32
    assert sample.min() >= 0
    assert sample.max() <= 1
    assert sample.std() > 0
    assert np.array_equal(sample, again.sample(7, seed=0))
    assert not np.array_equal(sample, model.sample(7, seed=1))


@each_trial
def test_a_reconstruction_is_the_trained_models(recorded, result, host, images, name):
    trial, expected = load(recorded(name).folder), result(name)
    batch = TrialData(host, expected.config, "cpu").base_test().batch(slice(0, 20))
    with torch.no_grad():
        seen = batch if expected.stn is None else expected.stn(batch)
        reconstruction = STANDARD.pixels(expected.model.reconstruct(seen)).numpy()
    np.testing.assert_allclose(trial.reconstruct(images), reconstruction, atol=1e-5)
    np.testing.assert_allclose(trial.transform(images), STANDARD.pixels(seen).numpy(), atol=1e-5)


def test_without_an_stn_the_model_sees_the_image_itself(recorded, images):
    np.testing.assert_allclose(load(recorded("vae").folder).transform(images), images / 255, atol=1e-6)


@pytest.mark.parametrize("name", ["vae", "stn"])
def test_bytes_floats_tensors_and_lists_are_the_same_images(recorded, images, name):
    model = load(recorded(name).folder)
    expected = model.encode(images)
    tensor = torch.tensor(images)
    for same in (
        images / 255,
        (images / 255).astype(np.float32),
        tensor,
        tensor / 255,
        (tensor / 255).requires_grad_(),
    ):
        np.testing.assert_allclose(model.encode(same), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(model.encode((images / 255).tolist()), expected, rtol=1e-4, atol=1e-4)


def test_the_images_are_left_as_they_are(recorded, images):
    model = load(recorded("vae").folder)
    for pixels in (images.copy(), (images / 255).astype(np.float32), torch.tensor(images) / 255):
        before = copy.deepcopy(pixels)
        model.encode(pixels)
        model.reconstruct(pixels)
        assert (pixels == before).all()


def test_an_image_is_encoded_alone_as_in_company(recorded, images):
    model = load(recorded("stn").folder)
    np.testing.assert_allclose(model.encode(images[4:5]), model.encode(images)[4:5], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("features", ["logits", "probabilities", "one_hot"])
def test_other_features_of_the_model_can_be_asked_for(recorded, images, features):
    model = load(recorded("categorical_vae").folder)
    encodings = model.encode(images, features)
    assert encodings.shape == (20, 20)
    assert np.array_equal(encodings, model.encode(images)) == (features == "logits")
    if features != "logits":
        np.testing.assert_allclose(encodings.reshape(20, 4, 5).sum(2), 1, rtol=1e-5)


@pytest.mark.parametrize("method", ["encode", "reconstruct", "transform"])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (np.zeros((28, 28), np.uint8), r"images have shape \(28, 28\); it must be \(N, 28, 28\)"),
        (np.zeros((2, 1, 28, 28), np.uint8), r"images have shape \(2, 1, 28, 28\); it must be \(N, 28, 28\)"),
        (np.zeros((2, 28, 27), np.uint8), r"images have shape \(2, 28, 27\); it must be \(N, 28, 28\)"),
        (np.zeros((0, 28, 28), np.uint8), r"images have shape \(0, 28, 28\); it must be \(N, 28, 28\)"),
        (np.zeros((0, 28, 28), np.float32), r"images have shape \(0, 28, 28\); it must be \(N, 28, 28\)"),
        (np.zeros((2, 28, 28), np.int64), "images must be uint8 from 0 to 255 or floats from 0 to 1"),
        (np.zeros((2, 28, 28), bool), "images must be uint8 from 0 to 255 or floats from 0 to 1"),
        (np.full((2, 28, 28), 1.01), "images must be uint8 .* not standardised"),
        (np.full((2, 28, 28), -0.01), "images must be uint8 .* not standardised"),
        (np.full((2, 28, 28), np.nan), "images must be uint8 .* not standardised"),
    ],
)
def test_images_of_another_kind_are_refused(recorded, method, given, message):
    with pytest.raises(ValueError, match=message):
        getattr(load(recorded("vae").folder), method)(given)


def test_a_folder_without_a_trial_is_reported(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no finished trial; it must hold record\.json and model\.pt"):
        load(tmp_path / "nothing")


def test_a_failed_trial_is_not_loaded(copied):
    folder = copied("vae")
    sealed_json.write(folder / "record.json", records.read(folder, is_own=False) | {"status": "failed"})
    with pytest.raises(FileNotFoundError, match="holds no finished trial"):
        load(folder)


def test_weights_of_another_trial_are_refused(copied, recorded):
    folder = copied("vae")
    shutil.copy(recorded("categorical_vae").folder / "model.pt", folder / "model.pt")
    with pytest.raises(ValueError, match=r"model\.pt does not hold the weights of its config"):
        load(folder)


def test_a_record_with_an_unknown_field_is_refused(copied):
    folder = copied("vae")
    record = records.read(folder, is_own=False)
    record["config"]["latent_dims"] = 3
    sealed_json.write(folder / "record.json", record)
    with pytest.raises(ValueError, match="`latent_dims` is not a field of a trial"):
        load(folder)
