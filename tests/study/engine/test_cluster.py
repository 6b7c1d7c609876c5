"""The command on clusters of several nodes: the same metrics, whatever happens to the nodes."""

import json

import pytest
import torch

from study.space import search_space
from tests.study.clusters import SPACE, Command, add_node, cluster_of
from tests.study.faults import metrics
from tivae import stages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def alone(host, tmp_path_factory):
    """The metrics of the space's trials, one after the other in this process, without Ray."""

    def run(seeds=1, **changes):
        folder = tmp_path_factory.mktemp("alone")
        (folder / "small.yaml").write_text(SPACE)
        for config in search_space.read(folder / "small.yaml", overrides=changes, seeds=seeds).trials:
            stages.run_trial(config, host, "cpu", folder)
        return metrics(folder)

    return run


def _devices(study):
    return {json.loads(path.read_text())["provenance"]["device"] for path in study.glob("trials/*/record.json")}


@pytest.mark.skipif(torch.version.cuda is None, reason="hardware: torch is built without CUDA")
def test_nodes_without_data_and_without_stn_of_different_types_give_the_figures_of_one_machine(alone, tmp_path):
    nodes = ({"num_cpus": 1}, {"num_cpus": 2, "num_gpus": 1})
    with cluster_of(*nodes) as (cluster, _):
        storage = f"file://{tmp_path}/bucket"
        with Command(tmp_path, "--address", cluster.address, "--storage", storage, "--trials-per-gpu", "1") as command:
            printed = command.end()
    assert "on 1 x cuda, 2 x cpu" in printed
    # Nothing here can run on a GPU: the nodes only say that they have one.
    assert "cuda of " in printed
    assert " can't run " in printed
    assert "run elsewhere" in printed
    assert _devices(command.study) == {"cpu"}
    assert metrics(command.study) == alone()
    assert {path.name for path in (tmp_path / "bucket" / "small").iterdir()} == {"trials", "trainings", "stns"}
    assert not list((tmp_path / "bucket").rglob("checkpoint.pt"))


def test_a_node_that_joins_is_used_and_one_that_dies_is_replaced(alone, tmp_path):
    # So many that some wait, however long a node takes to start.
    changes = ("--set", "stn=none", "--set", "epochs=150", "--seeds", "3")
    with (
        cluster_of({"num_cpus": 1}) as (cluster, (first,)),
        Command(tmp_path, "--address", cluster.address, *changes) as command,
    ):
        command.wait_until(lambda: any(job["row"].get("epoch", 0) >= 1 for job in command.running()))
        add_node(cluster, num_cpus=1)
        command.wait_until(lambda: len(command.running()) == 2)
        cluster.remove_node(first, allow_graceful=False)
        printed = command.end()
    assert "joined: 1 x cpu before, now 2 x cpu" in printed
    assert "left: 2 x cpu before, now 1 x cpu" in printed
    assert "it continues from its last epoch (" in printed
    assert metrics(command.study) == alone(seeds=3, stn=["none"], epochs=150)
    resumed = [
        json.loads(path.read_text())["provenance"]["resumed"] for path in command.study.glob("trials/*/record.json")
    ]
    assert sum(resumed) >= 1


def test_without_any_node_left_the_study_ends_in_good_order_and_continues_later(alone, tmp_path):
    changes = ("--set", "stn=none", "--set", "epochs=150")
    with cluster_of({"num_cpus": 1}) as (cluster, (only,)):
        with Command(tmp_path, "--address", cluster.address, *changes) as command:
            command.wait_until(lambda: any(job["row"].get("epoch", 0) >= 1 for job in command.running()))
            cluster.remove_node(only, allow_graceful=False)
            printed = command.end(code=1)
        assert "error: the last node that could run trials has left the cluster. When a node" in printed
        assert "Traceback" not in printed
        with Command(tmp_path, "--address", cluster.address, "--node-timeout", "1", *changes) as command:
            assert "no node with CPUs has joined within 1 s" in command.end(code=2)
        add_node(cluster, num_cpus=1)
        with Command(tmp_path, "--address", cluster.address, *changes) as command:
            command.end()
    assert metrics(command.study) == alone(stn=["none"], epochs=150)
