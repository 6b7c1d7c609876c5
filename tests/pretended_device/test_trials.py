"""Whole trials on devices that are not there."""

import functools

import pytest

from tests.pretended_device.device import DEVICE_TYPES
from tests.pretended_device.trials import CONFIGS, HOST, TRAINED, config_of, losses, on, trained
from tivae import experiment
from tivae.data.datasets import TrialData
from tivae.training import loop, noise
from tivae.training.stn_pretraining import StnTraining


@functools.cache
def _on_the_host(name):
    return experiment.run(config_of(name), HOST, "cpu", measures="all").metrics


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("device_type", DEVICE_TYPES)
def test_a_whole_trial_runs_there_and_gives_the_hosts_losses(device_type, name, tmp_path):
    config = config_of(name)
    with on(device_type) as device:
        found = experiment.run(config, HOST, device.device, measures="all", checkpoint=tmp_path / "c.pt").metrics
    assert found.keys() == _on_the_host(name).keys()
    # Other layouts and samplers round differently, and Adam's first steps are as long for tiny gradients as for others;
    # noise, warps and order are the same.
    assert losses(found) == pytest.approx(losses(_on_the_host(name)), rel=0.02 if config.precision == "bf16" else 0.01)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("device_type", DEVICE_TYPES)
def test_a_step_waits_for_nothing_copies_nothing_and_is_repeatable(device_type, name):
    _, device = trained(device_type, config_of(name))
    assert any(phase == "step" for phase, _ in device.operations)
    assert device.found("asked", "to host", "to device", "unsteady", "suspect") == set()


@pytest.mark.parametrize("device_type", DEVICE_TYPES)
def test_a_step_of_an_stns_pretraining_waits_for_nothing(device_type):
    config = config_of("pretrained")
    with on(device_type) as device:
        loop.train(StnTraining(config, TrialData(HOST, config, device.device)))
    assert any(phase == "step" for phase, _ in device.operations)
    assert device.found("asked", "to host", "to device", "unsteady", "suspect") == set()


def test_noise_comes_in_few_copies(monkeypatch):
    monkeypatch.setattr(noise, "NUMBERS_PER_COPY", 2 * 10 * 10)
    _, device = trained("cuda", config_of("vae", latent_dim=10, batch_size=10))
    copies = [event for event in device.events if event.place.startswith("tivae/placement") and event.phase == "step"]
    # Ten batches, two in a copy, and the first two before the first step.
    assert len(copies) == 4


@pytest.mark.parametrize("name", ["vae", "categorical", "joint"])
@pytest.mark.parametrize(
    ("before", "after"),
    [("cuda", "cuda"), ("mps", "mps"), ("cuda", "cpu"), ("cpu", "cuda"), ("mps", "cpu"), ("cuda", "mps")],
)
def test_a_trial_goes_on_from_its_last_epoch_on_another_device(before, after, name, tmp_path):
    config = config_of(name, epochs=3)
    trained(before, config, tmp_path / "c.pt", until=2)
    made, _ = trained(after, config, tmp_path / "c.pt")
    assert made.resumed == 1
    whole, _ = trained("cpu", config)
    ours, expected = made.rows[-1], whole.rows[-1]
    assert losses(ours) == pytest.approx(losses(expected), rel=1e-3)


def test_a_state_of_another_layout_takes_that_of_the_weights(tmp_path):
    config = config_of("vae", epochs=2)
    trained("mps", config, tmp_path / "c.pt", until=1)
    made, _ = trained("cpu", config, tmp_path / "c.pt")
    weights = [parameter for parameter in made.module.parameters() if parameter.dim() == 4]
    assert any(not weight.is_contiguous() for weight in weights)
    for weight in weights:
        assert made.optimiser.state[weight]["exp_avg"].stride() == weight.stride()
