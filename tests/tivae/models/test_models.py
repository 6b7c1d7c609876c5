import math

import pytest
import scipy.stats
import torch

from tests.small import small
from tivae.data.randomness import generator
from tivae.models import ImageLosses, build
from tivae.models.autoencoders.categorical_vae import CategoricalVAE

DRAWN = 20_000


def vae(**changes):
    return build(small(latent_dim=3, **changes)).eval()


def categorical(**changes):
    return build(small(model="categorical_vae", **({"latent_dim": 3, "categories": 5} | changes))).eval()


MODELS = [vae, categorical]
# Posterior parameters of 40 images.
GAUSSIAN = torch.randn(40, 2, 3, generator=generator(0, "parameters"))
LOGITS = 3 * torch.randn(40, 3, 5, generator=generator(0, "logits"))


@pytest.fixture(scope="module")
def images():
    return torch.randn(12, 1, 28, 28, generator=generator(0, "images"))


# Divergences


def test_the_gaussian_kl_is_its_closed_form():
    mean, log_variance = GAUSSIAN.double().unbind(1)
    expected = torch.zeros(40, dtype=torch.float64)
    for latent in range(3):
        variance = log_variance[:, latent].exp()
        expected += (mean[:, latent] ** 2 + variance - 1 - variance.log()) / 2
    torch.testing.assert_close(vae().kl(GAUSSIAN).double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("mean", "variance", "nats"),
    [
        (0.0, 1.0, 0.0),
        (2.0, 1.0, 3 * 4 / 2),
        (0.0, math.e, 3 * (math.e - 2) / 2),
    ],
)
def test_known_gaussian_kls(mean, variance, nats):
    parameters = torch.tensor([mean, math.log(variance)]).view(1, 2, 1).expand(1, 2, 3)
    assert vae().kl(parameters).item() == pytest.approx(nats, abs=1e-5)


def test_the_categorical_kl_is_its_closed_form():
    probabilities = LOGITS.double().exp() / LOGITS.double().exp().sum(-1, keepdim=True)
    expected = (probabilities * (probabilities * 5).log()).sum((1, 2))
    torch.testing.assert_close(categorical().kl(LOGITS).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("logits", "nats"),
    [
        ([0.0, 0, 0, 0, 0], 0.0),
        ([7.0, 7, 7, 7, 7], 0.0),
        ([1000.0, 0, 0, 0, 0], 3 * math.log(5)),
        ([0.0, 0, -1000, -1000, -1000], 3 * math.log(5 / 2)),
    ],
)
def test_known_categorical_kls(logits, nats):
    assert categorical().kl(torch.tensor([[logits] * 3])).item() == pytest.approx(nats, abs=1e-5)


# Losses


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize(("reconstruction_weight", "kl_weight"), [(1.0, 0.001), (30.0, 0.5), (2.0, 0.0)])
def test_the_loss_is_the_weighted_error_plus_the_weighted_kl(images, make, reconstruction_weight, kl_weight):
    model = make(reconstruction_weight=reconstruction_weight, kl_weight=kl_weight)
    noise = model.noise(12, generator(0, "noise"))
    losses = model.losses(images, noise, step=0)
    parameters = model.encode(images)
    output = model.decode(model.latents(parameters, noise, 0)).detach()
    errors = [float(((output[image] - images[image]) ** 2).sum() / 784) for image in range(12)]
    assert losses.reconstruction.tolist() == pytest.approx(errors, rel=1e-5)
    assert losses.kl.tolist() == pytest.approx(model.kl(parameters).tolist())
    expected = reconstruction_weight * sum(errors) / 12 + kl_weight * sum(losses.kl.tolist()) / 12
    assert model.total(losses).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("make", "weight"), [(vae, 1.0), (categorical, 30.0)])
def test_the_default_weights_are_1_or_30_and_a_thousandth(make, weight):
    losses = ImageLosses(reconstruction=torch.tensor([0.1, 0.3]), kl=torch.tensor([10.0, 30.0]))
    assert make().total(losses).item() == pytest.approx(weight * 0.2 + 0.001 * 20)


@pytest.mark.parametrize("make", MODELS)
def test_every_weight_learns(images, make):
    model = make().train()
    model.total(model.losses(images, model.noise(12, generator(0, "noise")), step=0)).backward()
    # A bias before batch normalisation has no effect: its gradient is rounding alone.
    assert all(weight.grad is not None and torch.isfinite(weight.grad).all() for weight in model.parameters())
    assert all(
        model.get_parameter(name).grad.abs().max() > 1e-6 for name in ("posterior.weight", "decoder.input.weight")
    )
    assert model.encoder.layers[0].weight.grad.abs().max() > 1e-6


