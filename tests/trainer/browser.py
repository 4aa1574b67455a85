"""The distribution's Chromium, cut off from every network but this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from demo.chromium import chromium

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]


@contextmanager
def offline_page(**context: Any) -> Iterator[Any]:
    """A page of a browser without a network. Fails on any error of a script; skips where no Chromium is."""
    program = chromium()
    if program is None:
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail("a Chromium was expected, found none; install the package chromium")
        pytest.skip("no Chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        page = browser.new_page(**context)
        errors: list[Any] = []
        page.on("pageerror", lambda error: errors.append(error))
        yield page
        browser.close()
        assert errors == []
