"""Probes: classifiers of standardised encodings."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from tivae.config import TrialConfig
from tivae.registry import PROBES
from tivae.resolution import DEFAULT_PROBE

if TYPE_CHECKING:
    from sklearn.preprocessing import StandardScaler

MAX_ITERATIONS = 2000


class Classifier(ABC):
    """The base class of probes: one class in a module of `tivae.evaluation.probes`, or elsewhere.

    A subclass declares:
    label: its name in tables and figures.
    has_probabilities: whether what it fits has probabilities of classes.
    unused: fields of the config that decide nothing for it.
    Fields: a class with fields of its own, declared as those of `TrialConfig`; the config then has them as well.
    """

    label: ClassVar[str]
    has_probabilities: ClassVar[bool] = True
    unused: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def fit(cls, features: NDArray[np.float64], labels: NDArray[np.int64], config: Any) -> Any:
        """A fitted classifier with scikit-learn's `predict`, `classes_`, and `predict_proba` where there are any.

        features: (N, D), each of mean 0 and standard deviation 1; labels: (N,), of two classes at least; config: the
        trial's. A solver that stops early says how many iterations it has made in `n_iter_`.
        """


@dataclass(frozen=True)
class Probe:
    """A fitted classifier of all classes.

    iterations: of its solver, 0 without one; converged: whether it met its tolerance within `MAX_ITERATIONS`.
    """

    scaler: StandardScaler
    classifier: Any
    has_probabilities: bool
    iterations: int
    converged: bool

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.int64]:
        """The most probable class (N,) of features (N, D)."""
        predicted: NDArray[np.int64] = self.classifier.predict(self.scaler.transform(features))
        return predicted

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64] | None:
        """Class probabilities (N, classes), classes ascending, rows summing to 1; None for a classifier without any."""
        if not self.has_probabilities:
            return None
        found: NDArray[np.float64] = self.classifier.predict_proba(self.scaler.transform(features))
        return found

    @property
    def classes(self) -> NDArray[np.int64]:
        """The classes it was fitted on, ascending."""
        classes: NDArray[np.int64] = self.classifier.classes_
        return classes

    def accuracy(self, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The share in [0, 1] of images whose class is predicted."""
        return float((self.predict(features) == labels).mean())


def fit(features: NDArray[np.float32], labels: NDArray[np.int64], config: TrialConfig | None = None) -> Probe:
    """The config's probe, by default a logistic regression, fitted on features (N, D) and labels (N,).

    Each feature is scaled to mean 0 and standard deviation 1 over the N images first: unscaled, 100 logits take
    minutes and do not converge.

    Raises `ValueError` where features are not finite or fewer than two classes are present.
    """
    if not np.isfinite(features).all():
        share = 1 - np.isfinite(features).mean()
        raise ValueError(f"{share:.1%} of the encodings are not finite; a probe needs finite encodings")
    if len(np.unique(labels)) < 2:
        raise ValueError("the training images have one class only; a probe needs at least two, so use more images")
    # Scikit-learn takes a second to import, which the process that schedules trials has no use for.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler

    config = config or TrialConfig()
    entry = PROBES[config.probe or DEFAULT_PROBE]
    # Double precision: L-BFGS stops early on float32's rounding, short of its tolerance.
    scaler = StandardScaler().fit(features.astype(np.float64))
    # One thread: the number of threads changes the order of sums, and with it the last digits of every metric.
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = entry.fit(scaler.transform(features.astype(np.float64)), labels, config)
    iterations = int(np.max(getattr(classifier, "n_iter_", 0)))
    return Probe(scaler, classifier, entry.has_probabilities, iterations, iterations < MAX_ITERATIONS)
