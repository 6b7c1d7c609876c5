import math
from itertools import product

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn import functional
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as torchvision_functional

from tests.small import small
from tests.warping import parameters
from tivae.data import warps
from tivae.data.randomness import generator
from tivae.data.warps import draw, sampling_grid, sampling_matrices, warp, warp_successively, with_corners

DRAWN = 40_000


def warped(images, interpolation="bilinear", fill=0.0, **one_warp):
    matrices = sampling_matrices(parameters(**one_warp), 28).expand(len(images), 2, 3)
    return warp(images, matrices, interpolation=interpolation, fill=fill)


def by_torchvision(images, interpolation, rotation=0.0, shift_x=0.0, shift_y=0.0, scale=1.0):
    return torchvision_functional.affine(
        images,
        angle=rotation,
        translate=[shift_x, shift_y],
        scale=scale,
        shear=[0.0, 0.0],
        interpolation=InterpolationMode(interpolation),
    )


@pytest.fixture(scope="module")
def images(host):
    """Pixels in [0, 1], (20, 1, 28, 28)."""
    return torch.tensor(host.test_images[:20]).unsqueeze(1) / 255


WARPS = [
    {"rotation": 10.0},
    {"rotation": -7.3},
    {"shift_x": 3.7},
    {"shift_y": -2.2},
    {"scale": 1.2},
    {"scale": 0.8},
    {"rotation": 10.0, "shift_x": 4.0, "shift_y": -4.0, "scale": 1.2},
    {"rotation": -9.1, "shift_x": -1.3, "shift_y": 2.6, "scale": 0.83},
    {"rotation": 123.0, "shift_x": 0.4, "shift_y": 11.0, "scale": 0.5},
]

# Both compute input coordinates of at most 60 pixels in float32, each by a handful of operations of relative
# error 2^-24 or so: they agree to 1e-4 pixels, and neighbouring pixels differ by at most 1.
COORDINATE_TOLERANCE = 1e-4


@pytest.mark.parametrize("one_warp", WARPS)
def test_a_bilinear_warp_is_torchvisions(images, one_warp):
    ours, theirs = warped(images, **one_warp), by_torchvision(images, "bilinear", **one_warp)
    assert (ours - images).abs().max() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2 * COORDINATE_TOLERANCE)


@pytest.mark.parametrize("one_warp", WARPS)
def test_a_nearest_warp_is_torchvisions_away_from_ties(images, one_warp):
    ours, theirs = warped(images, "nearest", **one_warp), by_torchvision(images, "nearest", **one_warp)
    coordinates = input_pixels(**one_warp)
    tie = ((coordinates - coordinates.round()).abs() > 0.5 - COORDINATE_TOLERANCE).any(-1)
    assert tie.float().mean() < 0.1
    assert torch.equal(ours[..., ~tie], theirs[..., ~tie])
    # Nearest makes no new values.
    assert set(ours.unique().tolist()) <= set(images.unique().tolist()) | {0.0}


def input_pixels(rotation=0.0, shift_x=0.0, shift_y=0.0, scale=1.0):
    """The module's formula solved for p in plain double precision: (28, 28, 2) columns and rows, from 0 to 27."""
    angle, pixel = math.radians(rotation), np.arange(28) - 13.5
    x, y = np.meshgrid(pixel - shift_x, pixel - shift_y)
    columns = (math.cos(angle) * x + math.sin(angle) * y) / scale
    rows = (-math.sin(angle) * x + math.cos(angle) * y) / scale
    return torch.tensor(np.stack([columns, rows], axis=-1) + 13.5)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_the_identity_warp_returns_its_input(images, interpolation):
    torch.testing.assert_close(warped(images, interpolation), images, rtol=0, atol=COORDINATE_TOLERANCE)


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize(("shift_x", "shift_y"), [(3, 0), (0, -4), (-2, 1)])
def test_a_shift_by_whole_pixels_moves_pixels_right_and_down(images, interpolation, shift_x, shift_y):
    expected = torch.zeros_like(images)
    for row, column in product(range(28), range(28)):
        if 0 <= row - shift_y < 28 and 0 <= column - shift_x < 28:
            expected[..., row, column] = images[..., row - shift_y, column - shift_x]
    ours = warped(images, interpolation, shift_x=float(shift_x), shift_y=float(shift_y))
    torch.testing.assert_close(ours, expected, rtol=0, atol=COORDINATE_TOLERANCE)


