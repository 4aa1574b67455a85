"""Telephone numbers, names and addresses never leave the collector."""

import re
from dataclasses import fields

import pytest
from demo.replica.market import TELEPHONES, Market
from demo.replica.server import FIRST_PAGES, Replica

from carprice_collector.ads import Ad
from carprice_collector.pages import Page, decode
from carprice_collector.personal_data import address_without_personal_data, without_personal_data
from carprice_collector.sources import SOURCES


@pytest.mark.parametrize(
    "number",
    [
        *TELEPHONES, "0661234567", "06 61 23 45 67", "06-61-23-45-67", "06.61.23.45.67", "06/61/23/45/67",
        "+212661234567", "+212 6 61 23 45 67", "00212 661 23 45 67", "212661234567", "(+212) 0661234567",
        "+212(0)661234567", "0522 12 34 56", "0801 00 20 30", "661 23 45 67", "661-234-567", "661234567",
        "0 6 6 1 2 3 4 5 6 7", "٠٦ ٦١ ٢٣ ٤٥ ٦٧", "+33 6 12 34 56 78", "0033612345678", "۰۶۶۱۲۳۴۵۶۷",
    ],
)  # fmt: skip
def test_what_looks_like_a_telephone_number_is_taken_out(number: str) -> None:
    assert without_personal_data(f"Dacia Logan 2015 tel: {number} urgent") == "Dacia Logan 2015 urgent"
    assert without_personal_data(f"{number} Dacia Logan") == "Dacia Logan"
    assert without_personal_data(number) == ""


@pytest.mark.parametrize(
    "title",
    [
        "Dacia Logan 1.5 dCi 2015", "Renault Clio 4 2016 173 000 km", "Peugeot 208 1.6 HDi 92 ch 2014",
        "Mercedes 220 CDI 2009 250 000 km 85 000 DH", "BMW 320d 2012 1ère main",
        "Audi A4 2.0 TDI 150 2017 120000",
        "داسيا لوغان 2015", "Golf 7 2.0 150 2015/2016", "Prix 120.000 négociable", "Fiat 500 1.2 69ch 2018",
    ],
)  # fmt: skip
def test_the_numbers_of_a_car_stay(title: str) -> None:
    assert without_personal_data(title) == title


def test_mail_addresses_links_and_accounts_are_taken_out() -> None:
    said = "Golf 7 vendeur@exemple.ma www.exemple.ma/x https://wa.me/1 @autoexemple 2015"
    assert without_personal_data(said) == "Golf 7 2015"


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://a.example/fr/x/logan_0661234567_50000001.htm?tel=1#me", "https://a.example/fr/x/logan__50000001.htm"),
        ("https://me:secret@a.example/logan_50000001.htm", "https://a.example/logan_50000001.htm"),
        ("https://a.example/x/logan-06-61-23-45-67_50000001.htm", "https://a.example/x/logan-_50000001.htm"),
        ("https://a.example/detail-annonce/150000001/logan.html", "https://a.example/detail-annonce/150000001/logan.html"),
        ("https://a.example/fr/ma%C3%A2rif/logan_50000001.htm", "https://a.example/fr/ma%C3%A2rif/logan_50000001.htm"),
    ],
)  # fmt: skip
def test_an_address_keeps_the_number_of_its_ad_alone(address: str, kept: str) -> None:
    number = re.search(r"1?50000001", address)
    assert address_without_personal_data(address, number[0] if number else None) == kept


@pytest.mark.parametrize("kind", SOURCES)
def test_no_telephone_number_or_name_survives_in_any_field(kind: str) -> None:
    path = FIRST_PAGES[kind]
    replica = Replica(Market(size=40, telephones_everywhere=True))
    source = SOURCES[kind](start=replica.address + path)
    ads = source.read(
        Page(replica.address + path, decode(replica.page(path).body), replica.now()), "search"
    ).ads
    assert ads
    for ad in ads:
        written = " ".join(str(getattr(ad.cleaned(), field.name)) for field in fields(Ad))
        digits = re.sub(r"[^0-9]", "", written.replace(replica.address, ""))
        assert "66123456" not in digits
        assert "66123457" not in digits
        assert not re.search("Exemple|[٠-٩]{4}", written)
        assert ad.cleaned().price_mad is None


def test_a_telephone_number_is_no_id_of_an_ad() -> None:
    assert Ad("0661234567", "https://a.example/x").cleaned().listing_id is None
    assert Ad("250000001", "https://a.example/x").cleaned().listing_id == "250000001"
