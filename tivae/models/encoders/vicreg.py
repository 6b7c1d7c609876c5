"""Variance-invariance-covariance regularisation (Bardes, Ponce and LeCun 2022)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from tivae.fields import number
from tivae.metric import Metric
from tivae.models.joint_embedding import JointEmbedding, centred, off_diagonal_squares

# Under the root of a variance, as in the authors' code.
SMALLEST_VARIANCE = 1e-4


class VICReg(JointEmbedding):
    """Projections of two views agree, spread along each output, and do not correlate.

    Of projections Z, Z' (B, D) of two views (equations 1 to 6 of Bardes et al. 2022, scaled as in their code):
    invariance: mean over images and outputs of (Z - Z')^2; variance: mean over outputs of max(0, 1 - sqrt(variance over
    the batch + 1e-4)), the mean of both views; covariance: sum over pairs of outputs of their squared covariance, over
    D, the sum of both views. The loss adds `invariance_weight`, `variance_weight` and
    `covariance_weight` times these.
    """

    label = "VICReg"
    step_terms = (
        Metric("invariance", "squared distance between the projections of two views, mean over outputs", low=0),
        Metric("variance", "what the standard deviation of a projection lacks to 1, mean over outputs", low=0),
        Metric("covariance", "squared covariances between outputs, over their number, sum of both views", low=0),
    )

    class Fields(JointEmbedding.Fields):
        invariance_weight: float = number(25.0, 0, help="of VICReg's invariance term")
        variance_weight: float = number(25.0, 0, help="of VICReg's variance term")
        covariance_weight: float = number(1.0, 0, help="of VICReg's covariance term")

    def between(self, first: Tensor, second: Tensor) -> Mapping[str, Tensor]:
        spread, correlated = first.new_zeros(()), first.new_zeros(())
        for view in (centred(first), centred(second)):
            covariance = view.T @ view / (len(view) - 1)
            spread = spread + functional.relu(1 - torch.sqrt(covariance.diagonal() + SMALLEST_VARIANCE)).mean() / 2
            correlated = correlated + off_diagonal_squares(covariance) / view.shape[1]
        return {
            "invariance": functional.mse_loss(first, second),
            "variance": spread,
            "covariance": correlated,
        }

    def step_total(self, terms: Mapping[str, Tensor]) -> Tensor:
        config = self.config
        total: Tensor = config.invariance_weight * terms["invariance"] + config.variance_weight * terms["variance"]
        return total + config.covariance_weight * terms["covariance"]
