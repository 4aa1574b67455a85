"""*Annonces* before Streamlit has loaded: the cars are in the page that the server sends."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator

import pytest
import requests
from browsing import opened
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


def test_without_an_api_the_page_comes_alone(tmp_path_factory: pytest.TempPathFactory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with running_app(tmp_path_factory.mktemp("silent"), address) as app:
            # The client of the API waits for 30 seconds; the page does not.
            assert sent(app, "/annonces") == first_sight.shell()


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
def test_the_app_takes_over_where_the_reader_is(page: Page) -> None:
    release = holding(page)
    page.goto("/annonces?marque=Renault", wait_until="commit")
    tenth = page.locator("#first-sight .cp-first-card").nth(9)
    expect(tenth).to_be_attached()
    car = tenth.locator("h3").inner_text()
    tenth.evaluate("card => card.parentElement.parentElement.scrollTo(0, card.offsetTop)")
    expect(page.get_by_test_id("offer")).to_have_count(0)
    release()
    expect(page.locator("#first-sight")).to_have_count(0)
    same = page.get_by_test_id("offer").nth(9)
    expect(same).to_contain_text(car)
    expect(same).to_be_in_viewport()
    expect(page.get_by_test_id("offer").first).not_to_be_in_viewport()
    expect(page.get_by_role("combobox", name="Marque")).to_have_value("Renault")


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
