"""Models that know their warps: AET, AEAE and the coordinate decoder of a spatial VAE."""

import pytest
import torch

from tests import warping
from tests.small import small
from tests.tivae.tensors import random
from tivae import experiment
from tivae.config import ConfigError, TrialConfig
from tivae.data import warps
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.models import Given, build
from tivae.training.autoencoder import ModelTraining

AUGMENTED = {"train_dataset": "augmented", "latent_dim": 6}


def model_of(name, **changes):
    return build(small(**({"model": name} | AUGMENTED | changes)))


@pytest.mark.parametrize("fixed", ["redrawn", "fixed"])
def test_a_step_is_given_the_warps_of_its_own_images(host, fixed):
    config = small(model="aet", training_warps=fixed, **AUGMENTED)
    data = TrialData(host, config, "cpu")
    training = ModelTraining(config, data)
    index, seen = torch.tensor([5, 90, 7, 8]), {}
    training.model.at_step = lambda parameters, given: seen.update(given=given) or {"warp_error": parameters.sum()}
    images = training.images()
    training.loss(images, index, 0)
    given = seen["given"]
    drawn = warps.draw(200, config, generator(config.seed, "training warps"))
    expected = warps.shares_of_range(drawn, config)[index]
    torch.testing.assert_close(given.warps, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(given.seen, images.batch(index))
    assert torch.equal(given.base_seen, data.base_train().batch(index))


def test_aet_scores_the_prediction_from_both_codes():
    model, first, base = model_of("aet"), random(8, 6), random(8, 6, seed=1)
    drawn = torch.rand(8, 4, generator=generator(0, "warps")) * 2 - 1
    terms = model.at_step(first, Given(seen=random(8, 1, 28, 28), base=base, warps=drawn))
    expected = (model.head(torch.cat([base, first], 1)) - drawn).square().mean()
    torch.testing.assert_close(terms["warp_error"], expected)


def test_aet_learns_to_tell_the_warp(host):
    """Predicting no warp at all has the error that the shares of the range have."""
    config = small(model="aet", train_images=2000, epochs=8, learning_rate=3e-3, **AUGMENTED)
    rows = experiment.run(config, host, measures="none").epochs
    blind = (0.5 / 3 * 4) / 4
    assert rows[-1]["train_warp_error"] < 0.8 * blind
    assert rows[0]["train_warp_error"] > rows[-1]["train_warp_error"]


def test_aeae_moves_the_last_four_numbers_of_the_code_alone():
    model = model_of("aeae", output_activation="linear").eval()
    base, drawn = random(8, 6), torch.rand(8, 4, generator=generator(0, "warps"))
    with torch.no_grad():
        model.factors.copy_(torch.tensor([1.0, 2, 3, 4]))
        moved = base.clone()
        moved[:, 2:] += torch.tensor([1.0, 2, 3, 4]) * drawn
        images, warped = model.decode(base), model.decode(moved)
        given = Given(seen=warped, base=base, base_seen=images, warps=drawn)
        right = model.at_step(random(8, 6), given)
        wrong = model.at_step(random(8, 6), Given(seen=warped, base=base, base_seen=images, warps=-drawn))
    assert float(right["base_error"]) == pytest.approx(0, abs=1e-9)
    assert float(right["equivariance_error"]) == pytest.approx(0, abs=1e-9)
    assert float(wrong["equivariance_error"]) > 1e-6


def test_the_terms_of_aeae_have_the_weight_of_the_reconstruction(host):
    config = small(model="aeae", reconstruction_weight=2.0, equivariance_weight=0.5, **AUGMENTED)
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    loss, metrics = training.loss(training.images(), torch.arange(32), 0)
    loss.backward()
    named = {name: value.item() for name, value in metrics.items()}
    errors = named["train_reconstruction"] + named["train_base_error"] + 0.5 * named["train_equivariance_error"]
    assert named["train_loss"] == pytest.approx(2 * errors, rel=1e-5)
    assert training.model.factors.grad.abs().sum() > 0


class TestSpatialVAE:
    def test_an_image_is_the_canonical_one_moved_by_its_pose(self):
        """Decoded with a pose, a pixel has the value that the canonical image has where the pose takes it from."""
        model = model_of("spatial_vae", output_activation="linear").eval()
        pose = torch.tensor([[0.3, -0.5, 0.2, 0.4]])
        bounded = torch.tanh(pose[0]) * torch.tensor([10.0, 4, 4, 0.2])
        with torch.no_grad():
            decoder, content = model.decoder, random(1, 6)
            canonical = decoder(torch.cat([content, torch.zeros(1, 4)], 1))
            moved = decoder(torch.cat([content, pose], 1))
        drawn = warping.parameters(bounded[0], bounded[1], bounded[2], 1 + bounded[3])
        expected = warps.warp(canonical, warps.sampling_matrices(drawn, 28))
        inside = (slice(None), slice(None), slice(8, 20), slice(8, 20))
        # The canonical image is smooth: bilinear reading is off by less than a hundredth of its spread.
        error = (moved - expected)[inside].abs().max()
        assert error < 0.02 * (canonical.max() - canonical.min()) + 1e-4
        assert (moved - canonical)[inside].abs().max() > 5 * error

    def test_the_probe_reads_the_content_and_the_kl_is_that_of_it(self):
        model, parameters = model_of("spatial_vae"), random(10, 2, 10)
        assert torch.equal(model.features(parameters, "mean"), parameters[:, 0, :6])
        moved = parameters.clone()
        moved[:, :, 6:] += 3
        torch.testing.assert_close(model.kl(moved), model.kl(parameters))
        assert model.kl_parts(parameters).shape == (10, 6)
        assert model.sample(3, generator(0, "s")).shape == (3, 1, 28, 28)
        noise = model.noise(10, generator(0, "n"))
        assert model.features(parameters, "sample", noise).shape == (10, 6)
        assert torch.equal(model.latents(parameters, noise, 0)[:, 6:], parameters[:, 0, 6:])

    def test_it_learns(self, host):
        config = small(model="spatial_vae", decoder_width=16, **AUGMENTED)
        first, last = experiment.run(config, host, measures="none").epochs
        assert last["train_reconstruction"] < first["train_reconstruction"]


@pytest.mark.parametrize("name", ["aet", "aeae"])
@pytest.mark.parametrize("changes", [{"train_dataset": "base"}, {"stn": "pretrained"}, {"front": "moments"}])
def test_what_learns_from_warps_must_see_them(name, changes):
    with pytest.raises(ConfigError, match=f"`model` is {name}, which learns from the warps of what it sees"):
        TrialConfig(**({"model": name, "train_dataset": "augmented"} | changes))


def test_aeae_needs_more_numbers_than_a_warp_has():
    with pytest.raises(ConfigError, match="`latent_dim` is 4; it must be above 4"):
        TrialConfig(model="aeae", train_dataset="augmented", latent_dim=4)
