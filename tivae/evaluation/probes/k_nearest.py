"""k nearest neighbours: what is in the encodings that no linear classifier can read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tivae.evaluation.probe import Classifier
from tivae.fields import number


class KNearest(Classifier):
    """The class that most of the nearest training encodings have, by Euclidean distance; of a tie, the lowest.

    Shares of so few neighbours are no probabilities: the log loss would be infinite. It costs 3 s of CPU time for
    10,000 images beside 60,000, which the standard measures ask for 36 times.
    """

    label = "k nearest neighbours"
    has_probabilities = False
    unused = ("probe_regularisation",)

    class Fields:
        neighbours: int = number(20, 1, 1000, help="k of the k_nearest probe")

    @classmethod
    def fit(cls, features: NDArray[np.float64], labels: NDArray[np.int64], config: Any) -> Any:
        from sklearn.neighbors import KNeighborsClassifier

        count = min(config.neighbours, len(labels))
        # The precision of the encodings that it will be given: with two of them scikit-learn is ten times as slow.
        return KNeighborsClassifier(count).fit(features.astype(np.float32), labels)
