"""Multinomial logistic regression with an L2 penalty, the paper's probe."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tivae.evaluation import probe, solvers


class Multinomial(probe.Classifier):
    """scikit-learn's `LogisticRegression`; `probe_regularisation` is its C."""

    label = "logistic regression"

    @classmethod
    def fit(cls, features: NDArray[np.float64], labels: NDArray[np.int64], config: Any) -> Any:
        from sklearn.linear_model import LogisticRegression

        strength = config.probe_regularisation
        classifier = LogisticRegression(C=strength, tol=solvers.TOLERANCE, max_iter=probe.MAX_ITERATIONS)
        classes, columns = np.unique(labels, return_inverse=True)
        # Two classes are one sigmoid to scikit-learn, with another penalty.
        if len(classes) == 2:
            return classifier.fit(features, labels)
        weights, iterations = solvers.logistic_regression(features, columns, strength, probe.MAX_ITERATIONS)
        return solvers.fitted(classifier, classes, weights, iterations)
