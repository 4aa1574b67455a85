"""What a visitor looks for: its words in the address, its query of the API, and words about a listing."""

from __future__ import annotations

from html import escape
from typing import Any, get_args

import pytest
from fake_market import offer, suspicious, unrated

from price_app import offer_search
from price_app.offer_search import Search, of_address, of_watch
from price_app.views import market, offer_card, watches
from price_contract import language, offer_words
from price_contract.offer_answers import Label, NotRated, Standard, Suspicion

EVERYTHING = Search(
    make="Citroën", model="C4 & co", year_from=2012, year_to=2020, mileage_to=150_000, price_from=30_000,
    price_to=90_000, city="Fès", fuel="Diesel", labels=("very_good_price", "good_price"), sort="newest",
    suspicious=True,
)  # fmt: skip


def test_the_address_brings_a_search_back() -> None:
    assert of_address(EVERYTHING.address()) == EVERYTHING
    assert of_address({}) == Search()
    assert Search().address() == {}


def test_the_query_has_the_apis_names() -> None:
    assert EVERYTHING.query() == {
        "make": "Citroën", "model": "C4 & co", "year_from": "2012", "year_to": "2020", "mileage_to": "150000",
        "price_from": "30000", "price_to": "90000", "city": "Fès", "fuel": "Diesel",
        "label": ["very_good_price", "good_price"], "suspicious": "true", "sort": "newest",
    }  # fmt: skip
    assert Search().query() == {"sort": "below_estimate"}


@pytest.mark.parametrize(
    "address",
    [
        {"depuis": "-3", "km_max": "1e9", "prix_max": "٣", "avis": "best,''", "tri": "x", "suspectes": "1"},
        {"modele": "Logan"},
        {"depuis": "9" * 40},
    ],
)
def test_what_an_address_cannot_mean_is_left_out(address: dict[str, str]) -> None:
    assert of_address(address) == Search()


def test_a_long_text_of_an_address_is_cut() -> None:
    assert len(of_address({"marque": "x" * 10_000}).make or "") == 60


def test_a_watch_becomes_a_search_again() -> None:
    found = of_watch({"make": "Dacia", "year_from": 2014, "mileage_to": 99_000.0, "labels": ["good_price"]})
    assert found == Search(make="Dacia", year_from=2014, mileage_to=99_000, labels=("good_price",))


def test_each_code_about_a_listing_has_its_words() -> None:
    assert set(offer_words.LABELS) == set(get_args(Label)) == set(offer_card.TONES)
    assert set(offer_words.NOT_RATED) == set(get_args(NotRated))
    assert set(offer_words.SUSPICIONS) == set(get_args(Suspicion))
    assert set(offer_words.STANDARDS) == set(get_args(Standard))
    assert set(offer_search.LABELS) == set(get_args(Label))
    for code in get_args(Label):
        with language.speaking("en"):
            english = offer_words.label(code)
        assert english != offer_words.label(code)


def test_a_code_of_a_newer_api_is_shown_as_it_is() -> None:
    assert offer_words.label("superb_price") == "superb price"
    assert offer_words.suspicion("stolen") == "stolen"
    assert offer_words.why_not_rated("tomorrow") == ""


@pytest.mark.parametrize("code", get_args(Suspicion))
@pytest.mark.parametrize("label", ["very_good_price", "good_price", "not_rated"])
def test_a_suspicious_listing_is_never_called_a_bargain(code: Suspicion, label: Label) -> None:
    found: Any = suspicious(1, code, price_mad=4_000) | {"label": label}
    html = offer_card.card_html(found)
    assert "Bon prix" not in html
    assert "Très bon prix" not in html
    assert "sous l&#x27;estimation" not in html
    assert "À vérifier" in html
    assert 'data-testid="suspicious"' in html


@pytest.mark.parametrize("code", get_args(NotRated))
def test_a_listing_without_a_label_says_why(code: NotRated) -> None:
    found: Any = unrated(1, code)
    html = offer_card.card_html(found)
    assert "Sans avis" in html
    assert "sous l&#x27;estimation" not in html
    assert escape(offer_words.why_not_rated(code)) in html


def test_nothing_that_a_stranger_wrote_becomes_html_or_a_link_that_runs() -> None:
    evil = "<img src=x onerror=alert(1)>\"'"
    found: Any = offer(
        3, make=evil, model=evil, city=evil, fuel=evil, gearbox=evil, source=evil, url="javascript:alert(1)"
    )
    html = offer_card.card_html(found)
    assert "<img" not in html
    assert "javascript:" not in html
    found["url"] = 'https://example.ma/"onmouseover="alert(1)'
    html = offer_card.card_html(found)
    assert '"onmouseover' not in html
    assert 'rel="noopener noreferrer nofollow"' in html


def test_the_words_of_a_card_add_up() -> None:
    found: Any = offer(0, price_mad=80_000, estimate_mad=91_230, low_mad=80_000, high_mad=103_000)
    said = offer_words.against_estimate(found).replace("\u202f", " ").replace("\u00a0", " ")
    # 91 000 as shown, in steps of its range
    assert said == "11 000 MAD (12 %) sous l'estimation"
    found["price_mad"] = 91_000
    assert offer_words.against_estimate(found) == "au niveau de l'estimation"
    found |= {"first_price_mad": 100_000}
    assert "baisse de 9" in offer_words.price_change(found)


def test_a_price_that_never_changed_has_no_line() -> None:
    assert offer_card.steps_html([{"at": "2026-11-01T00:00:00Z", "price_mad": 1}]) == ""
    assert offer_card.steps_html([{"at": "", "price_mad": 1}, {"at": "x", "price_mad": 2}]) == ""


def test_a_watch_in_words() -> None:
    said = watches.in_words({"make": "Dacia", "model": "Logan", "year_from": 2014, "labels": ["good_price"]})
    assert said == ["Dacia Logan", "à partir de 2014", "Bon prix"]
    assert watches.in_words({}) == ["toutes les voitures"]


def level(*values: tuple[str, float, float, float]) -> Any:
    return [{"day": day, "level": at, "low": low, "high": high} for day, at, low, high in values]


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ((1.10, 1.08, 1.12), "baissé de 9,1"),
        ((0.90, 0.88, 0.92), "monté de 11,1"),
        ((1.01, 0.98, 1.04), "pas de changement net"),
    ],
)
def test_the_level_is_said_in_words(then: tuple[float, float, float], said: str) -> None:
    rows = level(("2025-11-27", *then), ("2026-11-27", 1.0, 0.99, 1.01))
    assert said in market.change_in_words(rows)
    assert "12 mois" in market.change_in_words(rows)


def test_a_level_of_a_few_days_says_nothing() -> None:
    assert market.change_in_words(level(("2026-11-20", 1.1, 1.0, 1.2), ("2026-11-27", 1.0, 1.0, 1.0))) == ""


def test_a_bracket_of_mileages_is_in_thousands() -> None:
    assert market.bracket(50_000, 100_000) == "50 – 100"
    assert market.bracket(300_000, None) == "> 300"
