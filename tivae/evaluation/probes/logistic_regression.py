"""Multinomial logistic regression with an L2 penalty, the paper's probe."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from tivae.evaluation import probe, solvers

# From so many features on scikit-learn's own solver takes minutes: 185 s of CPU time for the 784 pixels of 60,000
# images, 33 s in `solvers`, which ends nearer to the optimum.
MANY_FEATURES = 256


class Multinomial(probe.Classifier):
    """scikit-learn's `LogisticRegression`; `probe_regularisation` is its C."""

    label = "logistic regression"

    @classmethod
    def fit(cls, features: NDArray[np.float64], labels: NDArray[np.int64], config: Any) -> LogisticRegression:
        classifier = LogisticRegression(C=config.probe_regularisation, max_iter=probe.MAX_ITERATIONS)
        classes, columns = np.unique(labels, return_inverse=True)
        # Two classes are one sigmoid to scikit-learn, with another penalty.
        if features.shape[1] < MANY_FEATURES or len(classes) == 2:
            return classifier.fit(features, labels)
        weights, iterations = solvers.logistic_regression(
            features, columns, config.probe_regularisation, probe.MAX_ITERATIONS
        )
        return solvers.fitted(classifier, classes, weights, iterations)
