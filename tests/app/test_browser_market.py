"""*Annonces* and *Marché* in a real browser: what a buyer does with them, and what can be missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from benchmarks.market_files import synthetic_offers, write_market
from browsing import opened
from conftest import running_api, wait_until
from demo.browser import choose, give, press, settled
from demo.settings import free_port
from fake_market import SECRET, FakeMarket, fake_market, market_of, offer, suspicious
from playwright.sync_api import Browser, Page, expect
from running_app import RunningApp, running_app

from carprice.store import DataRoot
from price_contract import formats

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

AWAY = "http://127.0.0.1:9"
EVIL = "<img src=x onerror=document.title='run'> **x** $y$"


@pytest.fixture(scope="module")
def market() -> Iterator[FakeMarket]:
    odd = [
        offer(900, listing_id="n° 5/2 (été)?&=", make=EVIL, model=EVIL, city=EVIL, url="javascript:alert(1)"),
        suspicious(901, "far_below", make="Dacia", model="Duster", price_mad=9_900),
    ]
    with fake_market(market_of(120) + odd) as market:
        yield market


@pytest.fixture(scope="module")
def app(market: FakeMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("app"), market.address) as app:
        yield app


@pytest.fixture
def phone(browser: Browser, app: RunningApp) -> Iterator[Page]:
    yield from opened(browser, app, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)


def shares(page: Page) -> list[int]:
    """How far below its estimate each listing of the page is said to be, in per cent."""
    said = page.get_by_test_id("offer").locator(".cp-offer-against").all_inner_texts()
    return [
        int(found[1]) * (1 if "sous" in text else -1)
        for text in said
        if (found := re.search(r"\((\d+)", text)) is not None
    ]


def test_a_buyer_filters_to_a_model_opens_a_listing_and_comes_back(page: Page, market: FakeMarket) -> None:
    page.goto("/annonces")
    expect(page.get_by_test_id("offer").first).to_be_visible()
    settled(page)
    below = shares(page)
    assert below == sorted(below, reverse=True)
    choose(page, "Marque", "Dacia")
    choose(page, re.compile("^Modèle"), "Logan")
    give(page, "Année, à partir de", 2012)
    page.wait_for_url(re.compile("marque=Dacia&modele=Logan&depuis=2012"))
    settled(page)
    expect(page.get_by_test_id("offer").first).to_contain_text("Dacia Logan")
    for text in page.get_by_test_id("offer").locator("h3").all_inner_texts():
        assert text.startswith("Dacia Logan")
        assert int(text.split()[-1]) >= 2012
    page.get_by_role("link", name="Voir le détail").first.click()
    expect(page.get_by_test_id("asked")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Dacia Logan")
    expect(page.get_by_test_id("label").first).to_contain_text(re.compile("prix|Prix"))
    expect(page.get_by_test_id("basis")).to_contain_text(re.compile(r"Comparée à \d+ voitures"))
    expect(page.get_by_test_id("basis")).to_contain_text("état moyen et immatriculée au Maroc")
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2)
    expect(page.get_by_test_id("contributions")).to_be_visible()
    expect(page.get_by_test_id("comparables").locator("h3").first).to_contain_text("Dacia Logan")
    page.reload()
    expect(page.get_by_test_id("asked")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("combobox", name="Modèle")).to_have_value(re.compile("^Logan"))
    expect(page.get_by_test_id("offer").first).to_contain_text("Dacia Logan")


def test_a_shared_link_brings_the_filters_in_both_languages(page: Page) -> None:
    page.goto("/annonces?marque=Renault&prix_max=90000&avis=good_price,very_good_price&tri=prix&lang=en")
    expect(page.get_by_test_id("offer").first).to_contain_text("Renault")
    settled(page)
    expect(page.get_by_role("combobox", name="Make")).to_have_value("Renault")
    expect(page.get_by_test_id("label").first).to_contain_text(re.compile("ood price"))
    prices = page.get_by_test_id("offer").locator(".cp-offer-price").all_inner_texts()
    amounts = [int("".join(filter(str.isdigit, text))) for text in prices]
    assert amounts == sorted(amounts)
    assert max(amounts) <= 90_000
    page.get_by_role("radio", name="Français").click()
    expect(page.get_by_role("heading", name="Annonces", exact=True)).to_be_visible()
    expect(page.get_by_test_id("label").first).to_contain_text(re.compile("on prix"))
    expect(page.get_by_role("combobox", name="Marque")).to_have_value("Renault")
    assert "marque=Renault" in page.url
    assert "tri=prix" in page.url


def test_the_list_has_pages_that_the_address_names(page: Page, market: FakeMarket) -> None:
    page.goto("/annonces?tri=prix")
    expect(page.get_by_text(re.compile("Annonces 1 à 20 sur 127"))).to_be_visible()
    first = page.get_by_test_id("offer").first.inner_text()
    page.get_by_role("link", name="Page suivante").click()
    expect(page.get_by_text(re.compile("Annonces 21 à 40 sur 127"))).to_be_visible()
    expect(page).to_have_url(re.compile("suite=c20"))
    page.reload()
    expect(page.get_by_text(re.compile("Annonces 21 à 40 sur 127"))).to_be_visible()
    market.cursors_outdated = True
    try:
        page.get_by_role("link", name="Page suivante").click()
        expect(page.get_by_text("De nouvelles annonces sont arrivées")).to_be_visible()
        expect(page.get_by_text(re.compile("Annonces 1 à 20 sur 127"))).to_be_visible()
    finally:
        market.cursors_outdated = False
    settled(page)
    assert page.get_by_test_id("offer").first.inner_text() == first


def test_a_suspicious_listing_says_why_and_is_no_bargain(page: Page) -> None:
    page.goto("/annonces?suspectes=oui")
    expect(page.get_by_text("3 annonces", exact=True)).to_be_visible()
    card = page.get_by_test_id("offer").filter(has_text=re.compile("9.900.MAD")).first
    expect(card).to_contain_text("À vérifier")
    expect(card.get_by_test_id("suspicious")).to_contain_text("bien plus bas")
    expect(card).not_to_contain_text("sous l'estimation")
    expect(card).not_to_contain_text("Très bon prix")


def test_what_strangers_wrote_stays_text(page: Page) -> None:
    page.goto("/annonces?ad=n%C2%B0%205%2F2%20(%C3%A9t%C3%A9)%3F%26%3D")
    expect(page.get_by_role("heading", level=1)).to_contain_text(EVIL)
    expect(page.get_by_test_id("stVegaLiteChart").first).to_be_visible()
    assert page.title() != "run"
    assert page.locator("a[href^='javascript']").count() == 0
    page.goto("/annonces?marque=" + EVIL.replace("<", "%3C").replace("=", "%3D"))
    expect(page.get_by_test_id("offer").first).to_contain_text(EVIL)
    assert page.locator("img[src=x]").count() == 0
    assert page.title() != "run"


def test_an_alert_is_created_seen_once_opened_and_deleted(page: Page, market: FakeMarket) -> None:
    page.goto("/annonces?marque=Dacia&modele=Logan&km_max=150000&lang=en")
    page.get_by_text("Create an alert for this search").click()
    expect(page.get_by_test_id("watch-filters")).to_contain_text("Dacia Logan")
    press(page.get_by_role("button", name="Create this alert"))
    link = page.get_by_text(f"/annonces?alerte={SECRET}")
    expect(link).to_be_visible()
    expect(page.get_by_text(f"{market.address}/v1/watches/{SECRET}/feed")).to_be_visible()
    saved = market.watches[SECRET]
    assert saved["filters"] == {
        "make": "Dacia", "model": "Logan", "mileage_to": 150_000, "labels": ["very_good_price", "good_price"],
    }  # fmt: skip
    assert saved["language"] == "en"
    address = link.inner_text().strip()
    assert SECRET not in page.url
    page.get_by_role("button", name="I have kept the link").click()
    expect(link).to_have_count(0)
    page.goto(address)
    expect(page.get_by_role("heading", name="Your alert")).to_be_visible()
    expect(page.get_by_text("2 listings told")).to_be_visible()
    expect(page.get_by_test_id("offer")).to_have_count(2)
    page.get_by_role("button", name="Delete this alert").click()
    page.get_by_role("button", name="Yes, delete").click()
    expect(page.get_by_role("heading", name="Listings", exact=True)).to_be_visible()
    assert not market.watches
    page.goto(address)
    expect(page.get_by_text("This alert does not exist, or was deleted.")).to_be_visible()


def test_the_market_of_a_model(page: Page) -> None:
    page.goto("/marche")
    expect(page.get_by_test_id("level-said")).to_contain_text("12 mois")
    expect(page.get_by_test_id("market-figures")).to_contain_text("127")
    choose(page, "Marque", "Dacia")
    expect(page.get_by_role("heading", name="Niveau des prix, Dacia")).to_be_visible()
    choose(page, re.compile("^Modèle"), "Logan")
    expect(page.get_by_role("heading", name="Dacia Logan", exact=True)).to_be_visible()
    expect(page.get_by_test_id("market-figures")).to_contain_text("Prix médian")
    page.wait_for_url(re.compile("marque=Dacia&modele=Logan"))
    page.get_by_role("link", name="Voir ces annonces").click()
    expect(page.get_by_test_id("offer").first).to_contain_text("Dacia Logan")
    page.go_back()
    expect(page.get_by_role("heading", name="Dacia Logan", exact=True)).to_be_visible()
    page.goto("/marche?marque=Dacia&modele=Logan&annee=1971")
    expect(page.get_by_text("Aucune voiture de ce choix n'est en vente aujourd'hui.")).to_be_visible()


def test_too_little_data_is_said(page: Page, market: FakeMarket) -> None:
    few = offer(5, make="Lancia", model="Delta")
    market.offers.append(few)
    try:
        page.goto("/marche?marque=Lancia")
        expect(page.get_by_text("Trop peu d'annonces pour donner des prix")).to_be_visible()
        expect(page.get_by_test_id("market-figures")).not_to_contain_text("MAD")
    finally:
        market.offers.remove(few)


@pytest.mark.parametrize(
    "place",
    [
        "/annonces",
        "/annonces?ad=listing-24",
        "/annonces?ad=listing-120",
        "/marche",
        "/marche?marque=Dacia&lang=en",
    ],
)
def test_no_page_of_the_market_scrolls_sideways_on_a_narrow_phone(phone: Page, place: str) -> None:
    phone.goto(place)
    expect(phone.get_by_role("heading", level=1)).to_be_visible()
    settled(phone)
    phone.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
    phone.wait_for_function(
        "[...document.querySelectorAll('.stMain button, .stMain input, .cp-offer, .cp-price, .cp-fact')]"
        ".every(e => e.getBoundingClientRect().right <= innerWidth + 1)"
    )


def test_labels_and_notes_have_enough_contrast(page: Page) -> None:
    """At least 4.5 between text and ground (WCAG AA)."""
    page.goto("/annonces?suspectes=oui")
    expect(page.get_by_test_id("offer").first).to_be_visible()
    found = page.evaluate(
        """() => {
          const names = ['best', 'good', 'fair', 'high', 'worst', 'none', 'doubt'];
          const lum = (c) => { const [r, g, b] = c.match(/[0-9.]+/g).map(Number).map((v) => {
            v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
          return names.map((name) => {
            const e = document.createElement('span');
            e.className = 'cp-label cp-label-' + name;
            document.querySelector('.cp-offer').append(e);
            const s = getComputedStyle(e);
            const [a, b] = [lum(s.color), lum(s.backgroundColor)].sort((x, y) => y - x);
            return [name, (a + 0.05) / (b + 0.05)];
          });
        }"""
    )
    assert {name: ratio for name, ratio in found if ratio < 4.5} == {}


def test_what_is_missing_is_said(page: Page, market: FakeMarket) -> None:
    page.goto("/annonces?marque=Skoda")
    expect(page.get_by_text("Aucune annonce ne correspond")).to_be_visible()
    page.get_by_role("button", name="Retirer tous les filtres").click()
    expect(page.get_by_text("127 annonces", exact=True)).to_be_visible()
    assert "Skoda" not in page.url
    page.goto("/annonces?ad=never")
    expect(page.get_by_text("Cette annonce n'est plus connue")).to_be_visible()


def test_the_pages_and_the_api_understand_each_other(browser: Browser, tmp_path: Path) -> None:
    write_market(DataRoot(str(tmp_path / "data")), "m1", synthetic_offers(400))
    with (
        running_api(tmp_path, tmp_path / "data", AWAY, wait=False) as api,
        running_app(tmp_path, api.address) as app,
    ):
        wait_until(lambda: api.get("/v1/listings").status_code == 200, "the market is loaded")
        first = api.get("/v1/listings", params={"label": "good_price", "sort": "price"}).json()
        cheapest = first["listings"][0]
        for page in opened(browser, app):
            page.goto("/annonces?avis=good_price&tri=prix")
            card = page.get_by_test_id("offer").first
            expect(card).to_contain_text(formats.money(cheapest["price_mad"]))
            expect(card.get_by_test_id("label")).to_have_text("Bon prix")
            page.get_by_role("link", name="Page suivante").click()
            expect(page.get_by_text(re.compile("Annonces 21 à 40"))).to_be_visible()
            page.goto(f"/annonces?ad={quote(cheapest['listing_id'])}")
            expect(page.get_by_test_id("asked")).to_have_text(formats.money(cheapest["price_mad"]))
            page.goto(f"/annonces?marque={quote(cheapest['make'])}")
            page.get_by_text("Créer une alerte pour cette recherche").click()
            press(page.get_by_role("button", name="Créer cette alerte"))
            address = page.get_by_text(re.compile("/annonces.alerte=")).inner_text().strip()
            secret = address.rpartition("=")[2]
            assert api.get(f"/v1/watches/{secret}").json()["filters"]["make"] == cheapest["make"]
            page.goto(address)
            expect(page.get_by_text("Rien pour l'instant")).to_be_visible()
            page.get_by_role("button", name="Supprimer cette alerte").click()
            page.get_by_role("button", name="Oui, supprimer").click()
            expect(page.get_by_role("heading", name="Annonces", exact=True)).to_be_visible()
            assert api.get(f"/v1/watches/{secret}").status_code == 404
            page.goto(f"/marche?marque={quote(cheapest['make'])}")
            expect(page.get_by_test_id("market-figures")).to_contain_text("Prix médian")


def test_without_a_market_the_page_says_so(browser: Browser, tmp_path: Path) -> None:
    with fake_market(market_of(5)) as market, running_app(tmp_path, market.address) as app:
        market.missing = True
        for page in opened(browser, app):
            page.goto("/annonces?marque=Dacia")
            expect(page.get_by_text("Les annonces n'ont pas encore été estimées")).to_be_visible()
            market.missing = False
            page.get_by_role("button", name="Réessayer").click()
            expect(page.get_by_test_id("offer").first).to_contain_text("Dacia")
            assert "marque=Dacia" in page.url


def test_without_the_api_the_pages_of_the_market_say_so(browser: Browser, tmp_path: Path) -> None:
    with running_app(tmp_path, f"http://127.0.0.1:{free_port()}") as app:
        for page in opened(browser, app):
            for place in ("/annonces", "/marche", "/annonces?ad=x", "/annonces?alerte=x"):
                page.goto(place)
                expect(page.get_by_text("Le service de prix ne répond pas")).to_be_visible()
