"""Training of a config's autoencoder, alone, behind a frozen STN, or together with an STN."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data.datasets import Dataset, TrialData
from tivae.data.randomness import generator
from tivae.evaluation import losses
from tivae.models import Autoencoder, ImageLosses, build_autoencoder, model_input
from tivae.models.consistency import consistency
from tivae.models.model_input import ModelInput
from tivae.models.stn import SpatialTransformer
from tivae.models.stn import build as build_stn
from tivae.placement import place
from tivae.training.epoch_sets import EpochSets
from tivae.training.loop import EpochRow, Training
from tivae.training.noise import StepNoise


class ModelTraining(Training):
    """An autoencoder learning to reconstruct what it sees, or the base image of that (`reconstruction_target`).

    A frozen STN is passed by every image beforehand; one that is trained too is part of `module`, with a learning
    rate of its own. With a consistency weight each image is also encoded in a second view, with other warps, that
    is not decoded: reconstruction and KL keep their meaning, those of the first view.

    The losses on the test and validation sets use one posterior sample per image, the same noise after every epoch.
    """

    def __init__(self, config: TrialConfig, data: TrialData, frozen_stn: SpatialTransformer | None = None):
        super().__init__()
        self.key, self.epochs, self.batch_size = config.key, config.epochs, config.batch_size
        self.precision = config.precision
        self.config, self.data = config, data
        self.model: Autoencoder = place(build_autoencoder(config), data.device)
        self.frozen_stn = frozen_stn
        self.trained_stn = place(build_stn(config), data.device) if config.stn in ("joint", "inverse") else None
        self.transform = model_input.transform_of(config.stn, self.trained_stn)
        self.module = self._module()
        self.optimiser = torch.optim.AdamW(
            self._parameter_groups(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        if config.learning_rate_schedule == "cosine":
            self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, T_max=config.epochs)
        else:
            self.schedule = torch.optim.lr_scheduler.ConstantLR(self.optimiser, factor=1.0)
        self.generators = {
            "shuffle": generator(config.seed, "shuffle"),
            "warps": generator(config.seed, "training warps"),
            "noise": generator(config.seed, "noise"),
        }
        if config.consistency_weight is not None:
            self.generators["second view"] = generator(config.seed, "second view warps")
        if config.stn == "joint":
            self.generators["alignment"] = generator(config.seed, "alignment warps")
        self._noise = StepNoise(self.model, self.generators["noise"], data.device)
        self._evaluation_noise: dict[str, Tensor] = {}
        self.tests = data.evaluation_sets()
        if frozen_stn is not None:
            self.tests = {name: images.through(frozen_stn) for name, images in self.tests.items()}
        self.targets = data.evaluation_targets() if config.reconstruction_target == "base" else {}
        self._epoch_sets = EpochSets(config, data, frozen_stn, self.generators)
        self.figure_names = tuple(self._figures())

    @property
    def stn(self) -> SpatialTransformer | None:
        """What stands in front of the model, frozen or trained."""
        return self.frozen_stn or self.trained_stn

    @property
    def seen(self) -> dict[str, Dataset]:
        """The sets that are behind the frozen STN for good: those of `tests`, and `base_train` where it is trained on.

        Empty where the STN is trained as well, so that what is behind it changes.
        """
        if self.trained_stn is not None:
            return {}
        on_base = self.config.train_dataset == "base"
        return self.tests | ({"base_train": self._epoch_sets.first} if on_base else {})

    def images(self) -> Dataset:
        self._epoch_sets.renew()
        self._noise.begin_epoch(len(self._epoch_sets.first), self.batch_size)
        return self._epoch_sets.first

    def loss(self, images: Dataset, index: Tensor, step: int) -> tuple[Tensor, Tensor]:
        batch = images.batch(index)
        view = self.transform(batch)
        if self.config.reconstruction_target == "base":
            view = replace(view, target=self._epoch_sets.base.batch(index))
        noise = self._noise.take(len(batch))
        losses, extra = self._scored(view, noise, index, step)
        total = self.model.total(losses)
        figures = [losses.reconstruction.mean()]
        if self.model.has_posterior:
            figures.append(losses.kl.mean())
        figures += [losses.terms[term.name].mean() for term in self.model.loss_terms]
        if extra is not None and self.config.consistency_weight is not None:
            total = total + self.config.consistency_weight * extra
            figures.append(extra)
        if self.config.alignment_weight is not None:
            alignment = self._alignment(view, index)
            total = total + self.config.alignment_weight * alignment
            figures.append(alignment)
        return total, torch.stack([total, *figures])

    def measure(self, step: int) -> EpochRow:
        model = self.model
        row: EpochRow = {"temperature": None, **model.annealed(step)}
        if not model.has_posterior:
            row["train_kl"] = None
        for name in self.tests:
            row |= {f"{name}_{figure}": value for figure, value in self.measured(name, step).items()}
        return row

    def measured(self, name: str, step: int) -> dict[str, float | None]:
        """The losses on one of `tests`; the validation sets give the loss only."""
        images = self.tests[name]
        found = losses.losses(
            self.model,
            images,
            self.evaluation_noise(name),
            step,
            transform=self.transform,
            targets=self.targets.get(name),
        )
        return {"loss": found["loss"]} if name.startswith("validation") else found

    def evaluation_noise(self, name: str) -> Tensor:
        """The noise of the one posterior sample of each image in the evaluation set `name`."""
        if name not in self._evaluation_noise:
            source = generator(self.config.seed, f"{name} test noise")
            self._evaluation_noise[name] = self.model.noise(len(self.tests[name]), source).to(self.data.device)
        return self._evaluation_noise[name]

    def _scored(self, view: ModelInput, noise: Tensor, index: Tensor, step: int) -> tuple[ImageLosses, Tensor | None]:
        """The losses of the first view, and the consistency with the second where there is one."""
        if self.config.consistency_weight is None:
            return self.model.score(self.model.encode(view.seen), view, noise, step), None
        assert self._epoch_sets.second is not None
        assert self.config.consistency_form is not None
        other = self.transform(self._epoch_sets.second.batch(index)).seen
        # One pass for both, so that batch norm sees the two views as one batch.
        first, second = self.model.encode(torch.cat([view.seen, other])).chunk(2)
        pull = consistency(self.model, first, second, self.config.consistency_form)
        return self.model.score(first, view, noise, step), pull

    def _alignment(self, view: ModelInput, index: Tensor) -> Tensor:
        """The paper's STN loss (section 3.2): mean squared error between the STN's output and the base images."""
        assert self.trained_stn is not None
        aligned = view.seen
        if self._epoch_sets.alignment is not None:
            aligned = self.trained_stn(self._epoch_sets.alignment.batch(index))
        return functional.mse_loss(aligned, self._epoch_sets.base.batch(index))

    def _module(self) -> nn.Module:
        if self.trained_stn is None:
            return self.model
        return nn.ModuleDict({"model": self.model, "stn": self.trained_stn})

    def _parameter_groups(self) -> list[dict[str, object]]:
        groups: list[dict[str, object]] = [{"params": list(self.model.parameters())}]
        if self.trained_stn is not None:
            groups.append({"params": list(self.trained_stn.parameters()), "lr": self.config.stn_learning_rate})
        return groups

    def _figures(self) -> Iterator[str]:
        yield from ("train_loss", "train_reconstruction")
        if self.model.has_posterior:
            yield "train_kl"
        yield from (f"train_{term.name}" for term in self.model.loss_terms)
        if self.config.consistency_weight is not None:
            yield "train_consistency"
        if self.config.alignment_weight is not None:
            yield "train_alignment"
