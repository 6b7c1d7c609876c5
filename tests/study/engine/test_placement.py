"""Ray with simulated nodes: each trial is placed on the node and the device that it was given, and no more at once."""

import io
import json
import os
import time
from types import SimpleNamespace

import pytest
import ray
from rich.console import Console

from study.engine import cluster, load, tune
from study.engine.devices import SlotOptions
from study.engine.dispatcher import Dispatcher
from study.engine.worker import Supplies
from study.jobs import Job, plan
from study.monitor.display import Display
from study.monitor.observer import Observer
from study.monitor.progress import Progress
from study.storage.remote import of_study
from tests.study.clusters import cluster_of
from tivae.config import TrialConfig

pytestmark = pytest.mark.slow

# What Ray says of a node with an NVIDIA card, of a Mac, and of one without either.
GPU = {"num_cpus": 3, "num_gpus": 1, "labels": {"ray.io/accelerator-type": "A100"}}
MAC = {"num_cpus": 2, "num_gpus": 1, "labels": {"ray.io/accelerator-type": "M1-Pro"}}
CPU = {"num_cpus": 2}
FOUND = {"A100": "cuda", "M1-Pro": "mps"}


def _stand_in(config, **given):
    """A worker that says where it is, for half a second."""
    started = time.time()
    time.sleep(0.5)
    place = {
        "node": ray.get_runtime_context().get_node_id(),
        "device": config["pool"]["device"],
        "process": os.getpid(),
    }
    asked = {"asked": config["pool"]["node"], "started": started, "ended": time.time()}
    metrics = {"base_accuracy": 0.5, "augmented_accuracy": 0.5, **place, **asked}
    record = {"status": "finished", "error": None, "metrics": metrics}
    records = json.dumps({Job.from_text(config["job"]).key: record})
    ray.tune.report({"status": "finished", "error": None, "records": records})


def _run(monkeypatch, folder, trials, **options):
    """What each trial's worker reported, and the labels of the nodes by their ids."""
    labels = {node["NodeID"]: node["Labels"].get("ray.io/accelerator-type") for node in ray.nodes()}
    monkeypatch.setattr(cluster, "_ask", lambda node: ray.put(FOUND.get(labels[node])))
    monkeypatch.setattr(tune, "work", _stand_in)
    # As fast as each other, so that all are used.
    monkeypatch.setattr(load, "SPEED_AT_FIRST", dict.fromkeys(("cuda", "mps", "cpu"), 1.0))
    cluster._accelerators.forget()
    cluster.nodes(60)
    jobs = plan([TrialConfig(seed=seed) for seed in range(trials)], folder)
    slots = cluster.LiveSlots(SlotOptions(**options), print)
    display = Display(Progress(jobs, 1, 0, time.monotonic), Console(file=io.StringIO()))
    ended = []
    recorder = SimpleNamespace(ended=lambda job, result, is_recorded: ended.append(result))
    supplies = Supplies(data={}, storage=of_study(None, folder))
    tune.run(Dispatcher(jobs, slots()), slots, supplies, Observer(display, recorder, lambda: None), folder)
    return ended, labels


def _most_at_once(ended):
    moments = sorted([(row["started"], 1) for row in ended] + [(row["ended"], -1) for row in ended])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


@pytest.fixture(scope="module")
def mixed():
    """A CUDA node, a Mac to which Ray has given a GPU, and a node of CPUs, and this process connected to them."""
    with cluster_of(GPU, MAC, CPU) as (found, _):
        environment = {"env_vars": {"PYTHONPATH": str(cluster.REPOSITORY)}}
        ray.init(address=found.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
        yield found
        ray.shutdown()


def test_each_trial_gets_the_device_of_its_node(mixed, monkeypatch, tmp_path):
    ended, labels = _run(monkeypatch, tmp_path, 40, trials_per_gpu=2)
    assert [row["error"] for row in ended] == [None] * 40
    for row in ended:
        assert row["node"] == row["asked"]
        if row["device"] != "cpu":
            assert FOUND[labels[row["node"]]] == row["device"]
    assert {row["device"] for row in ended} == {"cuda", "mps", "cpu"}
    # Two on the GPU and one on each other node's device; CPUs that stand by for a device are no slots.
    assert _most_at_once(ended) <= 2 + 1 + 1 + 1 + 2
    # A process for each slot, and a few that Tune did not keep.
    assert len({row["process"] for row in ended}) <= 20


def test_max_concurrent_holds_whatever_room_there_is(mixed, monkeypatch, tmp_path):
    ended, _ = _run(monkeypatch, tmp_path, 4, devices=("cpu",), max_concurrent=1)
    assert _most_at_once(ended) == 1


def test_devices_that_are_not_wanted_are_not_used(mixed, monkeypatch, tmp_path):
    ended, labels = _run(monkeypatch, tmp_path, 2, devices=("mps",))
    assert {(row["device"], labels[row["node"]]) for row in ended} == {("mps", "M1-Pro")}
