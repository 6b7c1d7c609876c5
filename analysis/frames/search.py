"""The Optuna search behind a study, read from the journal in its results folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.frames.columns import METRIC_NAMES
from tivae.io import files

if TYPE_CHECKING:
    import optuna

    from analysis.frames.study import Study

JOURNAL = "optuna_journal.log"


def load_search(folder: Path) -> optuna.Study | None:
    """The search in `<folder>/optuna_journal.log`, in memory, as it is now; None if there is no journal.

    Of several in one journal that named like the folder counts, or else the first. The journal is neither written
    nor locked: the search may be running, and a published copy may be read-only.

    Raises `ValueError` naming the journal if it cannot be read or holds no search.
    """
    path = folder / JOURNAL
    if not path.is_file():
        return None
    import optuna
    from optuna.storages import InMemoryStorage, JournalStorage
    from optuna.storages.journal import JournalFileBackend

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        # Optuna opens a journal for writing, always: it gets a copy.
        with tempfile.TemporaryDirectory() as temporary:
            copy = Path(temporary) / JOURNAL
            copy.write_bytes(files.read(path, files.MAXIMUM_TENSOR_BYTES))
            journal = JournalStorage(JournalFileBackend(str(copy)))
            names = [study.study_name for study in journal.get_all_studies()]
            if not names:
                raise ValueError("it holds no search")
            mine = folder.resolve().name
            name = mine if mine in names else names[0]
            memory = InMemoryStorage()
            optuna.copy_study(from_study_name=name, from_storage=journal, to_storage=memory, to_study_name=mine)
            return optuna.load_study(study_name=mine, storage=memory)
    # Optuna raises many kinds of error for lines that are none of its own; all mean the same here.
    except Exception as problem:
        reason = " ".join(str(problem).split())[:100] or type(problem).__name__
        raise ValueError(f"{path} cannot be read as an Optuna journal ({reason}); copy it again") from problem
    finally:
        optuna.logging.set_verbosity(verbosity)


def objectives(search: optuna.Study | None) -> dict[str, bool]:
    """The search's objectives that a trial's metrics hold, and whether each is to be large; {} for no search."""
    if search is None:
        return {}
    names = search.metric_names or []
    directions = [direction.name == "MAXIMIZE" for direction in search.directions]
    return {name: up for name, up in zip(names, directions, strict=False) if name in METRIC_NAMES}


def objectives_of(study: Study) -> dict[str, bool]:
    """The same of a study's search; {} also where its journal can't be read."""
    try:
        return objectives(search_of(study))
    except ValueError:
        return {}


def journal_of(study: Study) -> Path | None:
    """The journal in the first of the study's folders that has one; None if none has."""
    return next((path for folder in study.folders.values() if (path := folder / JOURNAL).is_file()), None)


def search_of(study: Study) -> optuna.Study | None:
    """The search in `journal_of(study)`; None if there is no journal. Raises as `load_search`."""
    journal = journal_of(study)
    return None if journal is None else load_search(journal.parent)
