"""What a device lacks is found by trying it."""

import pytest
import torch

from tivae import device_support
from tivae.config import TrialConfig

CONFIGS = [
    *(TrialConfig(model=model) for model in ("vae", "categorical_vae", "autoencoder")),
    *(TrialConfig(stn=stn) for stn in ("pretrained", "joint", "inverse")),
    TrialConfig(consistency_weight=1.0),
]


@pytest.fixture(autouse=True)
def _nothing_known():
    device_support._tried.cache_clear()
    yield
    device_support._tried.cache_clear()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.model} {config.stn}")
def test_every_kind_of_trial_takes_its_step_where_nothing_is_missing(config):
    device_support._one_step(
        device_support.replace(config, train_images=100, test_images=100, hidden_widths=(4, 4)),
        torch.device("cpu"),
        False,
    )


def test_what_a_device_lacks_is_told_and_tried_once(monkeypatch):
    tried = []

    def lacking(config, device, pretraining):
        tried.append((config.stn, pretraining))
        if config.stn == "joint":
            raise NotImplementedError("grid_sampler_2d_backward is not\nimplemented for MPS")

    monkeypatch.setattr(device_support, "_one_step", lacking)
    for seed in range(3):
        assert device_support.missing(TrialConfig(seed=seed), "mps") is None
        told = device_support.missing(TrialConfig(stn="joint", seed=seed), "mps")
        assert told == "NotImplementedError: grid_sampler_2d_backward is not implemented for MPS"
    assert tried == [("none", False), ("joint", False)]
    device_support.missing(TrialConfig(stn="pretrained"), "mps", pretraining=True)
    assert tried[-1] == ("pretrained", True)


def test_a_device_that_is_not_there_can_do_nothing():
    assert device_support.missing(TrialConfig(), "mps" if torch.cuda.is_available() else "cuda") is not None


def test_a_full_device_is_not_one_that_lacks_something(monkeypatch):
    def full(config, device, pretraining):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(device_support, "_one_step", full)
    assert device_support.missing(TrialConfig(), "cuda") is None


def test_neither_the_cpu_nor_a_control_is_tried(monkeypatch):
    monkeypatch.setattr(device_support, "_one_step", None)
    assert device_support.missing(TrialConfig(), "cpu") is None
    assert device_support.missing(TrialConfig(model="pca"), "mps") is None


def test_the_global_generator_is_left_as_it_was():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    device_support._one_step(
        TrialConfig(train_images=100, test_images=100, hidden_widths=(4, 4)), torch.device("cpu"), False
    )
    assert torch.equal(torch.rand(2), expected)
