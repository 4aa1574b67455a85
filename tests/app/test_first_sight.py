"""*Annonces* before Streamlit has loaded: the cars are in the page that the server sends."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from browsing import opened
from conftest import wait_until
from fake_market import FakeMarket, fake_market, market_of, offer
from playwright.sync_api import Browser, Page, Route, expect
from running_app import RunningApp, running_app

from price_app import first_sight

EVIL = "</script><img src=x onerror=alert(1)> data-testid=x"


@pytest.fixture(scope="module")
def market() -> Iterator[FakeMarket]:
    odd = offer(
        900, listing_id="n° 5/2 (été)?&=", make=EVIL, model=EVIL, city=EVIL, url="javascript:alert(1)"
    )
    with fake_market([*market_of(60), odd]) as market:
        yield market


@pytest.fixture(scope="module")
def app(market: FakeMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("app"), market.address) as app:
        yield app


def sent(app: RunningApp, address: str) -> str:
    answer = requests.get(app.address + address, timeout=15)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-cache"
    assert first_sight.ROOT in answer.text
    return answer.text


def names(html: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", html)


def holding(page: Page) -> Callable[[], None]:
    """Streamlit's program is on its way until the test calls what this returns."""
    held: list[Route] = []
    released: list[bool] = []
    page.route("**/static/js/index.*.js", lambda route: route.continue_() if released else held.append(route))

    def release() -> None:
        released.append(True)
        for route in held:
            route.continue_()

    return release


def test_streamlits_page_has_the_element_that_the_cars_stand_before() -> None:
    assert first_sight.shell().count(first_sight.ROOT) == 1, (
        f"Streamlit's index.html was expected to draw into {first_sight.ROOT}: look at first_sight.py"
    )


def test_the_page_has_the_cars_that_its_address_asks_for(app: RunningApp) -> None:
    found = names(sent(app, "/annonces?marque=Dacia&tri=prix"))
    assert len(found) > 5
    assert all(name.startswith("Dacia") for name in found)


@pytest.mark.parametrize(("language", "title"), [("en", "Listings"), ("ar", "الإعلانات"), ("xx", "Annonces")])
def test_the_page_speaks_the_language_of_its_address(app: RunningApp, language: str, title: str) -> None:
    html = sent(app, f"/annonces?lang={language}")
    assert f"<h1>{title}</h1>" in html
    assert ('<main dir="rtl">' in html) == (language == "ar")
    assert (f"?lang={language}&amp;ad=" in html) == (language != "xx")


def test_text_of_strangers_stays_text(app: RunningApp) -> None:
    html = sent(app, "/annonces?marque=" + requests.utils.quote(EVIL))
    assert "&lt;img src=x" in html
    assert "<img" not in html
    assert "javascript:alert" not in html
    assert 'data-testid="offer' not in html
    assert "data-testid=x" in html


@pytest.mark.parametrize("address", ["/annonces?ad=listing-1", "/annonces?alerte=x", "/annonces?suite=c20"])
def test_other_pages_under_the_address_come_as_streamlit_sends_them(app: RunningApp, address: str) -> None:
    assert sent(app, address) == first_sight.shell()


def test_nothing_found_is_left_to_the_app(app: RunningApp) -> None:
    assert sent(app, "/annonces?marque=Trabant") == first_sight.shell()


def test_half_a_character_does_not_keep_the_page_away(app: RunningApp, market: FakeMarket) -> None:
    market.offers.append(offer(901, make="Half", model="A\ud800"))
    try:
        assert "Half A?" in sent(app, "/annonces?marque=Half")
    finally:
        market.offers.pop()


def test_an_api_that_hangs_holds_nobody_up(app: RunningApp, market: FakeMarket) -> None:
    market.seconds = 20.0
    try:
        with ThreadPoolExecutor(30) as visitors:
            # The client of the pages waits for 30 seconds; this page does not.
            pages = visitors.map(lambda number: sent(app, f"/annonces?prix_max={number}"), range(30))
            assert set(pages) == {first_sight.shell()}
    finally:
        market.seconds = 0.0
    wait_until(lambda: bool(names(sent(app, "/annonces?marque=Dacia"))), "the cars are there again", 5)


@pytest.mark.browser
def test_the_list_reads_without_a_program_in_the_browser(browser: Browser, app: RunningApp) -> None:
    for page in opened(browser, app, java_script_enabled=False):
        page.goto("/annonces?marque=Dacia")
        cards = page.locator("#first-sight .cp-first-card")
        expect(cards.first).to_contain_text("Dacia")
        expect(cards.first).to_contain_text("MAD")
        cards.first.get_by_role("link", name="Voir le détail").click()
        expect(page).to_have_url(re.compile("annonces.ad=listing-"))


@pytest.mark.browser
@pytest.mark.parametrize(("place", "times_slower"), [(0, 1), (9, 1), (9, 6)])
def test_the_app_takes_over_where_the_reader_is(page: Page, place: int, times_slower: int) -> None:
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": times_slower})
    release = holding(page)
    page.goto("/annonces?marque=Renault", wait_until="commit")
    read = page.locator("#first-sight .cp-first-card").nth(place)
    expect(read).to_be_attached()
    car = read.locator("h3").inner_text()
    read.evaluate("card => card.parentElement.parentElement.scrollTo(0, card.offsetTop + 20)")
    read.get_by_role("link", name="Voir le détail").evaluate("link => link.focus({ preventScroll: true })")
    before = read.locator("article").bounding_box()
    assert page.get_by_test_id("offer").count() == 0
    release()
    expect(page.locator("#first-sight")).to_have_count(0, timeout=60_000)
    same = page.get_by_test_id("offer").nth(place)
    expect(same).to_contain_text(car)
    after = same.bounding_box()
    assert before is not None
    assert after is not None
    assert after["y"] == pytest.approx(before["y"], abs=3)
    expect(page.locator(f".st-key-offer_{place}").get_by_role("link", name="Voir le détail")).to_be_focused()
    expect(page.get_by_role("combobox", name="Marque")).to_have_value("Renault")


@pytest.mark.browser
def test_another_page_is_not_covered(page: Page, market: FakeMarket) -> None:
    release = holding(page)
    page.goto("/annonces?prix_max=5000078", wait_until="commit")
    expect(page.locator("#first-sight")).to_be_visible()
    market.seconds = 15.0
    try:
        release()
        page.get_by_role("link", name="Lot", exact=True).first.click()
        expect(page).to_have_url(re.compile("/lot"))
        expect(page.locator("#first-sight")).to_have_count(0, timeout=8_000)
    finally:
        market.seconds = 0.0


@pytest.mark.browser
def test_a_screen_of_the_app_takes_its_place_too(
    browser: Browser, market: FakeMarket, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with running_app(tmp_path_factory.mktemp("fresh"), market.address) as fresh:
        for page in opened(browser, fresh):
            release = holding(page)
            page.goto("/annonces", wait_until="commit")
            expect(page.locator("#first-sight")).to_be_visible()
            market.missing = True
            try:
                release()
                expect(page.locator(".st-key-state_screen")).to_be_visible()
                expect(page.locator("#first-sight")).to_have_count(0)
            finally:
                market.missing = False
