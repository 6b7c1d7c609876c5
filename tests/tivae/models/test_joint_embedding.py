"""VICReg and Barlow Twins: their terms, and models that compare views, with and without a decoder."""

import numpy as np
import pandas as pd
import pytest
import torch

from analysis.frames.cells import collapsed
from tests.small import small
from tests.tivae.tensors import random
from tivae import experiment
from tivae.config import ConfigError, TrialConfig
from tivae.data.datasets import TrialData
from tivae.models import Given, Unsupported, build
from tivae.training.autoencoder import ModelTraining

AUGMENTED = {"train_dataset": "augmented", "epochs": 1, "projector_width": 16, "latent_dim": 6}
NAMES = ["vicreg", "barlow_twins"]


def model_of(name, **changes):
    return build(small(**({"model": name} | AUGMENTED | changes)))


def white(count=64, width=8):
    """Projections without mean and correlations, each of variance 1 (over count - 1)."""
    drawn = random(count, width)
    vectors = torch.linalg.qr(drawn - drawn.mean(0)).Q
    return vectors * (count - 1) ** 0.5


def authors_vicreg(x, y):
    """The terms as facebookresearch/vicreg computes them."""
    invariance = torch.nn.functional.mse_loss(x, y)
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    std_x, std_y = (torch.sqrt(view.var(dim=0) + 0.0001) for view in (x, y))
    variance = torch.relu(1 - std_x).mean() / 2 + torch.relu(1 - std_y).mean() / 2
    covariances = [(view.T @ view) / (len(view) - 1) for view in (x, y)]
    rest = [matrix - torch.diag(torch.diag(matrix)) for matrix in covariances]
    return invariance, variance, sum(matrix.pow(2).sum() / x.shape[1] for matrix in rest)


def test_the_terms_of_vicreg_are_those_of_its_authors():
    first, second = 0.5 * random(32, 8), 0.3 * random(32, 8, seed=1) + 1
    terms = model_of("vicreg").between(first, second)
    for name, expected in zip(("invariance", "variance", "covariance"), authors_vicreg(first, second), strict=True):
        torch.testing.assert_close(terms[name], expected)


