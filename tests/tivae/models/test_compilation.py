"""On a CPU, with torch's compiler but not its generated code: what is compiled, and that nothing else changes."""

import copy

import pytest
import torch

from tests.small import small
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.models import build, compilation
from tivae.models.autoencoders.vae import VAE
from tivae.models.networks import kernels_of
from tivae.native import VARIABLE
from tivae.training.autoencoder import ModelTraining
from tivae.training.loop import take_step

CONFIG = small(train_images=100, hidden_widths=(4,), batch_size=20)


@pytest.mark.parametrize(
    ("device", "kernels", "is_wanted"),
    [("cuda", "compiled", True), ("cuda", "native", False), ("cuda", None, False), ("cpu", "compiled", False)],
)
def test_it_is_for_a_gpu_and_has_to_be_asked_for(monkeypatch, device, kernels, is_wanted):
    monkeypatch.delenv(VARIABLE, raising=False)
    if kernels is not None:
        monkeypatch.setenv(VARIABLE, kernels)
    assert compilation.wanted(torch.device(device)) == (is_wanted and compilation.compiles())


@pytest.fixture
def on_the_cpu(monkeypatch):
    """Compilation as on a GPU, traced and run by torch's own operations; gives the number of steps that began."""
    steps = []
    monkeypatch.setattr(compilation, "wanted", lambda _: True)
    monkeypatch.setattr(compilation, "OPTIONS", {"backend": "aot_eager", "dynamic": False})
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: steps.append(1))
    yield steps
    torch.compiler.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_compiled_networks_train_as_plain_ones_and_keep_their_names(host, on_the_cpu, monkeypatch):
    data = TrialData(host, CONFIG, "cpu")
    metrics, weights = [], []
    for is_compiled in (True, False):
        if not is_compiled:
            monkeypatch.setattr(compilation, "wanted", lambda _: False)
        training = ModelTraining(CONFIG, data)
        training.module.train()
        images = training.images()
        steps = [take_step(training, images, torch.arange(20), step) for step in range(3)]
        metrics.append([float(value) for step in steps for value in step.values()])
        weights.append(training.module.state_dict())
        assert (training.model.encoder.layers._compiled_call_impl is not None) == is_compiled
        assert kernels_of(training.model) == ("compiled" if is_compiled else "torch")
    assert len(on_the_cpu) == 3
    assert weights[0].keys() == weights[1].keys()
    assert metrics[0] == pytest.approx(metrics[1], rel=1e-4)


def test_evaluation_is_not_compiled(on_the_cpu):
    model = build(CONFIG).eval()
    with torch.no_grad():
        model.encode(torch.randn(7, 1, 28, 28, generator=generator(0, "images")))
    assert model.encoder.layers._compiled_call_impl is None
    assert isinstance(copy.deepcopy(model), VAE)
    assert on_the_cpu == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.skipif(not compilation.compiles(), reason="system: this torch compiles no layers of its own")
def test_networks_of_any_number_of_sizes_are_compiled(on_the_cpu, monkeypatch):
    compiled = []

    def backend(module, inputs):
        compiled.append(inputs)
        return module.forward

    monkeypatch.setattr(compilation, "OPTIONS", {"backend": backend, "dynamic": False})
    for size in range(1, 13):
        layers = compilation.prepare(torch.nn.Sequential(torch.nn.Linear(size, size)))
        layers(torch.ones(2, size))
    assert len(compiled) == 12, "Dynamo stops at 8 by default, and says nothing"
