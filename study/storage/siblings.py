"""Reuse of stages that another study in the same results folder has already computed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tivae import records
from tivae.config import TrialConfig
from tivae.io import files


def beside(study: Path) -> list[Path]:
    """The other studies in the results folder of `study`."""
    folders = sorted(study.parent.iterdir()) if study.parent.is_dir() else []
    return [path for path in folders if path != study and (path / "trials").is_dir()]


def adopt(study: Path, trials: Iterable[TrialConfig], measures: str = "none") -> list[str]:
    """Copies what the trials lack from the studies beside `study`, and returns the folders, such as trainings/KEY.

    Finished trials with these measures, trainings of any number of epochs, and finished STNs. Whatever is here stays,
    and what is copied is checked where it is used, as if it had been computed here.
    """
    others = beside(study)
    taken: list[str] = []
    for config in trials if others else ():
        if records.finished_trial(config, study, measures) is not None:
            continue
        if found := [other for other in others if records.finished_trial(config, other, measures) is not None]:
            taken += _copied(found[0], study, f"trials/{config.key}")
            continue
        if (training := config.training_key) is not None:
            longest = max(others, key=lambda other: records.trained_epochs(other, training))
            if records.trained_epochs(longest, training):
                taken += _copied(longest, study, f"trainings/{training}")
        if (stn := config.stn_key) is not None and not records.stn_folder(study, stn).exists():
            having = [other for other in others if records.finished_stn(other, stn) is not None]
            taken += _copied(having[0], study, f"stns/{stn}") if having else []
    return taken


def _copied(other: Path, study: Path, part: str) -> list[str]:
    """Copies a folder whole or not at all, where there is none yet; [] where there is one, or a link is in it."""
    target = study / part
    if target.exists():
        return []
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        files.check_folder(other / part)
        # Hidden files are half written ones.
        shutil.copytree(other / part, temporary, ignore=shutil.ignore_patterns(".*"))
        temporary.rename(target)
    # The other study may be writing there now.
    except (OSError, files.LinkedFolder, shutil.Error):
        return []
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return [part]
