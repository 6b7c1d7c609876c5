"""Alarms of collapse on transformers and posteriors whose state is known."""

import math

import pytest
import torch

from tests.small import small
from tivae.data.datasets import Dataset, TrialData
from tivae.data.randomness import generator
from tivae.evaluation import collapse
from tivae.models import build
from tivae.models.stn import LearntTransformer


def fixed_stn(matrix):
    """A transformer that warps every image by the same 2 x 3 `matrix`."""
    stn = LearntTransformer(small()).eval()
    with torch.no_grad():
        stn.affine.bias.copy_(torch.tensor(matrix).flatten())
    return stn


@pytest.fixture(scope="module")
def sets(host):
    data = TrialData(host, small(), "cpu")
    return data.augmented_test(), data.base_test()


@pytest.mark.parametrize(
    ("matrix", "log_determinant", "kept"),
    [
        ([[1.0, 0, 0], [0, 1, 0]], 0.0, 1.0),
        ([[0.5, 0, 0], [0, 0.5, 0]], math.log(0.25), 0.25),
        ([[2.0, 0, 0], [0, 2, 0]], math.log(4), 1.0),
        ([[1.0, 0, 1], [0, 1, 0]], 0.0, 0.5),
        ([[0.0, -1, 0], [1, 0, 0]], 0.0, 1.0),
    ],
)
def test_a_known_warp_has_its_known_size(sets, matrix, log_determinant, kept):
    found = collapse.of_stn(fixed_stn(matrix), *sets)
    assert found["stn_mean_log_determinant"] == pytest.approx(log_determinant, abs=1e-6)
    assert found["stn_frame_kept"] == pytest.approx(kept, abs=1e-6)


def test_the_identity_leaves_variance_and_error_as_they_are(sets):
    found = collapse.of_stn(fixed_stn([[1.0, 0, 0], [0, 1, 0]]), *sets)
    assert found["stn_target_variance_ratio"] == pytest.approx(1, abs=1e-4)
    warped, base = (images.batch(slice(0, 100)) for images in sets)
    assert found["stn_alignment_loss"] == pytest.approx(float((warped - base).square().mean()), rel=1e-4)


def test_a_picture_moved_out_of_sight_is_a_collapse(sets):
    found = collapse.of_stn(fixed_stn([[1.0, 0, 9], [0, 1, 0]]), *sets)
    assert found["stn_target_variance_ratio"] == pytest.approx(0, abs=1e-9)
    assert found["stn_frame_kept"] == 0


def test_a_picture_blown_up_from_one_point_keeps_nothing_of_the_frame(sets):
    found = collapse.of_stn(fixed_stn([[0.0, 0, 0], [0, 0, 0]]), *sets)
    assert found["stn_frame_kept"] == 0
    assert found["stn_mean_log_determinant"] == -math.inf


def with_posterior(model, bias):
    with torch.no_grad():
        model.posterior.weight.zero_()
        model.posterior.bias.copy_(bias)
    return model.eval()


def test_dead_latents_of_a_vae_are_those_without_kl(sets):
    """Means (0, 2, 0) and log variances 0: KL (0, 2, 0) nats."""
    model = with_posterior(build(small(latent_dim=3)), torch.tensor([0.0, 2, 0, 0, 0, 0]))
    found = collapse.of_latents(model, sets[1])
    assert found["dead_latents"] == 2
    assert found["dead_codes"] is None
    assert found["kl_per_latent_max"] == pytest.approx(2)
    assert found["kl_per_latent_mean"] == pytest.approx(2 / 3)
    assert found["kl_per_latent_min"] == pytest.approx(0, abs=1e-6)


def test_dead_codes_are_those_that_no_image_takes(sets):
    """Two variables of three classes, one uniform (dead) and one certain: one code used of each."""
    model = with_posterior(
        build(small(model="categorical_vae", latent_dim=2, categories=3)), torch.tensor([0.0, 0, 0, 50, 0, 0])
    )
    found = collapse.of_latents(model, sets[1])
    assert found["dead_latents"] == 1
    assert found["dead_codes"] == 4
    assert found["kl_per_latent_max"] == pytest.approx(math.log(3))


def test_the_alarms_are_those_of_all_images(sets):
    """Batches of 500 and one batch give the same."""
    images = Dataset(torch.cat([sets[0].batch(slice(0, 100))] * 6), None)
    model = build(small()).eval()
    many, few = collapse.of_latents(model, images), collapse.of_latents(model, sets[0])
    assert many["kl_per_latent_mean"] == pytest.approx(few["kl_per_latent_mean"], rel=1e-5)


class TestCodes:
    def test_white_codes_use_all_their_directions(self):
        found = collapse.of_codes(torch.randn(20_000, 5, generator=generator(0, "codes")))
        assert found["code_effective_rank"] == pytest.approx(5, abs=0.01)
        assert found["code_variance_share"] == pytest.approx(1, abs=0.001)

    def test_one_point_and_a_line_are_reported(self):
        point = collapse.of_codes(torch.full((100, 5), 3.0))
        assert point["code_variance_share"] == 0
        assert math.isnan(point["code_effective_rank"])
        line = collapse.of_codes(torch.arange(100.0)[:, None] * torch.tensor([1.0, 2, 3]))
        assert line["code_effective_rank"] == pytest.approx(1)
        assert line["code_variance_share"] > 0.2

    def test_a_mean_makes_the_share_smaller_and_leaves_the_rank(self):
        codes = torch.randn(1000, 4, generator=generator(0, "codes"))
        plain, moved = collapse.of_codes(codes), collapse.of_codes(codes + 3)
        assert moved["code_effective_rank"] == pytest.approx(plain["code_effective_rank"], rel=1e-4)
        assert moved["code_variance_share"] == pytest.approx(0.1, abs=0.02)
