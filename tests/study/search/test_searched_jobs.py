"""A search as a source of jobs: an STN that its trials share is pretrained once, and the search comes to its end."""

from study.engine.devices import Pool
from study.engine.dispatcher import Dispatcher
from study.jobs import Job
from study.monitor.progress import Progress
from study.search.optuna_search import OptunaSearch
from study.search.searched_jobs import SearchedJobs
from tests.study.space.test_search import read

DONE = {"status": "finished", "error": None, "augmented_accuracy": 0.5, "validation_augmented_accuracy": 0.5}
SETTINGS = "{validation_images: 10_000, stn: pretrained}"


def test_an_stn_that_failed_is_tried_again_for_the_next_trial(tmp_path):
    search = OptunaSearch(read(tmp_path, settings=SETTINGS, parameters="{latent_dim: {range: [2, 50]}}"), tmp_path)
    jobs = SearchedJobs(search, tmp_path, Progress([], 2, 0, lambda: 0.0, search.left))
    asked = [jobs.ask(), jobs.ask()]
    assert [[job.job_type for job in found] for found in asked] == [["stn", "trial"], ["trial"]]
    jobs.failed(asked[0][0])
    assert [job.job_type for job in jobs.ask()] == ["stn", "trial"]


def test_trials_behind_one_stn_wait_for_one_pretraining_and_all_end(tmp_path):
    search = OptunaSearch(read(tmp_path, settings=SETTINGS, parameters="{latent_dim: {range: [2, 50]}}"), tmp_path)
    progress = Progress([], 2, 0, lambda: 0.0, search.left)
    dispatcher = Dispatcher([], [Pool("cpu", {"CPU": 1}, 2)], SearchedJobs(search, tmp_path, progress))
    given, running = [], []
    for number in range(100):
        suggestion = dispatcher.suggest(str(number))
        if isinstance(suggestion, dict):
            job = Job.from_text(suggestion["job"])
            given.append(job.job_type)
            running.append((str(number), job))
            progress.start(job, "cpu")
        elif running:
            trial, job = running.pop(0)
            dispatcher.on_trial_complete(trial, DONE)
            progress.end(job, DONE)
            if job.job_type == "trial":
                search.tell(job.config, DONE)
    assert given.count("stn") == 1
    assert search.ended == 5
    assert (progress.is_over, progress.waiting) == (True, 0)
