"""Where all that tests use is installed, nothing is skipped unseen."""

import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With `TIVAE_NO_SKIPS`, as `.ci/run` sets it, a skip fails but for want of hardware, or of a right or a system.

    The reasons of these begin with "hardware: " and "system: ".
    """
    report = yield
    if os.environ.get("TIVAE_NO_SKIPS") and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(("hardware: ", "system: ")):
            report.outcome, report.longrepr = "failed", f"skipped, although everything is installed: {reason}"
    return report
