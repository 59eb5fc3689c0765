"""A real browser for the end-to-end tests: Debian's Chromium, without a window, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

_NAMES = ("chromium", "chromium-browser")
# Nothing that asks for the network; and this browser visits no page but ours, so it needs no sandbox, which containers
# do not let it have.
_SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser, or skip the test where there is none and none is required."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        reason = "there is no Chromium to look at the gallery with; to have it tested: apt-get install chromium"
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(f"REQUIRE_BROWSER is set, and {reason}")
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=_SWITCHES)
        try:
            yield browser
        finally:
            browser.close()
