"""How busy the slots were."""

import pytest

from study.monitor.utilisation import Utilisation


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_time_inside_trials_over_the_time_of_all_slots():
    clock = Clock()
    used = Utilisation(2, clock)
    clock.now += 10
    used.ended(9.0)
    used.ended(7.0)
    assert used.share() == pytest.approx(16 / 20)


def test_slots_that_have_nothing_left_to_do_are_told_apart():
    clock = Clock()
    used = Utilisation(2, clock)
    used.started()
    clock.now += 10
    used.ended(10.0)
    used.started()
    clock.now += 10
    used.ended(20.0)
    used.ended(10.0)
    clock.now += 10
    used.ended(10.0)
    assert used.share_while_filled() == pytest.approx(1.0)
    assert used.share() == pytest.approx(50 / 60)


def test_nodes_that_come_and_go_count_while_they_are_there():
    clock = Clock()
    used = Utilisation(1, clock)
    clock.now += 10
    used.resize(3)
    clock.now += 10
    used.ended(20.0)
    assert used.share() == pytest.approx(20 / (10 + 30))


def test_nothing_is_said_of_no_time_or_no_slots():
    clock = Clock()
    assert Utilisation(2, clock).share() is None
    used = Utilisation(0, clock)
    clock.now += 5
    assert used.share() is None
