"""The probe: a linear classifier on standardised encodings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from tivae.evaluation import solvers

MAX_ITERATIONS = 2000

AnyClassifier = TypeVar("AnyClassifier", LogisticRegression, LinearSVC)


@dataclass(frozen=True)
class Probe:
    """A fitted linear classifier of all classes with an L2 penalty.

    iterations: of its solver; converged: whether it met its tolerance within `MAX_ITERATIONS`.
    """

    scaler: StandardScaler
    classifier: LogisticRegression | LinearSVC
    iterations: int
    converged: bool

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The most probable class (N,) of features (N, D)."""
        return np.asarray(self.classifier.predict(self.scaler.transform(features)))

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Of the classes in ascending order, (N, classes), rows summing to 1; None for a machine without any."""
        if isinstance(self.classifier, LinearSVC):
            return None
        return np.asarray(self.classifier.predict_proba(self.scaler.transform(features)))

    @property
    def classes(self) -> NDArray[np.int64]:
        """The classes it was fitted on, ascending."""
        return np.asarray(self.classifier.classes_)

    def accuracy(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The share in [0, 1] of images whose class is predicted."""
        return float((self.predict(features) == labels).mean())


def fit(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    regularisation: float = 1.0,
    kind: str = "logistic_regression",
) -> Probe:
    """A probe fitted on features (N, D) and labels (N,).

    `logistic_regression` is multinomial; `linear_svm` has one squared-hinge machine per class, the largest wins.
    Each feature is scaled to mean 0 and standard deviation 1 over the N images first: unscaled, 100 logits take
    minutes and do not converge. `regularisation` is scikit-learn's C.

    Raises `ValueError` where features are not finite or fewer than two classes are present.
    """
    if not np.isfinite(features).all():
        share = 1 - np.isfinite(features).mean()
        raise ValueError(f"{share:.1%} of the encodings are not finite; a probe needs finite encodings")
    if len(np.unique(labels)) < 2:
        raise ValueError("the training images have one class only; a probe needs at least two, so use more images")
    # Double precision: L-BFGS stops early on float32's rounding, short of its tolerance.
    scaler = StandardScaler().fit(features.astype(np.float64))
    # One thread: the number of threads changes the order of sums, and with it the last digits of every figure.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        scaled = scaler.transform(features.astype(np.float64))
        if kind == "logistic_regression":
            classifier = _logistic_regression(scaled, labels, regularisation)
        elif kind == "linear_svm":
            classifier = _linear_svm(scaled, labels, regularisation)
        else:
            raise ValueError(f"`kind` is {kind!r}; it must be logistic_regression or linear_svm")
    iterations = int(np.max(classifier.n_iter_))
    return Probe(scaler, classifier, iterations, iterations < MAX_ITERATIONS)


def _logistic_regression(
    scaled: NDArray[np.float64], labels: NDArray[np.int64], regularisation: float
) -> LogisticRegression:
    classifier = LogisticRegression(C=regularisation, tol=solvers.TOLERANCE, max_iter=MAX_ITERATIONS)
    classes, columns = np.unique(labels, return_inverse=True)
    # Two classes are one sigmoid to scikit-learn, with another penalty.
    if len(classes) == 2:
        return classifier.fit(scaled, labels)
    weights, iterations = solvers.logistic_regression(scaled, columns, regularisation, MAX_ITERATIONS)
    return _with(classifier, classes, weights, iterations)


def _linear_svm(scaled: NDArray[np.float64], labels: NDArray[np.int64], regularisation: float) -> LinearSVC:
    classes = np.unique(labels)
    # Of two classes one machine tells which it is.
    wanted = classes[1:] if len(classes) == 2 else classes
    weights, iterations = solvers.squared_hinge(scaled, labels == wanted[:, None], regularisation, MAX_ITERATIONS)
    return _with(LinearSVC(C=regularisation), classes, weights, iterations)


def _with(
    classifier: AnyClassifier, classes: NDArray[np.int64], weights: NDArray[np.floating], iterations: int
) -> AnyClassifier:
    """`classifier` as scikit-learn leaves it after its own fit, with the weights (C, D + 1) given."""
    classifier.classes_, classifier.n_iter_ = classes, np.array([iterations])
    classifier.coef_, classifier.intercept_ = weights[:, :-1], weights[:, -1]
    classifier.n_features_in_ = weights.shape[1] - 1
    return classifier
