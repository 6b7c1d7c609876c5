"""The connection to Ray, and slots that follow the nodes of a cluster."""

import json
from types import SimpleNamespace

import pytest

from study.engine import cluster
from study.engine.cluster import LiveSlots
from study.engine.devices import ClusterError, Node, SlotOptions, named
from study.storage.remote import StorageError, of_study

SMALL = Node("1", "first", 1)
LARGE = Node("2", "second", 2, 1, "cuda")


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (
            "No node info found matching attributes",
            "this machine is no node of the cluster at head:6379; give the command on",
        ),
        ("Version mismatch: Python 3.11 and 3.12", r"can't be joined \(Version mismatch.*check that Python and Ray"),
    ],
)
def test_a_cluster_that_answers_and_can_not_be_joined_is_reported(monkeypatch, reason, expected):

    def init(**options):
        raise RuntimeError(reason)

    monkeypatch.setattr(cluster.ray, "init", init)
    with pytest.raises(ClusterError, match=expected):
        cluster.session("head:6379").__enter__()


def test_variables_that_a_ray_job_sets_itself_are_left_to_it(monkeypatch):
    given = {"runtime_env": {"env_vars": {"TIVAE_COMMIT": "abc"}, "working_dir": "gcs://x.zip"}}
    monkeypatch.setenv(cluster.JOB_VARIABLE, json.dumps(given))
    monkeypatch.setenv("TIVAE_KERNELS", "torch")
    joined = []
    monkeypatch.setattr(
        cluster.ray, "init", lambda **options: joined.append(options) or SimpleNamespace(dashboard_url="")
    )
    monkeypatch.setattr(cluster.ray, "shutdown", lambda: None)
    with cluster.session("head:6379"):
        (options,) = joined
    assert options["runtime_env"]["env_vars"] == {"TIVAE_KERNELS": "torch"}


def test_a_cluster_without_a_node_for_trials_is_waited_for(monkeypatch):
    able = {"NodeID": "1", "Alive": True, "Resources": {"CPU": 2.0}, "NodeManagerHostname": "first"}
    seen, said = [[], [], [able]], []
    monkeypatch.setattr(cluster.ray, "nodes", lambda: seen.pop(0) if len(seen) > 1 else seen[0])
    monkeypatch.setattr(cluster, "UPDATE_INTERVAL", 0.01)
    monkeypatch.setattr(cluster._accelerators, "known", {"1": None})
    assert [node.name for node in cluster.awaited(60.0, said.append)] == ["first"]
    assert said == ["waiting for a node with CPUs to join (--node-timeout: 60 s)"]
    monkeypatch.setattr(cluster.ray, "nodes", list)
    with pytest.raises(ClusterError, match="no node with CPUs has joined within 0 s; see `ray status`"):
        cluster.awaited(0.0, said.append)


def test_the_dashboard_is_for_this_machine_only(monkeypatch):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: object())
    options = cluster._local(dashboard=True)
    assert options["include_dashboard"]
    assert options["dashboard_host"] == "127.0.0.1"
    assert not cluster._local(dashboard=False)["include_dashboard"]


def test_a_dashboard_that_is_not_installed_is_reported(monkeypatch):
    monkeypatch.setattr(cluster.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match="--dashboard needs the extra `cluster`"):
        cluster._local(dashboard=True)


@pytest.fixture
def slots(monkeypatch):
    """Slots of nodes that the test changes, the time, and what is logged."""
    now, nodes, logged = [0.0], [SMALL], []
    monkeypatch.setattr(cluster.time, "monotonic", lambda: now[0])
    return LiveSlots(SlotOptions(), logged.append, list_nodes=lambda: list(nodes)), now, nodes, logged


def test_slots_follow_the_nodes_and_changes_are_reported_once(slots):
    live, now, nodes, logged = slots
    assert [pool.slots for pool in live()] == [1]
    nodes.append(LARGE)
    now[0] += 2
    assert named(live()) == "1 x cuda, 2 x cpu"
    nodes.remove(SMALL)
    now[0] += 2
    assert named(live()) == "1 x cuda, 1 x cpu"
    unchanged = live()
    now[0] += 2
    # By this the scheduler tells that nothing has changed.
    assert live() is unchanged
    assert logged == [
        "second joined: 1 x cpu before, now 1 x cuda, 2 x cpu",
        "first left: 1 x cuda, 2 x cpu before, now 1 x cuda, 1 x cpu",
    ]
    nodes.clear()
    now[0] += 2
    assert live() == []
    assert logged[-1] == "second left: 1 x cuda, 1 x cpu before, now none"


def test_gpus_that_torch_does_not_find_are_named_once(slots):
    live, now, nodes, logged = slots
    nodes.append(Node("3", "blind", 2, 4))
    for _ in range(2):
        now[0] += 2
        live()
    assert logged == [
        "blind: torch there is built without CUDA, so its 4 GPUs are not used",
        "blind joined: 1 x cpu before, now 3 x cpu",
    ]


@pytest.fixture
def asked(monkeypatch):
    """Two nodes, the references by which they were asked, and what has been answered."""
    answers, questions = {}, []
    alive = [
        {"NodeID": name, "Alive": True, "NodeManagerAddress": name, "Resources": {"CPU": 2.0, "GPU": 1.0}}
        for name in ("linux", "mac")
    ]
    monkeypatch.setattr(cluster.ray, "nodes", lambda: alive)
    monkeypatch.setattr(cluster, "_ask", lambda node: questions.append(node) or f"to {node}")
    monkeypatch.setattr(cluster.ray, "wait", lambda refs, num_returns, timeout: ([r for r in refs if r in answers], []))

    def get(reference):
        if isinstance(answers[reference], Exception):
            raise answers[reference]
        return answers[reference]

    monkeypatch.setattr(cluster.ray, "get", get)
    monkeypatch.setattr(cluster, "_accelerators", cluster._Accelerators())
    return answers, questions


