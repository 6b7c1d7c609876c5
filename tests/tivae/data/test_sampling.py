"""The sampler out of products gives what `grid_sample` gives, forwards and backwards."""

import pytest
import torch
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data import sampling, warps
from tivae.data.randomness import generator

SHAPES = [(5, 1, 28, 28, 28, 28), (2, 3, 4, 7, 5, 6), (1, 1, 1, 1, 2, 2), (3, 2, 6, 5, 1, 9)]


def _drawn(shape, dtype, spread=1.6):
    count, channels, height, width, rows, columns = shape
    source = generator(1, f"sampling {shape}")
    images = torch.randn(count, channels, height, width, generator=source, dtype=dtype)
    # Beyond -1 and 1 by more than half of the frame, so that all of the border is met.
    grid = (torch.rand(count, rows, columns, 2, generator=source, dtype=dtype) * 2 - 1) * spread
    return images.requires_grad_(), grid.requires_grad_()


def _native(images, grid):
    return functional.grid_sample(images, grid, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spread", [0.9, 1.6, 4.0])
def test_values_are_those_of_grid_sample(shape, spread):
    images, grid = _drawn(shape, torch.float64, spread)
    torch.testing.assert_close(sampling.products(images, grid), _native(images, grid), rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_those_of_grid_sample(shape):
    images, grid = _drawn(shape, torch.float64)
    weights = torch.randn(_native(images, grid).shape, generator=generator(2, "weights"), dtype=torch.float64)
    expected = torch.autograd.grad((_native(images, grid) * weights).sum(), (images, grid))
    found = torch.autograd.grad((sampling.products(images, grid) * weights).sum(), (images, grid))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_in_single_precision_they_differ_by_rounding_only():
    images, grid = _drawn(SHAPES[0], torch.float32, 1.2)
    # A few roundings of coordinates up to 28 pixels (2^-23 * 28 each), times differences of pixels of about 4.
    torch.testing.assert_close(sampling.products(images, grid), _native(images, grid), rtol=0, atol=1e-4)


@pytest.mark.parametrize("edge", [-1.0, 1.0, 0.0, 1 / 28])
def test_points_on_pixels_and_edges_are_read_alike(edge):
    images, _ = _drawn(SHAPES[0], torch.float64)
    grid = torch.full((5, 2, 2, 2), edge, dtype=torch.float64)
    torch.testing.assert_close(sampling.products(images, grid), _native(images, grid), rtol=0, atol=1e-12)


def test_points_far_outside_are_zero_and_pass_no_gradient():
    images, _ = _drawn(SHAPES[0], torch.float64)
    grid = torch.full((5, 2, 2, 2), 30.0, dtype=torch.float64, requires_grad=True)
    read = sampling.products(images, grid)
    assert not read.any()
    assert not any(gradient.any() for gradient in torch.autograd.grad(read.sum(), (images, grid)))


def test_a_broken_reading_would_be_noticed():
    images, grid = _drawn(SHAPES[0], torch.float64)
    moved = sampling.products(images, grid + 2 / 28 * 0.01)
    assert (moved - _native(images, grid)).abs().max() > 1e-3


def test_a_device_is_asked_by_trying(monkeypatch):
    sampling._has_backward.cache_clear()
    tried = []

    def no_backward(images, grid, **options):
        tried.append(images.device.type)
        raise NotImplementedError("aten::grid_sampler_2d_backward is not implemented")

    monkeypatch.setattr(functional, "grid_sample", no_backward)
    try:
        assert not sampling._has_backward("meta")
        assert not sampling._has_backward("meta")
        assert tried == ["meta"], "once per process"
    finally:
        sampling._has_backward.cache_clear()


def test_where_it_is_missing_warps_use_the_products_and_train(monkeypatch):
    images, _ = _drawn(SHAPES[0], torch.float64)
    # With every warp present no point falls on the centre of a pixel, where gradients jump.
    config = TrialConfig(warp_probability=1.0)
    matrices = warps.sampling_matrices(warps.draw(5, config, generator(0, "test")), 28).double().requires_grad_()
    expected = warps.warp(images, matrices, fill=-0.8)
    (gradient,) = torch.autograd.grad(expected.square().sum(), matrices)
    monkeypatch.setattr(sampling, "_has_no_gradient", lambda images, grid: True)
    monkeypatch.setattr(functional, "grid_sample", None)
    found = warps.warp(images, matrices, fill=-0.8)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    (ours,) = torch.autograd.grad(found.square().sum(), matrices)
    torch.testing.assert_close(ours, gradient, rtol=1e-9, atol=1e-9)


def test_on_a_pixels_centre_the_gradient_is_torchs():
    images = torch.randn(1, 1, 4, 4, generator=generator(3, "images"), dtype=torch.float64)
    # With four pixels their centres are exact in floating point.
    centres = torch.tensor([-0.75, -0.25, 0.25, 0.75], dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)[None].requires_grad_()
    (expected,) = torch.autograd.grad(_native(images, grid).sum(), grid)
    (found,) = torch.autograd.grad(sampling.products(images, grid).sum(), grid)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


# Of torch's own formulas.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_in_forward_mode_they_are_used_where_torch_has_none(monkeypatch):
    images, grid = _drawn(SHAPES[0], torch.float64)
    images, grid = images.detach(), grid.detach()
    tangent = torch.randn(images.shape, generator=generator(4, "tangent"), dtype=torch.float64)
    monkeypatch.setattr(sampling, "_has_forward_mode", lambda: False)
    _, found = torch.func.jvp(lambda x: sampling.sample(x, grid), (images,), (tangent,))
    # Reading is linear in the images.
    torch.testing.assert_close(found, _native(tangent, grid), rtol=0, atol=1e-12)
