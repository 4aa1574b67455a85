"""What a buyer does on *Annonces* in a real browser, in each language and on each device."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pandas as pd
import requests
from demo.browser import choose, press, settled
from playwright.sync_api import Browser, Page, expect
from running_demo import Demo

from carprice.listings.headers import HEADERS

DEVICES: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1240, "height": 900}},
    "phone": {"viewport": {"width": 360, "height": 780}, "is_mobile": True, "has_touch": True},
}
URL, MAKE, MODEL, CITY, MILEAGE, PRICE = (
    HEADERS[name][0] for name in ("url", "make", "model", "city", "mileage", "price_mad")
)


class Words(NamedTuple):
    """What the pages and the messages call things in one language."""

    make: str
    model: str
    details: str
    all_prices: str
    alert: str
    create: str
    message: str


WORDS = {
    "fr": Words(
        "Marque", "Modèle", "Voir le détail", "Tous les prix", "Créer une alerte pour cette recherche",
        "Créer cette alerte", "estimée à",
    ),
    "en": Words(
        "Make", "Model", "See the details", "All prices", "Create an alert for this search",
        "Create this alert", "estimated at",
    ),
    "ar": Words(
        "الماركة", "الموديل", "شاهد التفاصيل", "كل الأثمنة", "أنشئ تنبيها لهذا البحث",
        "أنشئ هذا التنبيه", "التقدير",
    ),
}  # fmt: skip


@contextmanager
def visit(browser: Browser, demo: Demo, device: str) -> Iterator[Page]:
    """A page of the app on one of `DEVICES`."""
    context = browser.new_context(base_url=demo.app_url, **DEVICES[device])
    context.set_default_timeout(120_000)
    # Chromium aborts a download whenever a network interface of the machine appears or disappears.
    context.route("**/static/**", lambda route: route.fulfill(response=route.fetch(max_retries=5)))
    try:
        yield context.new_page()
    finally:
        context.unroute_all(behavior="ignoreErrors")
        context.close()


def finds(page: Page, language: str, offer: dict[str, Any]) -> None:
    """Filter *Annonces* to the make, model and year of an offer; its card is there."""
    words = WORDS[language]
    year = offer["model_year"]
    page.goto(f"/annonces?depuis={year}&jusqu_a={year}&lang={language}")
    expect(page.locator("html")).to_have_attribute("dir", "rtl" if language == "ar" else "ltr")
    choose(page, words.make, offer["make"])
    choose(page, words.model, offer["model"])
    expect(_card(page, offer)).to_contain_text(f"{offer['make']} {offer['model']}")
    for shown in page.get_by_test_id("offer").all():
        expect(shown).to_contain_text(f"{offer['make']} {offer['model']}")
    _fits_the_screen(page)


def opens(page: Page, language: str, offer: dict[str, Any]) -> None:
    """Open the page of an offer from its card: it has the label, and each price that was asked."""
    words = WORDS[language]
    label = _card(page, offer).get_by_test_id("label").inner_text()
    _card(page, offer).get_by_role("link", name=words.details).click()
    expect(page.get_by_test_id("asked")).to_contain_text(amount(offer["price_mad"]))
    assert quote(offer["listing_id"], safe="") in page.url
    assert label.strip()
    expect(page.get_by_test_id("label").first).to_have_text(label)
    expect(page.get_by_test_id("stVegaLiteChart").first.locator("canvas, svg").first).to_be_visible()
    page.get_by_text(words.all_prices).click()
    told = page.get_by_test_id("prices").get_by_role("cell")
    for change in offer["prices"]:
        expect(told.filter(has_text=amount(change["price_mad"]))).to_have_count(1)
    settled(page)
    _fits_the_screen(page)
    page.go_back()
    expect(_card(page, offer)).to_be_visible()


def saves_an_alert(page: Page, language: str) -> str:
    """Save the search of the page; returns the path of the alert's own page, which is shown this once."""
    words = WORDS[language]
    page.get_by_text(words.alert).click()
    press(page.get_by_role("button", name=words.create))
    shown = page.get_by_text(re.compile("/annonces.alerte=")).inner_text()
    address = urlsplit("".join(shown.split()).strip("\u2066\u2067\u2068\u2069"))
    _fits_the_screen(page)
    return f"{address.path}?{address.query}"


def is_told_once(page: Page, alert: str, price_mad: int) -> None:
    """The page of an alert shows the car of this price one time, with a good price."""
    page.goto(alert)
    told = _cards(page, price_mad)
    expect(told).to_have_count(1)
    expect(told.locator(".cp-label-best, .cp-label-good")).to_have_count(1)
    settled(page)
    _fits_the_screen(page)


def feed_of(demo: Demo, alert: str) -> str:
    """The Atom feed of an alert, by the path of its page."""
    secret = alert.partition("alerte=")[2].partition("&")[0]
    answer = requests.get(f"{demo.api_url}/v1/watches/{secret}/feed", timeout=30)
    answer.raise_for_status()
    return answer.text


def amount(mad: float) -> re.Pattern[str]:
    """A text that has this amount, in the groups of any language, and no other number."""
    return re.compile(rf"^\D*{f'{mad:,.0f}'.replace(',', '[^0-9]?')}\D*$")


def listings_of(demo: Demo, file: str) -> pd.DataFrame:
    """The different rows of a landed file, all as text."""
    table = pd.read_csv(demo.data / "raw" / file, dtype=str, keep_default_na=False, index_col=0)
    return table.drop_duplicates(URL)


def land_rows(demo: Demo, name: str, table: pd.DataFrame, *more: pd.Series) -> None:
    """Land the rows of a table and one `more`."""
    written = pd.concat([table, pd.DataFrame(more)], ignore_index=True)
    demo.move_in(written.to_csv(index=False).encode(), name)


def offers_of(demo: Demo, **filters: Any) -> list[dict[str, Any]]:
    """The first hundred offers that fit filters of `/v1/listings`."""
    answer = requests.get(f"{demo.api_url}/v1/listings", params={"limit": 100, **filters}, timeout=30)
    answer.raise_for_status()
    return list(answer.json()["listings"])


def offer_of(demo: Demo, row: pd.Series, price_changes: int = 0) -> dict[str, Any] | None:
    """The offer of a landed row, once its price has changed so many times."""
    found = offers_of(demo, make=row[MAKE], model=row[MODEL])
    return next(
        (each for each in found if each["url"] == row[URL] and each["price_changes"] == price_changes), None
    )


def cheap_car_like(demo: Demo, row: pd.Series, url: str) -> pd.Series:
    """Another car like that of a row, at the lowest price that the model in production still believes."""
    car = row.copy()
    car[URL], car[CITY], car[MILEAGE] = url, "Essaouira", "80 000 - 84 999"
    asked = {name: value for name, value in car.items() if value and name not in (URL, PRICE)}
    answer = requests.post(f"{demo.api_url}/v1/predict", json=asked, timeout=30)
    answer.raise_for_status()
    car[PRICE] = f"{answer.json()['low_mad']:.0f}"
    return car


def _card(page: Page, offer: dict[str, Any]) -> Any:
    return _cards(page, offer["price_mad"]).first


def _cards(page: Page, price_mad: float) -> Any:
    """The cards with this asking price, each with its links."""
    price = page.locator(".cp-offer-price").filter(has_text=amount(price_mad))
    return page.locator("[class*=st-key-offer_]").filter(has=price)


def _fits_the_screen(page: Page) -> None:
    page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
