"""Number formats: the default key and the CPU's numbers stay, a GPU's switches are set and put back."""

import dataclasses

import pytest
import torch

from tests.small import small
from tivae import experiment, precision
from tivae.config import TrialConfig
from tivae.data.randomness import generator
from tivae.models import stn


def _switches():
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.fixture(autouse=True)
def _switches_stay():
    before = _switches()
    yield
    assert _switches() == before


def test_the_default_written_out_has_the_key_of_the_default():
    assert TrialConfig(precision="tf32").key == TrialConfig().key
    assert len({TrialConfig(precision=name).key for name in (None, "float32", "bf16")}) == 3


def test_a_control_that_trains_nothing_has_no_precision():
    assert TrialConfig(model="pca", precision="bf16").key == TrialConfig(model="pca").key


@pytest.mark.parametrize(
    ("name", "switches"), [(None, ("high", True)), ("float32", ("highest", False)), ("bf16", ("high", True))]
)
def test_on_a_gpu_the_switches_are_set_and_put_back(name, switches):
    before = _switches()
    with precision.of(name, "cuda"):
        assert _switches() == switches
    assert _switches() == before
    with pytest.raises(ValueError, match="odd"), precision.of(name, "cuda"):
        raise ValueError("odd")


def test_on_a_gpu_convolutions_are_repeatable():
    with precision.of(None, "cuda"):
        assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.deterministic


@pytest.mark.parametrize("mode", ["joint", "inverse"])
def test_where_an_image_is_read_is_decided_in_float32_under_bf16_as_well(mode):
    transformer = stn.build(TrialConfig(stn=mode))
    with torch.no_grad():
        # Of the prediction the bias alone is left: the images' features, rounded as they may be, have no part in it.
        transformer.affine.bias.add_(0.123)
    images = torch.rand(3, 1, 28, 28, generator=generator(0, "images"))
    read = {}
    for name in (None, "bf16"):
        with precision.forward(name, torch.device("cpu")):
            matrices = transformer.matrices(images)
            read[name] = matrices, transformer(images), transformer.undo(images.to(torch.bfloat16), matrices)
    assert torch.equal(read[None][0], read["bf16"][0])
    assert torch.equal(read[None][1], read["bf16"][1])
    assert read["bf16"][2].dtype == torch.float32
    assert torch.equal(read[None][2], read["bf16"][2])


def test_products_that_must_be_exact_are_so_whatever_is_around_them():
    cpu = torch.device("cpu")
    values = torch.rand(20, 20, generator=generator(0, "values"))
    with precision.forward("bf16", cpu), precision.exact(cpu):
        assert torch.equal(values @ values, values.clone() @ values)
        assert (values @ values).dtype == torch.float32
    with precision.of(None, "cuda"):
        with precision.exact(torch.device("cuda")):
            assert _switches() == ("highest", False)
        assert _switches() == ("high", True)


def test_on_a_cpu_nothing_is_switched():
    before = _switches()
    with precision.of("float32", "cpu"):
        assert _switches() == before


@pytest.mark.parametrize(
    ("name", "dtype"), [(None, torch.float32), ("float32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_only_bf16_multiplies_in_bfloat16(name, dtype):
    values = torch.ones(2, 2, requires_grad=True)
    with precision.forward(name, torch.device("cpu")):
        product = values @ values
        assert torch.nn.functional.mse_loss(product, values).dtype == torch.float32
    assert product.dtype == dtype
    product.sum().backward()
    assert values.grad.dtype == torch.float32


def test_training_and_pretraining_run_within_their_precision(host, monkeypatch):
    seen = []
    of = precision.of
    monkeypatch.setattr(precision, "of", lambda name, device: seen.append((name, str(device))) or of(name, device))
    experiment.run(small(stn="pretrained", stn_epochs=1, epochs=1, precision="bf16"), host)
    # Pretraining, training, its final metrics and the readout.
    assert [name for name, _ in seen if name == "bf16"] == ["bf16"] * 4
    assert {device for _, device in seen} == {"cpu"}


def test_a_bf16_trial_learns_and_its_figures_are_float32(host, monkeypatch):
    monkeypatch.setenv("TIVAE_KERNELS", "torch")
    result = experiment.run(small(precision="bf16"), host)
    assert {tensor.dtype for tensor in result.model.state_dict().values()} <= {torch.float32, torch.int64}
    plain = experiment.run(small(precision=None), host)
    ours, theirs = (found.epochs[-1]["train_loss"] for found in (result, plain))
    # Seven bits of mantissa: the losses agree to a percent or so, and are not the same.
    assert ours == pytest.approx(theirs, rel=0.03)
    assert ours != theirs


def test_float32_on_a_cpu_gives_the_figures_of_the_default(host):
    ours, theirs = (experiment.run(small(precision=name), host) for name in ("float32", None))
    assert dataclasses.asdict(ours.config) != dataclasses.asdict(theirs.config)
    assert ours.metrics == theirs.metrics
