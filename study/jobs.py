"""Planning: the unfinished jobs of a study (STN pretrainings, trainings, readouts), in the order to start them."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tivae import records, registry
from tivae.config import TrialConfig
from tivae.data.image_set import ImageSet
from tivae.registry import MODELS

# Forward and backward passes over one image, in units of a forward pass.
_TRAINING_PASSES = 3
# An STN's cost per image relative to the default VAE's, measured on one CPU core (7,700 against 1,400 images/s).
_STN_SHARE = 1 / 6
# Of reading out, relative to an epoch of the paper's VAE: what each number of epochs costs, encodings and standard
# measures; and what each trial does, the fits of its probe, with the part that grows with each number of an encoding.
# From CPU times of readouts that share a training: of a VAE (10 numbers, 12,000 training images, 2 epochs) the first
# cost 0.85 epochs and others 0.04 (SVM), 0.07 (C 0.1) and 0.09 (both kinds of images), of a categorical VAE (100
# numbers, 6,000 images) 1.29, then 0.16, 0.34 and 0.67.
_ENCODING_SHARE, _PROBE_SHARE, _PROBE_SHARE_OF_A_NUMBER = 0.75, 0.03, 0.004
# Times the mean cost of a study's jobs: a longer one does not wait for its seed. The end comes at most 9 % later than
# with the longest first on 2 to 16 slots, and 18 % on 32 (spaces of 45 to 107 jobs).
_LONG = 2


@dataclass(frozen=True)
class Job:
    """One piece of work for a worker: an STN's pretraining, or a training with all trials that are read out along it.

    config: of the STN, or of the trial with the most epochs; others: the other trials of the same training (see
    `TrialConfig.training_key`). trained: epochs of the training that are done already.
    """

    job_type: Literal["trial", "stn"]
    config: TrialConfig
    others: tuple[TrialConfig, ...] = ()
    trained: int = 0

    @classmethod
    def from_text(cls, text: str) -> Job:
        """The inverse of `to_text`."""
        content = json.loads(text)
        # What the driver asks for names what the user asked for.
        with registry.importing():
            config, *others = map(TrialConfig.from_dict, content["configs"])
        return cls(content["job_type"], config, tuple(others), content["trained"])

    def to_text(self) -> str:
        """The job as JSON: one string, where Tune would copy and flatten a nested config several times."""
        configs = [config.to_dict() for config in (self.config, *self.others)]
        return json.dumps({"job_type": self.job_type, "configs": configs, "trained": self.trained})

    @property
    def trials(self) -> list[Job]:
        """Its trials, each as a job of its own; none of an STN."""
        return [Job("trial", config) for config in (self.config, *self.others)] if self.job_type == "trial" else []

    # Cached, since a dispatcher asks for them again and again: a key is a hash of the whole config.
    @functools.cached_property
    def key(self) -> str:
        """The key of the STN, or of the trial with the most epochs."""
        key = self.config.key if self.job_type == "trial" else self.config.stn_key
        assert key is not None
        return key

    @property
    def part(self) -> str:
        """The folder within a study of `key`."""
        return f"{self.job_type}s/{self.key}"

    @functools.cached_property
    def makes(self) -> str:
        """The folder within a study that no other job may write to meanwhile."""
        training = self.config.training_key if self.job_type == "trial" else None
        return self.part if training is None else f"trainings/{training}"

    @functools.cached_property
    def needs(self) -> str | None:
        """The folder within a study, of an STN, that must be there first."""
        stn = self.config.stn_key if self.job_type == "trial" else None
        return None if stn is None else f"stns/{stn}"

    @property
    def parts(self) -> list[str]:
        """The folders within a study that it reads or writes."""
        first = [self.needs] if self.needs is not None else []
        return list(dict.fromkeys([*first, self.makes, *(trial.part for trial in self.trials)]))

    @property
    def operations(self) -> tuple[str, ...]:
        """Settings that decide which device operations the job uses: jobs with equal ones run on the same devices."""
        if self.job_type == "stn":
            return ("stn",)
        config = self.config
        views = ("second view" if config.has_second_view else "", "altered" if config.alters_views else "")
        return (config.model, config.stn, config.front or "", *views, "residual" if config.residual_blocks else "")

    @property
    def epochs(self) -> int:
        """Epochs of the whole job; 0 for a control, which is not trained."""
        epochs = self.config.epochs if self.job_type == "trial" else self.config.stn_epochs
        assert epochs is not None
        return epochs

    @property
    def cost(self) -> float:
        """Expected work that is left, in training images of the paper's VAE; good to about a third."""
        return self.epoch_cost * (self.epochs - self.trained) + self._readout_cost

    @functools.cached_property
    def epoch_cost(self) -> float:
        """Expected work of one epoch; 0 for a control."""
        config = self.config
        if self.job_type == "stn":
            return self._images * self._stn_share
        if not config.is_trained:
            return 0.0
        tests = 2 * (config.test_images or config.images.test_images)
        # Other views of an image are encoded and not decoded.
        views = config.has_second_view + sum(view == "base" for view in MODELS[config.model].wants)
        per_image = self._per_image + views * _flops(config, decodes=False) / _flops(TrialConfig())
        # Test images are only encoded and decoded.
        tested = self._per_image * tests / _TRAINING_PASSES
        return per_image * self._images + tested + self._images * self._stn_share * self._stn_passes

    @functools.cached_property
    def _readout_cost(self) -> float:
        """Encoding for each number of epochs, and the probes of each trial."""
        if self.job_type == "stn":
            return 0.0
        configs = (trial.config for trial in self.trials)
        alike = {(config.epochs, config.evaluation_key, config.orbit_warps) for config in configs}
        orbits = sum(warps or 1 for *_, warps in alike)
        # Without a training, a control is fitted and encoded in about the time of an epoch.
        encoding = self._images * (_ENCODING_SHARE * self._per_image if self.config.is_trained else 1.0)
        probe = _PROBE_SHARE + _PROBE_SHARE_OF_A_NUMBER * self.config.encoding_dim
        return orbits * encoding + len(self.trials) * self._images * probe

    @property
    def _images(self) -> int:
        config = self.config
        return (config.train_images or config.images.train_images) - (config.validation_images or 0)

    @property
    def _stn_share(self) -> float:
        return _STN_SHARE * self.config.images.pixels / TrialConfig().images.pixels

    @property
    def _per_image(self) -> float:
        decodes = self.config.reconstruction_weight is not None
        return _flops(self.config, decodes=decodes) / _flops(TrialConfig())

    @property
    def _stn_passes(self) -> float:
        """Cost of the STN per training image and epoch, over that of training it."""
        config = self.config
        if config.stn in ("joint", "inverse"):
            return 1.0
        redrawn = config.train_dataset == "augmented" and config.training_warps == "redrawn"
        return 1 / _TRAINING_PASSES if config.stn == "pretrained" and redrawn else 0.0


