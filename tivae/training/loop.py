"""The training loop: epochs of shuffled batches, a row of metrics and a checkpoint after each."""

from __future__ import annotations

import copy
import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tivae import precision
from tivae.data import placement
from tivae.data.datasets import Dataset
from tivae.io import checkpoint
from tivae.models import compilation
from tivae.training import heap

EpochRow = dict[str, Any]
OnEpoch = Callable[[EpochRow], None]
_log = logging.getLogger("tivae")


class NonFiniteLoss(ValueError):
    """The training loss became NaN or infinite."""


class Training(ABC):
    """A module in training: what it learns from, its loss, and what is measured after each epoch.

    key: names the work; a checkpoint of other work is not used.
    generators: all randomness of the training, saved with it.
    resumed: how often it was; seconds_before: spent on its epochs before it was last resumed.
    """

    key: str
    module: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    generators: dict[str, torch.Generator]
    epochs: int
    batch_size: int
    # `TrialConfig.precision`.
    precision: str | None = None

    def __init__(self) -> None:
        self.rows: list[EpochRow] = []
        self.resumed = 0
        self.seconds_before = 0.0

    @abstractmethod
    def images(self) -> Dataset:
        """The training set of the next epoch."""

    @abstractmethod
    def loss(self, images: Dataset, index: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of the batch at `index`, and the metrics to report, scalars by column; nothing may wait for them."""

    @abstractmethod
    def measure(self, step: int) -> EpochRow:
        """Metrics of the module as it stands after `step` optimiser steps; changes no weight."""

    def shown(self, row: EpochRow) -> EpochRow:
        """The row of the last epoch for `on_epoch`, which may say more than is kept."""
        return row

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "key": self.key,
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": {name: source.get_state() for name, source in self.generators.items()},
            "rows": self.rows,
            "resumed": self.resumed,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        if state["key"] != self.key:
            raise ValueError(f"it belongs to {state['key']}, not {self.key}")
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        placement.match_layout(self.optimiser)
        self.schedule.load_state_dict(state["schedule"])
        for name, source in self.generators.items():
            source.set_state(state["generators"][name])
        self.rows, self.resumed = list(state["rows"]), state["resumed"]


def train(
    training: Training,
    file: Path | None = None,
    on_epoch: OnEpoch | None = None,
    asked: Sequence[int] = (),
    keep: bool = True,
) -> None:
    """Trains up to the last of the epochs `asked` (`training.epochs` without any), from where the checkpoints leave it.

    `file` is written after each epoch. The states after `asked` epochs stay beside it (`epoch_file`): whole ones to go
    on from or, without `keep`, what is read out alone. Those that are there already (the caller has checked them) are
    not asked for.

    Resumed equals uninterrupted, bit for bit on the same model of device. `on_epoch` is called with each new row
    after its checkpoint is written.

    Raises `NonFiniteLoss`, naming the optimiser step; the checkpoint then still holds the last good epoch.
    """
    heap.keep_freed_memory()
    for last in sorted(asked) or [training.epochs]:
        if file is not None:
            _resume(training, file, last)
        for epoch in range(len(training.rows) + 1, last + 1):
            training.rows.append(_epoch(training, epoch))
            if file is not None:
                # A state that is there was of no use, or the training would have gone on from it.
                _save(training, file, epoch in asked or epoch_file(file, epoch).exists(), keep)
            if on_epoch is not None:
                on_epoch(training.shown(training.rows[-1]))
    training.module.eval()


def epoch_file(file: Path, epochs: int) -> Path:
    """Where the state after so many epochs stays, beside the checkpoint `file`."""
    return file.with_name(f"epoch-{epochs}.pt")


def take_step(training: Training, images: Dataset, index: Tensor, step: int) -> dict[str, Tensor]:
    """One optimiser step on the batch at `index`; gives the batch's metrics, for which nothing waits here."""
    compilation.begin_step(index.device)
    with precision.forward(training.precision, index.device):
        loss, metrics = training.loss(images, index, step)
    training.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    training.optimiser.step()
    return {name: value.detach() for name, value in metrics.items()}


def _epoch(training: Training, epoch: int) -> EpochRow:
    started = time.perf_counter()
    images = training.images()
    device = next(training.module.parameters()).device
    order = torch.randperm(len(images), generator=training.generators["shuffle"])
    batches = order.to(device).split(training.batch_size)
    first_step = (epoch - 1) * len(batches)
    rows = []
    training.module.train()
    for number, index in enumerate(batches):
        metrics = take_step(training, images, index, first_step + number)
        rows.append(torch.stack(list(metrics.values())))
    # The only wait for the device in an epoch: nothing above reads a value back.
    per_batch = torch.stack(rows).cpu().double()
    training_seconds = time.perf_counter() - started
    _check_finite(per_batch, first_step)

    sizes = torch.tensor([len(index) for index in batches], dtype=torch.float64)
    means = (per_batch * sizes[:, None]).sum(0) / len(images)
    step = first_step + len(batches)
    row: EpochRow = {"epoch": epoch, "step": step, "learning_rate": training.optimiser.param_groups[0]["lr"]}
    row |= dict(zip(metrics, means.tolist(), strict=True))
    training.schedule.step()
    training.module.eval()
    row |= training.measure(step)
    seconds = time.perf_counter() - started
    return row | {"wall_seconds": seconds, "images_per_second": len(images) / training_seconds}


def _save(training: Training, file: Path, stays: bool, keep: bool) -> None:
    state = training.state()
    if stays:
        left_out = () if keep else ("optimiser", "schedule", "generators")
        # Before the checkpoint: a process that is killed between the two computes this epoch again.
        kept = {name: value for name, value in state.items() if name not in left_out}
        checkpoint.save(epoch_file(file, len(training.rows)), kept)
    checkpoint.advance(file, state)


def _resume(training: Training, file: Path, last: int) -> None:
    """Brings the training as near to the epoch `last` as a state in the folder does that is not past it."""
    # A damaged checkpoint costs an epoch, not the trial.
    any(_resumed(training, candidate, last) for candidate in (file, checkpoint.previous(file)))
    kept = {int(path.stem.removeprefix("epoch-")): path for path in file.parent.glob("epoch-*.pt")}
    for epochs in sorted(kept, reverse=True):
        if len(training.rows) < epochs <= last and _resumed(training, kept[epochs], last):
            return


def _resumed(training: Training, file: Path, last: int) -> bool:
    """Whether `file` is there, and the training goes on from it or is further already.

    A checkpoint past the epoch `last` is moved to where the states of asked epochs stay.
    """
    if not file.exists():
        return False
    fresh = copy.deepcopy(training.state())
    try:
        state = checkpoint.load(file)
        if file.stem.startswith("epoch-"):
            if "optimiser" not in state:
                return False
            if file != epoch_file(file, len(state["rows"])):
                raise ValueError(f"it holds epoch {len(state['rows'])}")
        if state["key"] == training.key and not len(training.rows) < len(state["rows"]) <= last:
            if len(state["rows"]) > last and not file.stem.startswith("epoch-") and ".previous" not in file.name:
                # For the longer training that was interrupted there.
                os.replace(file, epoch_file(file, len(state["rows"])))
            return len(state["rows"]) <= last
        training.load_state(state)
        training.resumed += 1
        training.seconds_before = sum(row["wall_seconds"] for row in training.rows)
    # A readable file with other content raises whatever its first unexpected part causes.
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        training.load_state(fresh)
        before = any(path != file for name in ("checkpoint*.pt", "epoch-*.pt") for path in file.parent.glob(name))
        rest = "continues from the one before" if before else "starts again from its first epoch"
        _log.warning("%s is not used (%s); training %s", file, str(error).strip(), rest)
        return False
    return True


def _check_finite(per_batch: Tensor, first_step: int) -> None:
    wrong = (~torch.isfinite(per_batch).all(dim=1)).nonzero()
    if len(wrong):
        number = int(wrong[0])
        raise NonFiniteLoss(
            f"the training loss is {per_batch[number, 0].item()} at step {first_step + number}; "
            "a smaller `learning_rate` may help"
        )
