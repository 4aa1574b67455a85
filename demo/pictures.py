"""Pictures for the documentation, taken of a running `make demo` in the distribution's Chromium."""

from __future__ import annotations

import shutil
import sys

from playwright.sync_api import Browser, Page, expect, sync_playwright

from carprice.data_root import DataRoot
from demo.browser import describe_logan, estimate
from demo.settings import REPOSITORY, Settings

PICTURES = REPOSITORY / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
MILLISECONDS = 60_000
DESKTOP = {"width": 1240, "height": 900}
PHONE = {"width": 390, "height": 844}

# Page of the app -> what stands on it once it has its content.
PAGES = {"historique": "Historique", "modele": "Version", "rapports": "Rapports"}


def main() -> int:
    """Take every picture; returns the exit status."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("pictures: a Chromium was expected, found none; install it", file=sys.stderr)  # noqa: T201
        return 2
    settings = Settings.from_environment(ports_must_be_free=False)
    PICTURES.mkdir(exist_ok=True)
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        _app(browser, settings)
        _reports(browser, DataRoot(str(settings.data)))
        browser.close()
    return 0


def _app(browser: Browser, settings: Settings) -> None:
    for name, viewport in (("app", DESKTOP | {"height": 1500}), ("app-phone", PHONE)):
        page = _page(browser, viewport)
        page.goto(settings.app_url)
        describe_logan(page, asking=75_000)
        estimate(page)
        page.get_by_test_id("price").scroll_into_view_if_needed()
        _take(page, name)
        page.close()
    page = _page(browser, DESKTOP)
    for path, words in PAGES.items():
        page.goto(f"{settings.app_url}/{path}")
        expect(page.get_by_text(words).first).to_be_visible()
        _take(page, f"app-{path}")
    page.close()


def _reports(browser: Browser, root: DataRoot) -> None:
    page = _page(browser, DESKTOP)
    page.goto(f"file://{root.path('reports/index.html')}")
    _take(page, "index")
    for kind in ("quality", "pipeline", "models", "drift", "live"):
        pages = [name for name in root.names(f"reports/{kind}", ".html") if ".evidently." not in name]
        if pages:
            page.goto(f"file://{root.path(f'reports/{kind}/{pages[-1]}')}")
            _take(page, kind)
    page.close()


def _page(browser: Browser, viewport: dict[str, int]) -> Page:
    page = browser.new_page(viewport=viewport)  # type: ignore[arg-type]
    page.set_default_timeout(MILLISECONDS)
    return page


def _take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    for unfinished in ("stStatusWidget", "stSkeleton"):  # of Streamlit's pages
        expect(page.get_by_test_id(unfinished)).to_have_count(0)
    page.screenshot(path=PICTURES / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
