"""Slots for trials."""

import pytest

from study.engine.devices import DeviceError, Node, SlotOptions, named
from study.options import RunOptions

LARGE = Node("large", "large", 16, 1, "cuda")
MAC = Node("mac", "mac", 8, 1, "mps")
SMALL = Node("small", "small", 4)


def _slots(found):
    return [(pool.node, pool.device, pool.slots) for pool in found]


def test_a_machine_without_accelerators_has_a_slot_per_core():
    (pool,) = SlotOptions().pools([Node("", "", 2)])
    assert (pool.device, pool.slots, pool.threads, pool.node, pool.place) == ("cpu", 2, 1, "", "cpu")


def test_all_types_are_used_at_once_and_share_the_cpus_of_their_node():
    found = SlotOptions(trials_per_gpu=4).pools([LARGE, MAC, SMALL])
    assert _slots(found) == [
        ("large", "cuda", 4),
        ("mac", "mps", 1),
        ("large", "cpu", 12),
        ("mac", "cpu", 7),
        ("small", "cpu", 4),
    ]
    assert named(found) == "4 x cuda, 1 x mps, 23 x cpu"
    assert [pool.place for pool in found[:2]] == ["cuda of large", "mps of mac"]


def test_a_mac_is_no_cuda_machine_whatever_ray_counts():
    """Ray 2.58 and later gives a Mac `GPU: 1`, as it gives a machine with an NVIDIA card."""
    for gpus in (0, 1):
        found = SlotOptions(trials_per_gpu=4).pools([Node("mac", "mac", 8, gpus, "mps")])
        assert [(pool.device, pool.slots) for pool in found] == [("mps", 1), ("cpu", 7)]
        assert found[0].resources == {"CPU": 1} | ({"GPU": 1} if gpus else {})


def test_a_gpu_that_torch_does_not_find_is_not_used_and_named():
    blind = Node("blind", "blind", 8, 2, None)
    assert _slots(SlotOptions().pools([blind])) == [("blind", "cpu", 8)]
    with pytest.raises(DeviceError, match="0 GPU, 0 mps, 2 GPU that torch does not find"):
        SlotOptions(devices=("cuda",)).pools([blind])


def test_a_trial_asks_ray_for_all_that_it_uses():
    found = {pool.device: pool.resources for pool in SlotOptions(trials_per_gpu=4, cpus_per_trial=2).pools([LARGE])}
    assert found == {"cuda": {"CPU": 2, "GPU": 0.25}, "cpu": {"CPU": 2}}


@pytest.mark.parametrize("options", [SlotOptions(), SlotOptions(trials_per_gpu=4), SlotOptions(cpus_per_trial=3)])
def test_no_node_is_asked_for_more_than_it_has(options):
    nodes = (LARGE, MAC, SMALL)
    for node in nodes:
        pools = [pool for pool in options.pools(nodes) if pool.node == node.id]
        for name, whole in (("CPU", node.cpus), ("GPU", node.gpus)):
            assert sum(pool.slots * pool.resources.get(name, 0) for pool in pools) <= whole


@pytest.mark.parametrize(
    ("nodes", "options", "full"),
    [
        ([SMALL], SlotOptions(), {"cpu": True}),
        ([SMALL], SlotOptions(max_concurrent=3), {"cpu": False}),
        # A further trial on CPUs would start on one that stands by for the GPU.
        ([LARGE], SlotOptions(trials_per_gpu=4), {"cuda": True, "cpu": False}),
        ([LARGE], SlotOptions(trials_per_gpu=4, max_concurrent=2), {"cuda": False}),
        ([MAC], SlotOptions(devices=("mps",)), {"mps": True}),
        ([Node("old", "old", 8, 0, "mps")], SlotOptions(devices=("mps",)), {"mps": False}),
        ([Node("odd", "odd", 7)], SlotOptions(cpus_per_trial=2), {"cpu": True}),
    ],
)
def test_a_pool_is_full_where_ray_could_start_no_further_trial_of_it(nodes, options, full):
    assert {pool.device: pool.is_full for pool in options.pools(nodes)} == full


def test_cpus_per_trial_are_its_threads():
    (pool,) = SlotOptions(cpus_per_trial=3).pools([Node("", "", 7)])
    assert (pool.slots, pool.threads, pool.resources) == (2, 3, {"CPU": 3})


def test_slots_are_counted_node_by_node():
    found = SlotOptions(cpus_per_trial=2).pools([Node("a", "a", 3), Node("b", "b", 3)])
    assert _slots(found) == [("a", "cpu", 1), ("b", "cpu", 1)], "no trial has CPUs of two nodes"
    lonely_gpu = SlotOptions().pools([Node("a", "a", 1, 2, "cuda"), Node("b", "b", 8)])
    assert _slots(lonely_gpu) == [("a", "cuda", 1), ("b", "cpu", 8)]


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_max_concurrent_bounds_all_types_together(limit):
    found = SlotOptions(max_concurrent=limit).pools([SMALL, Node("gpus", "gpus", 4, 2, "cuda")])
    assert sum(pool.slots for pool in found) == limit
    assert found[0].device == "cuda"


def test_only_the_devices_asked_for_are_used():
    assert [pool.device for pool in SlotOptions(devices=("cpu",)).pools([LARGE])] == ["cpu"]


def test_a_device_that_is_not_there_is_named():
    with pytest.raises(DeviceError, match=r"asks for cuda.*it has 8 CPU, 0 GPU, 0 mps"):
        SlotOptions(devices=("cuda",)).pools([Node("", "", 8)])
    with pytest.raises(DeviceError, match=r"asks for mps.*it has 20 CPU, 1 GPU, 0 mps on 2 nodes"):
        SlotOptions(devices=("cuda", "mps")).pools([LARGE, SMALL])


def test_a_device_that_is_there_and_left_idle_by_the_limit_is_not_missed():
    options = SlotOptions(devices=("cuda", "cpu"), max_concurrent=1)
    assert [pool.device for pool in options.pools([LARGE])] == ["cuda"]


def test_more_cpus_per_trial_than_any_node_has_is_refused():
    with pytest.raises(DeviceError, match=r"--cpus-per-trial is 9, more than any node .*it has 8 CPU"):
        SlotOptions(cpus_per_trial=9).pools([SMALL, Node("other", "other", 4)])


def test_without_nodes_nothing_is_available():
    assert SlotOptions().available([]) == []
    with pytest.raises(DeviceError, match="it has 0 CPU"):
        SlotOptions().pools([])


def test_a_type_that_is_none_is_refused_with_the_one_that_is_meant():
    with pytest.raises(DeviceError, match=r"--devices is 'gpu'; did you mean cuda\? it must be auto"):
        SlotOptions.of(RunOptions(devices="gpu"))
