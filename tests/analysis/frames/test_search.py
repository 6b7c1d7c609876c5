"""A search is read from its journal, without a trace on it."""

import warnings
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

import analysis
from analysis import figures, publish, tables
from analysis.figures.drawing import representatives
from analysis.frames.search import JOURNAL, load_search, objectives_of, search_of
from tests.analysis.synthetic import record, study_of, write_record
from tivae.config import TrialConfig

SIZES = (2, 5, 10, 20, 50, 100, 3, 7, 12, 30, 70)
TrialState = optuna.trial.TrialState


def write_search(folder: Path, *, objectives: tuple[str, ...], finished: int = 11) -> Path:
    """A search over latent sizes as a study leaves it: a record a trial, one pruned and one failed; one still runs."""
    folder.mkdir(parents=True)
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    directions = ["maximize", "minimize"][: len(objectives)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of objectives are experimental in Optuna
        search = optuna.create_study(study_name=folder.name, storage=storage, directions=directions)
        search.set_metric_names(list(objectives))
    for number, size in enumerate(SIZES[:finished]):
        trial = search.ask()
        config = TrialConfig(latent_dim=trial.suggest_int("latent_dim", size, size), epochs=1, validation_images=100)
        trial.set_user_attr("key", config.key)
        accuracy = 0.9 - 1 / (1 + size)
        if number in (3, 4):
            status = {3: "pruned", 4: "failed"}[number]
            search.tell(trial, state={3: TrialState.PRUNED, 4: TrialState.FAIL}[number])
            write_record(folder, record(config, status, "no memory" if status == "failed" else None))
            continue
        search.tell(trial, [accuracy, size][: len(objectives)])
        write_record(folder, record(config, validation_augmented_accuracy=accuracy, augmented_accuracy=0.5))
    search.ask()
    return folder


@pytest.fixture(autouse=True)
def _silent():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.fixture
def one(tmp_path):
    return write_search(tmp_path / "one", objectives=("validation_augmented_accuracy",))


@pytest.fixture
def two(tmp_path):
    return write_search(tmp_path / "two", objectives=("validation_augmented_accuracy", "encoding_dim"))


def test_the_search_is_read_and_its_journal_left_alone(two):
    before = (two / JOURNAL).read_bytes()
    names = sorted(path.name for path in two.iterdir())
    search = load_search(two)
    assert (search.study_name, len(search.trials)) == ("two", 12)
    assert search.metric_names == ["validation_augmented_accuracy", "encoding_dim"]
    states = [trial.state.name for trial in search.trials]
    assert [states.count(name) for name in ("COMPLETE", "PRUNED", "FAIL", "RUNNING")] == [9, 1, 1, 1]
    assert (two / JOURNAL).read_bytes() == before
    assert sorted(path.name for path in two.iterdir()) == names


def test_a_line_that_is_just_being_written_does_no_harm(one):
    with (one / JOURNAL).open("ab") as file:
        file.write(b'{"op_code": 6, "worker_id": "x", "tri')
    assert len(load_search(one).trials) == 12


@pytest.mark.parametrize("content", [b"", b"no journal\n", b'{"op_code": 99, "worker_id": "x"}\n'])
def test_a_damaged_journal_is_named(tmp_path, content):
    (tmp_path / JOURNAL).write_bytes(content)
    with pytest.raises(ValueError, match=JOURNAL):
        load_search(tmp_path)
    assert objectives_of(study_of(tmp_path, [TrialConfig()])) == {}


def test_a_folder_without_a_journal_holds_no_search(tmp_path):
    assert load_search(tmp_path) is None


def test_pruned_trials_are_neither_finished_nor_failed(one):
    study = analysis.load(one)
    assert study.trials["status"].value_counts().to_dict() == {"finished": 9, "pruned": 1, "failed": 1}
    assert len(study.finished) == 9
    assert tables.failures(study).frame["status"].tolist() == ["failed"]
    assert search_of(study).study_name == "one"


def test_of_one_objective_the_best_trials_come_first(one):
    made = tables.search(analysis.load(one))
    assert made.frame["parameter_latent_dim"].tolist() == [100, 70, 30, 12, 10, 7, 5, 3, 2]
    assert made.frame["validation_augmented_accuracy"].is_monotonic_decreasing
    assert made.frame["augmented_accuracy"].eq(0.5).all()  # of the test set: it chose nothing
    assert "Best trials of the search, by validation augmented accuracy" in made.table.text()


def test_of_two_objectives_the_front_is_shown(two):
    made = tables.search(analysis.load(two))
    assert made.frame["parameter_latent_dim"].tolist() == [100, 70, 30, 12, 10, 7, 5, 3, 2]
    assert made.table.title == "Pareto front of the search"
    assert set(made.frame["key"]) <= set(analysis.load(two).trials["key"])


def test_a_published_search_has_the_same_table(two, tmp_path):
    copy = publish.publish(two, "uv run python -m study.run two", output=tmp_path / "published" / "two")
    made = tables.search(analysis.load(copy)).table.markdown()
    assert made == tables.search(analysis.load(two)).table.markdown()
    assert (copy / "tables" / "search.md").read_text() == made
    assert [path.name for path in copy.glob(f"{JOURNAL}*")] == [JOURNAL]


def test_the_figures_of_a_search_are_found_in_its_folder(two, tmp_path):
    wanted = ["optuna_plots", "pareto_front"]
    written, _ = figures.write_all(analysis.load(two), tmp_path / "f", names=wanted)
    assert [figure.name for figure in written] == [
        "optuna_history_validation_augmented_accuracy",
        "optuna_history_encoding_dim",
        "optuna_pareto_front",
    ]


def test_a_damaged_journal_costs_the_searchs_figures_only(one, tmp_path):
    (one / JOURNAL).write_bytes(b"no journal\n")
    _, skipped = figures.write_all(analysis.load(one), tmp_path / "f", names=["optuna_plots"])
    assert list(skipped) == ["optuna_plots"]
    assert JOURNAL in skipped["optuna_plots"]
    assert "search" in tables.all_of(analysis.load(one))[1]


def test_what_stands_for_a_search_is_chosen_by_its_objective(one):
    """The accuracies on test images are all alike in it: they have no part."""
    (best,) = representatives.best_cell(analysis.load(one))
    assert best.config.latent_dim == max(size for number, size in enumerate(SIZES) if number not in (3, 4))
