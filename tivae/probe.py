"""The probe: logistic regression on standardised encodings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

MAX_ITERATIONS = 2000


@dataclass(frozen=True)
class Probe:
    """A fitted multinomial logistic regression with an L2 penalty.

    iterations: of L-BFGS; converged: whether it met its tolerance within `MAX_ITERATIONS`.
    """

    scaler: StandardScaler
    classifier: LogisticRegression
    iterations: int
    converged: bool

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The most probable class (N,) of features (N, D)."""
        return self.classifier.predict(self.scaler.transform(features))

    def accuracy(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The share in [0, 1] of images whose class is predicted."""
        return float((self.predict(features) == labels).mean())


def fit(features: NDArray[np.float32], labels: NDArray[np.int64], regularisation: float = 1.0) -> Probe:
    """A probe fitted on features (N, D) and labels (N,).

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
    classifier = LogisticRegression(C=regularisation, max_iter=MAX_ITERATIONS)
    # One thread: the number of threads changes the order of sums, and with it the last digits of every figure.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier.fit(scaler.transform(features.astype(np.float64)), labels)
    iterations = int(classifier.n_iter_.max())
    return Probe(scaler, classifier, iterations, iterations < MAX_ITERATIONS)