def test_a_positive_rotation_is_clockwise(images):
    torch.testing.assert_close(
        warped(images, rotation=90.0), torch.rot90(images, -1, (2, 3)), rtol=0, atol=COORDINATE_TOLERANCE
    )


def test_scale_and_rotation_act_before_the_shift():
    """A point 4 right of the centre, turned by 90 degrees and doubled, is 8 below it; then it moves 3 to the right."""
    image = torch.zeros(1, 1, 28, 28)
    image[..., 13:15, 17:19] = 1
    moved = warped(image, rotation=90.0, scale=2.0, shift_x=3.0)
    rows, columns = torch.meshgrid(torch.arange(28) - 13.5, torch.arange(28) - 13.5, indexing="ij")
    mass = moved[0, 0]
    centre = [float((mass * axis).sum() / mass.sum()) for axis in (columns, rows)]
    assert centre == pytest.approx([3, 8], abs=1e-3)


def full(matrices):
    """(N, 3, 3) homogeneous double-precision matrices."""
    last = torch.tensor([[[0.0, 0, 1]]]).expand(len(matrices), 1, 3)
    return torch.cat([matrices, last], dim=1).double()


def test_matrices_compose_as_rotation_and_scale_then_shift():
    drawn = draw(100, small(), generator(0, "warps"))
    turns = parameters(rotation=drawn.rotation_degrees, scale=drawn.scale, count=100)
    shifts = parameters(shift_x=drawn.shift_x_pixels, shift_y=drawn.shift_y_pixels, count=100)
    # Output to input: the shift, which acts last, is undone first.
    composed = full(sampling_matrices(turns, 28)) @ full(sampling_matrices(shifts, 28))
    torch.testing.assert_close(full(sampling_matrices(drawn, 28)), composed, rtol=0, atol=1e-6)
    other_order = full(sampling_matrices(shifts, 28)) @ full(sampling_matrices(turns, 28))
    assert (full(sampling_matrices(drawn, 28)) - other_order).abs().max() > 1e-2


@pytest.mark.parametrize("one_warp", WARPS[:-1])
def test_a_warp_and_its_inverse_give_a_smooth_image_back(one_warp):
    matrices = sampling_matrices(parameters(**one_warp), 28)
    inverse = torch.linalg.inv(full(matrices))[:, :2].float()
    frequency = 2 * math.pi / 28
    axis = torch.arange(28) * frequency
    image = (torch.sin(axis)[:, None] * torch.cos(axis)[None, :])[None, None]
    back = warp(warp(image, matrices), inverse)
    middle = slice(9, 19)
    error = (back - image)[..., middle, middle].abs().max()
    # Linear interpolation errs by at most frequency^2 / 8 along each axis; the first warp may raise it by 1 / 0.8.
    assert error < 2 * (1 + 1 / 0.8**2) * frequency**2 / 8
    once = (warp(image, matrices) - image)[..., middle, middle].abs().max()
    assert once > 3 * error


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill", [0.0, -0.81, 2.5])
def test_fill_is_the_value_outside_the_frame(images, interpolation, fill):
    moved = warped(images, interpolation, fill, shift_x=40.0)
    torch.testing.assert_close(moved, torch.full_like(images, fill), rtol=0, atol=1e-6)
    padded = warped(torch.ones_like(images), interpolation, fill, shift_x=4.0)
    torch.testing.assert_close(padded[..., :4], torch.full_like(padded[..., :4], fill), rtol=0, atol=1e-3)
    torch.testing.assert_close(padded[..., 4:], torch.ones_like(padded[..., 4:]), rtol=0, atol=1e-3)


def test_a_batch_is_warped_image_by_image(images):
    matrices = sampling_matrices(draw(len(images), small(warp_probability=1), generator(0, "warps")), 28)
    together = warp(images, matrices)
    for number in range(len(images)):
        alone = warp(images[number : number + 1], matrices[number : number + 1])
        torch.testing.assert_close(together[number : number + 1], alone, rtol=0, atol=1e-6)


def test_a_bilinear_warp_is_differentiable_in_images_and_matrices():
    # A smooth image and a warp without samples on the kinks between pixels.
    image = torch.rand(1, 1, 6, 6, dtype=torch.float64, generator=generator(0, "image")).requires_grad_()
    matrices = sampling_matrices(parameters(10.0, 0.33, -0.21, 1.1), size=6).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: warp(*given, fill=0.3), (image, matrices), eps=1e-6)


