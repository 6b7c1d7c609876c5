"""Barlow Twins (Zbontar et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from tivae.fields import number
from tivae.metric import Metric
from tivae.models.joint_embedding import JointEmbedding, centred, off_diagonal_squares

# Of a projection that is the same for all images.
SMALLEST_VARIANCE = 1e-5


class BarlowTwins(JointEmbedding):
    """The correlation of the projections of two views is near the identity.

    C = Z1^T Z2 / B of the projections Z1, Z2 (B, D) of two views, each output scaled to mean 0 and variance 1 over the
    batch.
    alignment: mean over outputs of (1 - C_ii)^2; redundancy: sum over i != j of C_ij^2, over D. The loss is alignment +
    `redundancy_weight` x redundancy: equation 1 of Zbontar et al. (2021) over D, so that it goes beside a decoder's as
    VICReg does.
    """

    label = "Barlow Twins"
    step_terms = (
        Metric("alignment_of_twins", "squared distance of two views' correlation from 1, mean over outputs", low=0),
        Metric("redundancy", "squared correlations between different outputs, over their number", low=0),
    )

    class Fields(JointEmbedding.Fields):
        redundancy_weight: float = number(
            0.005, 0, help="of Barlow Twins' redundancy term, lambda of Zbontar et al. (2021)"
        )

    def between(self, first: Tensor, second: Tensor) -> Mapping[str, Tensor]:
        one, other = (_standardised(view) for view in (first, second))
        correlation = one.T @ other / len(one)
        return {
            "alignment_of_twins": (1 - correlation.diagonal()).square().mean(),
            "redundancy": off_diagonal_squares(correlation) / len(correlation),
        }

    def step_total(self, terms: Mapping[str, Tensor]) -> Tensor:
        total: Tensor = terms["alignment_of_twins"] + self.config.redundancy_weight * terms["redundancy"]
        return total


def _standardised(view: Tensor) -> Tensor:
    deviations = centred(view)
    return deviations * (deviations.square().mean(0) + SMALLEST_VARIANCE).rsqrt()
