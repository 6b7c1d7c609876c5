import copy
import logging
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.small import small
from tivae import experiment, native
from tivae.datasets import TrialData
from tivae.fitting import ModelTraining
from tivae.models import build
from tivae.native import library
from tivae.networks import Decoder, Encoder, kernels_of
from tivae.randomness import generator, initialise, own_draws
from tivae.training import train

WIDTHS = (16, 32, 16, 48)
# Images in a batch: 13 leave a rest in every grouping of images.
BATCH = 13


def pair(kind, widths=WIDTHS, activation="linear"):
    """Twice the same network, the second without kernels."""
    with own_draws():
        network = Encoder(widths) if kind == "encoder" else Decoder(5, widths, activation)
    initialise(network, generator(1, "weights"))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 2, generator=generator(1, "scale"))
            nn.init.uniform_(layer.bias, -1, 1, generator=generator(1, "shift"))
    network = network.to(memory_format=torch.channels_last)
    plain = copy.deepcopy(network)
    plain.plan = None
    return network, plain


def inputs(kind, batch=BATCH):
    shape = (batch, 1, 28, 28) if kind == "encoder" else (batch, 5)
    return torch.randn(shape, generator=generator(2, "inputs"))


def assert_close(found, expected, name):
    """To single precision, relative to the largest value."""
    scale = float(expected.abs().max())
    assert float((found - expected).abs().max()) <= 2e-5 * scale + 1e-7, name


def used(monkeypatch):
    """The names of the kernels that are called from here on."""
    names, call = [], library.Kernels._call

    def recorded(self, name, *arguments):
        names.append(name)
        call(self, name, *arguments)

    monkeypatch.setattr(library.Kernels, "_call", recorded)
    return names


@pytest.mark.parametrize("widths", [WIDTHS, (32,)])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
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
    for (name, ours), theirs in zip(network.named_parameters(), plain.parameters(), strict=True):
        # A bias in front of a batch norm has no gradient: torch's is what rounding leaves.
        has_norm = (
            name.endswith("bias") and ours.dim() == 1 and f"{name[:-4]}weight" in dict(network.named_parameters())
        )
        weight = dict(network.named_parameters())[f"{name[:-4]}weight"] if has_norm else None
        if weight is not None and weight.dim() == 4 and not (kind == "decoder" and weight.shape[0] == 1):
            assert ours.grad.eq(0).all()
            assert theirs.grad.abs().max() < 1e-3
            continue
        assert_close(ours.grad, theirs.grad, name)
    for (name, ours), theirs in zip(network.named_buffers(), plain.buffers(), strict=True):
        assert_close(ours.double(), theirs.double(), name)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_in_evaluation_mode_an_image_depends_on_itself_alone(kind, monkeypatch):
    network, plain = pair(kind, activation="tanh")
    network(inputs(kind)), plain(inputs(kind))
    network.eval(), plain.eval()
    before = copy.deepcopy(network.state_dict())
    names = used(monkeypatch)
    with torch.no_grad():
        whole = network(inputs(kind))
        assert_close(whole, plain(inputs(kind)), "outputs")
        assert torch.equal(network(inputs(kind)[:3]), whole[:3])
    assert names
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


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
    with pytest.raises(RuntimeError, match="once_differentiable"):
        # Second derivatives in training mode are refused and not wrong.
        first = torch.autograd.grad(network.train()(seen[0]).square().sum(), seen[0], create_graph=True)[0]
        first.sum().backward()


@pytest.mark.parametrize(("widths", "fast"), [((16, 32), True), ((8, 16), False), ((16, 20), False)])
def test_the_kernels_are_for_multiples_of_16_channels(widths, fast):
    assert (native.plan(widths, (28, 14, 7)) is not None) == fast
    assert kernels_of(build(small(hidden_widths=widths))) == ("native" if fast else "torch")


