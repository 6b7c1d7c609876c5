"""Models, a probe and a measure as somebody would write them outside the repository: one file each."""

FREE_BITS = '''
"""A VAE whose latents each have some nats for nothing (Kingma et al. 2016)."""

from collections.abc import Mapping

from torch import Tensor

from tivae.fields import number
from tivae.metric import Metric
from tivae.models.autoencoders.vae import VAE


class FreeBitsVAE(VAE):
    label = "free-bits VAE"
    loss_terms = (Metric("penalised_kl", "KL divergence above the free nats", "nats per image", low=0),)

    class Fields:
        free_nats: float = number(0.1, 0, 10, help="nats of each latent that cost nothing")

    def terms(self, parameters: Tensor) -> Mapping[str, Tensor]:
        return {"penalised_kl": self.kl_parts(parameters).clamp_min(self.config.free_nats).sum(1)}

    def total(self, losses):
        reconstruction = self.config.reconstruction_weight * losses.reconstruction.mean()
        return reconstruction + self.config.kl_weight * losses.terms["penalised_kl"].mean()
'''

VQ_VAE = '''
"""A VQ-VAE (van den Oord et al. 2017) with one codebook for all of its positions."""

import torch
from torch import nn

from tivae.data.randomness import generator
from tivae.fields import number
from tivae.metric import Metric
from tivae.models.base import ImageLosses, Trainable

WIDTH = 4


class VQVAE(Trainable):
    """`latent_dim` positions, each the nearest of `codebook_size` vectors of 4 numbers."""

    label = "VQ-VAE"
    feature_names = ("encoder_output", "quantised")
    hard_features = ("quantised",)
    loss_terms = (
        Metric("codebook", "squared distance from the encoder's output to its code, for the codebook", low=0),
        Metric("commitment", "the same, for the encoder", low=0),
    )

    class Fields:
        codebook_size: int = number(16, 2, 4096, help="vectors of the codebook")
        commitment_weight: float = number(0.25, 0, help="of the commitment loss")

    def __init__(self, config):
        super().__init__(config, config.latent_dim * WIDTH, config.latent_dim * WIDTH)
        source = generator(config.seed, "codebook")
        self.codebook = nn.Parameter(torch.randn(config.codebook_size, WIDTH, generator=source))

    @classmethod
    def unused(cls, config):
        return ("kl_weight",)

    @classmethod
    def encoding_dim(cls, config):
        return config.latent_dim * WIDTH

    def _nearest(self, parameters):
        vectors = parameters.view(len(parameters), -1, WIDTH)
        return torch.cdist(vectors, self.codebook[None]).argmin(2)

    def modes(self, parameters):
        return self.codebook[self._nearest(parameters)].flatten(1)

    def latents(self, parameters, noise, step):
        return parameters + (self.modes(parameters) - parameters).detach()

    def terms(self, parameters):
        codes = self.modes(parameters)
        return {
            "codebook": (codes - parameters.detach()).square().mean(1),
            "commitment": (parameters - codes.detach()).square().mean(1),
        }

    def total(self, losses):
        terms = losses.terms["codebook"] + self.config.commitment_weight * losses.terms["commitment"]
        return super().total(losses) + terms.mean()

    def features(self, parameters, name, noise=None):
        self.check_feature(name)
        return self.modes(parameters) if name == "quantised" else parameters

    def used_codes(self, parameters):
        return torch.bincount(self._nearest(parameters).flatten(), minlength=len(self.codebook)) > 0
'''

PROBE = '''
"""The class whose mean encoding is nearest."""

from sklearn.neighbors import NearestCentroid

from tivae.evaluation.probe import Classifier
from tivae.fields import number


class Centroids(Classifier):
    label = "nearest centroid"
    has_probabilities = False
    unused = ("probe_regularisation",)

    class Fields:
        shrinking: float = number(0.0, 0, 10, help="of the class means towards the mean of all")

    @classmethod
    def fit(cls, features, labels, config):
        return NearestCentroid(shrink_threshold=config.shrinking or None).fit(features, labels)
'''

MEASURE = '''
"""How many numbers an encoding really has."""

import numpy as np

from tivae.evaluation.measure import measure
from tivae.metric import Metric


@measure(Metric("participation_ratio", "(sum of variances)^2 / sum of their squares, along principal axes", low=1))
def participation(subject):
    variances = np.linalg.eigvalsh(np.cov(subject.unwarped.T.astype(np.float64)))
    return {"participation_ratio": float(variances.sum() ** 2 / np.square(variances).sum())}
'''


def package(folder, name="elsewhere"):
    """Writes the package `name` into `folder`."""
    (folder / name).mkdir(parents=True)
    files = {"__init__": "", "free_bits": FREE_BITS, "vq": VQ_VAE, "centroids": PROBE, "participation": MEASURE}
    for file, content in files.items():
        (folder / name / f"{file}.py").write_text(content)
    return folder
