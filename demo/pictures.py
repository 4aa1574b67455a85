"""Pictures for the documentation, taken of a running `make demo` in the distribution's Chromium."""

from __future__ import annotations

import shutil
import sys

from playwright.sync_api import Page, sync_playwright

from carprice.data_root import DataRoot
from demo.settings import REPOSITORY, Settings

PICTURES = REPOSITORY / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]


def main() -> int:
    """Take every picture; returns the exit status."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("pictures: a Chromium was expected, found none; install it", file=sys.stderr)  # noqa: T201
        return 2
    settings = Settings.from_environment(ports_must_be_free=False)
    PICTURES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        estimate(page, settings.app_url)
        page.screenshot(path=PICTURES / "app.png")
        root = DataRoot(str(settings.data))
        for kind in ("quality", "pipeline", "models"):
            newest = root.names(f"reports/{kind}", ".html")[-1]
            page.goto(f"file://{root.path(f'reports/{kind}/{newest}')}")
            page.screenshot(path=PICTURES / f"{kind}.png")
        browser.close()
    return 0


def estimate(page: Page, url: str) -> None:
    """Fill the form as a seller would, and wait for the price."""
    page.goto(url)
    page.get_by_label("Marque").fill("Dacia")
    page.get_by_label("Modèle", exact=True).fill("Logan")
    page.get_by_role("button", name="Estimer le prix").click()
    page.get_by_text("Prix estimé").wait_for(timeout=60_000)


if __name__ == "__main__":
    sys.exit(main())
