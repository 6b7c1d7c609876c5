"""The solvers for many features against scikit-learn's own, at their tightest."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tivae.config import TrialConfig
from tivae.evaluation import probe, solvers
from tivae.evaluation.probes import logistic_regression


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
    monkeypatch.setattr(solvers, "LOGISTIC_TOLERANCE", 1e-8)
    weights, iterations = solvers.logistic_regression(*correlated, strength, 2000)
    exact = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(*correlated)
    assert_close(weights, exact, 1e-4)
    assert 5 < iterations < 200


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_the_squared_hinge_is_scikit_learns(correlated, monkeypatch, strength):
    features, labels = correlated
    monkeypatch.setattr(solvers, "HINGE_TOLERANCE", 1e-10)
    weights, iterations = solvers.squared_hinge(features, labels == np.arange(4)[:, None], strength, 2000)
    exact = LinearSVC(C=strength, dual=False, tol=1e-10, max_iter=100_000).fit(features, labels)
    assert_close(weights, exact, 1e-4)
    assert 2 < iterations < 100


def test_the_tolerance_of_many_features_is_no_worse_than_that_of_few(correlated, monkeypatch):
    """Both ways of fitting a probe end near the same minimum, and predict the same."""
    features, labels = correlated[0].astype(np.float32), correlated[1]
    one = probe.fit(features, labels)
    monkeypatch.setattr(logistic_regression, "MANY_FEATURES", 1)
    other = probe.fit(features, labels)
    assert not np.array_equal(one.classifier.coef_, other.classifier.coef_)
    assert (one.predict(features) == other.predict(features)).mean() > 0.99
    np.testing.assert_allclose(one.probabilities(features), other.probabilities(features), atol=0.02)


@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svm"])
@pytest.mark.parametrize("classes", [2, 3])
def test_few_classes_are_told_apart_whatever_the_number_of_features(correlated, monkeypatch, kind, classes):
    monkeypatch.setattr(logistic_regression, "MANY_FEATURES", 1)
    features, labels = correlated[0].astype(np.float32), correlated[1] % classes * 5 + 2
    fitted = probe.fit(features + 20 * labels[:, None], labels, TrialConfig(probe=kind))
    assert fitted.accuracy(features + 20 * labels[:, None], labels) == 1
    assert fitted.classes.tolist() == [2, 7, 12][:classes]


@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svm"])
def test_a_fit_that_is_cut_short_is_not_converged(correlated, monkeypatch, kind):
    monkeypatch.setattr(logistic_regression, "MANY_FEATURES", 1)
    monkeypatch.setattr(probe, "MAX_ITERATIONS", 2)
    cut = probe.fit(correlated[0].astype(np.float32), correlated[1], TrialConfig(probe=kind))
    assert cut.iterations == 2
    assert not cut.converged


def test_constant_features_leave_the_classes_frequencies():
    labels = np.array([0] * 30 + [1] * 50 + [2] * 20)
    weights, _ = solvers.logistic_regression(np.zeros((100, 3)), labels, 1.0, 2000)
    shares = np.exp(weights[:, -1]) / np.exp(weights[:, -1]).sum()
    np.testing.assert_allclose(shares, [0.3, 0.5, 0.2], atol=1e-3)
    assert np.abs(weights[:, :-1]).max() == 0