class Planned:
    """Trials that are known beforehand: the jobs that are left of them, and those that an earlier run finished.

    It has what a session needs of any work, a search included: `left` trials that are not known yet, their `score`, and
    `tell`, which hears of each that has ended.
    """

    left, score = 0, None

    def __init__(self, trials: Sequence[TrialConfig], study: Path, measures: str, beside: Sequence[Path] = ()):
        self.jobs = plan(trials, study, measures, beside)
        waiting = {trial.key for job in self.jobs for trial in job.trials}
        self.finished = [config for config in trials if config.key not in waiting]
        self.ended = len(self.finished)

    @property
    def image_sets(self) -> list[ImageSet]:
        """The data sets of the jobs."""
        return [job.config.images for job in self.jobs]

    @property
    def why_trained_apart(self) -> str | None:
        """A line on the trainings that differ in `epochs` alone and are not shared; None where there are none."""
        if any(job.config.is_trained and job.config.learning_rate_schedule == "cosine" for job in self.jobs):
            return (
                "learning_rate_schedule is cosine, which falls to 0 at the last epoch: each number of epochs is "
                "trained from the start, where constant would continue from fewer"
            )
        return None

    def tell(self, config: TrialConfig, result: dict[str, Any]) -> None:
        """Does nothing: these trials do not depend on each other."""


