"""Curves, equivariance, local invariance and canonicalisation against known answers."""

import math

import numpy as np
import pytest
import torch

from tests.small import STANDARD, small
from tests.warping import parameters
from tivae.data import warps
from tivae.data.datasets import TrialData
from tivae.data.randomness import generator
from tivae.evaluation.measures import canonicalisation, curves, equivariance, local_invariance

BLACK = STANDARD.outside("black")
STEPS = {"rotation": 1.0, "shift_x": 1.0, "shift_y": 1.0, "scale": 0.02}


class TestCurves:
    def test_a_constant_accuracy_has_itself_as_area(self):
        found = curves.curves(lambda _: 0.25, 8)
        assert set(found) == {"rotation_degrees", "shift_pixels", "scale"}
        for curve in found.values():
            assert curves.area(curve["values"], curve["accuracy"]) == pytest.approx(0.25)

    def test_a_straight_line_has_its_middle_as_area_however_it_is_sampled(self):
        assert curves.area([0, 1, 2, 4, 8], [1, 7 / 8, 6 / 8, 4 / 8, 0]) == pytest.approx(0.5)

    def test_each_point_is_warped_by_its_own_value_alone(self):
        asked = []
        found = curves.curves(lambda warp: asked.append(warp) or 1.0, 8)
        assert [len(curve["values"]) for curve in found.values()] == [11, 7, 9]
        assert len(asked) == 1 + 10 + 6 + 8
        for warp in asked:
            size = torch.hypot(warp.shift_x_pixels, warp.shift_y_pixels)
            kinds = [warp.rotation_degrees.any(), size.any(), (warp.scale != 1).any()]
            assert sum(map(bool, kinds)) <= 1
            assert size.unique().numel() == 1

    def test_ranges_are_wider_than_the_papers_training(self):
        assert min(curves.GRIDS["rotation_degrees"]) < -10
        assert max(curves.GRIDS["rotation_degrees"]) > 10
        assert max(curves.GRIDS["shift_pixels"]) > 4
        assert min(curves.GRIDS["scale"]) < 0.8
        assert max(curves.GRIDS["scale"]) > 1.2

    def test_shifts_go_in_all_four_directions(self):
        warp = curves.warp_of("shift_pixels", 3.0, 5)
        assert warp.shift_x_pixels.tolist() == [3, 0, -3, 0, 3]
        assert warp.shift_y_pixels.tolist() == [0, 3, 0, -3, 0]


class TestEquivariance:
    TRUTH = np.random.default_rng(0).normal(size=(2000, 2))

    def test_what_is_in_the_encodings_is_read_exactly(self):
        mixed = self.TRUTH @ np.array([[1.0, 2, 0], [0, 1, -1]]) + 5
        assert equivariance.r_squared(mixed, self.TRUTH) == pytest.approx([1, 1], abs=1e-4)

    def test_noise_takes_its_share(self):
        noisy = self.TRUTH + np.random.default_rng(1).normal(size=(2000, 2))
        assert equivariance.r_squared(noisy, self.TRUTH) == pytest.approx([0.5, 0.5], abs=0.06)

    def test_an_invariant_and_a_constant_encoder_have_kept_nothing(self):
        unrelated = np.random.default_rng(2).normal(size=(2000, 5))
        assert np.abs(equivariance.r_squared(unrelated, self.TRUTH)).max() < 0.02
        assert equivariance.r_squared(np.ones((2000, 3)), self.TRUTH) == pytest.approx([0, 0], abs=1e-9)

    def test_more_features_than_images_do_not_make_it_perfect(self):
        unrelated = np.random.default_rng(3).normal(size=(100, 300))
        assert equivariance.r_squared(unrelated, self.TRUTH[:100]).max() < 0.2

    def test_features_that_few_images_have_do_not_make_it_worse_than_nothing(self):
        """Pixels near the edge are black but in a few images, in which they are many standard deviations."""
        generator = np.random.default_rng(4)
        encodings = generator.normal(size=(2000, 400)) * (generator.random((2000, 400)) < 0.005)
        encodings[:, :2] = self.TRUTH + generator.normal(size=(2000, 2))
        assert equivariance.r_squared(encodings, self.TRUTH).min() > 0.25
        assert equivariance.r_squared(encodings[:, 2:], self.TRUTH).min() > -0.05

    def test_a_warp_that_does_not_vary_cannot_be_read(self):
        constant = np.column_stack([self.TRUTH[:, 0], np.ones(2000)])
        found = equivariance.r_squared(self.TRUTH, constant)
        assert found[0] == pytest.approx(1, abs=1e-4)
        assert math.isnan(found[1])

    def test_pixels_keep_the_shift(self, host):
        """Ridge on pixels reads the shift of real images in part."""
        config = small(test_images=1000, warp_probability=1.0)
        warp = warps.draw(1000, config, generator(0, "test"))
        pixels = TrialData(host, config, "cpu").warped_test(warp).batch(slice(0, 1000)).flatten(1)
        reduced = torch.nn.functional.avg_pool2d(pixels.view(-1, 1, 28, 28), 4).flatten(1).numpy()
        found = equivariance.r_squared(reduced, torch.stack([warp.shift_x_pixels, warp.shift_y_pixels], 1).numpy())
        assert found.min() > 0.3


