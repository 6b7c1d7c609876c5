"""Entries by name, and the fields that they bring into a config."""

import pickle

import numpy as np
import pytest

from tests.small import small
from tivae import experiment
from tivae.config import FIELDS, ConfigError, TrialConfig, known_fields
from tivae.evaluation import measures, probe
from tivae.evaluation.measure import measure
from tivae.fields import number
from tivae.metric import Metric
from tivae.models.autoencoders.vae import VAE
from tivae.registry import MEASURES, MODELS, PROBES


class Colliding(VAE):
    class Fields:
        latent_dim: int = number(3, 1, 9, help="a name that every config has")


@measure(Metric("declared", "what it says"))
def undeclared(subject):
    return {"another": 1.0}


@measure(Metric("images", "test images", low=1))
def images(subject):
    return {"images": len(subject.labels)}


def test_the_entries_of_the_repository_are_those_of_its_folders():
    assert tuple(MODELS)[:6] == ("vae", "categorical_vae", "autoencoder", "pixels", "pca", "untrained")
    assert set(PROBES) >= {"logistic_regression", "linear_svm", "k_nearest"}
    assert set(MEASURES) >= {"curves", "consistency", "equivariance", "canonicalisation", "local_invariance"}
    assert {MODELS.name_of(MODELS[name]) for name in MODELS} == set(MODELS)


def test_own_fields_are_those_of_the_config_that_uses_them():
    config = TrialConfig(probe="k_nearest", neighbours=5)
    assert config.neighbours == 5
    assert config.probe_regularisation is None
    assert "neighbours" in known_fields()
    assert pickle.loads(pickle.dumps(config)) == config == TrialConfig.from_dict(config.to_dict())
    assert config.key != TrialConfig(probe="k_nearest").key
    # What reads the same training shares it.
    assert config.training_key == TrialConfig().training_key
    assert TrialConfig(neighbours=5) == TrialConfig()
    assert TrialConfig().neighbours is None
    with pytest.raises(AttributeError, match="neighbors"):
        _ = config.neighbors
    with pytest.raises(ConfigError, match="`neighbours` is 0; it must be a whole number at least 1 and at most 1000"):
        TrialConfig(probe="k_nearest", neighbours=0)
    with pytest.raises(ConfigError, match="did you mean `neighbours`"):
        TrialConfig.from_dict({"neighbors": 5})


def test_a_field_that_others_have_is_refused():
    with pytest.raises(ConfigError, match="`latent_dim` is a field of Colliding"):
        TrialConfig(model=Colliding)
    # Nor does what is refused change what the name means to all others.
    assert known_fields()["latent_dim"] is FIELDS["latent_dim"]


def test_nearest_neighbours_find_what_no_line_separates():
    """Two classes in rings, one around the other: chance for a line, nearly all for neighbours."""
    source = np.random.default_rng(0)
    angle, labels = source.uniform(0, 2 * np.pi, 1000), np.arange(1000) % 2
    points = (np.stack([np.cos(angle), np.sin(angle)], 1) * (1 + labels)[:, None]).astype(np.float32)
    points += source.normal(scale=0.05, size=points.shape).astype(np.float32)
    line = probe.fit(points[:500], labels[:500])
    near = probe.fit(points[:500], labels[:500], TrialConfig(probe="k_nearest", neighbours=5))
    assert line.accuracy(points[500:], labels[500:]) < 0.6
    assert near.accuracy(points[500:], labels[500:]) > 0.99
    assert near.probabilities(points) is None
    assert (near.iterations, near.converged) == (0, True)
    assert near.classes.tolist() == [0, 1]
    # One neighbour is the image itself.
    alone = probe.fit(points[:500], labels[:500], TrialConfig(probe="k_nearest", neighbours=1))
    assert alone.accuracy(points[:500], labels[:500]) == 1


def test_a_trial_is_read_out_by_its_neighbours(host):
    metrics = experiment.run(small(epochs=1, probe="k_nearest"), host, measures="consistency").metrics
    assert metrics["base_accuracy"] > 0.3
    assert metrics["base_log_loss"] is None
    assert 0 < metrics["prediction_consistency"] < 1


def test_measures_are_asked_for_by_name_and_level():
    assert list(measures.chosen("none")) == []
    assert set(measures.chosen("all")) == set(MEASURES)
    assert set(measures.chosen("standard")) == set(MEASURES) - {"local_invariance"}
    assert set(measures.chosen("curves, local_invariance")) == {"curves", "local_invariance"}
    assert set(measures.chosen(f"curves,{__name__}:images")) == {"curves", f"{__name__}:images"}
    with pytest.raises(ConfigError, match="`measures` is 'curves,more', of which 'more' is none"):
        measures.chosen("curves,more")


def test_a_measure_gives_the_metrics_that_it_declares(host):
    config = small(epochs=1)
    assert experiment.run(config, host, measures=f"{__name__}:images").metrics["images"] == 100
    with pytest.raises(ValueError, match=r"the measure undeclared gives another; it must give .*: declared"):
        experiment.run(config, host, measures=f"{__name__}:undeclared")
