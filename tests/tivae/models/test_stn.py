import copy

import pytest
import torch

from tests.small import STANDARD, small
from tivae import experiment
from tivae.data import warps
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.models.stn import LearntTransformer, freeze
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import train
from tivae.training.stn_pretraining import StnTraining

CONFIG = small(stn="pretrained")


@pytest.fixture
def images(host):
    return TrialData(host, CONFIG, "cpu").augmented_test().batch(slice(0, 50))


def bent(seed=0, **changes):
    """An STN that is not the identity."""
    stn = LearntTransformer(small(stn="pretrained", seed=seed, **changes))
    with torch.no_grad():
        stn.affine.weight.normal_(std=0.3, generator=generator(seed, "bend"))
    return stn


def test_an_stn_is_the_identity_at_first(images):
    stn = LearntTransformer(CONFIG)
    assert torch.equal(stn.matrices(images), torch.tensor([[1.0, 0, 0], [0, 1, 0]]).expand(50, 2, 3))
    # The tolerance of a warp's coordinates, times the span of a standardised pixel.
    torch.testing.assert_close(stn(images), images, rtol=0, atol=3e-4)
    assert (bent()(images) - images).abs().max() > 0.5


@pytest.mark.parametrize("fill", ["black", "grey"])
def test_the_output_is_the_input_warped_by_the_predicted_matrices(images, fill):
    stn = bent(fill=fill)
    expected = warps.warp(images, stn.matrices(images), fill=STANDARD.outside(fill))
    assert stn(images).shape == images.shape
    torch.testing.assert_close(stn(images), expected)


@pytest.mark.parametrize("mode", [True, False])
def test_the_output_of_an_image_depends_on_that_image_alone(images, mode):
    stn = bent().train(mode)
    assert not list(stn.buffers())
    torch.testing.assert_close(stn(images[3:4]), stn(images)[3:4], rtol=1e-4, atol=1e-4)


def test_every_weight_learns_from_the_second_step_on(images):
    stn = LearntTransformer(CONFIG)
    before = copy.deepcopy(stn.state_dict())
    optimiser = torch.optim.SGD(stn.parameters(), lr=0.1)
    for _ in range(2):
        optimiser.zero_grad()
        (stn(images) - images.flip(3)).square().mean().backward()
        optimiser.step()
    assert all(not torch.equal(value, before[name]) for name, value in stn.state_dict().items())


def test_freezing_stops_learning_and_changes_no_weight():
    stn = bent()
    before = copy.deepcopy(stn.state_dict())
    assert freeze(stn) is stn
    assert not stn.training
    assert not any(weight.requires_grad for weight in stn.parameters())
    assert all(torch.equal(value, before[name]) for name, value in stn.state_dict().items())


def test_pretraining_lowers_the_alignment_loss_below_that_of_the_identity(host):
    config = small(stn="pretrained", train_images=600, batch_size=20, stn_epochs=5, stn_learning_rate=3e-3)
    pretrained = experiment.pretrain(config, host)
    assert pretrained.metrics["alignment_loss"] < 0.9 * pretrained.metrics["identity_loss"]
    assert pretrained.epochs[-1]["train_alignment_loss"] < 0.9 * pretrained.epochs[0]["train_alignment_loss"]
    assert not pretrained.stn.training
    assert not any(weight.requires_grad for weight in pretrained.stn.parameters())


def test_the_alignment_loss_is_the_error_per_pixel_on_the_augmented_test_set(host):
    data = TrialData(host, CONFIG, "cpu")
    training = StnTraining(CONFIG, data)
    measured = training.measure(step=0)
    warped, target = (images.batch(slice(0, 100)) for images in (data.augmented_test(), data.base_test()))
    identity = float(((warped - target).double() ** 2).sum()) / 100 / 784
    assert measured["identity_loss"] == pytest.approx(identity, rel=1e-5)
    assert measured["alignment_loss"] == pytest.approx(identity, rel=1e-3)
    training.stn.load_state_dict(bent().state_dict())
    with torch.no_grad():
        aligned = float(((training.stn(warped) - target).double() ** 2).sum()) / 100 / 784
    assert training.measure(step=0)["alignment_loss"] == pytest.approx(aligned, rel=1e-5)
    assert training.measure(step=0)["identity_loss"] == measured["identity_loss"]


def test_pretraining_takes_augmented_images_to_the_base_images_of_the_same_index(host):
    data = TrialData(host, CONFIG, "cpu")
    training, index = StnTraining(CONFIG, data), torch.tensor([3, 150, 7])
    images = training.images()
    loss, metrics = training.loss(images, index, step=0)
    expected = (training.stn(images.batch(index)) - data.base_train().batch(index)).square().mean()
    assert loss.item() == pytest.approx(expected.item())
    assert metrics == {"train_alignment_loss": loss}


