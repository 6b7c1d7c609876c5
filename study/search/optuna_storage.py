"""The Optuna study in a results folder: opened, repaired, made, or continued."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from analysis.frames.search import JOURNAL
from study.space.search import Algorithm, Search
from study.storage.folder import FolderError
from tivae.io import files


def opened(search: Search, folder: Path) -> optuna.Study:
    """The Optuna study named as the folder, in its journal; made, with the starting points, where it is not there.

    A journal that was cut or changed is read as far as it is whole; what was cut off is kept beside it.

    Raises `FolderError` if it is a search for something else, or can't be read at all.
    """
    path = folder / JOURNAL
    # The folder is ours alone, so that a lock in it is what a killed process left.
    path.with_name(f"{JOURNAL}.lock").unlink(missing_ok=True)
    if (lost := _repair(path)) is not None:
        warnings.warn(f"{path} was damaged; what followed the damage is in {lost.name}", RuntimeWarning, stacklevel=2)
    try:
        study = _created(search, folder.name, JournalStorage(JournalFileBackend(str(path))))
    except FolderError:
        raise
    # What Optuna raises for lines that are no journal's depends on the line.
    except Exception as error:
        raise FolderError(
            f"{path} can't be read ({type(error).__name__}: {' '.join(str(error).split())}); move it away, and the "
            "search goes on from the trials' records"
        ) from error
    _check_same(study, search, folder)
    return study


def _created(search: Search, name: str, storage: JournalStorage) -> optuna.Study:
    known = name in (study.study_name for study in storage.get_all_studies())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study = optuna.create_study(
            storage=storage, study_name=name, directions=list(search.objectives.values()), load_if_exists=True
        )
        # A continued search must not draw again what it drew at its beginning.
        study.sampler = _sampler(search.sampler, search.sampler_seed + len(study.get_trials(deepcopy=False)))
        study.pruner = _pruner(search.pruner)
        if not known:
            study.set_metric_names(list(search.objectives))
            for point in search.start:
                study.enqueue_trial(dict(point))
    return study


def _check_same(study: optuna.Study, search: Search, folder: Path) -> None:
    directions = [direction.name.lower() for direction in study.directions]
    before = dict(zip(study.metric_names or [], directions, strict=False))
    if before != dict(search.objectives):
        raise FolderError(
            f"the search in {folder} has the objectives {_in_words(before)}, not {_in_words(search.objectives)}; give "
            "another --name, or the objectives that it had"
        )
    now = {item.name: item.domain.distribution() for item in search.parameters}
    for trial in study.get_trials(deepcopy=False):
        for name, distribution in trial.distributions.items():
            if name in now and not _compatible(distribution, now[name]):
                raise FolderError(
                    f"the search in {folder} has other choices of `{name}` ({distribution}); give another --name, or "
                    "the choices that it had"
                )


def _in_words(objectives: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({how})" for name, how in objectives.items()) or "none"


def _sampler(algorithm: Algorithm, seed: int) -> optuna.samplers.BaseSampler:
    if algorithm.name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=algorithm.options["population"])
    if algorithm.name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # Running trials count as bad ones (`constant_liar`), so that trials that run at once differ.
    return optuna.samplers.TPESampler(
        seed=seed, n_startup_trials=algorithm.options["startup"], multivariate=True, group=True, constant_liar=True
    )


def _pruner(algorithm: Algorithm) -> optuna.pruners.BasePruner:
    options = algorithm.options
    if algorithm.name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=options["startup"], n_warmup_steps=options["after_epoch"])
    if algorithm.name == "asha":
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=options["after_epoch"], reduction_factor=options["reduction"]
        )
    return optuna.pruners.NopPruner()


def _compatible(before: BaseDistribution, now: BaseDistribution) -> bool:
    try:
        optuna.distributions.check_distribution_compatibility(before, now)
    except ValueError:
        return False
    return True


def _repair(path: Path) -> Path | None:
    """Cuts a journal before its first line that is none, and returns where the rest was put; None if all is well.

    Optuna refuses a whole journal for a line that a kill or a full disk left half written.
    """
    if not path.exists():
        return None
    content = files.read(path, files.MAXIMUM_TENSOR_BYTES)
    good = 0
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n") or not _is_entry(line):
            break
        good += len(line)
    if good == len(content):
        return None
    rest = path.with_name(f"{path.name}.damaged")
    with files.replacing(rest) as file:
        file.write(content[good:])
    with path.open("rb+") as file:
        file.truncate(good)
        os.fsync(file.fileno())
    return rest


def _is_entry(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
