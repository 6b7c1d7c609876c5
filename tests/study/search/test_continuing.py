"""A search trains no epoch twice: promoted trials go on, and so do stopped ones when they are asked for again."""

import dataclasses

import pytest

from study.jobs import plan
from study.search.optuna_search import OptunaSearch
from tests.study.space_files import read_text
from tivae import records, stages
from tivae.stages import Wanted, Workspace

SPACE = """
question: is no epoch trained twice?
search: optuna
settings:
  {train_images: 150, test_images: 100, validation_images: 50, epochs: 4, hidden_widths: [2], batch_size: 50}
parameters: {latent_dim: {range: [2, 50]}}
objectives: {validation_augmented_accuracy: maximise}
sampler: random
pruner: {name: asha, after_epoch: 1, reduction: 2}
trials: 6
"""
METRIC = "validation_augmented_accuracy"


class Pruned(KeyboardInterrupt):
    """What stops a worker whose trial is given up."""


@pytest.fixture(scope="module")
def searched(host, tmp_path_factory):
    """The study of a search by successive halving, and the epochs that were trained for each trial, as they came."""
    study = tmp_path_factory.mktemp("search") / "study"
    study.mkdir()
    search = OptunaSearch(read_text(study.parent, SPACE).search, study)
    trained = {}
    while (config := search.ask()) is not None:

        def report(row, config=config):
            trained.setdefault(config, []).append(row["epoch"])
            if search.should_prune(config, row["epoch"], row[METRIC]):
                raise Pruned

        wanted = Wanted(measures="none", intermediate=METRIC)
        try:
            (record,) = stages.run_trials([config], Workspace(host, "cpu", study), report, wanted=wanted)
        except Pruned:
            record = records.write_unfinished(config, study, "pruned")
        search.tell(config, {"status": record["status"], "error": record["error"], **record["metrics"]})
    return study, trained


def test_promoted_trials_go_on_from_their_rung(searched):
    _, trained = searched
    ends = {config: epochs[-1] for config, epochs in trained.items()}
    assert {1, 4} <= set(ends.values()), "some are stopped at the first rung, and some are promoted to the end"
    assert all(epochs == list(range(1, ends[config] + 1)) for config, epochs in trained.items())


def test_what_was_stopped_goes_on_from_there_when_a_grid_asks_for_it(searched, host):
    study, trained = searched
    stopped = next(config for config, epochs in trained.items() if len(epochs) == 1)
    longer = dataclasses.replace(stopped, epochs=6)
    (job,) = plan([stopped, longer], study)
    epochs = []
    found = stages.run_trials(
        [trial.config for trial in job.trials],
        Workspace(host, "cpu", study),
        lambda row: epochs.append(row["epoch"]),
        wanted=Wanted(measures="none"),
    )
    assert [record["status"] for record in found] == ["finished", "finished"]
    assert epochs == [2, 3, 4, 5, 6]