def test_the_terms_of_barlow_twins_are_those_of_numpys_correlations():
    first, second = 3 * random(64, 8) + 1, random(64, 8, seed=1) - 2
    correlation = np.corrcoef(first.T.numpy(), second.T.numpy())[:8, 8:]
    terms = model_of("barlow_twins").between(first, second)
    assert float(terms["alignment_of_twins"]) == pytest.approx(np.square(1 - np.diag(correlation)).mean(), rel=1e-3)
    off = np.square(correlation).sum() - np.square(np.diag(correlation)).sum()
    assert float(terms["redundancy"]) == pytest.approx(off / 8, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_equal_white_views_cost_nothing_and_constant_ones_something(name):
    model, views = model_of(name), white()
    assert float(model.step_total(model.between(views, views))) == pytest.approx(0, abs=1e-3)
    constant = torch.ones(64, 8, requires_grad=True)
    collapsed = model.step_total(model.between(constant, constant))
    assert float(collapsed.detach()) > 0.9
    collapsed.backward()
    assert torch.isfinite(constant.grad).all()


def test_views_that_agree_and_correlate_are_distinguished_from_white_ones():
    for name in NAMES:
        model, views = model_of(name), white()
        copied = views[:, :1].expand(-1, 8)
        assert float(model.step_total(model.between(copied, copied))) > 0.02, name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("decoded", [{}, {"reconstruction_weight": 10.0, "reconstruction_target": "base"}])
def test_the_terms_join_the_loss_and_reach_the_whole_encoder(host, name, decoded):
    config = small(model=name, **(AUGMENTED | decoded))
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    loss, metrics = training.loss(training.images(), torch.arange(32), 0)
    loss.backward()
    named = {name: value.item() for name, value in metrics.items()}
    weights = {"vicreg": (25, 25, 1), "barlow_twins": (1, 0.005)}[name]
    terms = [named[f"train_{term.name}"] for term in training.model.step_terms]
    expected = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    expected += 10 * named["train_reconstruction"] if decoded else 0
    assert named["train_loss"] == pytest.approx(expected, rel=1e-4)
    assert all(weight.grad is not None for weight in training.model.parameters())
    assert ("train_reconstruction" in named) == bool(decoded)


def test_both_views_are_encoded_as_one_batch(host):
    config = small(model="vicreg", **AUGMENTED)
    training = ModelTraining(config, TrialData(host, config, "cpu"))
    index, images = torch.arange(20), training.images()
    seen, encode = [], training.model.encode
    training.model.encode = lambda batch: seen.append(batch) or encode(batch)
    training.loss(images, index, 0)
    second = training._epoch_sets.second.batch(index)
    assert torch.equal(seen[0], torch.cat([images.batch(index), second]))


@pytest.mark.parametrize("name", NAMES)
def test_without_a_decoder_there_are_no_losses_of_images(host, name):
    result = experiment.run(small(model=name, **AUGMENTED), host, measures="none")
    row = result.epochs[-1]
    assert row["base_loss"] is row["augmented_reconstruction"] is row["train_reconstruction"] is None
    assert result.metrics["base_loss"] is result.metrics["base_original_frame_reconstruction"] is None
    assert result.metrics[f"train_{result.model.step_terms[0].name}"] > 0
    assert result.metrics["base_accuracy"] > 0.25
    assert not any("decoder" in weight for weight in result.model.state_dict())
    with pytest.raises(Unsupported, match=f"this {name} makes no reconstructions: `reconstruction_weight` is not set"):
        result.model.reconstruct(torch.zeros(2, 1, 28, 28))


def test_with_a_decoder_there_are(host):
    config = small(model="vicreg", reconstruction_weight=10, reconstruction_target="base", **AUGMENTED)
    result = experiment.run(config, host, measures="none")
    assert result.metrics["base_loss"] == pytest.approx(10 * result.metrics["base_reconstruction"], rel=1e-5)
    assert result.model.reconstruct(torch.zeros(2, 1, 28, 28)).shape == (2, 1, 28, 28)


def test_pulling_views_together_alone_collapses_and_is_reported(host):
    """Negative controls: without variance and covariance all projections are one; with weight decay all codes are."""
    alone = {"variance_weight": 0.0, "covariance_weight": 0.0}
    longer = AUGMENTED | {"epochs": 6, "learning_rate": 0.01}
    trials = ({}, alone, alone | {"weight_decay": 20.0})
    metrics = [
        experiment.run(small(model="vicreg", **longer, **changes), host, measures="none").metrics for changes in trials
    ]
    frame = pd.DataFrame(metrics).assign(latent_dim=6)
    assert collapsed(frame).tolist() == [False, True, True]
    assert frame["train_variance"].iloc[0] < 0.5
    assert frame["code_variance_share"].iloc[2] < 1e-6 < 0.1 < frame["code_variance_share"].iloc[0]


@pytest.mark.parametrize("name", NAMES)
def test_fields_without_use_make_no_other_trial(name):
    plain = TrialConfig(model=name)
    assert plain.reconstruction_weight is None
    for unused in ({"kl_weight": 1.0}, {"reconstruction_target": "base"}, {"output_activation": "linear"}):
        assert TrialConfig(model=name, **unused) == plain, unused
    assert TrialConfig(model=name, projector_width=64).key != plain.key
    assert TrialConfig(model=name, reconstruction_weight=10).key != plain.key
    assert TrialConfig.from_dict(plain.to_dict()) == plain
    assert TrialConfig(projector_width=64).key == TrialConfig().key


def test_a_last_batch_of_one_image_is_refused():
    with pytest.raises(ConfigError, match="`batch_size` is 99; it must leave at least 2 of the 100 training images"):
        TrialConfig(model="vicreg", train_images=100, batch_size=99)
    assert TrialConfig(model="vicreg", train_images=100, batch_size=98).batch_size == 98


def test_what_views_are_made_of_does_not_move_the_weights():
    one, other = (model_of("vicreg", **change).state_dict() for change in ({}, {"invariance_weight": 1.0}))
    assert all(torch.equal(one[name], other[name]) for name in one)
    given = Given(seen=random(32, 1, 28, 28), second=random(32, 6, seed=2))
    model = model_of("vicreg")
    assert model.at_step(random(32, 6), given).keys() == {"invariance", "variance", "covariance"}