@pytest.mark.parametrize(
    "changes",
    [
        {"train_dataset": "base"},
        {"train_dataset": "augmented"},
        {"train_dataset": "augmented", "training_warps": "fixed"},
        {"train_dataset": "augmented", "model": "categorical_vae"},
    ],
)
def test_a_frozen_stn_stays_frozen_through_a_fit(host, changes):
    config = small(stn="pretrained", **changes)
    stn = freeze(bent())
    weights = copy.deepcopy(stn.state_dict())
    training = ModelTraining(config, TrialData(host, config, "cpu"), stn)
    model = copy.deepcopy(training.model.state_dict())
    train(training)
    assert not stn.training
    assert not any(weight.requires_grad or weight.grad is not None for weight in stn.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in stn.state_dict().items())
    # The fit did fit.
    assert any(not torch.equal(value, model[name]) for name, value in training.model.state_dict().items())


@pytest.mark.parametrize("train_dataset", ["base", "augmented"])
def test_no_gradient_reaches_the_stn_in_front_of_a_model(host, train_dataset):
    """Not even that of one that could learn."""
    config = small(stn="pretrained", train_dataset=train_dataset)
    stn = bent()
    training = ModelTraining(config, TrialData(host, config, "cpu"), stn)
    loss, _ = training.loss(training.images(), torch.arange(32), step=0)
    loss.backward()
    assert all(weight.grad is None for weight in stn.parameters())
    trained = {id(weight) for group in training.optimiser.param_groups for weight in group["params"]}
    assert trained == {id(weight) for weight in training.model.parameters()}


@pytest.mark.parametrize("train_dataset", ["base", "augmented"])
def test_the_stns_output_is_input_and_target_of_the_model(host, train_dataset):
    config = small(stn="pretrained", train_dataset=train_dataset, training_warps="fixed")
    data, stn = TrialData(host, config, "cpu"), freeze(bent())
    training, index = ModelTraining(config, data, stn), torch.tensor([5, 180, 2])
    unseen = data.base_train() if train_dataset == "base" else data.augmented_train("training warps")
    seen = stn(unseen.batch(index))
    torch.testing.assert_close(training.images().batch(index), seen, rtol=1e-4, atol=1e-4)
    noise = training.model.noise(3, generator(config.seed, "noise"))
    expected = training.model.total(training.model.losses(seen, noise, 0)).item()
    assert training.loss(training.images(), index, step=0)[0].item() == pytest.approx(expected, rel=1e-4)
    for test_set, images in {"base": data.base_test(), "augmented": data.augmented_test()}.items():
        torch.testing.assert_close(
            training.evaluation.sets[test_set].images, stn(images.batch(slice(0, 100))), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("train_dataset", ["base", "augmented"])
def test_a_fixed_set_passes_a_frozen_stn_once_in_a_training_and_once_in_a_readout(host, monkeypatch, train_dataset):
    config = small(stn="pretrained", stn_epochs=1, train_dataset=train_dataset)
    stn = experiment.pretrain(config, host).stn
    passed = []
    forward = type(stn).forward

    def counted(self, images):
        passed.append(len(images))
        return forward(self, images)

    monkeypatch.setattr(type(stn), "forward", counted)
    experiment.run(config, host, stn=stn, measures="none")
    # Training: both test sets and the training images, once or, where their warps are redrawn, in both epochs.
    training = 2 * 100 + (200 if train_dataset == "base" else 2 * 200)
    # Readout: both test sets, and the training images as they are and augmented.
    assert sum(passed) == training + 2 * 100 + 2 * 200


@pytest.mark.parametrize("corners", ["centres", "centres_in_grid"])
def test_an_stn_reads_where_torch_does_with_these_corners(images, corners):
    stn, plain = bent(stn_corners=corners), bent()
    predicted = plain.matrices(images)
    grid = torch.nn.functional.affine_grid(predicted, list(images.shape), align_corners=True)
    outside = STANDARD.outside("black")
    expected = torch.nn.functional.grid_sample(images - outside, grid, align_corners=corners == "centres") + outside
    # Of coordinates within some roundings, times the span of a standardised pixel.
    torch.testing.assert_close(stn(images), expected, rtol=0, atol=1e-3)
    assert (stn(images) - plain(images)).abs().max() > 0.1


def test_corners_at_use_alone_share_the_pretrained_stn_and_its_weights(host):
    usual, used = (small(stn="pretrained", stn_corners=corners) for corners in (None, "centres_in_grid_at_use"))
    always = small(stn="pretrained", stn_corners="centres_in_grid")
    assert usual.stn_key == used.stn_key != always.stn_key
    assert len({config.training_key for config in (usual, used, always)}) == 3
    one, other = (experiment.pretrain(config, host).stn for config in (usual, used))
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    batch = TrialData(host, CONFIG, "cpu").base_test().batch(slice(0, 20))
    expected = warps.with_corners(one.matrices(batch), 28, in_grid=True, in_sample=False)
    torch.testing.assert_close(other.matrices(batch), expected)
    assert (one.corners, other.corners) == ("edges", "centres_in_grid")


def test_edges_written_out_are_the_default_and_leave_its_keys():
    for mode in ("none", "pretrained", "joint", "inverse"):
        assert small(stn=mode, stn_corners="edges", resampling="composed") == small(stn=mode)
    # No STN, or one whose warps are of parameters, has no such grid.
    assert small(stn="inverse", stn_corners="centres") == small(stn="inverse")
    with pytest.raises(ValueError, match="a joint STN is trained where it is used; it must be centres_in_grid"):
        small(stn="joint", stn_corners="centres_in_grid_at_use")
