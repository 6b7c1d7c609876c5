"""The compiled kernels against torch's own layers."""

import copy
import logging

import pytest
import torch
from torch import nn

from tests.small import small
from tivae import experiment, native
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator, initialise, own_draws
from tivae.models import build, networks
from tivae.models.networks import Decoder, Encoder, kernels_of
from tivae.native import library
from tivae.native.kernels import Kernels
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import train

WIDTHS = (16, 32, 16, 48)
# Images in a batch: 13 leave a rest in every grouping of images.
BATCH = 13
KINDS = pytest.mark.parametrize("kind", ["encoder", "decoder"])


def pair(kind, widths=WIDTHS, activation="linear"):
    """Twice the same network, the second without kernels."""
    with own_draws():
        network = Encoder(28, widths) if kind == "encoder" else Decoder(5, 28, widths, activation)
    initialise(network, generator(1, "weights"))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2, generator=generator(1, "scale"))
            nn.init.uniform_(layer.bias, -1, 1, generator=generator(1, "shift"))
        # Nearly linear: a value within rounding of the bend may be on either side of it. The bend: test_library.py.
        if isinstance(layer, nn.LeakyReLU):
            layer.negative_slope = 0.99
    network = network.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(network)
    plain.plan = None
    return network, plain


def inputs(kind, batch=BATCH):
    shape = (batch, 1, 28, 28) if kind == "encoder" else (batch, 5)
    return torch.randn(shape, generator=generator(2, "inputs"))


def assert_close(found, expected, name):
    """To single precision, relative to the largest value."""
    scale = expected.detach().abs().max().item()
    assert (found - expected).detach().abs().max().item() <= 2e-5 * scale + 1e-7, name


def used(monkeypatch):
    """The names of the kernels that are called from here on."""
    names, call = [], Kernels._call

    def recorded(self, name, *arguments):
        names.append(name)
        call(self, name, *arguments)

    monkeypatch.setattr(Kernels, "_call", recorded)
    return names


