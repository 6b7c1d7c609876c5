"""Whole trials on devices that are not there."""

import functools

import pytest

from tests.pretended_device.device import DEVICE_TYPES
from tests.pretended_device.trials import CONFIGS, HOST, TRAINED, config_of, losses, on, trained
from tivae import experiment
from tivae.training import noise

# The others have no operation in their measures that these have not.
MEASURED = ("vae", "categorical_one_hot", "pretrained", "inverse", "pca_behind_stn", "moments")


def _run(name, device, **options):
    level = "all" if name in MEASURED else "none"
    return experiment.run(config_of(name), HOST, device, measures=level, **options).metrics


@functools.cache
def _on_the_host(name):
    return _run(name, "cpu")


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("device_type", DEVICE_TYPES)
def test_a_whole_trial_gives_the_hosts_losses_and_its_steps_neither_wait_nor_copy(device_type, name, tmp_path):
    with on(device_type) as device:
        found = _run(name, device.device, checkpoint=tmp_path / "c.pt")
    assert found.keys() == _on_the_host(name).keys()
    # Other layouts and samplers round differently, and Adam's first steps are as long for tiny gradients as for others;
    # noise, warps and order are the same.
    assert losses(found) == pytest.approx(losses(_on_the_host(name)), rel=0.02 if "bf16" in name else 0.01)
    assert (name in TRAINED or CONFIGS[name].get("stn") == "pretrained") == any(
        phase == "step" for phase, _ in device.operations
    )
    assert device.found("asked", "to host", "to device", "unsteady", "suspect") == set()


def test_noise_comes_in_few_copies(monkeypatch):
    monkeypatch.setattr(noise, "NUMBERS_PER_COPY", 2 * 10 * 10)
    _, device = trained("cuda", config_of("vae", latent_dim=10, batch_size=10))
    copies = [
        event for event in device.events if event.place.startswith("tivae/data/placement") and event.phase == "step"
    ]
    # Ten batches, two in a copy, and the first two before the first step.
    assert len(copies) == 4


@pytest.mark.parametrize("name", ["vae", "categorical"])
@pytest.mark.parametrize(
    ("before", "after"),
    [("cuda", "cuda"), ("mps", "mps"), ("cuda", "cpu"), ("cpu", "cuda"), ("mps", "cpu"), ("cuda", "mps")],
)
def test_a_trial_continues_from_its_last_epoch_on_another_device(before, after, name, tmp_path):
    config = config_of(name, epochs=3)
    trained(before, config, tmp_path / "c.pt", until=2)
    made, _ = trained(after, config, tmp_path / "c.pt")
    assert made.resumed == 1
    whole, _ = trained("cpu", config)
    ours, expected = made.rows[-1], whole.rows[-1]
    assert losses(ours) == pytest.approx(losses(expected), rel=0.01)


def test_a_state_of_another_layout_takes_that_of_the_weights(tmp_path):
    config = config_of("vae", epochs=2)
    trained("mps", config, tmp_path / "c.pt", until=1)
    made, _ = trained("cpu", config, tmp_path / "c.pt")
    weights = [parameter for parameter in made.module.parameters() if parameter.dim() == 4]
    assert any(not weight.is_contiguous() for weight in weights)
    for weight in weights:
        assert made.optimiser.state[weight]["exp_avg"].stride() == weight.stride()