def test_a_nearest_warp_is_differentiable_in_images_alone(images):
    pixels, matrices = images.clone().requires_grad_(), sampling_matrices(parameters(5.0), 28).expand(20, 2, 3)
    matrices = matrices.clone().requires_grad_()
    warp(pixels, matrices, interpolation="nearest").sum().backward()
    assert pixels.grad.abs().sum() > 0
    assert matrices.grad is None or matrices.grad.abs().sum() == 0


@pytest.fixture(scope="module")
def drawn():
    return draw(DRAWN, small(), generator(0, "warps"))


def presence(drawn):
    """(3, N) whether rotation, shift and scale are there."""
    return torch.stack([drawn.rotation_degrees != 0, drawn.shift_x_pixels != 0, drawn.scale != 1])


def test_each_of_rotation_shift_and_scale_is_there_half_of_the_time_and_independently(drawn):
    bits = presence(drawn).long()
    counts = torch.bincount(bits[0] * 4 + bits[1] * 2 + bits[2], minlength=8).numpy()
    # Of 8 equally likely cells; a right implementation fails for one seed in a million.
    assert scipy.stats.chisquare(counts).pvalue > 1e-6
    for share in bits.double().mean(dim=1).tolist():
        assert share == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(DRAWN))


def test_a_shift_is_along_both_axes_or_neither(drawn):
    assert torch.equal(drawn.shift_x_pixels != 0, drawn.shift_y_pixels != 0)
    moved = presence(drawn)[1]
    both = torch.stack([drawn.shift_x_pixels[moved], drawn.shift_y_pixels[moved]])
    assert abs(torch.corrcoef(both)[0, 1]) < 5 / math.sqrt(int(moved.sum()))


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        *(("rotation_degrees", -10, 10), ("shift_x_pixels", -4, 4), ("shift_y_pixels", -4, 4), ("scale", 0.8, 1.2)),
    ],
)
def test_a_parameter_that_is_there_is_uniform_over_its_range(drawn, name, low, high):
    row = {"rotation_degrees": 0, "scale": 2}.get(name, 1)
    values = getattr(drawn, name)[presence(drawn)[row]].double().numpy()
    assert values.min() >= low - 1e-6
    assert values.max() <= high + 1e-6
    assert scipy.stats.kstest(values, scipy.stats.uniform(low, high - low).cdf).pvalue > 1e-6


