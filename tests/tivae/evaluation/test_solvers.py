"""The solvers against scikit-learn's own, at their tightest."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tivae.config import TrialConfig
from tivae.evaluation import probe, solvers


@pytest.fixture(scope="module")
def correlated():
    """Four classes in 40 standardised features that are correlated, the last but for three images constant."""
    source = np.random.default_rng(0)
    labels = np.arange(400) % 4
    features = source.normal(size=(4, 40))[labels] * 0.3 + source.normal(size=(400, 40)) @ source.normal(size=(40, 40))
    features[:, -1] = np.isin(np.arange(400), (5, 17, 200))
    return (features - features.mean(axis=0)) / features.std(axis=0), labels


def assert_close(weights, classifier, tolerance):
    expected = np.hstack([classifier.coef_, classifier.intercept_[:, None]])
    assert np.abs(weights - expected).max() < tolerance * np.abs(expected).max()


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_logistic_regression_is_scikit_learns(correlated, monkeypatch, strength):
    monkeypatch.setattr(solvers, "TOLERANCE", 1e-8)
    weights, iterations = solvers.logistic_regression(*correlated, strength, 2000)
    exact = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(*correlated)
    assert_close(weights, exact, 1e-4)
    assert 5 < iterations < 200


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_the_squared_hinge_is_scikit_learns(correlated, monkeypatch, strength):
    features, labels = correlated
    monkeypatch.setattr(solvers, "TOLERANCE", 1e-10)
    weights, iterations = solvers.squared_hinge(features, labels == np.arange(4)[:, None], strength, 2000)
    exact = LinearSVC(C=strength, dual=False, tol=1e-10, max_iter=100_000).fit(features, labels)
    assert_close(weights, exact, 1e-4)
    assert 2 < iterations < 100


@pytest.fixture(scope="module")
def nearly_collinear():
    """Encodings of 1,500 + 1,500 images of ten overlapping classes, as correlated as those of an untrained encoder."""
    source = np.random.default_rng(1)
    labels = np.arange(3000) % 10
    features = source.normal(size=(10, 60))[labels] * 0.4 + source.normal(size=(3000, 60))
    mixed = (features @ source.normal(size=(60, 60)) + 0.05 * source.normal(size=(3000, 60))).astype(np.float32)
    return mixed[::2], labels[::2], mixed[1::2], labels[1::2]


def test_a_probe_classifies_every_image_as_the_optimum_does(nearly_collinear):
    """scikit-learn's default tolerance, 1e-4, leaves some images on the other side of a boundary."""
    features, labels, unseen, unseen_labels = nearly_collinear
    fitted = probe.fit(features, labels)
    scaled = fitted.scaler.transform(features.astype(np.float64)), fitted.scaler.transform(unseen.astype(np.float64))
    optimum = LogisticRegression(tol=1e-10, max_iter=20_000).fit(scaled[0], labels).predict(scaled[1])
    loose = LogisticRegression(tol=1e-4, max_iter=20_000).fit(scaled[0], labels).predict(scaled[1])
    assert (loose != optimum).sum() > 0
    assert np.array_equal(fitted.predict(unseen), optimum)
    assert fitted.converged
    assert fitted.accuracy(unseen, unseen_labels) == (optimum == unseen_labels).mean()


@pytest.mark.parametrize("name", ["logistic_regression", "linear_svm"])
@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_are_told_apart_whatever_the_number_of_features(correlated, name, classes):
    features, labels = correlated[0].astype(np.float32), correlated[1] % classes * 5 + 2
    fitted = probe.fit(features + 20 * labels[:, None], labels, TrialConfig(probe=name))
    assert fitted.converged
    assert fitted.accuracy(features + 20 * labels[:, None], labels) == 1
    assert fitted.classes.tolist() == [2, 7, 12][:classes]


@pytest.mark.parametrize("name", ["logistic_regression", "linear_svm"])
def test_a_fit_that_is_cut_short_is_not_converged(correlated, monkeypatch, name):
    monkeypatch.setattr(probe, "MAX_ITERATIONS", 2)
    cut = probe.fit(correlated[0].astype(np.float32), correlated[1], TrialConfig(probe=name))
    assert cut.iterations == 2
    assert not cut.converged


def test_constant_features_leave_the_classes_frequencies():
    labels = np.array([0] * 30 + [1] * 50 + [2] * 20)
    weights, _ = solvers.logistic_regression(np.zeros((100, 3)), labels, 1.0, 2000)
    shares = np.exp(weights[:, -1]) / np.exp(weights[:, -1]).sum()
    np.testing.assert_allclose(shares, [0.3, 0.5, 0.2], atol=1e-3)
    assert np.abs(weights[:, :-1]).max() == 0
