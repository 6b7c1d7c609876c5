"""Linear support vector machines, one for each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tivae.evaluation import probe, solvers


class SquaredHinge(probe.Classifier):
    """One squared-hinge machine per class, the largest wins: scikit-learn's `LinearSVC`, C `probe_regularisation`."""

    label = "linear SVM"
    has_probabilities = False

    @classmethod
    def fit(cls, features: NDArray[np.float64], labels: NDArray[np.int64], config: Any) -> Any:
        from sklearn.svm import LinearSVC

        classes = np.unique(labels)
        # Of two classes one machine tells which it is.
        wanted = classes[1:] if len(classes) == 2 else classes
        weights, iterations = solvers.squared_hinge(
            features, labels == wanted[:, None], config.probe_regularisation, probe.MAX_ITERATIONS
        )
        return solvers.fitted(LinearSVC(C=config.probe_regularisation), classes, weights, iterations)
