"""Pages of a running app in a real browser."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from demo.chromium import chromium
from playwright.sync_api import Browser, Page, expect, sync_playwright
from running_app import MILLISECONDS, RunningApp


def a_browser() -> Iterator[Browser]:
    """Chromium; a test that needs it is skipped where it is missing."""
    program = chromium()
    if program is None:
        sentence = "Chromium is not installed (Debian's `chromium`)."
        (pytest.fail if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip)(sentence)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--no-proxy-server"]
        )
        yield browser
        browser.close()


def opened(browser: Browser, app: RunningApp, **options: object) -> Iterator[Page]:
    settings = {"viewport": {"width": 1240, "height": 900}, "accept_downloads": True} | options
    context = browser.new_context(base_url=app.address, **settings)  # type: ignore[arg-type]
    context.set_default_timeout(MILLISECONDS)
    expect.set_options(timeout=MILLISECONDS)
    # Chromium gives up what it loads whenever a network interface of the machine comes or goes, as those of
    # containers do; Playwright loads parts of pages and downloads from the same server and does not.
    for parts in ("**/static/**", "**/media/**"):
        context.route(parts, lambda route: route.fulfill(response=route.fetch(max_retries=5)))
    yield context.new_page()
    context.unroute_all(behavior="ignoreErrors")
    context.close()
