"""Encodings averaged over warps."""

import dataclasses

import numpy as np
import pytest
import torch

import tivae
from tests.small import small
from tivae import experiment, records, stages
from tivae.data import warps
from tivae.data.datasets import TEST_SET_SEED, TrialData
from tivae.data.randomness import generator
from tivae.evaluation.orbit import averaged

CPU = torch.device("cpu")
CONFIG = small(epochs=1, orbit_warps=4, latent_dim=5)


def total(images):
    return images.sum((1, 2, 3))[:, None]


def test_it_is_the_mean_over_the_warps(host):
    images = TrialData(host, CONFIG, "cpu").base_test().batch(slice(0, 30))
    drawn = warps.draw(4, CONFIG, generator(TEST_SET_SEED, "orbit"))
    outside = CONFIG.standardisation.outside("black")
    expected = 0
    for matrix in warps.sampling_matrices(drawn, 28):
        expected = expected + total(warps.warp(images, matrix.expand(30, 2, 3), fill=outside)) / 4
    torch.testing.assert_close(averaged(CONFIG, total, CPU)(images), expected)


def test_without_warps_it_is_the_encoding_itself():
    assert averaged(dataclasses.replace(CONFIG, orbit_warps=None), total, CPU) is total
    still = dataclasses.replace(CONFIG, warp_probability=0.0)
    images = torch.randn(3, 1, 28, 28, generator=generator(0, "images"))
    torch.testing.assert_close(averaged(still, total, CPU)(images), total(images), rtol=1e-4, atol=1e-3)


def test_it_reads_a_training_out_again_and_moves_encodings_less(host, tmp_path):
    """No epoch is trained for it; probes, measures and `tivae.load` read the same means."""
    config = small(epochs=1, latent_dim=5, train_dataset="augmented")
    many = dataclasses.replace(config, orbit_warps=8)
    assert many.training_key == config.training_key
    assert many.key != config.key
    plain, mean = (stages.run_trial(each, host, "cpu", tmp_path, measures="consistency") for each in (config, many))
    assert mean["provenance"]["training_seconds"] == plain["provenance"]["training_seconds"]
    assert mean["metrics"]["latent_displacement"] < 0.8 * plain["metrics"]["latent_displacement"]
    folder = records.trial_folder(tmp_path, many.key)
    stored = torch.load(folder / "encodings.pt", weights_only=True)["base"][:20].numpy()
    np.testing.assert_allclose(tivae.load(folder).encode(host.test_images[:20]), stored, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("changes", [{"stn": "pretrained", "stn_epochs": 1}, {"front": "moments"}])
def test_the_warps_come_before_what_stands_in_front(host, changes):
    config = small(model="pca", latent_dim=5, orbit_warps=2, **changes)
    trial = experiment.run(config, host, measures="local_invariance")
    images = TrialData(host, config, "cpu").base_test().batch(slice(0, 10))
    drawn = warps.sampling_matrices(warps.draw(2, config, generator(TEST_SET_SEED, "orbit")), 28)
    outside = config.standardisation.outside("black")
    with torch.no_grad():
        seen = [trial.stn(warps.warp(images, matrix.expand(10, 2, 3), fill=outside)) for matrix in drawn]
        expected = sum(trial.model.encode(each) for each in seen) / 2
    torch.testing.assert_close(trial.encodings["base"][:10], expected, rtol=1e-4, atol=1e-4)
    assert trial.metrics["local_sensitivity_rotation"] > 0
