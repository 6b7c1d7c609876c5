"""What is left to do of a study: STNs to pretrain and trials to run, and in which order."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tivae import records, registry
from tivae.config import TrialConfig

# Forward and backward passes over one image, in units of a forward pass.
_TRAINING_PASSES = 3
# An STN's cost per image relative to the default VAE's, measured on one CPU core (7,700 against 1,400 images/s).
_STN_SHARE = 1 / 6


@dataclass(frozen=True)
class Job:
    """One piece of work for a worker: a trial, or the pretraining of the STN that trials with `stn_key` wait for."""

    kind: Literal["trial", "stn"]
    config: TrialConfig

    @classmethod
    def from_text(cls, text: str) -> Job:
        """The inverse of `to_text`."""
        content = json.loads(text)
        # What the driver asks for names what the user asked for.
        with registry.importing():
            return cls(content["kind"], TrialConfig.from_dict(content["config"]))

    def to_text(self) -> str:
        """The job as JSON: one string, where Tune would copy and flatten a nested config several times."""
        return json.dumps({"kind": self.kind, "config": self.config.to_dict()})

    # Cached, since a dispatcher asks for them again and again: a key is a hash of the whole config.
    @functools.cached_property
    def key(self) -> str:
        """The key of the trial or of the STN."""
        key = self.config.key if self.kind == "trial" else self.config.stn_key
        assert key is not None
        return key

    @property
    def part(self) -> str:
        """Its folder within a study."""
        return f"{self.kind}s/{self.key}"

    @property
    def parts(self) -> list[str]:
        """The folders within a study that it reads or writes."""
        return ([f"stns/{self.needs}"] if self.needs is not None else []) + [self.part]

    @functools.cached_property
    def needs(self) -> str | None:
        """The key of the STN that must be there first."""
        return self.config.stn_key if self.kind == "trial" else None

    @property
    def operations(self) -> tuple[str, ...]:
        """What decides which operations of the device it uses: jobs that are alike in it run on the same devices."""
        if self.kind == "stn":
            return ("stn",)
        consistent = "consistent" if self.config.consistency_weight is not None else ""
        return (self.config.model, self.config.stn, consistent)

    @property
    def epochs(self) -> int:
        """Epochs of the whole job; 0 for a control, which is not trained."""
        epochs = self.config.epochs if self.kind == "trial" else self.config.stn_epochs
        assert epochs is not None
        return epochs

    @functools.cached_property
    def cost(self) -> float:
        """Expected work, in training images of the paper's VAE; good to about a third."""
        config = self.config
        images = (config.train_images or config.images.train_images) - (config.validation_images or 0)
        stn_share = _STN_SHARE * config.images.pixels / TrialConfig().images.pixels
        if self.kind == "stn":
            return self.epochs * images * stn_share
        if not config.is_trained:
            # Encoding and the probes; nothing is trained.
            return float(images)
        tests = 2 * (config.test_images or config.images.test_images)
        per_image = _flops(config) / _flops(TrialConfig())
        if config.consistency_weight is not None:
            # A second view is encoded, which is half of the work, and not decoded.
            per_image *= 1.5
        # Test images are only encoded and decoded, and the training images are encoded twice for the probes.
        passes = self.epochs * (images + tests / _TRAINING_PASSES) + 2 * images / (2 * _TRAINING_PASSES)
        return per_image * passes + self.epochs * images * stn_share * self._stn_passes

    @property
    def _stn_passes(self) -> float:
        """Cost of the STN per training image and epoch, over that of training it."""
        config = self.config
        if config.stn in ("joint", "inverse"):
            return 1.0
        redrawn = config.train_dataset == "augmented" and config.training_warps == "redrawn"
        return 1 / _TRAINING_PASSES if config.stn == "pretrained" and redrawn else 0.0

    def is_finished(self, study: Path) -> bool:
        """Whether its record is there and says so, and an STN's weights are whole."""
        if self.kind == "stn":
            return records.finished_stn(study, self.key) is not None
        return records.finished(records.trial_folder(study, self.key)) is not None


def plan(trials: Iterable[TrialConfig], study: Path) -> list[Job]:
    """The unfinished work, in the order in which it should start: STNs first, then the longest trials.

    An STN that several trials share is one job. Long trials first make the last wave short.
    """
    waiting = [job for job in (Job("trial", config) for config in trials) if not job.is_finished(study)]
    needed = {job.needs: job.config for job in waiting if job.needs is not None}
    stns = [job for job in (Job("stn", config) for config in needed.values()) if not job.is_finished(study)]
    return sorted(stns, key=lambda job: -job.cost) + sorted(waiting, key=lambda job: -job.cost)


def _flops(config: TrialConfig) -> float:
    """Multiplications of one forward pass over one image, batch norm and activations counted as 30 per value."""
    widths = config.hidden_widths
    sizes = [config.images.size]
    for _ in widths:
        sizes.append(math.ceil(sizes[-1] / 2))
    total = 9.0 * widths[0] * sizes[0] ** 2
    for depth, width in enumerate(widths):
        before = widths[depth - 1] if depth else 1
        total += (9 * before + 30) * width * sizes[depth + 1] ** 2
        total += (9 * width * sizes[depth + 1] ** 2) * (before if depth else widths[0])
        total += 30 * (before if depth else widths[0]) * sizes[depth] ** 2
    return total + 3 * widths[-1] * sizes[-1] ** 2 * config.encoding_dim
