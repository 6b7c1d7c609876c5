"""Training of a config's autoencoder, with or without a frozen STN in front."""

from __future__ import annotations

import torch
from torch import Tensor

from tivae import evaluation
from tivae.config import TrialConfig
from tivae.datasets import Dataset, TrialData
from tivae.models import CategoricalVAE, build
from tivae.randomness import generator
from tivae.stn import SpatialTransformer
from tivae.training import EpochRow, Training


class ModelTraining(Training):
    """An autoencoder learning to reconstruct its input; with an STN, the STN's output is input and target.

    The losses on both test sets use one posterior sample per image, with the same noise after every epoch.
    """

    figure_names = ("train_loss", "train_reconstruction", "train_kl")

    def __init__(self, config: TrialConfig, data: TrialData, stn: SpatialTransformer | None):
        super().__init__()
        self.key, self.epochs, self.batch_size = config.key, config.epochs, config.batch_size
        self.data, self.stn = data, stn
        self.module = self.model = build(config).to(data.device)
        self.optimiser = torch.optim.AdamW(
            self.module.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        if config.learning_rate_schedule == "cosine":
            self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, T_max=config.epochs)
        else:
            self.schedule = torch.optim.lr_scheduler.ConstantLR(self.optimiser, factor=1.0)
        self.generators = {
            "shuffle": generator(config.seed, "shuffle"),
            "warps": generator(config.seed, "training warps"),
            "noise": generator(config.seed, "noise", data.device),
        }
        self.tests = {"base": self.through_stn(data.base_test()), "augmented": data.augmented_test()}
        self.tests["augmented"] = self.through_stn(self.tests["augmented"])
        self._redrawn = config.train_dataset == "augmented" and config.training_warps == "redrawn"
        self._fixed = None if self._redrawn else self.through_stn(self._fixed_images(config))

    def through_stn(self, images: Dataset) -> Dataset:
        """What the model sees of `images`, computed once where an STN is in front."""
        return images if self.stn is None else images.through(self.stn)

    def images(self) -> Dataset:
        if self._fixed is not None:
            return self._fixed
        return self.data.redrawn_train(self.generators["warps"])

    def loss(self, images: Dataset, index: Tensor, step: int) -> tuple[Tensor, Tensor]:
        batch = images.batch(index)
        if self._redrawn and self.stn is not None:
            with torch.no_grad():
                batch = self.stn(batch)
        losses = self.model.losses(batch, self.model.noise(len(batch), self.generators["noise"]), step)
        total = self.model.total(losses)
        return total, torch.stack([total, losses.reconstruction.mean(), losses.kl.mean()])

    def measure(self, step: int) -> EpochRow:
        model = self.model
        row: EpochRow = {"temperature": model.temperature(step) if isinstance(model, CategoricalVAE) else None}
        for name, images in self.tests.items():
            source = generator(model.config.seed, f"{name} test noise", self.data.device)
            measured = evaluation.losses(model, images, model.noise(len(images), source), step)
            row |= {f"{name}_{figure}": value for figure, value in measured.items()}
        return row

    def _fixed_images(self, config: TrialConfig) -> Dataset:
        if config.train_dataset == "base":
            return self.data.base_train()
        return self.data.augmented_train("training warps")
