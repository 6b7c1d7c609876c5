import pytest
import torch

from tests.small import small
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.evaluation import losses
from tivae.models import build
from tivae.models.autoencoders.vae import VAE
from tivae.models.stn import LearntTransformer, freeze

COUNT = 503
CONFIGS = [
    small(test_images=COUNT, kl_weight=0.5),
    small(model="categorical_vae", latent_dim=4, categories=5, test_images=COUNT, kl_weight=0.5),
]
each_model = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.model)


def prepared(host, config):
    """A model whose batch statistics differ from their start, the augmented test set, and noise."""
    data = TrialData(host, config, "cpu")
    model = build(config).train()
    with torch.no_grad():
        model.encode(data.base_train().batch(slice(0, 100)))
    images = data.augmented_test()
    return model.eval(), images, model.noise(len(images), generator(0, "noise"))


@pytest.fixture(scope="module")
def one_by_one(host):
    """Losses and features by a plain loop over the images."""

    def of(config):
        model, images, noise = prepared(host, config)
        rows, encodings = [], []
        with torch.no_grad():
            for number in range(len(images)):
                image = images.batch(torch.tensor([number]))
                parameters = model.encode(image)
                output = model.decode(model.latents(parameters, noise[number : number + 1], 0))
                rows.append([float(((output - image) ** 2).mean()), float(model.kl(parameters))])
                encodings.append(model.features(parameters, config.probe_features))
        return torch.tensor(rows, dtype=torch.float64), torch.cat(encodings)

    known = {config.model: of(config) for config in CONFIGS}
    return lambda config: known[config.model]


@each_model
@pytest.mark.parametrize("batch_size", [1, 7, 500, COUNT, 1000])
def test_each_image_counts_once_at_every_batch_size(host, one_by_one, config, batch_size):
    model, images, noise = prepared(host, config)
    rows, _ = one_by_one(config)
    measured = losses.losses(model, images, noise, step=0, batch_size=batch_size)
    reconstruction, kl = rows.mean(0).tolist()
    expected = {
        "loss": config.reconstruction_weight * reconstruction + 0.5 * kl,
        "reconstruction": reconstruction,
        "kl": kl,
    }
    # float32 sums of 784 squares: 1e-6 or so.
    assert measured == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_a_model_with_an_own_total_is_the_one_it_trains(host):
    class Squared(VAE):
        def total(self, losses):
            return losses.reconstruction.square().mean() + 100

    config = CONFIGS[0]
    _, images, noise = prepared(host, config)
    model = Squared(config).eval()
    with torch.no_grad():
        parts = model.losses(images.batch(slice(0, COUNT)), noise, 0)
    measured = losses.losses(model, images, noise, step=0, batch_size=100)
    assert measured["loss"] == pytest.approx(float(model.total(parts)), rel=1e-5)
    assert measured["loss"] > 100 > measured["reconstruction"]


@each_model
def test_the_last_image_counts_as_much_as_any_other(one_by_one, config):
    """The tolerance above tells the mean over images from the mean over batches' means, which counts some more."""
    rows, _ = one_by_one(config)
    for batch_size in (7, 500):
        batches = torch.stack([batch.mean(0) for batch in rows.split(batch_size)]).mean(0)
        assert ((batches - rows.mean(0)).abs() / rows.mean(0)).max() > 1e-4


@each_model
@pytest.mark.parametrize("batch_size", [1, 7, 500, COUNT])
def test_features_are_in_order_at_every_batch_size(host, one_by_one, config, batch_size):
    model, images, _ = prepared(host, config)
    encodings = losses.features(model, images, config.probe_features, batch_size=batch_size)
    _, expected = one_by_one(config)
    assert encodings.dtype == torch.float32
    assert encodings.shape == (COUNT, config.encoding_dim)
    torch.testing.assert_close(encodings, expected, rtol=1e-4, atol=1e-5)


@each_model
def test_evaluation_leaves_every_weight_and_buffer_as_it_was(host, config):
    model, images, noise = prepared(host, config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses.losses(model, images, noise, step=0)
    losses.features(model, images, config.probe_features)
    assert not model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    # In training mode the same pass would have moved the batch statistics.
    losses.losses(model.train(), images, noise, step=0)
    assert any(not torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_losses_use_the_noise_and_the_step_that_they_are_given(host):
    config = small(model="categorical_vae", temperature=2.0, minimum_temperature=0.1, annealing_rate=0.01)
    model, images, noise = prepared(host, config)
    first = losses.losses(model, images, noise, step=0)
    assert losses.losses(model, images, noise, step=0) == first
    assert losses.losses(model, images, noise.flip(0), step=0)["reconstruction"] != first["reconstruction"]
    assert losses.losses(model, images, noise, step=500)["reconstruction"] != first["reconstruction"]
    assert losses.losses(model, images, noise.flip(0), step=500)["kl"] == first["kl"]


def test_features_pass_through_what_is_in_front(host):
    model, images, _ = prepared(host, CONFIGS[0])
    stn = freeze(LearntTransformer(small(stn="pretrained")))
    with torch.no_grad():
        stn.affine.bias[2] = 0.3
        expected = model.encode(stn(images.batch(slice(0, COUNT))))[:, 0]
    seen = losses.features(model, images, "mean", stn=stn, batch_size=100)
    torch.testing.assert_close(seen, expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seen, losses.features(model, images, "mean"), atol=1e-2)
