import numpy as np
import pytest

from tivae.config import TrialConfig
from tivae.evaluation import probe


def clusters(count, distance, seed=0, classes=4, dimensions=6):
    """float32 features (count, dimensions), normal with deviation 1 about centres `distance` from 0, and labels."""
    labels = np.arange(count) % classes
    centres = np.zeros((classes, dimensions))
    centres[np.arange(classes), np.arange(classes)] = distance
    return (centres[labels] + np.random.default_rng(seed).normal(size=(count, dimensions))).astype(np.float32), labels


@pytest.fixture(scope="module")
def hard():
    """Training and test features and labels that no probe reads perfectly."""
    return (*clusters(400, 2.0), *clusters(400, 2.0, seed=1))


def test_separable_classes_are_read_perfectly():
    features, labels = clusters(200, 50.0)
    fitted = probe.fit(features, labels)
    unseen, unseen_labels = clusters(200, 50.0, seed=1)
    assert fitted.accuracy(unseen, unseen_labels) == 1.0
    assert np.array_equal(fitted.predict(unseen), unseen_labels)


def test_labels_that_have_nothing_to_do_with_the_features_are_read_by_chance():
    features, labels = clusters(2000, 50.0)
    shuffled = np.random.default_rng(2)
    fitted = probe.fit(features, shuffled.permutation(labels))
    # The share of 2,000 coins that show a side of probability 1/4.
    assert fitted.accuracy(features, shuffled.permutation(labels)) == pytest.approx(
        0.25, abs=5 * np.sqrt(0.25 * 0.75 / 2000)
    )


def test_constant_features_give_the_most_frequent_class():
    labels = np.array([0] * 30 + [1] * 50 + [2] * 20)
    fitted = probe.fit(np.ones((100, 3), dtype=np.float32), labels)
    assert fitted.accuracy(np.ones((100, 3), dtype=np.float32), labels) == 0.5


def test_the_accuracy_is_the_share_of_right_predictions(hard):
    features, labels, unseen, unseen_labels = hard
    fitted = probe.fit(features, labels)
    right = sum(int(a == b) for a, b in zip(fitted.predict(unseen), unseen_labels, strict=True))
    assert fitted.accuracy(unseen, unseen_labels) == right / 400
    assert 0.5 < right / 400 < 1


@pytest.mark.parametrize("factor", [1000.0, 1e-3])
def test_the_scale_and_origin_of_the_features_make_no_difference(hard, factor):
    # In double precision: the rounding of moved float32 features would be a difference in itself.
    features, labels, unseen = hard[0].astype(np.float64), hard[1], hard[2].astype(np.float64)
    moved = probe.fit(factor * features + factor * 5, labels).predict(factor * unseen + factor * 5)
    assert np.array_equal(moved, probe.fit(features, labels).predict(unseen))


def test_a_duplicated_feature_is_no_news(hard):
    features, labels, unseen, unseen_labels = hard
    once = probe.fit(features, labels).accuracy(unseen, unseen_labels)
    twice = probe.fit(np.hstack([features, features]), labels).accuracy(np.hstack([unseen, unseen]), unseen_labels)
    assert twice == pytest.approx(once, abs=0.02)


def test_a_converged_fit_is_at_the_minimum_of_the_penalised_loss(hard):
    """Its gradient is that of scikit-learn's own objective: C * log loss + |weights|^2 / 2."""
    features, labels, *_ = hard
    fitted = probe.fit(features, labels, TrialConfig(probe_regularisation=0.1))
    scaled = (features - features.mean(0, dtype=np.float64)) / features.std(0, dtype=np.float64)
    scores = scaled @ fitted.classifier.coef_.T + fitted.classifier.intercept_
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    residual = probabilities - np.eye(4)[labels]
    gradient = 0.1 * residual.T @ scaled + fitted.classifier.coef_
    assert np.abs(gradient).max() / (0.1 * len(labels)) < 1e-3
    assert fitted.converged


def test_less_regularisation_gives_larger_weights(hard):
    features, labels, *_ = hard
    weights = [
        np.abs(probe.fit(features, labels, TrialConfig(probe_regularisation=strength)).classifier.coef_).sum()
        for strength in (0.01, 1.0, 100.0)
    ]
    assert weights == sorted(weights)
    assert weights[0] < 0.9 * weights[1]


def test_iterations_are_reported(hard):
    features, labels, *_ = hard
    whole = probe.fit(features, labels)
    assert whole.converged
    assert 3 < whole.iterations < probe.MAX_ITERATIONS


def test_the_same_features_give_the_same_probe(hard):
    features, labels, *_ = hard
    one, same = probe.fit(features, labels), probe.fit(features.copy(), labels.copy())
    assert np.array_equal(one.classifier.coef_, same.classifier.coef_)
    assert one.iterations == same.iterations


def test_the_features_are_left_as_they_are(hard):
    features, labels, *_ = hard
    before = features.copy()
    probe.fit(features, labels).predict(features)
    assert np.array_equal(features, before)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_with_their_share(value):
    features, labels = clusters(100, 2.0, dimensions=5)
    features[:10] = value
    with pytest.raises(ValueError, match=r"10\.0% of the encodings are not finite; a probe needs finite encodings"):
        probe.fit(features, labels)


def test_one_class_is_refused():
    features, labels = clusters(100, 2.0)
    with pytest.raises(ValueError, match="the training images have one class only; a probe needs at least two"):
        probe.fit(features, np.zeros_like(labels))


def test_labels_need_not_be_consecutive():
    features, labels = clusters(100, 50.0)
    assert np.array_equal(probe.fit(features, 3 * labels + 2).predict(features), 3 * labels + 2)
