"""A Chromium for tests of what people see; without one they skip, and say what to install."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium: Playwright's (`pip install .[browser]`), or the system's."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install .[browser]")
    with sync_api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        except sync_api.Error as problem:
            pytest.skip(f"needs a Chromium that starts: {str(problem).splitlines()[0]}")
        yield started
        started.close()
