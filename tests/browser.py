"""A browser for tests of pages."""

import contextlib
import shutil

import pytest

from tests.waiting import HANG_SECONDS

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needed = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")


@contextlib.contextmanager
def launched():
    """Gives the browser; pages and playwright's `expect` wait for what would otherwise hang for ever."""
    driver = pytest.importorskip("playwright.sync_api")
    driver.expect.set_options(timeout=1000 * HANG_SECONDS)
    with driver.sync_playwright() as started:
        running = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()
