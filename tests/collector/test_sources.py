"""What the sources read from pages, without a network."""

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from demo.replica import shapes
from demo.replica.market import Market, MarketAd
from demo.replica.server import FIRST_PAGES, PER_PAGE, SITEMAP, Replica

from carprice_collector import values
from carprice_collector.ads import Ad
from carprice_collector.dates import posted_at
from carprice_collector.pages import BrokenPage, Page, PageContent, ShapeMoved, decode
from carprice_collector.sources import SOURCES
from carprice_collector.sources.source import SourceProblem

REPOSITORY = Path(__file__).resolve().parents[2]


def read(kind: str, replica: Replica, path: str = "", page_kind: str = "search") -> PageContent:
    address = replica.address + (path or FIRST_PAGES[kind])
    source = SOURCES[kind](start=replica.address + FIRST_PAGES[kind])
    text = decode(replica.page(path or FIRST_PAGES[kind]).body)
    return source.read(Page(address, text, replica.now()), page_kind)


@pytest.mark.parametrize("kind", SOURCES)
def test_a_search_page_gives_every_ad_with_what_its_site_tells(kind: str, replica: Replica) -> None:
    content = read(kind, replica)
    shown = replica.ads()[: len(content.ads)]
    assert len(content.ads) == PER_PAGE[FIRST_PAGES[kind].partition("?")[0]]
    for ad, truth in zip(content.ads, shown, strict=True):
        assert (ad.listing_id, ad.title, ad.model_year) == (str(truth.number), truth.title, truth.year)
        assert (ad.mileage_km_min, ad.mileage_km_max) == (truth.km, truth.km)
        assert (ad.fuel, ad.gearbox, ad.city) == (truth.fuel, truth.gearbox, truth.city)
        assert ad.price_mad == truth.price
        assert str(truth.number) in ad.url
    assert len(content.links) == 1
    assert all(field in asdict(content.ads[0]) for field in SOURCES[kind].least_filled)


@pytest.mark.parametrize("kind", SOURCES)
def test_the_last_page_leads_nowhere(kind: str, replica: Replica) -> None:
    seen, path = 0, FIRST_PAGES[kind]
    for _ in range(20):
        content = read(kind, replica, path)
        seen += len(content.ads)
        if not content.links:
            break
        path = content.links[0].address.removeprefix(replica.address)
    assert seen == len(replica.ads())


@pytest.mark.parametrize("apollo", [False, True])
def test_both_shapes_of_an_avito_ad_tell_the_same(replica: Replica, apollo: bool) -> None:
    replica.apollo = apollo
    truth = replica.ads()[0]
    (ad,) = read("avito", replica, shapes.avito_path(truth).replace("%C3%A2", "â"), "ad").ads
    assert (ad.make, ad.model, ad.fiscal_power_cv, ad.doors) == (truth.make, truth.model, truth.power, 5)
    assert (ad.first_owner, ad.condition) == ("Oui", "Très bon")
    assert ad.seller_kind == ("shop" if truth.is_shop else "private")


def test_details_add_to_a_search_result_and_take_nothing_from_it() -> None:
    found = Ad("1", "https://a.example/1", title="Dacia Logan", price_mad=60_000)
    detail = Ad("1", "https://a.example/1", make="Dacia", price_mad=None)
    both = found.completed(detail)
    assert (both.title, both.make, both.price_mad) == ("Dacia Logan", "Dacia", 60_000)


def test_a_sitemap_leads_to_the_pages_of_its_own_site(replica: Replica) -> None:
    source = SOURCES["jsonld"](sitemap=replica.address + SITEMAP)
    text = shapes.sitemap([f"{replica.address}/cars/1", "https://elsewhere.example/cars/2"])
    content = source.read(Page(source.sitemap, text, replica.now()), "sitemap")
    assert [(link.kind, link.address) for link in content.links] == [("ad", f"{replica.address}/cars/1")]


def car(**changes: object) -> Ad:
    truth = Market(size=5, rentals=0, unpriced=0).ads()[0]
    item = shapes.jsonld_car(truth) | changes
    html = f'<html><script type="application/ld+json">{json.dumps(item)}</script></html>'
    (ad,) = (
        SOURCES["jsonld"](start="https://a.example/cars")
        .read(Page("https://a.example/cars", html, datetime(2026, 11, 1, tzinfo=UTC)), "search")
        .ads
    )
    return ad


def test_a_price_in_another_currency_and_miles_are_unknown() -> None:
    assert car().price_mad
    assert car(offers={"price": "9000", "priceCurrency": "EUR"}).price_mad is None
    assert car(offers={"price": "9000"}).price_mad is None
    assert car(mileageFromOdometer={"value": 9000, "unitCode": "SMI"}).mileage_km_min is None


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("avito", '"componentProps"', '"pageData"'),
        ("avito", '"href"', '"link"'),
        ("avito", "__NEXT_DATA__", "__DATA__"),
        ("avito", '{"props"', '{"props'),
        ("moteur", "ads-index-card", "card"),
        ("moteur", "/detail-annonce/", "/annonce/"),
        ("jsonld", '"Car"', '"Thing"'),
        ("jsonld", "application/ld+json", "text/plain"),
    ],
)
def test_a_page_whose_data_moved_is_told_from_a_page_without_ads(
    replica: Replica, kind: str, old: str, new: str
) -> None:
    text = decode(replica.page(FIRST_PAGES[kind]).body).replace(old, new)
    with pytest.raises(ShapeMoved, match=r"expected.*found"):
        SOURCES[kind](start=replica.address + FIRST_PAGES[kind]).read(Page("", text, replica.now()), "search")


