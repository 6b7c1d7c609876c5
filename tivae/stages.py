"""The stages of trials, each computed once and left on storage: STN pretraining -> training -> readouts.

Each is a plain function of its configs and a device, writes one record (`tivae.records`), and can be killed at any
moment: the same call again continues, or does nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tivae import device_support, experiment, records
from tivae.config import TrialConfig
from tivae.data.datasets import TrialData
from tivae.data.image_set import Images
from tivae.data.placement import place as placed
from tivae.evaluation.measures import chosen
from tivae.experiment import Readouts, Trained
from tivae.io import checkpoint, files
from tivae.io.provenance import Stopwatch
from tivae.io.record import CHECKPOINT, Record
from tivae.models.networks import kernels_of
from tivae.models.stn import SpatialTransformer
from tivae.training.loop import OnEpoch


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What to compute of trials besides what their configs say; it moves no number.

    measures: of invariance (`tivae.evaluation.measures.chosen`). intermediate: see `experiment.run`. keep: whether
    trainings stay such that more epochs can continue from them.
    """

    measures: str = "standard"
    intermediate: str | None = None
    keep: bool = True

    def __post_init__(self) -> None:
        chosen(self.measures)


@dataclass(frozen=True)
class Workspace:
    """The images and device with which stages are computed, and the study's folder that they are left in."""

    host: Images
    device: torch.device | str
    study: Path


def run_trial(
    config: TrialConfig,
    host: Images,
    device: torch.device | str,
    study: Path,
    on_epoch: OnEpoch | None = None,
    **wanted: Any,
) -> Record:
    """The trial's record, computed and written unless a finished one is there; wanted: fields of `Wanted`.

    See `run_trials`.
    """
    return run_trials([config], Workspace(host, device, study), on_epoch, wanted=Wanted(**wanted))[0]


def run_trials(
    configs: Sequence[TrialConfig],
    workspace: Workspace,
    on_epoch: OnEpoch | None = None,
    on_trial: Callable[[Record], None] | None = None,
    *,
    wanted: Wanted | None = None,
) -> list[Record]:
    """The records of trials that read out one training (or of one control), in their order.

    What is finished is left as it is; a finished trial with fewer measures than wanted is read out again. The training
    continues from its last epoch to the last that is asked for, and the trials are read out along it. The STN is taken
    from the study's folder, and pretrained there where it is missing. Whatever a trial raises is recorded, with the
    reason; where the training fails, the trials of epochs that it had reached are read out nevertheless. A trial that
    had finished and can't be read out again keeps its record.

    on_epoch: called with each new row of the training; on_trial: with each record, as it is there.

    Raises `OSError` if the folder can't be written, and what a full or broken device raises, which says nothing of
    the trials.
    """
    wanted = wanted or Wanted()
    assert len({config.training_key for config in configs}) == 1
    found: dict[str, Record] = {}
    waiting = []
    for config in configs:
        known = records.finished_trial(config, workspace.study, wanted.measures)
        if known is not None:
            found[config.key] = known
        elif config not in waiting:
            waiting.append(config)
            _begin(config, workspace.study)
    for record in _Waiting(waiting, workspace, wanted).outcomes(on_epoch):
        found[record["key"]] = record
        if on_trial is not None:
            on_trial(record)
    return [found[config.key] for config in configs]


def run_stn(config: TrialConfig, workspace: Workspace, on_epoch: OnEpoch | None = None) -> Record:
    """The record of the config's pretrained STN, computed and written unless a finished one is there.

    Raises what the pretraining raises, and `OSError` if the folder can't be written.
    """
    assert config.stn_key is not None
    folder = records.stn_folder(workspace.study, config.stn_key)
    known = records.finished_stn(workspace.study, config.stn_key)
    if known is not None:
        return known
    files.clear(folder)
    file = folder / CHECKPOINT
    result = experiment.pretrain(config, workspace.host, workspace.device, checkpoint=file, on_epoch=on_epoch)
    checkpoint.save(folder / "stn.pt", result.stn.state_dict())
    record = records.write_record(folder, "stn", config, result.metrics, result.epochs, result.provenance)
    checkpoint.remove(file)
    return record


def run_training(
    configs: Sequence[TrialConfig],
    workspace: Workspace,
    frozen: SpatialTransformer | None,
    on_epoch: OnEpoch | None = None,
    *,
    wanted: Wanted | None = None,
) -> None:
    """Leaves the states that trials read out, one for each of the configs' epochs; all are of one training.

    Raises `NonFiniteLoss`, of which the record tells as well, and `OSError` if the folder can't be written.
    """
    wanted = wanted or Wanted()
    missing = [config for config in configs if records.trained_state(config, workspace.study) is None]
    # The first of the longest: the losses of each epoch are those on its test images.
    config = max(missing or configs, key=lambda config: config.epochs)
    assert config.training_key is not None
    folder = records.training_folder(workspace.study, config.training_key)
    if not missing:
        if records.read(folder) is None:
            # Damaged, or never written: as far as the state tells.
            rows, origin = records.epochs_so_far(config, workspace.study), Stopwatch("cpu", "unknown").provenance()
            records.write_record(folder, "training", config, {}, rows, origin)
        return
    folder.mkdir(parents=True, exist_ok=True)
    files.clear(folder)
    watch, file = Stopwatch(workspace.device, workspace.host.source), folder / CHECKPOINT
    data, asked = TrialData(workspace.host, config, workspace.device), sorted({config.epochs for config in missing})
    try:
        training = experiment.train(
            config, data, frozen, file, on_epoch, wanted.intermediate, asked=asked, keep=wanted.keep
        )
    except ValueError as error:
        rows, why = records.epochs_so_far(config, workspace.study), records.reason(error)
        records.write_record(folder, "training", config, {}, rows, watch.provenance(), status="failed", error=why)
        raise
    origin = watch.provenance(training.seconds_before, training.resumed) | {"kernels": kernels_of(training.model)}
    known = records.finished(folder)
    if known is None or len(known["epochs"]) < len(training.rows):
        records.write_record(folder, "training", config, {}, training.rows, origin)
    checkpoint.remove(file)


