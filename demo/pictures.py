"""Takes the pictures of the documents from a running `make demo PAST=1`, in the distribution's Chromium."""

from __future__ import annotations

import os
import re
import sys
from urllib.parse import quote

import requests
from playwright.sync_api import Browser, Page, expect, sync_playwright

from carprice.store import DataRoot
from carprice_contract.data_root import REPORT_KINDS, REPORTS
from demo.browser import choose, describe_logan, estimate, give, settled
from demo.chromium import chromium
from demo.settings import REPOSITORY, Settings

PICTURES = REPOSITORY / "docs" / "pictures"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
MILLISECONDS = 60_000
DESKTOP = {"width": 1240, "height": 900}
PHONE = {"width": 390, "height": 844}

# Page of the app -> a text that it shows when its content is there.
PAGES = {"historique": "estimations", "modele": "Historique des promotions", "rapports": "Verdict"}
# Their content is below the fold.
WHOLE = {"historique", "modele"}


def main() -> int:
    """Take every picture; returns the exit status."""
    program = chromium()
    if program is None:
        print("pictures: a Chromium was expected, found none; install it", file=sys.stderr)  # noqa: T201
        return 2
    settings = Settings.from_environment(ports_must_be_free=False)
    PICTURES.mkdir(exist_ok=True)
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        _app(browser, settings)
        _market(browser, settings)
        _phones(browser, settings)
        _reports(browser, DataRoot(str(settings.data)))
        browser.close()
    return 0


def _app(browser: Browser, settings: Settings) -> None:
    for name, viewport in (("app", DESKTOP | {"height": 1620}), ("app-phone", PHONE)):
        page = _page(browser, viewport)
        page.goto(settings.app_url)
        describe_logan(page, asking=75_000)
        estimate(page)
        page.get_by_test_id("price").scroll_into_view_if_needed()
        _take(page, name)
        if name == "app":
            page.get_by_role("radio", name="English").click()
            expect(page.get_by_text("See the listing").first).to_be_visible()
            expect(page.get_by_text("Voir l'annonce")).to_have_count(0)
            settled(page)
            _take(page, "app-english", whole=True)
        page.close()
    page = _page(browser, DESKTOP)
    _priced_file(page, settings)
    for path, words in PAGES.items():
        page.goto(f"{settings.app_url}/{path}")
        expect(page.get_by_text(words).first).to_be_visible()
        if path == "historique":
            choose(page, "Estimation", "Dacia Logan 2015")
            give(page, re.compile("^Prix réellement payé"), 65_500)
            page.get_by_role("button", name="Enregistrer").click()
            expect(page.get_by_text("enregistré pour")).to_be_visible()
        _take(page, f"app-{path}", whole=path in WHOLE)
    page.close()


def _market(browser: Browser, settings: Settings) -> None:
    """The cars on offer, one of them, and the market."""
    ad = f"ad={quote(_told_listing(settings), safe='')}"
    page = _page(browser, DESKTOP | {"height": 1500})
    page.goto(f"{settings.app_url}/annonces")
    expect(page.get_by_test_id("offer").first).to_be_visible()
    _take(page, "app-annonces")
    page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]
    page.goto(f"{settings.app_url}/annonces?{ad}")
    expect(page.get_by_test_id("basis")).to_be_visible()
    _take(page, "app-annonce", whole=True)
    page.goto(f"{settings.app_url}/marche?marque=Dacia&modele=Logan")
    expect(page.get_by_test_id("market-figures").get_by_text("Prix médian")).to_be_visible()
    _take(page, "app-marche", whole=True)
    page.close()


def _phones(browser: Browser, settings: Settings) -> None:
    """The cars on offer and one of them, in Arabic on a phone."""
    ad = f"ad={quote(_told_listing(settings), safe='')}"
    for name, place, shown in (("annonces", "", "offer"), ("annonce", f"{ad}&", "asked")):
        page = _page(browser, PHONE)
        page.goto(f"{settings.app_url}/annonces?{place}lang=ar")
        expect(page.get_by_test_id(shown).first).to_be_visible()
        if shown == "offer":
            settled(page)
            page.get_by_test_id("label-counts").evaluate("counts => counts.scrollIntoView({block: 'center'})")
            page.mouse.wheel(0, PHONE["height"] // 4)
        _take(page, f"app-{name}-arabic-phone")
        page.close()


def _told_listing(settings: Settings) -> str:
    """The listing with the most to tell: a good price that has changed, of a car with many like it."""
    with requests.Session() as session:
        session.trust_env = False
        query = {"label": ["good_price", "very_good_price"], "limit": "100"}
        answer = session.get(f"{settings.api_url}/v1/listings", params=query, timeout=60)
    answer.raise_for_status()
    listings = answer.json()["listings"]
    return str(
        max(listings, key=lambda each: (each["price_changes"], each["days_listed"] or 0))["listing_id"]
    )


def _priced_file(page: Page, settings: Settings) -> None:
    """The page *Lot* with the prices of its own example."""
    page.goto(f"{settings.app_url}/lot")
    with page.expect_download() as download:
        page.get_by_role("button", name="Fichier d'exemple").click()
    example = download.value
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": example.suggested_filename, "mimeType": "text/csv", "buffer": example.path().read_bytes()}
    )
    page.get_by_role("button", name="Estimer ces annonces").click()
    expect(page.get_by_text("sans prix.")).to_be_visible()
    _take(page, "app-lot", whole=True)


def _reports(browser: Browser, root: DataRoot) -> None:
    page = _page(browser, DESKTOP)
    page.goto(f"file://{root.path('reports/index.html')}")
    _take(page, "index")
    for kind in REPORT_KINDS:
        folder = f"{REPORTS}/{kind}"
        pages = root.names(folder, ".html")
        for name, is_evidently in ((kind, False), (f"{kind}-evidently", True)):
            paths = [root.path(f"{folder}/{p}") for p in pages if (".evidently." in p) is is_evidently]
            if paths:
                page.goto(f"file://{max(paths, key=os.path.getmtime)}")
                _take(page, name)
    page.close()


def _page(browser: Browser, viewport: dict[str, int]) -> Page:
    page = browser.new_page(viewport=viewport)  # type: ignore[arg-type]
    page.set_default_timeout(MILLISECONDS)
    # Chromium aborts a download whenever a network interface of the machine appears or disappears.
    page.route("**/static/**", lambda route: route.fulfill(response=route.fetch(max_retries=5)))
    return page


def _take(page: Page, name: str, whole: bool = False) -> None:
    """A picture of what is in view, or of the `whole` page of the app, which scrolls by itself."""
    page.wait_for_load_state("networkidle")
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement?.blur()")  # no button looks pressed
    if whole:
        settled(page)
        shown, height = 0, DESKTOP["height"]
        while height > shown:  # what is drawn late makes the page longer
            shown = height
            page.set_viewport_size({"width": DESKTOP["width"], "height": shown})
            page.wait_for_load_state("networkidle")
            expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
            height = int(page.get_by_test_id("stMain").evaluate("main => main.scrollHeight"))
    for unfinished in ("stStatusWidget", "stSkeleton"):  # of Streamlit's pages
        expect(page.get_by_test_id(unfinished)).to_have_count(0)
    expect(page.locator("[data-testid=stVegaLiteChart]:not(:has(canvas, svg))")).to_have_count(0)
    page.screenshot(path=PICTURES / f"{name}.png")
    if whole:
        page.set_viewport_size(DESKTOP)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
