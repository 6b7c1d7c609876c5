"""Consistency of predictions and encodings, on encoders for which theory says what must come out."""

import math

import numpy as np
import pytest
import torch

from tests.small import small
from tests.warping import parameters
from tivae.data.datasets import TrialData
from tivae.evaluation.measures import consistency


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def brute_pair_distance(encodings, keep=lambda _i, _j: True):
    pairs = [(i, j) for i in range(len(encodings)) for j in range(len(encodings)) if i != j and keep(i, j)]
    return np.mean([np.square(encodings[i] - encodings[j]).sum() for i, j in pairs])


class TestPredictions:
    BASE = np.array([0, 1, 2, 3])
    WARPED = np.array([[0, 1, 2, 0], [0, 1, 0, 0], [1, 1, 2, 3]])

    def test_shares_by_hand(self):
        assert consistency.prediction_consistency(self.BASE, self.WARPED) == pytest.approx(8 / 12)
        # Pairs of warps (0, 1), (0, 2), (1, 2): 3, 2 and 1 of 4 images.
        assert consistency.pair_consistency(self.WARPED) == pytest.approx((3 + 2 + 1) / 12)
        assert consistency.worst_case_accuracy(self.WARPED, self.BASE) == pytest.approx(1 / 4)

    def test_a_constant_classifier_is_consistent_and_wrong(self):
        constant = np.zeros((3, 4), int)
        assert consistency.prediction_consistency(constant[0], constant) == 1
        assert consistency.pair_consistency(constant) == 1
        assert consistency.worst_case_accuracy(constant, self.BASE) == 0.25

    def test_more_warps_make_the_worst_case_no_better(self):
        labels = self.BASE
        shares = [consistency.worst_case_accuracy(self.WARPED[:k], labels) for k in (1, 2, 3)]
        assert shares == sorted(shares, reverse=True)

    def test_one_warp_makes_no_pair(self):
        assert math.isnan(consistency.pair_consistency(self.WARPED[:1]))


class TestDistances:
    LABELS = np.array([0, 0, 1, 1, 1, 2, 2, 0])

    def test_they_are_the_means_over_all_pairs(self):
        encodings, labels = random(8, 3), self.LABELS
        assert consistency.pair_distance(encodings) == pytest.approx(brute_pair_distance(encodings))
        same = brute_pair_distance(encodings, lambda i, j: labels[i] == labels[j])
        other = brute_pair_distance(encodings, lambda i, j: labels[i] != labels[j])
        assert consistency.within_class_distance(encodings, labels) == pytest.approx(same)
        assert consistency.within_between_ratio(encodings, labels) == pytest.approx(same / other)

    def test_classes_that_mean_nothing_are_at_one_and_points_at_zero(self):
        labels = np.arange(2000) % 10
        assert consistency.within_between_ratio(random(2000, 5), labels) == pytest.approx(1, abs=0.02)
        assert consistency.within_between_ratio(random(10, 5)[labels], labels) == pytest.approx(0, abs=1e-12)

    def test_one_class_has_no_other(self):
        assert math.isnan(consistency.within_between_ratio(random(5, 2), np.zeros(5, int)))
        assert math.isnan(consistency.within_class_distance(random(3, 2), np.array([0, 1, 2])))


class TestDisplacement:
    def test_another_image_in_place_of_the_warped_one_is_at_one(self):
        encodings = random(2000, 5)
        shift = consistency.squared_shift(encodings, random(2000, 5, seed=1))
        assert consistency.displacement([shift], encodings) == pytest.approx(1, abs=0.03)

    def test_it_is_the_mean_over_warps(self):
        encodings = random(20, 3)
        assert consistency.displacement([1.0, 3.0], encodings) == pytest.approx(
            2 / consistency.pair_distance(encodings)
        )

    @pytest.mark.parametrize("factor", [1e-3, 1e3])
    def test_scaling_the_encodings_changes_nothing(self, factor):
        one, other = random(50, 4), random(50, 4, seed=1)
        labels = np.arange(50) % 3

        def both(scale):
            shift = [consistency.squared_shift(scale * one, scale * other)]
            within = consistency.displacement_within_class(shift, scale * one, labels)
            return consistency.displacement(shift, scale * one), within

        assert both(factor) == pytest.approx(both(1.0))

    def test_a_constant_encoder_does_not_win(self):
        """It has nothing to compare a shift with: no number, rather than the invariant encoder's 0."""
        constant = np.full((30, 4), 0.1, np.float32)
        shift = consistency.squared_shift(constant, constant)
        assert shift == 0
        assert math.isnan(consistency.displacement([shift], constant))


def quarter_turns(images, number):
    return torch.rot90(images, number, dims=(2, 3)).flatten(1).numpy()


@pytest.fixture(scope="module")
def images(host):
    return TrialData(host, small(), "cpu").base_test().batch(slice(0, 100))


def test_an_orbit_averaged_encoder_is_exactly_invariant_and_the_pixels_are_not(images):
    """Averaged over all quarter turns, which move pixels onto pixels."""

    def averaged(batch):
        return sum(quarter_turns(batch, number) for number in range(4)) / 4

    turned = torch.rot90(images, 1, dims=(2, 3))
    invariant = consistency.squared_shift(averaged(images), averaged(turned))
    assert consistency.displacement([invariant], averaged(images)) == pytest.approx(0, abs=1e-10)
    pixels = consistency.squared_shift(images.flatten(1).numpy(), turned.flatten(1).numpy())
    assert consistency.displacement([pixels], images.flatten(1).numpy()) > 0.5


def test_larger_shifts_displace_pixels_further(host, images):
    data = TrialData(host, small(), "cpu")
    unwarped, found = images.flatten(1).numpy(), []
    for size in (0.0, 1.0, 4.0):
        warped = data.warped_test(parameters(shift_x=size, count=100)).batch(slice(0, 100)).flatten(1).numpy()
        found.append(consistency.displacement([consistency.squared_shift(unwarped, warped)], unwarped))
    assert found[0] == pytest.approx(0, abs=1e-8)
    assert 0.02 < found[1] < found[2] < 2
