"""Faults of one line that pass on a CPU, planted: the pretended device finds each of them."""

import pytest
import torch

from tests.pretended_device.device import Pretended
from tests.pretended_device.tensor import PretendedGenerator
from tests.pretended_device.trials import config_of, noted, trained
from tivae.data import placement, sampling
from tivae.data.datasets import Dataset
from tivae.training import loop
from tivae.training.autoencoder import ModelTraining


def _asks_for_a_value(monkeypatch):
    loss = ModelTraining.loss
    monkeypatch.setattr(ModelTraining, "loss", lambda self, *given: [out := loss(self, *given), out[0].item()][0])


def _asks_by_a_mask(monkeypatch):
    loss = ModelTraining.loss

    def masked(self, images, index, step):
        return loss(self, images, index[index >= 0], step)

    monkeypatch.setattr(ModelTraining, "loss", masked)


def _copies_to_the_host(monkeypatch):
    step = loop.take_step

    def copied(*given):
        return {name: value.cpu() for name, value in step(*given).items()}

    monkeypatch.setattr(loop, "take_step", noted(copied, "step"))


def _indexes_from_the_host(monkeypatch):
    step = loop.take_step
    monkeypatch.setattr(loop, "take_step", lambda t, images, index, number: step(t, images, index.cpu(), number))


def _change_batches(monkeypatch, change):
    batch = Dataset.batch
    monkeypatch.setattr(Dataset, "batch", lambda self, index: change(batch(self, index)))


def _makes_a_constant_without_a_device(monkeypatch):
    _change_batches(monkeypatch, lambda images: images - torch.tensor([0.0]))


def _draws_with_a_generator_of_the_host(monkeypatch):
    _change_batches(
        monkeypatch,
        lambda images: images + 0 * torch.rand(images.shape, generator=torch.Generator(), device=images.device),
    )


def _computes_in_float64(monkeypatch):
    _change_batches(monkeypatch, lambda images: images.double().sub(1e-9).float())


def _takes_numpy(monkeypatch):
    measure = ModelTraining.measure

    def measured(self, step):
        return measure(self, step) | {"weight": next(self.module.parameters()).detach().numpy().sum()}

    monkeypatch.setattr(ModelTraining, "measure", measured)


def _adds_up_in_any_order(monkeypatch):
    monkeypatch.setattr(sampling, "_has_no_gradient", lambda images, grid: False)


def _normalises_channels_last(monkeypatch):
    monkeypatch.setattr(placement, "memory_format", lambda device: torch.channels_last)


REFUSED = [
    (_makes_a_constant_without_a_device, "cuda", "same device"),
    (_draws_with_a_generator_of_the_host, "cuda", "generator"),
    (_computes_in_float64, "mps", "float64"),
    (_takes_numpy, "cuda", "numpy"),
]
NOTED = [
    (_asks_for_a_value, "cuda", "asked"),
    (_asks_by_a_mask, "mps", "asked"),
    (_copies_to_the_host, "cuda", "to host"),
    (_indexes_from_the_host, "mps", "to device"),
    (_adds_up_in_any_order, "cuda", "unsteady"),
    (_normalises_channels_last, "mps", "suspect"),
]


@pytest.mark.parametrize(("plant", "device_type", "message"), REFUSED, ids=[plant.__name__ for plant, *_ in REFUSED])
def test_what_the_device_would_refuse_passes_on_the_cpu_and_is_refused_here(plant, device_type, message, monkeypatch):
    plant(monkeypatch)
    trained("cpu", config_of("vae"))
    with pytest.raises((RuntimeError, TypeError), match=message):
        trained(device_type, config_of("vae"))


@pytest.mark.parametrize(("plant", "device_type", "event"), NOTED, ids=[plant.__name__ for plant, *_ in NOTED])
def test_what_costs_a_wait_or_the_result_is_noted(plant, device_type, event, monkeypatch):
    plant(monkeypatch)
    _, device = trained(device_type, config_of("inverse"))
    assert device.found(event)


def test_a_removed_operation_is_missed():
    with pytest.raises(NotImplementedError, match=r"tanh.*MPS"):
        trained("mps", config_of("vae"), lacking=frozenset({"tanh"}))


def test_torchs_own_table_says_what_mps_lacks():
    with Pretended("mps") as device, pytest.raises(NotImplementedError, match="MPS"):
        torch.ones(3, 3, device=device.device).mode()
    with Pretended("cuda") as device:
        torch.ones(3, 3, device=device.device).mode()


def test_values_are_those_of_the_host_and_stay_there_after_the_block():
    with Pretended("cuda") as device:
        values = torch.arange(6.0).to(device.device).view(2, 3)
        assert values.device == device.device
        assert values.is_cuda
        product = (values @ values.T).cpu()
    assert product.tolist() == [[5.0, 14.0], [14.0, 50.0]]
    assert torch.tensor(1.0).device.type == "cpu"


def test_a_generators_state_does_not_fit_another_device():
    with Pretended("cuda"):
        state = PretendedGenerator("cuda").get_state()
        with pytest.raises(RuntimeError, match="wrong size"):
            torch.Generator().set_state(state)


def test_devices_do_not_mix():
    with Pretended("mps") as device:
        ours, theirs = torch.ones(2, device=device.device), torch.ones(2)
        for operation in (torch.add, torch.mul, lambda a, b: torch.cat([a, b]), lambda a, b: torch.stack([b, a])):
            with pytest.raises(RuntimeError, match="same device"):
                operation(ours, theirs)
        with pytest.raises(RuntimeError, match="no cuda"):
            ours.to("cuda")
