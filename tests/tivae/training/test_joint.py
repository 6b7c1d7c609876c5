"""STNs that are trained with the model: joint and inverse."""

import dataclasses

import numpy as np
import pytest
import torch

import tivae
from tests import warping
from tests.small import small
from tivae import experiment, records, stages
from tivae.config import ConfigError, TrialConfig
from tivae.data import warps
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.models import model_input
from tivae.models.stn import BoundedTransformer, LearntTransformer, build
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import train

JOINT = small(stn="joint", train_dataset="augmented", test_images=200)
INVERSE = small(stn="inverse", train_dataset="augmented", test_images=200)
both_modes = pytest.mark.parametrize("config", [JOINT, INVERSE], ids=["joint", "inverse"])


@pytest.fixture
def images(host):
    return TrialData(host, small(), "cpu").augmented_test().batch(slice(0, 50))


def moved(stn, size=0.5):
    """`stn` with a last layer that is no longer the identity's."""
    with torch.no_grad():
        stn.affine.weight.copy_(torch.randn(stn.affine.weight.shape, generator=generator(3, "test")) * size)
    return stn


def test_each_mode_has_its_transformer():
    assert isinstance(build(INVERSE), BoundedTransformer)
    assert type(build(JOINT)) is LearntTransformer


def test_the_inverse_mode_stays_within_the_augmentations_ranges(images):
    estimates = moved(BoundedTransformer(INVERSE), size=100.0).estimates(images)
    assert estimates.rotation_degrees.abs().max() <= INVERSE.rotation_degrees
    assert estimates.shift_x_pixels.abs().max() <= INVERSE.shift_pixels
    assert estimates.shift_y_pixels.abs().max() <= INVERSE.shift_pixels
    assert (estimates.scale - 1).abs().max() <= INVERSE.scale_range + 1e-6
    # They do reach them, or the warps at the ends of the range could not be undone.
    assert estimates.rotation_degrees.abs().max() > 0.9 * INVERSE.rotation_degrees


def test_what_the_inverse_mode_takes_for_the_warp_it_undoes(images):
    """With estimates that are the true warps, the matrices are the exact inverses of theirs."""
    parameters = warps.draw(50, INVERSE, generator(0, "truth"))
    stn = BoundedTransformer(INVERSE)
    stn.estimates = lambda _: parameters
    identity = torch.eye(2, 3).expand(50, 2, 3)
    combined = warps.compose(warps.sampling_matrices(parameters, 28), stn.matrices(images))
    torch.testing.assert_close(combined, identity, rtol=0, atol=1e-6)


def test_a_warp_and_its_inverse_are_the_identity_both_ways(images):
    matrices = moved(LearntTransformer(JOINT), size=0.02).matrices(images)
    identity = torch.eye(2, 3).expand(50, 2, 3)
    for one, other in ((matrices, warps.inverse(matrices)), (warps.inverse(matrices), matrices)):
        torch.testing.assert_close(warps.compose(one, other), identity, rtol=0, atol=1e-5)


def test_undoing_brings_the_middle_of_the_picture_back(images):
    """Twice interpolated, smooth images come back; outside the frame they cannot."""
    smooth = torch.nn.functional.avg_pool2d(images, 5, stride=1, padding=2, count_include_pad=False)
    stn = moved(BoundedTransformer(INVERSE), size=0.3)
    matrices = stn.matrices(images)
    back = stn.undo(stn.apply_matrices(smooth, matrices), matrices)
    middle = (..., slice(10, 18), slice(10, 18))
    assert (back - smooth)[middle].square().mean() < 0.05 * smooth[middle].var()
    assert (stn.apply_matrices(smooth, matrices) - smooth)[middle].square().mean() > 0.001


@pytest.mark.parametrize("bad", [0.0, float("nan"), 1e-9])
def test_a_warp_without_inverse_is_reported(bad):
    matrices = torch.eye(2, 3).repeat(3, 1, 1)
    matrices[1, 0, 0] = bad
    with pytest.raises(warps.DegenerateWarp, match=r"1 of 3 warps have no inverse .* transformer has collapsed"):
        warps.check_invertible(matrices)