@pytest.mark.parametrize("widths", [WIDTHS, (32,)])
@KINDS
def test_values_gradients_and_statistics_are_those_of_torchs_layers(kind, widths, monkeypatch):
    network, plain = pair(kind, widths)
    names = used(monkeypatch)
    seen = [inputs(kind).requires_grad_() for _ in range(2)]
    outputs = [one(x) for one, x in zip((network, plain), seen, strict=True)]
    assert names
    assert_close(*outputs, "outputs")
    upper = torch.randn(outputs[0].shape, generator=generator(3, "gradient"))
    for output in outputs:
        output.backward(upper)
    assert_close(seen[0].grad, seen[1].grad, "inputs")
    before_norms = [f"layers.{number}.bias" for number in range(0, 3 * len(widths), 3)]
    for (name, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        if name in before_norms:
            # What is subtracted again with the mean has no gradient: torch's is what rounding leaves.
            assert ours.grad.eq(0).all()
            assert theirs.grad.abs().max() < 1e-3
        else:
            assert_close(ours.grad, theirs.grad, name)
    for (name, ours), theirs in zip(network.named_buffers(), plain.buffers(), strict=True):
        assert_close(ours.double(), theirs.double(), name)


@KINDS
def test_in_evaluation_mode_an_image_depends_on_itself_alone(kind, monkeypatch):
    network, plain = pair(kind, activation="tanh")
    network(inputs(kind)), plain(inputs(kind))
    network.eval(), plain.eval()
    before = copy.deepcopy(network.state_dict())
    names = used(monkeypatch)
    with torch.no_grad():
        assert_close(network(inputs(kind)), plain(inputs(kind)), "outputs")
        hidden = inputs(kind) if kind == "encoder" else network.input(inputs(kind)).view(-1, *network.shape)
        whole, part = (native.run(network.plan, network.layers, images) for images in (hidden, hidden[:3]))
    assert torch.equal(part, whole[:3])
    assert names
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_derivatives_that_the_kernels_do_not_have_are_torchs(monkeypatch):
    network, plain = pair("encoder")
    network.eval(), plain.eval()
    names = used(monkeypatch)
    images = inputs("encoder")
    with torch.no_grad():
        for ours, theirs in zip(*(torch.func.jvp(one, (images,), (images,)) for one in (network, plain)), strict=True):
            assert_close(ours, theirs, "forward mode")
    seen = [images.clone().requires_grad_() for _ in range(2)]
    for one, x in zip((network, plain), seen, strict=True):
        one(x).square().sum().backward()
    assert_close(seen[0].grad, seen[1].grad, "in evaluation mode")
    assert names == []


def test_second_derivatives_are_refused_and_not_wrong():
    network, _ = pair("encoder")
    images = inputs("encoder").requires_grad_()
    first = torch.autograd.grad(network(images).square().sum(), images, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_what_the_kernels_can_not_run_goes_to_torch():
    network, _ = pair("encoder")
    images = inputs("encoder")
    assert native.fits(network, images)
    assert not native.fits(network, images.double())
    assert not native.fits(network, images[:0])
    assert not native.fits(network, images.to("meta"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not native.fits(network, images)
    with torch.inference_mode():
        assert native.fits(network.eval(), images)
    assert not native.fits(network, images), "gradients in evaluation mode"
    assert not native.fits(network.train().double(), images)
    assert not native.fits(network.to("meta"), images)


@pytest.mark.parametrize(("widths", "fast"), [((16, 32), True), ((8, 16), False), ((16, 20), False)])
def test_the_kernels_are_for_multiples_of_16_channels(widths, fast):
    assert (native.plan(widths, (28, 14, 7)) is not None) == fast
    assert kernels_of(build(small(hidden_widths=widths))) == ("native" if fast else "torch")


# Whole trials

FAST = {"hidden_widths": (16, 32), "train_images": 1000, "epochs": 1, "batch_size": 64}
MODELS = {"vae": {}, "categorical": {"model": "categorical_vae", "latent_dim": 4}, "joint": {"stn": "joint"}}


@pytest.mark.parametrize("name", MODELS)
def test_an_epoch_has_the_losses_of_torchs_layers(host, monkeypatch, name):
    config = small(train_dataset="augmented", learning_rate=3e-4, **(FAST | MODELS[name]))
    rows = []
    for plain in (False, True):
        if plain:
            monkeypatch.setattr(networks, "_run", lambda network, images: network.layers(images.contiguous()))
        training = ModelTraining(config, TrialData(host, config, "cpu"))
        training.model.to(memory_format=torch.contiguous_format)
        train(training)
        rows.append(training.rows[0])
    assert rows[0]["train_loss"] != rows[1]["train_loss"], "the same to the last bit: was it the same path?"
    # Measured: 5e-5 apart in training. On test images 1e-3, since torch's rounding moves the biases in front of the
    # norms at random, and running means lag behind. Adam magnifies both with its learning rate, here a small one.
    for images, tolerance in (("train", 3e-4), ("base", 5e-3), ("augmented", 5e-3)):
        metrics = [f"{images}_{metric}" for metric in ("loss", "reconstruction", "kl")]
        expected = [rows[1][metric] for metric in metrics]
        assert [rows[0][metric] for metric in metrics] == pytest.approx(expected, rel=tolerance)


def test_freshly_compiled_and_cached_kernels_give_the_same_trial(host, monkeypatch, tmp_path):
    changes = {"train_images": 200, "epochs": 2, "hidden_widths": (16,)}
    config = small(train_dataset="augmented", **(FAST | changes))
    results = []
    for folder in ("one", "one", "other"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
        library._loaded.cache_clear()
        results.append(experiment.run(config, host, measures="none"))
    weights = [result.model.state_dict() for result in results]
    for result, again in zip(results, weights, strict=True):
        assert result.metrics == results[0].metrics
        assert all(torch.equal(value, weights[0][name]) for name, value in again.items())
        assert result.provenance["kernels"] == "native"


def test_without_a_compiler_torchs_layers_train_and_the_provenance_tells(host, monkeypatch, caplog, tmp_path):
    config = small(**(FAST | {"train_images": 200}))
    with monkeypatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path))
        patched.setattr(library.shutil, "which", lambda _: None)
        library._loaded.cache_clear()
        with caplog.at_level(logging.WARNING, logger="tivae"):
            result = experiment.run(config, host, measures="none")
    (line,) = [record.getMessage() for record in caplog.records]
    assert (
        line
        == "training uses torch's own layers, at about two thirds of the speed (no C++ compiler was found; install g++)"
    )
    assert result.provenance["kernels"] == "torch"
    monkeypatch.setenv(library.VARIABLE, "torch")
    assert experiment.run(config, host, measures="none").metrics == result.metrics


@KINDS
def test_the_number_of_threads_moves_no_bit(kind):
    """Of the kernels; torch's linear layers, outside them, split their sums."""
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        network, _ = pair(kind, (16, 32))
        shape = (BATCH, 1, 28, 28) if kind == "encoder" else (BATCH, *network.shape)
        hidden = torch.randn(shape, generator=generator(2, "hidden")).requires_grad_()
        output = native.run(network.plan, network.layers, hidden)
        output.backward(output.detach().square())
        found.append([output, hidden.grad, *(parameter.grad for parameter in network.layers.parameters())])
        network.eval()
        with torch.no_grad():
            found[-1].append(native.run(network.plan, network.layers, hidden))
    assert all(torch.equal(one, other) for others in found[1:] for one, other in zip(found[0], others, strict=True))