def plan(trials: Iterable[TrialConfig], study: Path, measures: str = "none", beside: Sequence[Path] = ()) -> list[Job]:
    """The unfinished work, in the order to start it: seed by seed, so that an early end leaves whole grids.

    An STN that several trials share is one job, and so is a training with all trials that are read out along it; of
    what is trained already only the readouts are left. A trial that has not all the measures is unfinished.
    Of one seed STNs come first, then the longest trainings; before them all trainings that alone could hold up the end.

    beside: other studies, whose work counts as done where it is.
    """
    folders = (study, *beside)
    groups: dict[str, dict[TrialConfig, None]] = {}
    for config in trials:
        if all(records.finished_trial(config, folder, measures) is None for folder in folders):
            groups.setdefault(config.training_key or config.key, {})[config] = None
    waiting = [
        max((trial_job(group, folder) for folder in folders), key=lambda job: job.trained) for group in groups.values()
    ]
    needed = {job.needs: job.config for job in waiting if job.needs is not None}
    known = ([stn_job(config, folder) for folder in folders] for config in needed.values())
    stns = [job for job, *others in known if job is not None and None not in others]
    jobs = [*stns, *waiting]
    long = _LONG * sum(job.cost for job in jobs) / max(1, len(jobs))
    turns: dict[str, int] = {}
    for job in waiting:
        turns[job.part] = -1 if job.cost > long else job.config.seed
        if job.needs is not None:
            turns[job.needs] = min(turns[job.part], turns.get(job.needs, job.config.seed))
    return sorted(jobs, key=lambda job: (turns[job.part], job.job_type != "stn", -job.cost))


def stn_job(config: TrialConfig, study: Path) -> Job | None:
    """The pretraining of the config's STN; None where it needs none, or has it."""
    if config.stn_key is None or records.finished_stn(study, config.stn_key) is not None:
        return None
    return Job("stn", config)


def trial_job(trials: Iterable[TrialConfig], study: Path) -> Job:
    """The training that the trials share, with their readouts; of what is trained already only the rest is counted."""
    config, *others = sorted(trials, key=lambda config: -config.epochs)
    return Job("trial", config, tuple(others), _trained([config, *others], study))


def _trained(group: list[TrialConfig], study: Path) -> int:
    """Epochs that no trial of the group needs to be trained for again."""
    training = group[0].training_key
    if training is None or not records.training_folder(study, training).exists():
        return 0
    wanted = max(config.epochs for config in group)
    missing = [config.epochs for config in group if records.trained_state(config, study) is None]
    if not missing:
        return wanted
    # A state of more epochs is of no use to those that are missing.
    return wanted - (max(missing) - records.trained_epochs(study, training, min(missing)))


def _flops(config: TrialConfig, *, decodes: bool = True) -> float:
    """Multiplications of one forward pass over one image, batch norm and activations counted as 30 per value.

    decodes: whether it is decoded as well as encoded.
    """
    widths = config.hidden_widths
    sizes = [config.images.size]
    for _ in widths:
        sizes.append(math.ceil(sizes[-1] / 2))
    total = 9.0 * widths[0] * sizes[0] ** 2 if decodes else 0.0
    for depth, width in enumerate(widths):
        before = widths[depth - 1] if depth else 1
        blocks = 2 * (config.residual_blocks or 0) * (9 * width + 30)
        total += (9 * before + 30 + blocks) * width * sizes[depth + 1] ** 2
        if decodes:
            total += (9 * width * sizes[depth + 1] ** 2) * (before if depth else widths[0])
            total += 30 * (before if depth else widths[0]) * sizes[depth] ** 2
    # The encoder's linear layer has two numbers for each latent of a Gaussian.
    return total + (2 + decodes) * widths[-1] * sizes[-1] ** 2 * config.encoding_dim
