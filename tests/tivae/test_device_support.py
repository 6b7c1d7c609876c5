"""What a device lacks or gets wrong is found by trying it; what says nothing of the trial is not taken for it."""

import pytest
import torch

from tests.pretended_device.trials import CONFIGS, HOST, config_of, on
from tivae import device_support, experiment, records, stages
from tivae.config import TrialConfig


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch):
    monkeypatch.setenv("TIVAE_KERNELS", "torch")
    device_support._tried.cache_clear()
    yield
    device_support._tried.cache_clear()


@pytest.fixture
def tried(monkeypatch):
    """The configs that were tried, on a device that lacks what a joint STN needs."""
    seen = []

    def lacking(config, device, pretraining, measures):
        seen.append((config, str(device), pretraining))
        if config.stn == "joint" and str(device) != "cpu":
            raise NotImplementedError("grid_sampler_2d_backward is not\nimplemented for MPS")

    monkeypatch.setattr(device_support, "_try", lacking)
    monkeypatch.setattr(device_support, "_works", lambda device: True)
    return seen


def test_what_a_device_lacks_is_named_and_tried_once(tried):
    for seed in range(3):
        assert device_support.missing(TrialConfig(seed=seed), "mps") is None
        reason = device_support.missing(TrialConfig(stn="joint", seed=seed, latent_dim=3 + seed), "mps")
        assert reason == "NotImplementedError: grid_sampler_2d_backward is not implemented for MPS"
    assert [(config.stn, device) for config, device, _ in tried] == [
        ("none", "mps"),
        ("joint", "mps"),
        ("joint", "cpu"),
    ]
    device_support.missing(TrialConfig(stn="pretrained"), "mps", pretraining=True)
    assert (tried[-1][0].stn, tried[-1][2]) == ("pretrained", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "bf16"},
        {"interpolation": "nearest"},
        {"probe_features": "sample"},
        {"output_activation": "linear"},
        {"probe": "linear_svm"},
        {"model": "pca"},
        {"consistency_weight": 0.5},
        {"validation_images": 500},
    ],
    ids=str,
)
def test_what_may_need_another_operation_is_tried_by_itself(tried, changes):
    device_support.missing(TrialConfig(), "cuda")
    device_support.missing(TrialConfig(**changes), "cuda")
    assert len(tried) == 2


@pytest.mark.parametrize("name", CONFIGS)
def test_what_is_tried_has_the_names_and_switches_of_the_trial_and_is_small(name):
    config = config_of(name, epochs=1 if "model" not in CONFIGS[name] else config_of(name).epochs)
    small = device_support._smallest(config)
    for field, value in config.to_dict().items():
        if isinstance(value, str):
            assert getattr(small, field) == value
    switched_on = ("residual_blocks", "orbit_warps", "view_brightness", "view_noise", "view_erasing")
    assert [bool(getattr(small, field)) for field in switched_on] == [
        bool(getattr(config, field)) for field in switched_on
    ]
    assert small.train_images <= 110
    assert (small.consistency_weight is None) == (config.consistency_weight is None)


def test_a_device_that_is_not_there_can_do_nothing():
    assert device_support.missing(TrialConfig(), "mps" if torch.cuda.is_available() else "cuda") is not None


def test_what_fails_on_the_cpu_as_well_is_the_trials_own_doing(monkeypatch):
    def fails(*given):
        raise ValueError("a bug of the model")

    monkeypatch.setattr(device_support, "_try", fails)
    monkeypatch.setattr(device_support, "_works", lambda device: True)
    assert device_support.missing(TrialConfig(), "cuda") is None


def test_the_cpu_is_not_tried(tried):
    assert device_support.missing(TrialConfig(stn="joint"), "cpu") is None
    assert tried == []


def test_the_global_generator_is_left_as_it_was():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    device_support._try(device_support._smallest(TrialConfig()), "cpu", False, "none")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("name", ["vae", "joint", "pixels"])
def test_what_is_found_able_runs_a_whole_trial(name):
    with on("mps") as device:
        assert device_support.missing(config_of(name), device.device) is None
        experiment.run(config_of(name), HOST, device.device, measures="all")


@pytest.mark.parametrize(("name", "operation"), [("vae", "exp"), ("pixels", "sub_"), ("pretrained", "grid_sampler_2d")])
def test_an_operation_that_only_the_readout_or_a_control_needs_is_missed_before_the_training(name, operation):
    with on("mps", lacking=frozenset({operation})) as device:
        assert operation in device_support.missing(config_of(name), device.device)


def test_a_gradient_unlike_the_cpus_is_not_trusted(monkeypatch):
    found = device_support._gradients

    def wrong(config, host, device, pretraining):
        gradients = found(config, host, device, pretraining)
        return gradients if device == "cpu" else gradients | {"encoder.layers.1.weight": torch.full((4,), 0.1)}

    monkeypatch.setattr(device_support, "_gradients", wrong)
    with on("mps") as device:
        reason = device_support.missing(config_of("vae"), device.device)
    assert "WrongGradient: the gradient of encoder.layers.1.weight is off by" in reason


def test_a_stn_is_pretrained_on_trial_as_well():
    with on("mps") as device:
        assert device_support.missing(config_of("pretrained"), device.device, pretraining=True) is None


FULL = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")


@pytest.mark.parametrize("error", [FULL, RuntimeError("MPS backend out of memory"), RuntimeError("CUDA error: odd")])
def test_a_full_or_broken_device_says_nothing_of_the_trial(error, monkeypatch, tmp_path):
    def fails(*given, **named):
        raise error

    broken = "CUDA error" in str(error)
    monkeypatch.setattr(device_support, "_works", lambda device: not broken)
    monkeypatch.setattr(device_support, "_is_there", lambda device: True)
    monkeypatch.setattr(experiment, "run", fails)
    monkeypatch.setattr(stages, "TrialData", fails)
    with pytest.raises(type(error)):
        device_support.missing(TrialConfig(), "cuda")
    monkeypatch.setattr("tivae.io.provenance._device_name", lambda device: "pretended")
    config = config_of("vae")
    with pytest.raises(type(error)):
        stages.run_trial(config, HOST, "cuda", tmp_path)
    assert records.read(records.trial_folder(tmp_path, config.key)) is None


def test_an_error_on_a_device_that_works_is_the_trials_own(monkeypatch):
    monkeypatch.setattr(device_support, "_works", lambda device: True)
    assert not device_support.is_to_blame("cuda", ValueError("a bug"))
    assert not device_support.is_to_blame("cpu", RuntimeError("out of memory"))
    assert device_support.is_to_blame("cuda", FULL)


def test_a_device_works_where_it_computes():
    with on("mps") as device:
        assert device_support._works(device.device)
    assert not device_support._works("mps" if torch.cuda.is_available() else "cuda")
