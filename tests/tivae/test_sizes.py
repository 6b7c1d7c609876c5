"""Whole trials on images of other sizes than Fashion-MNIST's, and other numbers of classes."""

import numpy as np
import pytest
import torch

import tivae
from tests.small import small
from tests.tivae.data import made_up
from tivae import experiment, models, records, stages
from tivae.data.loading import load
from tivae.models import stn


def config_of(tmp_path, size, **changes):
    path = made_up.npz(tmp_path / f"cells{size}.npz", **made_up.arrays(size=size))
    return small(dataset=str(path), epochs=1, **changes)


@pytest.mark.parametrize("size", [28, 31, 45, 64])
@pytest.mark.parametrize("mode", ["pretrained", "inverse"])
def test_a_spatial_transformer_starts_as_the_identity(tmp_path, size, mode):
    config = config_of(tmp_path, size, stn=mode)
    images = torch.randn(4, 1, size, size)
    torch.testing.assert_close(stn.build(config)(images), images, rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [28, 31, 45, 64])
@pytest.mark.parametrize("widths", [(16,), (16, 32, 16, 16)])
def test_the_compiled_kernels_compute_what_the_networks_do_in_double_precision(tmp_path, monkeypatch, size, widths):
    config = config_of(tmp_path, size, hidden_widths=widths)
    images = torch.randn(64, 1, size, size, generator=torch.Generator().manual_seed(size))
    computed = {}
    for kernels, dtype in (("native", torch.float32), ("torch", torch.float64)):
        monkeypatch.setenv("TIVAE_KERNELS", kernels)
        model = models.build(config).train().to(dtype)
        decoded = model.decode(model.modes(model.encode(images.to(dtype))))
        decoded.square().mean().backward()
        gradients = [weight.grad.double() for weight in model.parameters() if weight.grad is not None]
        computed[kernels] = decoded.detach().double(), gradients
    (decoded, gradients), (exact, exact_gradients) = computed.values()
    torch.testing.assert_close(decoded, exact, rtol=0, atol=1e-4)
    whole = torch.stack([gradient.norm() for gradient in exact_gradients]).norm()
    for gradient, true in zip(gradients, exact_gradients, strict=True):
        # Eager float32 is off by up to 0.5 %, as its ReLUs may differ in units that are almost 0; of a bias before a
        # batch norm nothing but rounding is left.
        assert (gradient - true).norm() <= 0.005 * (true.norm() + 1e-3 * whole)


@pytest.mark.parametrize(
    ("size", "changes"),
    [
        (45, {"stn": "pretrained", "stn_epochs": 1, "train_dataset": "augmented"}),
        (64, {"stn": "joint", "model": "categorical_vae", "categories": 3, "train_dataset": "augmented"}),
        (31, {"stn": "inverse"}),
        (31, {"model": "pca", "latent_dim": 5}),
        (31, {"model": "pixels"}),
    ],
)
def test_a_trial_on_ones_own_images_runs_is_recorded_and_loaded(tmp_path, size, changes):
    config = config_of(tmp_path, size, **changes)
    host = load(config.images)
    record = stages.run_trial(config, host, "cpu", tmp_path, measures="standard")
    assert record["status"] == "finished", record["error"]
    assert record["config"]["dataset"] == config.dataset
    # Classes are told apart by a square's place: a third would be guessing.
    assert record["metrics"]["base_accuracy"] > 0.5
    (tmp_path / f"cells{size}.npz").unlink()
    loaded = tivae.load(records.trial_folder(tmp_path, config.key))
    assert loaded.encode(host.test_images[:3]).shape == (3, config.encoding_dim)
    with pytest.raises(ValueError, match=rf"it must be \(N, {size}, {size}\)"):
        loaded.encode(np.zeros((3, 30, 30), np.uint8))


def test_the_same_images_from_a_file_and_moved_give_the_same_numbers(tmp_path):
    first = config_of(tmp_path, 32)
    (tmp_path / "moved").mkdir()
    second = config_of(tmp_path / "moved", 32)
    results = [experiment.run(config, load(config.images), measures="none").metrics for config in (first, second)]
    assert first.key == second.key
    assert results[0] == results[1]