def test_the_determinant_is_input_area_per_output_area():
    """A warp that makes the picture smaller by 0.5 shows four times the area."""
    matrices = warps.sampling_matrices(warping.parameters(rotation=30.0, shift_x=2.0, scale=0.5), 28)
    torch.testing.assert_close(warps.determinants(matrices), torch.tensor([4.0]))


def test_views_differ_in_what_the_reconstruction_is_compared_with(images):
    stn = moved(LearntTransformer(JOINT), size=0.01)
    seen = stn(images)
    forward, back = model_input.through_stn(stn)(images), model_input.through_stn_and_back(stn)(images)
    assert torch.equal(forward.seen, seen)
    assert torch.equal(forward.target, seen)
    assert forward.restore is None
    assert torch.equal(back.seen, seen)
    assert torch.equal(back.target, images)
    assert torch.equal(back.restore(seen), stn.undo(seen, stn.matrices(images)))
    assert model_input.transform_of("none", None) is model_input.plain


@both_modes
def test_model_and_stn_learn_together_each_at_its_own_rate(host, config):
    config = dataclasses.replace(config, stn_learning_rate=1e-2, learning_rate_schedule="cosine")
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    before = {name: value.clone() for name, value in training.module.state_dict().items()}
    assert [group["lr"] for group in training.optimiser.param_groups] == [1e-3, 1e-2]
    train(training)
    after = training.module.state_dict()
    for name in (
        "stn.affine.weight",
        "stn.localisation.0.weight",
        "model.posterior.weight",
        "model.decoder.input.bias",
    ):
        assert not torch.equal(before[name], after[name]), f"{name} did not learn"


@both_modes
def test_a_record_brings_model_and_stn_back(host, config, tmp_path):
    record = stages.run_trial(config, host, "cpu", tmp_path, measures="none")
    folder = records.trial_folder(tmp_path, config.key)
    assert record["status"] == "finished"
    loaded = tivae.load(folder)
    assert type(loaded.stn) is type(build(config))
    images = host.test_images[:20]
    encodings = torch.load(folder / "encodings.pt", weights_only=True)["base"][:20]
    np.testing.assert_allclose(loaded.encode(images), encodings.numpy(), rtol=1e-3, atol=1e-4)
    assert loaded.reconstruct(images).shape == loaded.transform(images).shape == (20, 28, 28)
    # The STN's weights are those that were trained with the model.
    assert not torch.equal(loaded.stn.affine.weight, torch.zeros_like(loaded.stn.affine.weight))


def test_the_joint_loss_is_that_of_its_parts(host):
    trial = experiment.run(dataclasses.replace(JOINT, alignment_weight=0.7, epochs=1), host, measures="none")
    row = trial.epochs[0]
    parts = row["train_reconstruction"] + 1e-3 * row["train_kl"] + 0.7 * row["train_alignment"]
    assert row["train_loss"] == pytest.approx(parts, rel=1e-5)
    assert trial.metrics["train_alignment"] == row["train_alignment"]
    # Test losses are the model's alone, as those of other trials.
    assert row["base_loss"] == pytest.approx(row["base_reconstruction"] + 1e-3 * row["base_kl"], rel=1e-6)


def test_a_base_trained_joint_stn_is_aligned_on_augmented_images(host):
    """Its model sees base images only, for which there would be nothing to align."""
    config = dataclasses.replace(JOINT, train_dataset="base", epochs=1)
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    images = training.images()
    assert images.matrices is None
    _, metrics = training.loss(images, torch.arange(32), 0)
    assert metrics["train_alignment"] > 0.05


def test_test_losses_are_those_of_the_stn_as_it_is_now(host):
    """A plain computation, over all images at once."""
    trial = experiment.run(JOINT, host, measures="none")
    data = TrialData(host, JOINT, "cpu")
    with torch.no_grad():
        seen = trial.stn(data.augmented_test().batch(slice(0, 200)))
        noise = trial.model.noise(200, generator(JOINT.seed, "augmented test noise"))
        losses = trial.model.losses(seen, noise, 14)
    assert trial.metrics["augmented_reconstruction"] == pytest.approx(float(losses.reconstruction.mean()), rel=1e-4)


