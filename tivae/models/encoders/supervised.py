"""The same encoder trained with labels: a reference for what its size and its training images allow."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor, nn
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data.randomness import generator, initialise
from tivae.metric import Metric
from tivae.models.base import Given, Trainable


class Supervised(Trainable):
    """A code (B, latent_dim) from which a linear layer tells the classes; the probe reads the code.

    Loss: the mean over the batch of -log softmax(W code + b)[label], in nats. Models trained
    without labels should not be ranked against it.
    """

    label = "supervised encoder"
    feature_names = ("code",)
    wants = ("labels",)
    step_terms = (Metric("cross_entropy", "of the labels", "nats per image", low=0),)

    def __init__(self, config: TrialConfig):
        super().__init__(config, config.latent_dim, config.latent_dim)
        self.head = nn.Linear(config.latent_dim, len(config.images.classes))
        initialise(self.head, generator(config.seed, "head weights"))

    @classmethod
    def unused(cls, config: TrialConfig) -> Collection[str]:  # noqa: ARG003
        return ("kl_weight", "reconstruction_weight", "reconstruction_target", "output_activation")

    def at_step(self, parameters: Tensor, given: Given) -> Mapping[str, Tensor]:
        assert given.labels is not None
        return {"cross_entropy": functional.cross_entropy(self.head(parameters), given.labels)}

    def step_total(self, terms: Mapping[str, Tensor]) -> Tensor:
        return terms["cross_entropy"]
