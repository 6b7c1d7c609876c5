"""Optuna's ask and tell: nothing lost, nothing reported twice, whatever came between."""

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from analysis.frames.search import JOURNAL
from study.search.optuna_search import OptunaSearch
from study.storage.folder import FolderError
from tests.study.space.test_search import read
from tivae import records
from tivae.config import TrialConfig

DONE = {"status": "finished", "error": None, "augmented_accuracy": 0.5}
LATENTS = "{latent_dim: {range: [2, 50]}}"


def opened(folder: Path, **parts: str) -> OptunaSearch:
    study = folder / "study"
    study.mkdir(exist_ok=True)
    return OptunaSearch(read(folder, **({"parameters": LATENTS} | parts)), study)


def journal_of(study: Path) -> optuna.Study:
    """A search as Optuna itself reads it."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(study / JOURNAL)))
    return optuna.load_study(study_name=study.name, storage=storage)


def finish(search: OptunaSearch, config: TrialConfig, accuracy: float) -> None:
    search.tell(config, DONE | {"validation_augmented_accuracy": accuracy})


def asked(search: OptunaSearch) -> TrialConfig:
    config = search.ask()
    assert config is not None
    return config


def write_record(folder: Path, config: TrialConfig, status: str, accuracy: float | None) -> None:
    metrics = {} if accuracy is None else {"validation_augmented_accuracy": accuracy}
    path = folder / "study" / "trials" / config.key
    path.mkdir(parents=True)
    records.write_record(path, "trial", config, metrics, [], {}, status=status)


def test_the_search_ends_after_its_trials_and_optuna_reads_it(tmp_path: Path) -> None:
    search = opened(tmp_path)
    configs = []
    while (config := search.ask()) is not None:
        configs.append(config)
        finish(search, config, config.latent_dim / 100)
    assert search.left == 0
    assert search.ended == 5
    study = journal_of(tmp_path / "study")
    assert {trial.user_attrs["key"] for trial in study.trials} == {config.key for config in configs}
    assert study.best_value == max(config.latent_dim for config in configs) / 100
    assert study.best_trial.user_attrs["test_augmented_accuracy"] == 0.5


def test_the_sampler_learns_from_what_is_reported(tmp_path: Path) -> None:
    misses = {}
    for sampler in ("random", "{name: tpe, startup: 8}"):
        (tmp_path / sampler).mkdir()
        parts = {"parameters": "{kl_weight: {uniform: [0, 1]}}", "trials": "40", "sampler": sampler}
        search = opened(tmp_path / sampler, **parts)
        found = misses[sampler] = []
        while (config := search.ask()) is not None:
            found.append(abs(config.kl_weight - 0.3))
            finish(search, config, 1 - found[-1])
    random, learned = (sum(found[20:]) for found in misses.values())
    assert learned < 0.5 * random


def test_trials_left_running_are_handed_out_again_first(tmp_path: Path) -> None:
    before = opened(tmp_path)
    first, second = asked(before), asked(before)
    finish(before, first, 0.3)
    after = opened(tmp_path)
    assert after.left == 4
    assert asked(after) == second
    finish(after, second, 0.4)
    assert [trial.state for trial in after.optuna_study.trials] == [TrialState.COMPLETE] * 2


def test_a_trial_that_ended_unheard_is_reported_from_its_record(tmp_path: Path) -> None:
    config = asked(opened(tmp_path, trials="1"))
    write_record(tmp_path, config, "finished", 0.7)
    after = opened(tmp_path, trials="1")
    assert after.ask() is None
    assert (after.ended, after.optuna_study.best_value) == (1, 0.7)
    assert after.finished == [config]


def test_a_continued_search_draws_anew(tmp_path: Path) -> None:
    first = opened(tmp_path, trials="3", sampler="random")
    before = [asked(first).latent_dim for _ in range(3)]
    for trial in first.optuna_study.trials:
        first.optuna_study.tell(trial.number, 0.1)
    after = opened(tmp_path, trials="6", sampler="random")
    assert [asked(after).latent_dim for _ in range(3)] != before


@pytest.mark.parametrize("accuracy", [math.nan, math.inf, None])
def test_an_objective_that_is_no_number_fails_the_trial(tmp_path: Path, accuracy: float | None) -> None:
    search = opened(tmp_path, trials="1")
    search.tell(asked(search), DONE | {"validation_augmented_accuracy": accuracy})
    (trial,) = search.optuna_study.trials
    assert (trial.state, trial.user_attrs["error"]) == (TrialState.FAIL, "an objective is not a number")
    assert (search.failed, search.ended, search.ask()) == (1, 1, None)


def test_failed_and_pruned_trials_are_told_apart(tmp_path: Path) -> None:
    search = opened(tmp_path, trials="2", sampler="random")
    search.tell(asked(search), {"status": "failed", "error": "RuntimeError: no memory"})
    search.tell(asked(search), {"status": "pruned", "error": None})
    failed, pruned = search.optuna_study.trials
    assert (failed.state, failed.user_attrs["error"]) == (TrialState.FAIL, "RuntimeError: no memory")
    assert pruned.state == TrialState.PRUNED


def test_a_trial_come_upon_twice_is_run_once_and_reported_twice(tmp_path: Path) -> None:
    search = opened(tmp_path, trials="8", parameters="{latent_dim: [3, 4]}", sampler="random")
    first = asked(search)
    second = asked(search)
    assert {first.latent_dim, second.latent_dim} == {3, 4}
    assert search.ask() is None
    for config in (first, second):
        finish(search, config, config.latent_dim / 10)
    trials = search.optuna_study.trials
    assert len(trials) == search.ended == 8
    assert all(trial.value == trial.params["latent_dim"] / 10 for trial in trials)


def test_starting_points_come_first_and_once(tmp_path: Path) -> None:
    start = "[{latent_dim: 7}, {latent_dim: 9}]"
    assert asked(opened(tmp_path, start=start)).latent_dim == 7
    search = opened(tmp_path, start=start)
    assert [asked(search).latent_dim for _ in range(2)] == [7, 9]
    assert len(search.optuna_study.trials) == 2


def test_a_poor_trial_is_pruned_after_enough_others(tmp_path: Path) -> None:
    search = opened(tmp_path, pruner="{name: median, startup: 2, after_epoch: 1}", sampler="random")
    for _ in range(2):
        config = asked(search)
        assert not search.should_prune(config, 1, 0.8)
        assert not search.should_prune(config, 2, 0.8)
        finish(search, config, 0.8)
    good, bad = asked(search), asked(search)
    assert not search.should_prune(good, 2, 0.9)
    assert not search.should_prune(bad, 2, math.nan)
    assert search.should_prune(bad, 2, 0.1)
    assert search.pruned_by == "validation_augmented_accuracy"
    assert opened(tmp_path).pruned_by is None


def test_several_objectives_make_a_front(tmp_path: Path) -> None:
    objectives = "{validation_augmented_accuracy: maximise, encoding_dim: minimise}"
    search = opened(tmp_path, objectives=objectives, sampler="{name: nsga2, population: 4}")
    while (config := search.ask()) is not None:
        finish(search, config, config.latent_dim / 100)
    front = {trial.params["latent_dim"] for trial in search.optuna_study.best_trials}
    assert front == {trial.params["latent_dim"] for trial in search.optuna_study.trials}
    assert {tuple(trial.values) for trial in search.optuna_study.trials} == {(n / 100, n) for n in front}


def test_a_lost_journal_is_made_again_from_the_records(tmp_path: Path) -> None:
    first = opened(tmp_path)
    configs = [asked(first) for _ in range(2)]
    write_record(tmp_path, configs[0], "finished", 0.6)
    write_record(tmp_path, configs[1], "failed", None)
    write_record(tmp_path, TrialConfig(latent_dim=3), "finished", 0.9)  # not of this search: it has no validation set
    (tmp_path / "study" / JOURNAL).unlink()
    (trial,) = opened(tmp_path).optuna_study.trials
    assert (trial.params, trial.value) == ({"latent_dim": configs[0].latent_dim}, 0.6)
    assert len(opened(tmp_path).optuna_study.trials) == 1


@pytest.mark.parametrize("damage", [b'{"op_code": 4, "worker', b"\x00\xff\n", b'[1]\n{"op_code": 1}\n'])
def test_a_damaged_journal_is_used_as_far_as_it_is_whole(tmp_path: Path, damage: bytes) -> None:
    before = opened(tmp_path)
    finish(before, asked(before), 0.3)
    path = tmp_path / "study" / JOURNAL
    path.write_bytes(path.read_bytes() + damage)
    with pytest.warns(RuntimeWarning, match="was damaged; what followed the damage is in optuna_journal.log.damaged"):
        after = opened(tmp_path)
    assert [trial.value for trial in after.optuna_study.trials] == [0.3]
    assert path.with_name(f"{JOURNAL}.damaged").read_bytes() == damage
    finish(after, asked(after), 0.4)
    assert opened(tmp_path).ended == 2


def test_lines_that_are_no_journals_are_reported_with_a_remedy(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "study" / JOURNAL).write_text('{"op_code": 99}\n{"op_code": 4, "trial_id": 8}\n')
    with pytest.raises(FolderError, match=rf"{JOURNAL} can't be read .*move it away"):
        opened(tmp_path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"objectives": "{validation_base_loss: minimise}"}, "has the objectives .* give another --name"),
        ({"objectives": "{validation_augmented_accuracy: minimise}"}, "has the objectives"),
        ({"parameters": "{latent_dim: [2, 3]}"}, "other choices of `latent_dim`"),
    ],
)
def test_another_search_in_the_same_folder_is_refused(tmp_path: Path, parts: dict[str, str], message: str) -> None:
    search = opened(tmp_path)
    finish(search, asked(search), 0.5)
    with pytest.raises(FolderError, match=message):
        opened(tmp_path, **parts)


def test_a_range_may_be_widened(tmp_path: Path) -> None:
    search = opened(tmp_path)
    finish(search, asked(search), 0.5)
    assert opened(tmp_path, parameters="{latent_dim: {range: [2, 90]}}").ended == 1


def test_a_lock_left_by_a_killed_process_is_no_hindrance(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "study" / f"{JOURNAL}.lock").symlink_to(JOURNAL)
    assert asked(opened(tmp_path)) is not None


def test_more_trials_than_are_asked_for_leave_nothing_to_do(tmp_path: Path) -> None:
    search = opened(tmp_path)
    while (config := search.ask()) is not None:
        finish(search, config, 0.5)
    fewer = opened(tmp_path, trials="3")
    assert (fewer.ended, fewer.left, fewer.ask()) == (5, 0, None)