def test_bits_do_not_depend_on_the_width_of_vectors(monkeypatch, tmp_path):
    """One machine's results are another's: compiled here for 512 and 256 bits where this processor has both."""
    if not all(
        torch.cpu._is_avx512_supported() if name == "512" else torch.cpu._is_avx2_supported() for name in ("2", "512")
    ):
        pytest.skip("this processor has vectors of one width only")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    results = []
    for flags in (library.FLAGS, (*library.FLAGS, "-mno-avx512f")):
        library._loaded.cache_clear()
        monkeypatch.setattr(library, "FLAGS", flags)
        found = []
        for kind in ("encoder", "decoder"):
            network, _ = pair(kind, (16, 32))
            images = inputs(kind).requires_grad_()
            output = network(images)
            output.square().sum().backward()
            found += [output, images.grad, *(parameter.grad for parameter in network.parameters())]
        results.append(found)
    library._loaded.cache_clear()
    assert len(list((tmp_path / "tivae" / "kernels").iterdir())) == 2
    assert all(torch.equal(one, other) for one, other in zip(*results, strict=True))


FAST = {"hidden_widths": (16, 32), "train_images": 1000, "epochs": 1, "batch_size": 64}


@pytest.mark.parametrize(
    "changes",
    [{}, {"model": "categorical_vae", "latent_dim": 4}, {"stn": "joint"}],
    ids=["vae", "categorical", "joint"],
)
def test_an_epoch_has_the_losses_of_torchs_layers(host, monkeypatch, changes):
    config = small(train_dataset="augmented", **(FAST | changes))
    rows = []
    for kernels in ("native", "torch"):
        monkeypatch.setenv(library.VARIABLE, kernels)
        training = ModelTraining(config, TrialData(host, config, "cpu"))
        assert kernels_of(training.model) == kernels
        train(training)
        rows.append(training.rows[0])
    timeless = [name for name in rows[0] if name.endswith(("_loss", "_reconstruction", "_kl"))]
    # Training magnifies rounding: 16 steps of Adam take the two apart by about 1e-4.
    assert {name: rows[0][name] for name in timeless} == pytest.approx(
        {name: rows[1][name] for name in timeless}, rel=2e-3
    )
    assert rows[0]["train_loss"] != rows[1]["train_loss"], "the two paths should differ in their last bits"


def test_freshly_compiled_and_cached_kernels_give_the_same_trial(host, monkeypatch, tmp_path):
    config = small(train_dataset="augmented", **(FAST | {"train_images": 200, "epochs": 2}))
    results = []
    for folder in ("one", "one", "other"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / folder))
        library._loaded.cache_clear()
        results.append(experiment.run(config, host, measures="none"))
    library._loaded.cache_clear()
    for again in results[1:]:
        assert again.metrics == results[0].metrics
        assert all(torch.equal(v, again.model.state_dict()[k]) for k, v in results[0].model.state_dict().items())
    assert all(result.provenance["kernels"] == "native" for result in results)


def test_without_a_compiler_torchs_layers_train_and_the_provenance_tells(host, monkeypatch, caplog, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(library.shutil, "which", lambda name: None)
    library._loaded.cache_clear()
    config = small(**(FAST | {"train_images": 200}))
    with caplog.at_level(logging.WARNING, logger="tivae"):
        result = experiment.run(config, host, measures="none")
    library._loaded.cache_clear()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == "training uses torch's own layers, at half the speed (no C++ compiler was found; install g++)"
    assert result.provenance["kernels"] == "torch"
    monkeypatch.undo()
    monkeypatch.setenv(library.VARIABLE, "torch")
    assert experiment.run(config, host, measures="none").metrics == result.metrics


def test_another_choice_of_kernels_is_refused(monkeypatch):
    monkeypatch.setenv(library.VARIABLE, "fast")
    with pytest.raises(ValueError, match="^TIVAE_KERNELS is 'fast'; it must be native or torch$"):
        build(small(hidden_widths=(16,))).encoder(inputs("encoder"))