@pytest.fixture(scope="module")
def smooth():
    """Blobs well within the frame, black outside."""
    axis = torch.arange(28) - 13.5
    y, x = axis[:, None], axis[None, :]
    centres = torch.tensor([[3.0, -2], [-4, 1], [0, 4]])
    blobs = [torch.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18) * (1 + 0.3 * torch.sin(x / 2)) for cx, cy in centres]
    return torch.stack(blobs)[:, None] * 2 + BLACK


class TestLocalInvariance:
    @pytest.mark.parametrize("name", local_invariance.GENERATORS)
    def test_tangents_are_the_derivatives_of_the_warp(self, smooth, name):
        """Against the symmetric difference of the warp itself, over a step at which bilinear interpolation is exact
        enough; signs and units included."""
        step = STEPS[name]
        start = 1.0 if name == "scale" else 0.0

        def warped(size):
            matrices = warps.sampling_matrices(parameters(**{name: start + size}, count=3), 28)
            return warps.warp(smooth, matrices, fill=BLACK)

        expected = (warped(step) - warped(-step)) / (2 * step)
        found = local_invariance.tangents(smooth, BLACK)[name]
        assert (found - expected).square().mean() < 0.01 * expected.square().mean()

    def test_pixels_move_at_the_speed_of_the_tangent(self, smooth):
        speeds = local_invariance.squared_speeds(lambda batch: batch.flatten(1), [smooth[:2], smooth[2:]], BLACK)
        for name, tangent in local_invariance.tangents(smooth, BLACK).items():
            assert speeds[name] == pytest.approx(float(tangent.square().sum() / 3), rel=1e-5)

    def test_an_encoder_that_sums_the_pixels_is_blind_to_shifts_but_not_to_scale(self, smooth):
        speeds = local_invariance.squared_speeds(lambda batch: batch.flatten(1).sum(1, keepdim=True), [smooth], BLACK)
        assert speeds["shift_x"] < 1e-4 * speeds["scale"]
        assert speeds["rotation"] < 1e-4 * speeds["scale"]

    def test_a_constant_encoder_has_no_number_and_an_invariant_one_has_zero(self, smooth):
        speeds = local_invariance.squared_speeds(lambda batch: torch.zeros(len(batch), 2), [smooth], BLACK)
        assert set(speeds.values()) == {0.0}
        assert math.isnan(local_invariance.sensitivity(0.0, 0.0))
        assert local_invariance.sensitivity(0.0, 3.0) == 0

    def test_scaling_the_encodings_changes_nothing(self):
        assert local_invariance.sensitivity(4.0 * 9, 2.0 * 9) == pytest.approx(local_invariance.sensitivity(4.0, 2.0))


class TestCanonicalisation:
    IDENTITY = torch.eye(2, 3).expand(40, 2, 3)
    WARPS = warps.sampling_matrices(warps.draw(40, small(warp_probability=1.0), generator(0, "test")), 28)

    def test_a_perfect_stn_leaves_nothing(self):
        left = canonicalisation.residuals(warps.inverse(self.WARPS), self.IDENTITY, self.WARPS)
        assert canonicalisation.sizes(left, 28) == pytest.approx(
            {"rotation_degrees": 0, "shift_pixels": 0, "log_scale": 0}, abs=1e-4
        )
        shares = canonicalisation.undone(canonicalisation.sizes(left, 28), canonicalisation.sizes(self.WARPS, 28))
        assert shares == pytest.approx({"rotation_degrees": 1, "shift_pixels": 1, "log_scale": 1}, abs=1e-4)

    def test_no_stn_undoes_nothing(self):
        left = canonicalisation.residuals(self.IDENTITY, self.IDENTITY, self.WARPS)
        shares = canonicalisation.undone(canonicalisation.sizes(left, 28), canonicalisation.sizes(self.WARPS, 28))
        assert shares == pytest.approx({"rotation_degrees": 0, "shift_pixels": 0, "log_scale": 0}, abs=1e-6)

    def test_a_habit_of_the_stn_is_no_residual(self):
        """It undoes each warp and turns every image by 20 degrees."""
        habit = warps.sampling_matrices(parameters(rotation=20, count=40), 28)
        on_warped = warps.compose(warps.inverse(self.WARPS), habit)
        left = canonicalisation.residuals(on_warped, habit, self.WARPS)
        assert canonicalisation.sizes(left, 28)["rotation_degrees"] == pytest.approx(0, abs=1e-3)

    @pytest.mark.parametrize(
        ("warp", "expected"),
        [
            ({"rotation": -30.0}, {"rotation_degrees": 30, "shift_pixels": 0, "log_scale": 0}),
            ({"shift_x": 3.0, "shift_y": -4.0}, {"rotation_degrees": 0, "shift_pixels": 5, "log_scale": 0}),
            ({"scale": 0.5}, {"rotation_degrees": 0, "shift_pixels": 0, "log_scale": math.log(2)}),
        ],
    )
    def test_sizes_are_those_of_the_warp(self, warp, expected):
        found = canonicalisation.sizes(warps.sampling_matrices(parameters(**warp, count=5), 28), 28)
        assert found == pytest.approx(expected, abs=1e-4)

    def test_what_was_not_applied_has_no_share(self):
        applied = canonicalisation.sizes(warps.sampling_matrices(parameters(rotation=30, count=5), 28), 28)
        assert math.isnan(canonicalisation.undone(applied, applied)["shift_pixels"])
