"""Solvers of the probe's two losses that converge in half the steps of scikit-learn's own, or for many features at all.

Encodings are correlated and raw pixels strongly so, and some pixels are not black in a few images only, which makes
first-order solvers slow. Both solvers here look at the features' products first; both minimise scikit-learn's own
objectives, to the same optimum. Double precision throughout: the optimum of nearly separable classes is flat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

Matrix = NDArray[np.floating]
AnyClassifier = TypeVar("AnyClassifier", "LogisticRegression", "LinearSVC")

# Largest component of the gradient of the mean loss per image, in coordinates in which features are uncorrelated
# (logistic regression), or in the features themselves (squared hinge). At scikit-learn's default of 1e-4 a handful of
# 10,000 test images is still classified otherwise than at the optimum; at 1e-6 none is.
TOLERANCE = 1e-6
_LINE_SEARCH_STEPS = 50


def logistic_regression(
    features: Matrix, columns: NDArray[np.int64], strength: float, most_iterations: int
) -> tuple[Matrix, int]:
    """Weights (C, D + 1), the last one the intercept, and the iterations of L-BFGS that they took.

    They minimise strength * sum over images of -log softmax(W [x, 1])[column] + ||W||^2 / 2, the intercept left out of
    the penalty: `sklearn.linear_model.LogisticRegression`'s objective. columns: the class of each image, from 0 to
    C - 1.
    """
    inputs = _with_ones(features)
    count, classes = len(inputs), int(columns.max()) + 1
    penalised = np.append(np.ones(features.shape[1]), 0.0)
    wanted = np.eye(classes)[columns]
    # The curvature of one class's weights where all weights are 0. In coordinates in which it is 1, pixels converge
    # in a hundred steps or two rather than in thousands.
    share = 1 / classes
    curvature = (strength * share * (1 - share) / count) * (inputs.T @ inputs) + np.diag(penalised / count)
    values, vectors = np.linalg.eigh(curvature)
    whitening = vectors / np.sqrt(np.maximum(values, np.finfo(np.float64).eps * values[-1]))

    position = torch.zeros(classes, inputs.shape[1], dtype=torch.float64)

    def mean_loss() -> Tensor:
        weights = position.numpy() @ whitening.T
        scores = inputs @ weights.T
        scores -= scores.max(axis=1, keepdims=True)
        shares = np.exp(scores)
        totals = shares.sum(axis=1, keepdims=True)
        loss = strength * (np.log(totals).sum() - (scores * wanted).sum())
        slope = strength * ((shares / totals - wanted).T @ inputs)
        loss += 0.5 * (penalised * weights**2).sum()
        slope += penalised * weights
        position.grad = torch.from_numpy(slope @ whitening / count)
        return torch.tensor(loss / count, dtype=torch.float64)

    optimiser = torch.optim.LBFGS(
        [position],
        max_iter=most_iterations,
        max_eval=25 * most_iterations,
        tolerance_grad=TOLERANCE,
        tolerance_change=0.0,
        history_size=20,
        line_search_fn="strong_wolfe",
    )
    optimiser.step(mean_loss)
    return position.numpy() @ whitening.T, int(optimiser.state[position]["n_iter"])


def squared_hinge(
    features: Matrix, members: NDArray[np.bool_], strength: float, most_iterations: int
) -> tuple[Matrix, int]:
    """Weights (C, D + 1), the last one the intercept, and the iterations of Newton's method of the slowest class.

    members: (C, N), the images of each class. Each row w minimises strength * sum over images of
    max(0, 1 - sign * w [x, 1])^2 + ||w||^2 / 2, sign +1 for members and -1 for others, the intercept in the penalty:
    `sklearn.svm.LinearSVC`'s objective.
    """
    inputs = _with_ones(features)
    products = inputs.T @ inputs
    found = [_one_machine(inputs, products, np.where(row, 1.0, -1.0), strength, most_iterations) for row in members]
    return np.stack([weights for weights, _ in found]), max(iterations for _, iterations in found)


def _one_machine(
    inputs: Matrix, products: Matrix, signs: Matrix, strength: float, most_iterations: int
) -> tuple[Matrix, int]:
    """Newton's method on the images within the margin (Keerthi and DeCoste 2005), with an exact line search."""
    weights, outputs = np.zeros(inputs.shape[1]), np.zeros(len(inputs))
    for iteration in range(most_iterations):
        short = 1 - signs * outputs
        inside = short > 0
        slope = weights - 2 * strength * ((signs * np.maximum(short, 0)) @ inputs)
        if np.abs(slope).max() <= TOLERANCE * len(inputs):
            return weights, iteration
        rows = inputs[inside]
        # At the start every image is within the margin, for every class.
        curvature = 2 * strength * (products if inside.all() else rows.T @ rows)
        curvature[np.diag_indices_from(curvature)] += 1
        direction = -np.linalg.solve(curvature, slope)
        change = inputs @ direction
        step = _best_step(weights, direction, short, signs * change, strength)
        weights, outputs = weights + step * direction, outputs + step * change
    return weights, most_iterations


def _best_step(weights: Matrix, direction: Matrix, short: Matrix, change: Matrix, strength: float) -> float:
    """The minimum t of the objective at weights + t * direction: the root of its slope, which is piecewise linear."""
    low, high, step = 0.0, np.inf, 1.0
    for _ in range(_LINE_SEARCH_STEPS):
        left = short - step * change
        inside = left > 0
        slope = direction @ (weights + step * direction) - 2 * strength * (left[inside] @ change[inside])
        bend = direction @ direction + 2 * strength * np.square(change[inside]).sum()
        low, high = (step, high) if slope < 0 else (low, step)
        newton = step - slope / bend
        following = newton if low < newton < high else (low + min(high, 2 * low + 1)) / 2
        if abs(following - step) <= 1e-9 * step:
            break
        step = following
    return step


def _with_ones(features: Matrix) -> Matrix:
    return np.hstack([features, np.ones((len(features), 1))])


def fitted(classifier: AnyClassifier, classes: NDArray[np.int64], weights: Matrix, iterations: int) -> AnyClassifier:
    """`classifier` as scikit-learn leaves it after its own fit, with the weights (C, D + 1) given."""
    classifier.classes_, classifier.n_iter_ = classes, np.array([iterations])
    classifier.coef_, classifier.intercept_ = weights[:, :-1], weights[:, -1]
    classifier.n_features_in_ = weights.shape[1] - 1
    return classifier
