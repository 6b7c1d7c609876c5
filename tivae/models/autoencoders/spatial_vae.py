"""A VAE that decodes at coordinates moved by its own pose (Bepler et al. 2019; Ziatdinov et al. 2021)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae import precision
from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.warps import WarpParameters
from tivae.fields import number
from tivae.models.autoencoders.vae import VAE

# Of a pose: rotation, two shifts and scale.
POSE = 4


class SpatialVAE(VAE):
    """Spatial-VAE or rVAE: a Gaussian posterior over content, which is read, and a pose within the warps' ranges.

    Posterior parameters (B, 2, latent_dim + 4): mean and log variance, of the pose the mean alone: range * tanh(mean)
    is the rotation, shift and scale - 1 of the image relative to a frame of the decoder's own. The pose is bounded and
    has neither noise nor KL, where both papers have a Gaussian prior on it.
    Latents (B, latent_dim + 4): a sample of the content, then the pose's mean.
    """

    label = "spatial VAE"
    has_pose = True
    # It has a field of its own.
    config: Any

    class Fields:
        decoder_width: int = number(64, 1, 4096, help="hidden numbers of spatial VAE's decoder at each coordinate")

    def __init__(self, config: TrialConfig):
        # Not the VAE's own, whose encoder has no pose.
        super(VAE, self).__init__(config, 2 * (config.latent_dim + POSE), config.latent_dim + POSE)

    def make_decoder(self, inputs: int) -> nn.Module:  # noqa: ARG002
        return CoordinateDecoder(self.config)

    def encode(self, images: Tensor) -> Tensor:
        return self.posterior(self.encoder(images)).view(-1, 2, self.config.latent_dim + POSE)

    def latents(self, parameters: Tensor, noise: Tensor, step: int) -> Tensor:
        content, pose = self._split(parameters)
        return torch.cat([super().latents(content, noise, step), pose], dim=1)

    def kl_parts(self, parameters: Tensor) -> Tensor:
        return super().kl_parts(self._split(parameters)[0])

    def kl_between(self, parameters: Tensor, others: Tensor) -> Tensor:
        return super().kl_between(self._split(parameters)[0], self._split(others)[0])

    def prior(self, count: int, source: torch.Generator) -> Tensor:
        """As for the VAE, each in the decoder's own frame."""
        return functional.pad(super().prior(count, source), (0, POSE))

    def features(self, parameters: Tensor, name: str, noise: Tensor | None = None) -> Tensor:
        return super().features(self._split(parameters)[0], name, noise)

    def _split(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """The parameters (B, 2, latent_dim) of the content, and the pose (B, 4) before it is bounded."""
        return parameters[:, :, : self.config.latent_dim], parameters[:, 0, self.config.latent_dim :]


class CoordinateDecoder(nn.Module):
    """Content and pose (B, latent_dim + 4) to images (B, 1, size, size), each pixel from its coordinates in a frame.

    h = tanh(A (x, y) + C content + b), then a hidden layer with tanh and one to the pixel (Bepler et al. 2019,
    equation 3).
    """

    def __init__(self, config: Any):
        super().__init__()
        self.size, self.latent_dim = config.images.size, config.latent_dim
        self.ranges = warps.ranges(config)
        width = config.decoder_width
        self.of_place, self.of_content = nn.Linear(2, width, bias=False), nn.Linear(config.latent_dim, width)
        layers: list[nn.Module] = [nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)]
        self.layers = nn.Sequential(*layers, *([nn.Tanh()] if config.output_activation == "tanh" else []))

    def forward(self, latents: Tensor) -> Tensor:
        content, pose = latents[:, : self.latent_dim], latents[:, self.latent_dim :]
        hidden = self.of_place(self.places(pose)) + self.of_content(content)[:, None]
        pixels: Tensor = self.layers(hidden)
        return pixels.view(-1, 1, self.size, self.size)

    def places(self, pose: Tensor) -> Tensor:
        """Coordinates (B, size^2, 2), in -1 to 1, at which a pose (B, 4), not yet bounded, has each pixel read."""
        with precision.exact(pose.device):
            bounded = torch.tanh(pose.float())
            degrees, shift_x, shift_y, scale = (bounded[:, i] * most for i, most in enumerate(self.ranges))
            warp = WarpParameters(
                rotation_degrees=degrees, shift_x_pixels=shift_x, shift_y_pixels=shift_y, scale=1 + scale
            )
            grid = warps.sampling_grid(warps.sampling_matrices(warp, self.size), self.size, self.size)
        return grid.flatten(1, 2)