# Samples of the posterior and of the prior


def test_gaussian_latents_are_the_mean_plus_noise_times_the_standard_deviation():
    parameters = torch.tensor([[2.0, -1.0, 0.0], [math.log(4), 0.0, math.log(0.25)]]).expand(DRAWN, 2, 3)
    model = vae()
    latents = model.latents(parameters, model.noise(DRAWN, generator(0, "noise")), step=0)
    for latent, (mean, std) in enumerate([(2, 2), (-1, 1), (0, 0.5)]):
        sample = (latents[:, latent].double().numpy() - mean) / std
        assert scipy.stats.kstest(sample, scipy.stats.norm.cdf).pvalue > 1e-6
    correlation = torch.corrcoef(latents.T) - torch.eye(3)
    assert correlation.abs().max() < 5 / math.sqrt(DRAWN)


def test_categorical_noise_is_standard_gumbel():
    noise = categorical().noise(DRAWN, generator(0, "noise")).double().flatten()
    # Mean: Euler's constant; variance: pi^2 / 6.
    tolerance = 5 * math.pi / math.sqrt(6 * len(noise))
    assert noise.mean().item() == pytest.approx(0.5772157, abs=tolerance)
    assert scipy.stats.kstest(noise.numpy(), scipy.stats.gumbel_r.cdf).pvalue > 1e-6
    assert torch.isfinite(noise).all()


@pytest.mark.parametrize("make", MODELS)
def test_noise_has_one_row_per_image_and_comes_from_its_generator_alone(make):
    model = make()
    noise = model.noise(10, generator(0, "noise"))
    assert noise.shape == ((10, 3) if make is vae else (10, 3, 5))
    assert torch.equal(noise, model.noise(10, generator(0, "noise")))
    assert not torch.equal(noise, model.noise(10, generator(1, "noise")))


def test_categorical_samples_have_the_posteriors_class_frequencies():
    model, logits = categorical(), torch.tensor([[0.0, 1, 2, -1, 0.5], [0.0] * 5, [3.0, 0, 0, 0, 0]])
    noise = model.noise(DRAWN, generator(0, "noise"))
    latents = model.latents(logits.expand(DRAWN, 3, 5), noise, step=0).view(DRAWN, 3, 5)
    for variable, probabilities in enumerate(torch.softmax(logits.double(), dim=-1)):
        counts = torch.bincount(latents[:, variable].argmax(-1), minlength=5)
        assert scipy.stats.chisquare(counts.numpy(), DRAWN * probabilities.numpy()).pvalue > 1e-6


def test_latents_are_probabilities_near_one_hot_at_low_temperatures_and_uniform_at_high_ones():
    hard, soft = categorical(temperature=0.01), categorical(temperature=100)
    noise = hard.noise(40, generator(0, "noise"))
    for model in (hard, soft):
        rows = model.latents(LOGITS, noise, step=0).view(40, 3, 5)
        torch.testing.assert_close(rows.sum(-1), torch.ones(40, 3))
    cold = hard.latents(LOGITS, noise, step=0).view(40, 3, 5).max(-1).values
    # Not near one-hot only where the two largest of 5 noisy logits lie within 0.05: a few in a hundred.
    assert (cold > 0.99).double().mean() > 0.9
    assert (soft.latents(LOGITS, noise, step=0) - 1 / 5).abs().max() < 0.05


def test_latents_are_the_softmax_of_noisy_logits_over_the_temperature():
    model = categorical(temperature=0.7)
    noise = model.noise(40, generator(0, "noise"))
    powers = ((LOGITS + noise).double() / 0.7).exp()
    expected = (powers / powers.sum(-1, keepdim=True)).view(40, 15).float()
    torch.testing.assert_close(model.latents(LOGITS, noise, step=0), expected, rtol=1e-4, atol=1e-6)


def test_latents_use_the_temperature_of_their_step():
    model = categorical(temperature=1.0, minimum_temperature=0.1, annealing_rate=0.01)
    noise = model.noise(40, generator(0, "noise"))
    early, late = (model.latents(LOGITS, noise, step).view(40, 3, 5).max(-1).values.mean() for step in (0, 1000))
    assert late > early + 0.05


@pytest.mark.parametrize(
    ("step", "temperature"),
    [
        *((0, 1.0), (1, 1.0), (99, 1.0), (100, math.exp(-0.1)), (101, math.exp(-0.1)), (199, math.exp(-0.1))),
        *((200, math.exp(-0.2)), (600, math.exp(-0.6)), (700, 0.5), (10**6, 0.5)),
    ],
)
def test_the_temperature_falls_every_100_steps_to_its_minimum(step, temperature):
    model = categorical(temperature=1.0, minimum_temperature=0.5, annealing_rate=1e-3)
    assert model.temperature(step) == pytest.approx(temperature)


