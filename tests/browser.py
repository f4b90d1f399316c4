"""A headless browser for the tests of pages: finding one, and reading what a page left in its `data-result`."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def run_page(address: str, folder: Path, *options: str, width: int, otherwise: str) -> dict:
    """Return the JSON value that a page wrote into the attribute `data-result` of its root element.

    Args:
        address: of the page.
        folder: for the browser's profile.
        options: further ones of the browser.
        width: of the window, pixels.
        otherwise: what is tested where there is no browser: the test is skipped and says so.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"No Chromium on this machine: {otherwise}. `apt-get install chromium` runs this test.")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", f"--window-size={width},900", "--virtual-time-budget=60000",
        *options, "--dump-dom", address,
    ]  # fmt: skip
    printed = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    found = re.search(r'<html[^>]* data-result="([^"]*)"', printed.stdout)
    assert found is not None, f"the page did not finish: {printed.stderr[-2000:]}"
    return json.loads(html.unescape(found[1]))
