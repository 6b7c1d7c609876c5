"""A small study that really ran, shared by the tests of all figures."""

from pathlib import Path

import numpy as np
import pytest

import analysis
from analysis.figures.drawing import saving, style
from tivae import stages
from tivae.config import TrialConfig
from tivae.data.image_set import Images

SMALL = {"epochs": 1, "stn_epochs": 1, "batch_size": 50, "hidden_widths": (8, 16), "latent_dim": 3, "categories": 4}


def small_images(count, seed):
    """Ten classes, each a bright square at a place of its own, on noise; every seventh image is of the next class."""
    source = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = source.integers(0, 60, (count, 28, 28)).astype(np.uint8)
    shown = (labels + (np.arange(count) % 7 == 0)) % 10
    for image, label in zip(images, shown, strict=True):
        top, left = 3 + 10 * (label // 5), 2 + 5 * (label % 5)
        image[top : top + 6, left : left + 5] = 220
    return images, labels


@pytest.fixture(scope="session")
def images():
    train, train_labels = small_images(200, seed=0)
    test, test_labels = small_images(100, seed=1)
    return Images(train, train_labels, test, test_labels, source="made up")


@pytest.fixture(scope="session")
def results(tmp_path_factory, images) -> Path:
    """Both models with and without STN, one seed, trained for one epoch each."""
    folder = tmp_path_factory.mktemp("results") / "small"
    for model in ("vae", "categorical_vae"):
        for stn in ("none", "pretrained"):
            record = stages.run_trial(TrialConfig(model=model, stn=stn, **SMALL), images, "cpu", folder)
            assert record["status"] == "finished", record["error"]
    return folder


@pytest.fixture(scope="session")
def study(results):
    return analysis.load(results)


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    """Fewer pixels, and no PDF and SVG: these tests look at what is drawn, `test_saving` at its files."""
    monkeypatch.setattr(style, "SETTINGS", {**style.SETTINGS, "savefig.dpi": 40})
    monkeypatch.setattr(saving, "FORMATS", {"png": {}})
