"""Training of a config's model, alone, behind a frozen STN, or together with an STN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tivae.config import TrialConfig
from tivae.data import warps
from tivae.data.datasets import Dataset, TrialData
from tivae.data.placement import place
from tivae.data.randomness import generator
from tivae.evaluation.intermediate import accuracy
from tivae.models import Given, ImageLosses, Trainable, build_trainable, model_input
from tivae.models.consistency import consistency
from tivae.models.model_input import ModelInput
from tivae.models.stn import SpatialTransformer
from tivae.models.stn import build as build_stn
from tivae.training.epoch_sets import EpochSets
from tivae.training.evaluation_losses import EvaluationLosses
from tivae.training.loop import EpochRow, Training
from tivae.training.noise import StepNoise


class ModelTraining(Training):
    """A model learning to reconstruct what it sees, or the base image of that (`reconstruction_target`), or otherwise.

    A frozen STN is passed by every image beforehand; one that is trained too is part of `module`, with a learning
    rate of its own. Where views are compared, each image is also encoded in a second view, with other warps, that
    is not decoded: reconstruction and KL keep their meaning, those of the first view.

    The losses after each epoch are those on the evaluation sets of the config. Of a state that had others, the rows go
    on without the losses on these.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: TrialData,
        frozen_stn: SpatialTransformer | None = None,
        intermediate: str | None = None,
    ):
        super().__init__()
        assert config.training_key is not None
        self.key, self.epochs, self.batch_size = config.training_key, config.epochs, config.batch_size
        self.precision = config.precision
        self.config, self.data = config, data
        self.model: Trainable = place(build_trainable(config), data.device)
        self.frozen_stn, self._intermediate = frozen_stn, intermediate
        self.trained_stn = place(build_stn(config), data.device) if config.stn in ("joint", "inverse") else None
        self.transform = model_input.transform_of(config.stn, self.trained_stn)
        self.module = as_module(self.model, self.trained_stn)
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
        if config.has_second_view:
            self.generators["second view"] = generator(config.seed, "second view warps")
        if config.alters_views:
            names = ("alterations", "second view alterations")
            self.generators |= {name: generator(config.seed, name) for name in names}
        if config.stn == "joint":
            self.generators["alignment"] = generator(config.seed, "alignment warps")
        self.evaluation = EvaluationLosses(config, data, self.model, frozen_stn, self.transform)
        self._noise = StepNoise(self.model, self.generators["noise"], data.device)
        self._epoch_sets = EpochSets(config, data, frozen_stn, self.generators)
        self._labels = torch.from_numpy(data.train_labels).to(data.device) if "labels" in self.model.wants else None

    @property
    def stn(self) -> SpatialTransformer | None:
        """The transformer in front of the model, frozen or trained."""
        return self.frozen_stn or self.trained_stn

    def images(self) -> Dataset:
        self._epoch_sets.renew()
        self._noise.begin_epoch(len(self._epoch_sets.first), self.batch_size)
        return self._epoch_sets.first

    def loss(self, images: Dataset, index: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        batch = images.batch(index)
        inputs = self.transform(batch)
        if self.config.reconstruction_target == "base":
            inputs = replace(inputs, target=self._epoch_sets.base.batch(index))
        noise = self._noise.take(len(batch))
        first, given = self._encoded(inputs, images, index)
        losses = self.model.score(first, inputs, noise, step)
        total = self.model.total(losses)
        metrics = self._of_images(losses)
        if self.config.consistency_weight is not None:
            assert given.second is not None
            assert self.config.consistency_form is not None
            pull = consistency(self.model, first, given.second, self.config.consistency_form)
            total = total + self.config.consistency_weight * pull
            metrics["train_consistency"] = pull
        if self.model.step_terms:
            terms = self.model.at_step(first, given)
            total = total + self.model.step_total(terms)
            metrics |= {f"train_{term.name}": terms[term.name] for term in self.model.step_terms}
        if self.config.alignment_weight is not None:
            alignment = self._alignment(inputs, index)
            total = total + self.config.alignment_weight * alignment
            metrics["train_alignment"] = alignment
        return total, {"train_loss": total, **metrics}

    def measure(self, step: int) -> EpochRow:
        return self.evaluation.row(step)

    def shown(self, row: EpochRow) -> EpochRow:
        """The row with the estimate `intermediate`, one of `evaluation.intermediate.METRICS`, if one is asked for."""
        name = self._intermediate
        return row if name is None else row | {name: accuracy(self.config, self.data, self.model, self.stn, name)}

    def state(self) -> dict[str, Any]:
        return super().state() | {"evaluation": self.config.evaluation_key}

    def load_state(self, state: dict[str, Any]) -> None:
        super().load_state(state)
        if state["evaluation"] != self.config.evaluation_key:
            self.rows = [without_evaluation(row) for row in self.rows]

    def _encoded(self, inputs: ModelInput, images: Dataset, index: Tensor) -> tuple[Tensor, Given]:
        """The posterior parameters of the first view, and what else the step needs."""
        others = {}
        if self._epoch_sets.second is not None:
            others["second"] = self._epoch_sets.second
        if "base" in self.model.wants:
            others["base"] = self._epoch_sets.base.behind(self.frozen_stn)
        seen = [inputs.seen, *(self.transform(other.batch(index)).seen for other in others.values())]
        # One pass for all, so that batch norm sees the views as one batch.
        first, *rest = (
            self.model.encode(torch.cat(seen)).chunk(len(seen)) if others else [self.model.encode(inputs.seen)]
        )
        labels = None if self._labels is None else self._labels[index]
        given = dict(zip(others, rest, strict=True))
        base = dict(zip(others, seen[1:], strict=True)).get("base")
        warped = self._warps(images, index)
        return first, Given(seen=inputs.seen, **given, base_seen=base, labels=labels, warps=warped)

    def _warps(self, images: Dataset, index: Tensor) -> Tensor | None:
        """Those of the first view, if the model wants them."""
        if "warps" not in self.model.wants:
            return None
        if images.matrices is None:
            return torch.zeros(len(index), 4, device=index.device)
        drawn = warps.parameters(images.matrices[index], images.images.shape[-1])
        return warps.shares_of_range(drawn, self.config)

    def _of_images(self, losses: ImageLosses) -> dict[str, Tensor]:
        """The batch's means of all losses of single images."""
        means = {"train_reconstruction": losses.reconstruction.mean()} if self.model.decoder is not None else {}
        means |= {"train_kl": losses.kl.mean()} if self.model.has_posterior else {}
        return means | {f"train_{term.name}": losses.terms[term.name].mean() for term in self.model.loss_terms}

    def _alignment(self, inputs: ModelInput, index: Tensor) -> Tensor:
        """The paper's STN loss (section 3.2): mean squared error between the STN's output and the base images."""
        assert self.trained_stn is not None
        aligned = inputs.seen
        if self._epoch_sets.alignment is not None:
            aligned = self.trained_stn(self._epoch_sets.alignment.batch(index))
        return functional.mse_loss(aligned, self._epoch_sets.base.batch(index))

    def _parameter_groups(self) -> list[dict[str, object]]:
        groups: list[dict[str, object]] = [{"params": list(self.model.parameters())}]
        if self.trained_stn is not None:
            groups.append({"params": list(self.trained_stn.parameters()), "lr": self.config.stn_learning_rate})
        return groups


def as_module(model: nn.Module, trained_stn: nn.Module | None) -> nn.Module:
    """The trained and saved parts as one module."""
    return model if trained_stn is None else nn.ModuleDict({"model": model, "stn": trained_stn})


def without_evaluation(row: EpochRow) -> EpochRow:
    """A row without the losses on test and validation sets."""
    return {name: value for name, value in row.items() if not name.startswith(("base_", "augmented_", "validation_"))}