def test_the_inverse_loss_is_scored_in_the_inputs_own_frame(host):
    trial = experiment.run(INVERSE, host, measures="none")
    images = TrialData(host, INVERSE, "cpu").augmented_test().batch(slice(0, 200))
    with torch.no_grad():
        matrices = trial.stn.matrices(images)
        parameters = trial.model.encode(trial.stn(images))
        noise = trial.model.noise(200, generator(INVERSE.seed, "augmented test noise"))
        decoded = trial.model.decode(trial.model.latents(parameters, noise, 14))
        error = (trial.stn.undo(decoded, matrices) - images).square().mean()
    assert trial.metrics["augmented_reconstruction"] == pytest.approx(float(error), rel=1e-4)
    for test_set in ("base", "augmented"):
        own = trial.metrics[f"{test_set}_original_frame_reconstruction"]
        assert own == trial.metrics[f"{test_set}_reconstruction"]


def test_an_arm_behind_an_stn_is_scored_in_the_original_frame_too(host, result):
    trial = result("stn")
    images = TrialData(host, trial.config, "cpu").base_test().batch(slice(0, 600))
    with torch.no_grad():
        matrices = trial.stn.matrices(images)
        parameters = trial.model.encode(trial.stn(images))
        noise = trial.model.noise(600, generator(trial.config.seed, "base test noise"))
        decoded = trial.model.decode(trial.model.latents(parameters, noise, 14))
        error = (warps.warp(decoded, warps.inverse(matrices), fill=trial.stn.fill) - images).square().mean()
    assert trial.metrics["base_original_frame_reconstruction"] == pytest.approx(float(error), rel=1e-4)
    assert trial.metrics["base_original_frame_reconstruction"] != trial.metrics["base_reconstruction"]


@pytest.mark.parametrize("name", ["vae", "categorical_vae"])
def test_without_an_stn_the_original_frame_is_the_only_one(result, name):
    metrics = result(name).metrics
    for test_set in ("base", "augmented"):
        assert metrics[f"{test_set}_original_frame_reconstruction"] == metrics[f"{test_set}_reconstruction"]


LONG = {"train_images": 300, "epochs": 12, "stn_learning_rate": 3e-3, "latent_dim": 4, "batch_size": 30}


@pytest.fixture(scope="module")
def trained(host):
    """The collapse diagnostics of three trainings that differ in the STN's part of the loss."""
    configs = {
        "own output": dataclasses.replace(JOINT, **LONG, alignment_weight=0.0),
        "joint": dataclasses.replace(JOINT, **LONG),
        "inverse": dataclasses.replace(INVERSE, **LONG),
    }
    return {name: experiment.run(config, host, measures="none").metrics for name, config in configs.items()}


def test_joint_training_on_its_own_output_alone_collapses(trained):
    """The STN makes the target easy: its images lose their variance, and the loss falls with it."""
    assert trained["own output"]["stn_target_variance_ratio"] < 0.4
    assert trained["own output"]["augmented_reconstruction"] < 0.6 * trained["joint"]["augmented_reconstruction"]
    assert abs(trained["own output"]["stn_mean_log_determinant"]) > 0.5


@pytest.mark.parametrize("mode", ["joint", "inverse"])
def test_neither_mode_collapses(trained, mode):
    assert 0.6 < trained[mode]["stn_target_variance_ratio"] < 1.5
    assert abs(trained[mode]["stn_mean_log_determinant"]) < 0.4
    assert trained[mode]["stn_frame_kept"] > 0.75


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"stn": "inverse", "train_dataset": "augmented", "reconstruction_target": "base"},
            "`reconstruction_target` is base, but the inverse STN is scored against its own input; it must be input",
        ),
        ({"model": "pca", "stn": "joint"}, "`stn` is joint, which is trained with the model, and pca is not trained"),
    ],
)
def test_modes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        TrialConfig(**changes)


@pytest.mark.parametrize(("model", "weight"), [("vae", 1.0), ("categorical_vae", 30.0)])
def test_the_alignment_weighs_as_much_as_the_reconstruction_unless_set(model, weight):
    assert TrialConfig(stn="joint", model=model).alignment_weight == weight
    assert TrialConfig(stn="inverse", model=model, alignment_weight=2).alignment_weight is None
    assert TrialConfig(stn="joint", stn_epochs=5) == TrialConfig(stn="joint")
