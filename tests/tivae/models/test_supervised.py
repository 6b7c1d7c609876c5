"""The ceiling: the encoder trained with labels."""

import pytest
import torch

from tests.small import small
from tivae import experiment
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.models import MODELS
from tivae.training.autoencoder import ModelTraining

CONFIG = small(model="supervised", train_dataset="augmented", latent_dim=8)


def test_its_loss_is_the_cross_entropy_of_the_batchs_own_labels(host):
    training = ModelTraining(CONFIG, TrialData(host, CONFIG, "cpu"))
    images, index = training.images(), torch.tensor([7, 3, 150, 20])
    training.module.eval()
    with torch.no_grad():
        loss, metrics = training.loss(images, index, 0)
        scores = training.model.head(training.model.encode(images.batch(index)))
    labels = torch.tensor(host.train_labels[:200].astype("int64"))[index]
    expected = -torch.log_softmax(scores, dim=1)[torch.arange(4), labels].mean()
    torch.testing.assert_close(loss, expected)
    assert metrics == pytest.approx(dict.fromkeys(("train_loss", "train_cross_entropy"), float(expected)))


def test_it_reads_better_than_the_same_encoder_without_labels(host):
    changes = {"train_images": 1000, "test_images": 500, "epochs": 4, "train_dataset": "augmented", "latent_dim": 8}
    with_labels, without = (
        experiment.run(small(model=model, **changes), host, measures="none").metrics["augmented_accuracy"]
        for model in ("supervised", "vae")
    )
    assert with_labels > without + 0.05


def test_what_it_does_not_use_makes_no_other_trial():
    plain = TrialConfig(model="supervised")
    unused = {"kl_weight": 1.0, "reconstruction_weight": 3.0, "output_activation": "linear"}
    assert TrialConfig(model="supervised", **unused) == plain
    assert plain.reconstruction_weight is None


def test_it_alone_sees_labels():
    assert [name for name in MODELS if "labels" in MODELS[name].wants] == ["supervised"]


def test_behind_an_stn_that_is_trained_with_it_the_alignment_has_a_weight(host):
    config = small(model="supervised", stn="joint", latent_dim=8, epochs=1)
    assert config.alignment_weight == 1.0
    assert experiment.run(config, host, measures="none").metrics["train_alignment"] > 0
