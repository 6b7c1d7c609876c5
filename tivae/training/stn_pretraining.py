"""Pretraining of the STN: augmented image in, base image as the target, mean squared error (paper, section 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data.datasets import Dataset, TrialData
from tivae.data.placement import place
from tivae.data.randomness import generator
from tivae.models.stn import as_pretrained, build
from tivae.training.loop import EpochRow, Training


class StnTraining(Training):
    """An STN learning to undo the warps of the augmented training set.

    `alignment_loss` is its mean squared error per pixel, standardised units, on the augmented test set;
    `identity_loss` that of leaving the images as they are.
    """

    def __init__(self, config: TrialConfig, data: TrialData):
        super().__init__()
        assert config.stn_key is not None
        assert config.stn_epochs is not None
        assert config.stn_learning_rate is not None
        self.key, self.epochs, self.batch_size = config.stn_key, config.stn_epochs, config.batch_size
        self.precision = config.precision
        self.data = data
        self.module = self.stn = as_pretrained(place(build(config), data.device), config)
        self.optimiser = torch.optim.AdamW(
            self.module.parameters(),
            lr=config.stn_learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self.schedule = torch.optim.lr_scheduler.ConstantLR(self.optimiser, factor=1.0)
        self.generators = {
            "shuffle": generator(config.seed, "stn shuffle"),
            "warps": generator(config.seed, "stn training warps"),
        }
        self.targets = data.base_train()
        self._fixed = data.augmented_train("training warps") if config.training_warps == "fixed" else None

    def images(self) -> Dataset:
        if self._fixed is not None:
            return self._fixed
        return self.data.redrawn_train(self.generators["warps"])

    def loss(self, images: Dataset, index: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:  # noqa: ARG002
        error = functional.mse_loss(self.stn(images.batch(index)), self.targets.batch(index))
        return error, {"train_alignment_loss": error}

    @torch.no_grad()
    def measure(self, step: int) -> EpochRow:  # noqa: ARG002
        aligned = unaligned = 0.0
        augmented, base = self.data.augmented_test(), self.data.base_test()
        for warped, target in zip(augmented.batches(500), base.batches(500), strict=True):
            aligned += float(functional.mse_loss(self.stn(warped), target)) * len(target)
            unaligned += float(functional.mse_loss(warped, target)) * len(target)
        return {"alignment_loss": aligned / len(base), "identity_loss": unaligned / len(base)}