@pytest.mark.parametrize("step", [0, 10**5])
def test_the_default_temperature_is_constant(step):
    assert categorical().temperature(step) == 0.5


@pytest.mark.parametrize("make", MODELS)
def test_latents_are_differentiable_in_the_posterior(make):
    model = make()
    parameters = (GAUSSIAN if make is vae else LOGITS).clone().requires_grad_()
    latents = model.latents(parameters, model.noise(40, generator(0, "noise")), step=0)
    (latents * torch.randn(latents.shape, generator=generator(0, "weights"))).sum().backward()
    assert (parameters.grad.abs().flatten(1).max(1).values > 0).all()


def test_samples_of_the_gaussian_prior_are_standard_normal():
    sample = vae().prior(DRAWN, generator(0, "prior"))
    assert sample.shape == (DRAWN, 3)
    assert scipy.stats.kstest(sample.double().flatten().numpy(), scipy.stats.norm.cdf).pvalue > 1e-6


def test_samples_of_the_categorical_prior_are_one_hot_and_uniform():
    sample = categorical().prior(DRAWN, generator(0, "prior"))
    assert sample.shape == (DRAWN, 15)
    assert set(sample.unique().tolist()) == {0.0, 1.0}
    assert (sample.view(DRAWN, 3, 5).sum(-1) == 1).all()
    counts = sample.sum(0).view(3, 5)
    assert (scipy.stats.chisquare(counts.numpy(), axis=1).pvalue > 1e-6).all()


# What a model makes of images


@pytest.mark.parametrize("make", MODELS)
def test_shapes(images, make):
    model = make()
    parameters = model.encode(images)
    size = model.config.encoding_dim
    assert parameters.shape == ((12, 2, 3) if make is vae else (12, 3, 5))
    assert model.modes(parameters).shape == (12, size)
    assert model.decode(model.modes(parameters)).shape == (12, 1, 28, 28)
    assert model.reconstruct(images).shape == (12, 1, 28, 28)
    assert model.sample(4, generator(0, "samples")).shape == (4, 1, 28, 28)
    losses = model.losses(images, model.noise(12, generator(0, "noise")), step=0)
    assert losses.reconstruction.shape == losses.kl.shape == (12,)


@pytest.mark.parametrize("make", MODELS)
def test_a_reconstruction_is_decoded_from_the_most_probable_latents(images, make):
    model = make()
    parameters = model.encode(images)
    latents = parameters[:, 0] if make is vae else (parameters == parameters.amax(-1, keepdim=True)).float().flatten(1)
    torch.testing.assert_close(model.modes(parameters), latents)
    torch.testing.assert_close(model.reconstruct(images), model.decode(latents))


@pytest.mark.parametrize("make", MODELS)
def test_a_sample_is_decoded_from_the_prior(make):
    model = make()
    expected = model.decode(model.prior(4, generator(0, "samples")))
    torch.testing.assert_close(model.sample(4, generator(0, "samples")), expected)


def test_the_feature_of_a_vae_is_the_mean():
    assert torch.equal(vae().features(GAUSSIAN, "mean"), GAUSSIAN[:, 0])


def test_the_features_of_a_categorical_vae():
    model = categorical()
    assert torch.equal(model.features(LOGITS, "logits"), LOGITS.view(40, 15))
    probabilities = model.features(LOGITS, "probabilities").view(40, 3, 5)
    torch.testing.assert_close(probabilities, LOGITS.exp() / LOGITS.exp().sum(-1, keepdim=True))
    one_hot = model.features(LOGITS, "one_hot").view(40, 3, 5)
    assert set(one_hot.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(one_hot.argmax(-1), LOGITS.argmax(-1))
    assert (one_hot.sum(-1) == 1).all()


@pytest.mark.parametrize(
    ("make", "parameters", "message"),
    [
        (vae, GAUSSIAN, "feature is pixels; a vae has mean"),
        (categorical, LOGITS, "feature is pixels; a categorical_vae has logits, probabilities, one_hot and sample"),
    ],
)
def test_a_feature_that_a_model_does_not_have_is_refused(make, parameters, message):
    with pytest.raises(ValueError, match=message):
        make().features(parameters, "pixels")


def test_the_config_decides_the_model():
    assert not isinstance(vae(), CategoricalVAE)
    assert isinstance(categorical(), CategoricalVAE)
    assert isinstance(vae(output_activation="linear").decoder.layers[-1], torch.nn.Conv2d)
    assert [layer.out_channels for layer in vae(hidden_widths=(5, 6, 7)).encoder.layers[::3]] == [5, 6, 7]
