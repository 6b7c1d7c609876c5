"""pythae's own trainer (0.1) on the same architecture and batch size, without any augmentation."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tests.small import STANDARD
from tivae import native
from tivae.config import TrialConfig
from tivae.data.loading import load
from tivae.models.networks import Decoder, Encoder

# Batches of one of pythae's epochs here: it gives control back after an epoch only.
EPOCH_BATCHES = 20
BATCH_SIZE = 64


def steps() -> Iterator[int]:
    """Endless epochs of a few batches each, with all threads that torch has.

    Raises `ImportError` if pythae is not installed.
    """
    os.environ[native.VARIABLE] = "torch"
    # Its progress bars, which would be mixed with the measurements.
    os.environ["TQDM_DISABLE"] = "1"
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    images = STANDARD.standardised(torch.tensor(load().train_images[: EPOCH_BATCHES * BATCH_SIZE]))
    sizes = TrialConfig()
    with contextlib.redirect_stdout(sys.stderr):
        model = VAE(
            VAEConfig(input_dim=(1, 28, 28), latent_dim=sizes.latent_dim),
            encoder=_encoder(sizes),
            decoder=_decoder(sizes),
        )
        trainer = BaseTrainer(
            model=model,
            train_dataset=BaseDataset(images, torch.zeros(len(images))),
            training_config=BaseTrainerConfig(
                output_dir=tempfile.mkdtemp(), per_device_train_batch_size=BATCH_SIZE, learning_rate=1e-3, num_epochs=1
            ),
        )
        trainer.prepare_training()
    epoch = 0
    while True:
        epoch += 1
        with contextlib.redirect_stdout(sys.stderr):
            trainer.train_step(epoch)
        yield len(images)


def _encoder(config: TrialConfig) -> nn.Module:
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseEncoder

    class OurEncoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = Encoder(28, config.hidden_widths)
            self.mean = nn.Linear(self.hidden.features, config.latent_dim)
            self.log_variance = nn.Linear(self.hidden.features, config.latent_dim)

        def forward(self, images: Tensor) -> ModelOutput:
            hidden = self.hidden(images)
            return ModelOutput(embedding=self.mean(hidden), log_covariance=self.log_variance(hidden))

    return OurEncoder()


def _decoder(config: TrialConfig) -> nn.Module:
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder

    class OurDecoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.images = Decoder(config.latent_dim, 28, config.hidden_widths, config.output_activation)

        def forward(self, latents: Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.images(latents))

    return OurDecoder()
