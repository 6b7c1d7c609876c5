"""Slots for trials."""

import pytest

from study.devices import DeviceError, pools


def test_a_machine_without_accelerators_has_a_slot_per_core():
    (pool,) = pools({"CPU": 2.0, "memory": 1e9})
    assert (pool.device, pool.slots, pool.threads) == ("cpu", 2, 1)


def test_all_kinds_are_used_at_once_and_share_the_cpus():
    found = pools({"CPU": 16.0, "GPU": 1.0, "mps": 1.0}, trials_per_gpu=4)
    assert [(pool.device, pool.slots) for pool in found] == [("cuda", 4), ("mps", 1), ("cpu", 11)]
    assert found[0].resources == {"CPU": 1, "GPU": 0.25}
    assert sum(pool.slots * pool.resources["CPU"] for pool in found) == 16


def test_cpus_per_trial_are_its_threads():
    (pool,) = pools({"CPU": 7.0}, cpus_per_trial=3)
    assert (pool.slots, pool.threads) == (2, 3)


@pytest.mark.parametrize("limit", [1, 3, 5])
def test_max_concurrent_bounds_all_kinds_together(limit):
    found = pools({"CPU": 8.0, "GPU": 2.0}, max_concurrent=limit)
    assert sum(pool.slots for pool in found) == limit
    assert found[0].device == "cuda"


def test_only_the_devices_asked_for_are_used():
    assert [pool.device for pool in pools({"CPU": 8.0, "GPU": 2.0}, devices=("cpu",))] == ["cpu"]


def test_a_device_that_is_not_there_is_told():
    with pytest.raises(DeviceError, match=r"asks for cuda.*it has 8 CPU, 0 GPU, 0 mps"):
        pools({"CPU": 8.0}, devices=("cuda",))


def test_more_cpus_per_trial_than_there_are_is_told():
    with pytest.raises(DeviceError, match=r"--cpus-per-trial is 9, more than the cluster has: it has 8 CPU"):
        pools({"CPU": 8.0}, cpus_per_trial=9)