@pytest.mark.parametrize(
    ("field", "value", "names"),
    [
        ("rotation_degrees", 30.0, ["rotation_degrees"]),
        ("shift_pixels", 2.0, ["shift_x_pixels", "shift_y_pixels"]),
        ("scale_range", 0.5, ["scale"]),
    ],
)
def test_a_range_of_the_config_moves_its_own_parameter_in_proportion(drawn, field, value, names):
    wider = draw(DRAWN, small(**{field: value}), generator(0, "warps"))
    ratio = value / getattr(small(), field)
    for name in ("rotation_degrees", "shift_x_pixels", "shift_y_pixels", "scale"):
        centre = 1.0 if name == "scale" else 0.0
        factor = ratio if name in names else 1.0
        expected = (getattr(drawn, name) - centre) * factor + centre
        torch.testing.assert_close(getattr(wider, name), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_the_probability_is_the_configs(probability):
    shares = presence(draw(DRAWN, small(warp_probability=probability), generator(0, "warps"))).double().mean(dim=1)
    tolerance = 5 * math.sqrt(probability * (1 - probability) / DRAWN) + 1e-4
    assert shares.tolist() == pytest.approx([probability] * 3, abs=tolerance)


def test_whole_pixel_shifts_are_the_rounded_ones(drawn):
    whole = draw(DRAWN, small(whole_pixel_shifts=True), generator(0, "warps"))
    assert set(whole.shift_x_pixels.unique().tolist()) == set(range(-4, 5))
    assert torch.equal(whole.shift_x_pixels, drawn.shift_x_pixels.round())
    assert torch.equal(whole.shift_y_pixels, drawn.shift_y_pixels.round())
    assert torch.equal(whole.scale, drawn.scale)


def test_parameters_are_float32_one_per_image(drawn):
    assert len(drawn) == DRAWN
    for name in ("rotation_degrees", "shift_x_pixels", "shift_y_pixels", "scale"):
        assert getattr(drawn, name).shape == (DRAWN,)
        assert getattr(drawn, name).dtype == torch.float32
    assert sampling_matrices(drawn, 28).shape == (DRAWN, 2, 3)
    assert sampling_matrices(drawn, 28).dtype == torch.float32


def test_no_warp_gives_the_identity_matrix():
    matrices = sampling_matrices(draw(5, small(warp_probability=0), generator(0, "warps")), 28)
    assert torch.equal(matrices, torch.tensor([[[1.0, 0, 0], [0, 1, 0]]]).expand(5, 2, 3))


def test_the_sampling_grid_is_torchs_with_its_gradient():
    matrices = torch.randn(5, 2, 3, generator=generator(0, "matrices"))
    upper = torch.randn(5, 6, 9, 2, generator=generator(0, "gradient"))
    grids, gradients = [], []
    for function in (
        lambda m: sampling_grid(m, 6, 9),
        lambda m: functional.affine_grid(m, [5, 1, 6, 9], align_corners=False),
    ):
        seen = matrices.clone().requires_grad_()
        grids.append(function(seen))
        grids[-1].backward(upper)
        gradients.append(seen.grad)
    torch.testing.assert_close(*grids, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_parameters_are_read_back_from_their_matrices():
    drawn = draw(500, small(rotation_degrees=170, shift_pixels=20), generator(0, "warps"))
    found = warps.parameters(sampling_matrices(drawn, 28), 28)
    for name in ("rotation_degrees", "shift_x_pixels", "shift_y_pixels", "scale"):
        torch.testing.assert_close(getattr(found, name), getattr(drawn, name), rtol=1e-5, atol=1e-4)


def test_shares_of_the_range_fill_it():
    config = small(warp_probability=1.0)
    shares = warps.shares_of_range(draw(2000, config, generator(0, "warps")), config)
    torch.testing.assert_close(shares.abs().amax(0), torch.ones(4), rtol=0, atol=0.01)
    none = small(shift_pixels=0.0)
    assert warps.shares_of_range(draw(20, none, generator(0, "warps")), none)[:, 1:3].abs().max() == 0


@pytest.mark.parametrize("in_grid", [False, True])
@pytest.mark.parametrize("in_sample", [False, True])
@pytest.mark.parametrize("size", [28, 41])
def test_corners_are_those_of_torchs_own_functions(in_grid, in_sample, size):
    source = generator(0, "corners")
    images = torch.rand(20, 1, size, size, generator=source)
    matrices = torch.eye(2, 3) + 0.3 * torch.randn(20, 2, 3, generator=source)
    grid = functional.affine_grid(matrices, list(images.shape), align_corners=in_grid)
    expected = functional.grid_sample(images, grid, align_corners=in_sample)
    found = warp(images, with_corners(matrices, size, in_grid=in_grid, in_sample=in_sample))
    # A coordinate is off by a few roundings of single precision, times the pixels from edge to edge.
    torch.testing.assert_close(found, expected, rtol=0, atol=size * 2e-6)


def test_resampling_one_after_another_moves_points_as_the_composed_warp_does():
    """A smooth picture, small against its frame, comes to lie in the same place, only blurred."""
    axis = torch.arange(28.0) - 13.5
    picture = torch.exp(-((axis[:, None] - 2) ** 2 + (axis[None] + 3) ** 2) / (2 * 2.5**2))[None, None]
    matrices = sampling_matrices(draw(50, small(warp_probability=1.0), generator(0, "warps")), 28)
    images = picture.expand(50, 1, 28, 28)
    once, thrice = warp(images, matrices), warp_successively(images, matrices)

    def centres(warped):
        mass = warped.sum((1, 2, 3))
        return (warped * axis).sum((1, 2, 3)) / mass, (warped * axis[:, None]).sum((1, 2, 3)) / mass

    for one, other in zip(centres(once), centres(thrice), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0.05)
    assert (thrice.amax((1, 2, 3)) < once.amax((1, 2, 3))).float().mean() > 0.9


def test_resampling_one_after_another_is_three_warps_of_torchs():
    source = generator(0, "pipeline")
    images = torch.rand(10, 1, 28, 28, generator=source)
    drawn = draw(10, small(warp_probability=1.0), generator(1, "warps"))
    expected = images
    for step in (
        {"rotation": drawn.rotation_degrees},
        {"scale": drawn.scale},
        {"shift_x": drawn.shift_x_pixels, "shift_y": drawn.shift_y_pixels},
    ):
        alone = sampling_matrices(parameters(**step, count=10), 28)
        grid = functional.affine_grid(alone, list(images.shape), align_corners=False)
        expected = functional.grid_sample(expected, grid, align_corners=False)
    found = warp_successively(images, sampling_matrices(drawn, 28))
    # Angle, scale and shift are read back from the composed matrix, each within some roundings.
    torch.testing.assert_close(found, expected, rtol=0, atol=28 * 1e-5)