def test_a_node_is_asked_once_what_torch_finds_there_and_used_when_it_has_answered(asked):
    answers, questions = asked
    assert cluster.nodes() == []
    answers["to mac"] = "mps"
    assert cluster.nodes() == [Node("mac", "mac", 2, 1, "mps")]
    answers["to linux"] = "cuda"
    found = {node.name: node.accelerator for node in cluster.nodes()}
    assert found == {"linux": "cuda", "mac": "mps"}
    assert sorted(questions) == ["linux", "mac"]


def test_nodes_that_start_late_are_waited_for_with_a_word(asked, monkeypatch):
    answers, _ = asked
    logged, waited = [], []
    answers["to linux"] = None

    def wait(references, num_returns, timeout):
        waited.append(timeout)
        # The Mac's worker starts after the user has been informed.
        answers.update({"to mac": "mps"} if logged else {})
        return [it for it in references if it in answers], []

    monkeypatch.setattr(cluster.ray, "wait", wait)
    assert {node.name for node in cluster.awaited(300, logged.append)} == {"linux", "mac"}
    assert waited == [cluster.PATIENCE_SECONDS, 300 - cluster.PATIENCE_SECONDS]
    assert logged == ["waiting for a worker to start on mac (--node-timeout: 300 s)"]


def test_of_nodes_that_do_not_start_the_others_are_used_and_none_is_an_error(asked):
    answers, _ = asked
    logged = []
    with pytest.raises(ClusterError, match=r"no worker has started within 9 s on linux, mac; .*--node-timeout"):
        cluster.awaited(9, logged.append)
    answers["to mac"] = "mps"
    assert [node.name for node in cluster.awaited(9, logged.append)] == ["mac"]
    assert logged[-1] == "linux: no worker has started there within 9 s; used as soon as one has"


def test_a_node_that_can_not_answer_is_taken_to_have_no_accelerator(asked):
    answers, questions = asked
    answers |= {"to mac": cluster.ray.exceptions.RayError("no torch"), "to linux": "cuda"}
    found = {node.name: node.accelerator for node in cluster.nodes()}
    assert found == {"linux": "cuda", "mac": None}
    cluster.nodes()
    assert len(questions) == 2


def test_the_cluster_is_asked_once_a_second_at_most(slots):
    live, now, nodes, _ = slots
    before = live()
    nodes.append(LARGE)
    now[0] += 0.5
    assert live() is before


def _fake_ray(monkeypatch, answers):
    monkeypatch.setattr(cluster, "nodes", lambda: [SMALL, LARGE, Node("3", "head", 0)])
    monkeypatch.setattr(cluster, "ARRIVAL_SECONDS", 0.0)
    asked = []

    def ask(storage, token, able, seconds):
        asked.extend(node.id for node in able)
        for node in able:
            if answers.get(node.id, "silent") is None:
                storage.check_from_here(token, node.id)
        begun = {node.id for node in able} - {node for node, answer in answers.items() if answer == "starting"}
        return begun, {node: answer for node, answer in answers.items() if answer != "starting"}

    monkeypatch.setattr(cluster, "_asked", ask)
    return asked


def test_every_node_that_runs_trials_is_asked_whether_it_can_write(monkeypatch, tmp_path):
    asked = _fake_ray(monkeypatch, {"1": None, "2": None})
    cluster.check_storage(of_study(str(tmp_path), tmp_path / "grid"), SlotOptions(), 7)
    assert asked == ["1", "2"], "the head runs none"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"1": None, "2": "Permission denied"}, r"the node second can't use the storage .*grid \(Permission denied\)"),
        (
            {"1": None},
            r"the node second can't use the storage .*\(it does not answer there within 7 s, see --node-time",
        ),
    ],
)
def test_a_storage_that_a_node_can_not_write_is_reported_with_its_name(monkeypatch, tmp_path, answers, expected):
    _fake_ray(monkeypatch, answers)
    with pytest.raises(StorageError, match=expected):
        cluster.check_storage(of_study(str(tmp_path), tmp_path / "grid"), SlotOptions(), 7)


def test_a_worker_that_is_still_starting_is_reported_from_a_folder_that_is_not_shared(monkeypatch, tmp_path):
    _fake_ray(monkeypatch, {"1": None, "2": "starting"})
    with pytest.raises(ClusterError, match=r"^no worker has started within 7 s on second, .* --node-timeout more sec"):
        cluster.check_storage(of_study(str(tmp_path), tmp_path / "grid"), SlotOptions(), 7)


def test_a_node_whose_files_do_not_come_is_reported(monkeypatch, tmp_path):
    _fake_ray(monkeypatch, {"1": None, "2": None})
    monkeypatch.setattr("study.storage.remote.Storage.answers", lambda self, token, wrote, seconds: {"1"})
    with pytest.raises(StorageError, match=r"the node second .*what it writes there does not appear here"):
        cluster.check_storage(of_study(str(tmp_path), tmp_path / "grid"), SlotOptions(), 7)
