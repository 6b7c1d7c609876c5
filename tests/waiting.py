"""Limits of time for tests that must pass on a machine that is busy with other work as well."""

import time

# For what would otherwise hang for ever; never for how fast something is.
HANG_SECONDS = 1800.0


def slowness():
    """How much longer a fixed piece of work takes now than it takes of the processor: 1 on an idle machine, or more."""
    wall, own = time.perf_counter(), time.process_time()
    sum(range(3_000_000))
    return max(1.0, (time.perf_counter() - wall) / (time.process_time() - own))


def until(condition, is_over=lambda: False, interval=0.02):
    """Waits until the condition holds or what would bring it about is over; fails where it hangs."""
    deadline = time.monotonic() + HANG_SECONDS
    while not condition() and not is_over():
        assert time.monotonic() < deadline, "it did not come to this"
        time.sleep(interval)