def _begin(config: TrialConfig, study: Path) -> None:
    folder = records.trial_folder(study, config.key)
    folder.mkdir(parents=True, exist_ok=True)
    files.clear(folder)
    if records.finished(folder) is None:
        records.write_running(config, study)


class _Waiting:
    """Trials of one training, or of one control, that have no record yet.

    frozen: the STN or front before the model; failure: why there is none, or the training did not come to its end.
    """

    def __init__(self, configs: Sequence[TrialConfig], workspace: Workspace, wanted: Wanted):
        self._configs, self._workspace, self._wanted = configs, workspace, wanted
        self._frozen: SpatialTransformer | None = None
        self._failure: Exception | None = None

    def outcomes(self, on_epoch: OnEpoch | None) -> Iterator[Record]:
        """Trains, reads out, and gives the records as they are written."""
        if not self._configs:
            return
        try:
            self._frozen = _frozen_stn(self._configs[0], self._workspace)
            if self._configs[0].training_key is not None:
                run_training(self._configs, self._workspace, self._frozen, on_epoch, wanted=self._wanted)
        # A failed trial must be a row with a reason, never missing, whatever it was that failed.
        except Exception as error:
            self._failure = error
            if isinstance(error, OSError) or device_support.is_to_blame(self._workspace.device, error):
                raise
        for _, group in itertools.groupby(sorted(self._configs, key=_order), key=_group):
            yield from self._read_out(list(group))

    def _read_out(self, group: Sequence[TrialConfig]) -> Iterator[Record]:
        workspace, readouts = self._workspace, None
        for config in group:
            watch = Stopwatch(workspace.device, workspace.host.source)
            try:
                if readouts is None:
                    data = TrialData(workspace.host, config, workspace.device)
                    readouts = Readouts(data, self._trained(config, data), workspace.host.source, shared=len(group) > 1)
                result = readouts.of(config, self._measures(config))
            except Exception as error:
                if device_support.is_to_blame(workspace.device, error):
                    raise
                yield _failed(config, workspace.study, error, watch)
                continue
            yield records.write(records.trial_folder(workspace.study, config.key), result)

    def _trained(self, config: TrialConfig, data: TrialData) -> Trained:
        """What is read out; raises the failure of what it stands behind, or of a training that did not come so far."""
        is_behind = config.front is not None or config.stn_key is not None
        if self._failure is not None and (config.training_key is None or (is_behind and self._frozen is None)):
            raise self._failure
        if config.training_key is None:
            return experiment.fit_control(config, data, self._frozen)
        state = records.trained_state(config, self._workspace.study)
        if state is None:
            missing = f"the training {config.training_key} has no state of epoch {config.epochs}"
            raise self._failure or FileNotFoundError(missing)
        return experiment.restored(config, data, self._frozen, state)

    def _measures(self, config: TrialConfig) -> str:
        """The measures that are wanted of a trial, and those that it has already."""
        known = records.finished(records.trial_folder(self._workspace.study, config.key))
        return ",".join([*(() if known is None else known.get("measures", ())), self._wanted.measures])


def _group(config: TrialConfig) -> tuple[int, str]:
    """Trials of one training that are alike in it read the same weights on the same images."""
    return config.epochs, config.evaluation_key or config.key


def _order(config: TrialConfig) -> tuple[int | str, ...]:
    """Within a group, those that read the same encodings follow each other."""
    return *_group(config), *map(str, config.read)


def _failed(config: TrialConfig, study: Path, error: Exception, watch: Stopwatch) -> Record:
    known = records.finished(records.trial_folder(study, config.key))
    if known is not None:
        records.warn_once(f"{config.key} could not be read out again ({records.reason(error)}); its record stays")
        return known
    return records.write_unfinished(config, study, "failed", records.reason(error), watch.provenance())


def _frozen_stn(config: TrialConfig, workspace: Workspace) -> SpatialTransformer | None:
    if config.front is not None:
        return experiment.fit_front(config, TrialData(workspace.host, config, workspace.device))
    if config.stn_key is None:
        return None
    run_stn(config, workspace)
    stn = records.load_stn(config, records.stn_folder(workspace.study, config.stn_key))
    return placed(stn, workspace.device)
