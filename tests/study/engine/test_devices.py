"""Slots for trials."""

import pytest

from study.engine.devices import DeviceError, SlotOptions, named

GPU_NODE = {"CPU": 16.0, "GPU": 1.0, "mps": 1.0}


def test_a_machine_without_accelerators_has_a_slot_per_core():
    (pool,) = SlotOptions().pools([{"CPU": 2.0, "memory": 1e9}])
    assert (pool.kind, pool.device, pool.slots, pool.threads) == ("cpu", "cpu", 2, 1)


def test_all_kinds_are_used_at_once_and_share_the_cpus():
    found = SlotOptions(trials_per_gpu=4).pools([GPU_NODE])
    assert [(pool.kind, pool.slots) for pool in found] == [("cuda", 4), ("mps", 1), ("cpu", 11)]
    assert named(found) == "4 x cuda, 1 x mps, 11 x cpu"


def test_a_trial_on_an_accelerator_asks_ray_for_nothing_else():
    found = {pool.kind: pool.resources for pool in SlotOptions(trials_per_gpu=4).pools([GPU_NODE])}
    assert found == {"cuda": {"GPU": 0.25}, "mps": {"mps": 1}, "cpu": {"CPU": 1}}


def test_cpus_per_trial_are_its_threads():
    (pool,) = SlotOptions(cpus_per_trial=3).pools([{"CPU": 7.0}])
    assert (pool.slots, pool.threads, pool.resources) == (2, 3, {"CPU": 3})


def test_slots_are_counted_node_by_node():
    (pool,) = SlotOptions(cpus_per_trial=2).pools([{"CPU": 3.0}, {"CPU": 3.0}])
    assert pool.slots == 2, "no trial has CPUs of two nodes"
    lonely_gpu = SlotOptions().pools([{"CPU": 1.0, "GPU": 2.0}, {"CPU": 8.0}])
    assert [(pool.kind, pool.slots) for pool in lonely_gpu] == [("cuda", 1), ("cpu", 8)]


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_max_concurrent_bounds_all_kinds_together(limit):
    found = SlotOptions(max_concurrent=limit).pools([{"CPU": 4.0, "GPU": 2.0}, {"CPU": 4.0}])
    assert sum(pool.slots for pool in found) == limit
    assert found[0].kind == "cuda"


def test_only_the_devices_asked_for_are_used():
    assert [pool.kind for pool in SlotOptions(devices=("cpu",)).pools([{"CPU": 8.0, "GPU": 2.0}])] == ["cpu"]


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(DeviceError, match=r"asks for cuda.*it has 8 CPU, 0 GPU, 0 mps"):
        SlotOptions(devices=("cuda",)).pools([{"CPU": 8.0}])
    with pytest.raises(DeviceError, match=r"asks for mps.*it has 9 CPU, 1 GPU, 0 mps on 2 nodes"):
        SlotOptions(devices=("cuda", "mps")).pools([{"CPU": 8.0, "GPU": 1.0}, {"CPU": 1.0}])


def test_a_device_that_is_there_and_left_idle_by_the_limit_is_not_missed():
    assert [
        pool.kind for pool in SlotOptions(devices=("cuda", "cpu"), max_concurrent=1).pools([{"CPU": 8.0, "GPU": 1.0}])
    ] == ["cuda"]


def test_more_cpus_per_trial_than_any_node_has_is_told():
    with pytest.raises(DeviceError, match=r"--cpus-per-trial is 9, more than any node .*it has 16 CPU"):
        SlotOptions(cpus_per_trial=9).pools([{"CPU": 8.0}, {"CPU": 8.0}])


def test_without_nodes_nothing_is_available():
    assert SlotOptions().available([]) == []
    with pytest.raises(DeviceError, match="it has 0 CPU"):
        SlotOptions().pools([])