@pytest.mark.parametrize("kind", SOURCES)
def test_a_part_of_a_page_is_no_page(replica: Replica, kind: str) -> None:
    text = decode(replica.page(FIRST_PAGES[kind]).body)
    with pytest.raises(BrokenPage):
        SOURCES[kind](start=replica.address).read(Page("", text[: len(text) // 2], replica.now()), "search")


def test_a_source_without_an_address_of_its_own_asks_for_one() -> None:
    with pytest.raises(SourceProblem, match="--start"):
        SOURCES["jsonld"]()
    with pytest.raises(SourceProblem, match="https://host/path"):
        SOURCES["avito"](start="avito.ma")


def test_a_source_that_reads_no_pages_of_ads_refuses_to_be_asked_for_them() -> None:
    with pytest.raises(SourceProblem, match="leave --details out"):
        SOURCES["moteur"](with_details=True)
    assert SOURCES["avito"](with_details=True).with_details


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "windows-1256"])
def test_text_is_read_whatever_encoding_the_server_names(encoding: str) -> None:
    text = "Citroën C-Elysée à Fès" if encoding != "windows-1256" else "داسيا لوغان"
    named = "text/html; charset=" + (encoding if encoding == "windows-1256" else "iso-8859-1")
    assert decode(text.encode(encoding), named) == text


def test_one_bad_byte_does_not_turn_a_whole_page_into_another_encoding() -> None:
    body = ("Citroën C-Elysée à Fès, داسيا لوغان " * 5).encode() + b"\xff"
    assert "Citroën C-Elysée à Fès, داسيا لوغان" in decode(body)


@pytest.mark.parametrize(
    ("told", "price"),
    [
        ("117,000 MAD", 117_000), ("60 000 DH", 60_000), ("60.000 Dhs", 60_000), (60000, 60_000),
        ("60\u202f000", 60_000), (60000.0, 60_000), ("60000.00", 60_000), ("1 250 000 DH", 1_250_000),
        ("٦٠٠٠٠ درهم", 60_000), ("Appeler pour le prix", None), ("", None), (None, None), (0, None),
        ("9000 €", None), ("250 DH / jour", None), ("0661234567", None), ("60000 - 70000", None),
    ],
)  # fmt: skip
def test_a_price_is_read_or_unknown(told: object, price: int | None) -> None:
    assert values.price_mad(told) == price


@pytest.mark.parametrize(
    ("told", "mileage"),
    [
        ("173.000 km", (173_000, 173_000)), ("200 000 - 249 999", (200_000, 249_999)),
        ("85000", (85_000, 85_000)), ("Plus de 500 000", (None, None)), ("90 000 miles", (None, None)),
        ("661234567", (None, None)), ("", (None, None)),
    ],
)  # fmt: skip
def test_a_mileage_is_read_or_unknown(told: str, mileage: tuple[int | None, int | None]) -> None:
    assert values.mileage_km(told) == mileage


@pytest.mark.parametrize(
    ("told", "posted"),
    [
        ("il y a 12 minutes", "2026-11-27T09:48"), ("il y a 2 heures", "2026-11-27T08:00"),
        ("il y a une heure", "2026-11-27T09:00"), ("hier à 18:30", "2026-11-26T18:30"),
        ("Hier", "2026-11-26"),
        ("il y a 3 jours", "2026-11-24"), ("Aujourd'hui 07:05", "2026-11-27T07:05"),
        ("منذ 3 أيام", "2026-11-24"), ("12/11/2026 10:30", "2026-11-12T10:30"), ("2026-11-12", "2026-11-12"),
        (1795700000, "2026-11-26"), ("il y a 2 mois", None), ("il y a 2 semaines", None), ("bientôt", None),
        ("99/99/2026", None), (None, None),
    ],
)  # fmt: skip
def test_the_time_of_an_ad_is_read_as_exactly_as_it_is_told(told: object, posted: str | None) -> None:
    found = posted_at(told, datetime(2026, 11, 27, 9, tzinfo=UTC))
    assert (found or "").startswith(posted or "?" * (found is not None)) if posted else found is None


def test_the_replica_says_where_each_source_begins() -> None:
    assert set(FIRST_PAGES) == set(SOURCES)
    command = [sys.executable, "-m", "demo.replica", "--port", "0"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = [shlex.split(process.stdout.readline()) for _ in FIRST_PAGES]
            for _, kind, _, start in said:
                with urllib.request.urlopen(quote(start, safe=":/?&=")) as answer:  # noqa: S310
                    page = Page(start, decode(answer.read()), datetime.now(UTC))
                assert SOURCES[kind](start=start).read(page, "search").ads
        finally:
            process.terminate()
    assert [kind for _, kind, _, _ in said] == list(FIRST_PAGES)


def test_the_market_is_the_same_every_time_and_moves_from_day_to_day() -> None:
    def by_number(day: int) -> dict[int, MarketAd]:
        return {ad.number: ad for ad in Market(size=200).ads(day)}

    assert by_number(3) == by_number(3)
    first, later = by_number(0), by_number(5)
    assert set(first) - set(later), "no car was sold"
    assert set(later) - set(first), "no car is new"
    assert any(ad.old_price and ad.price and ad.price < ad.old_price for ad in later.values())
    assert any(ad.is_rental for ad in first.values())
    assert any(ad.price is None for ad in first.values())
    assert any(re.search("[\u0600-\u06ff]", ad.title) for ad in first.values())
