"""The catalogues are complete, and the languages say the same numbers."""

from __future__ import annotations

import ast
import datetime
import re
from collections.abc import Iterator

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from conftest import REPOSITORY

from carprice.listings import words as listing_words
from price_app.views.estimate_explanation import in_whole
from price_contract import formats, language, words

SOURCES = [REPOSITORY / "images" / "app" / name for name in ("price_app", "price_contract")]
PLACEHOLDER = re.compile(r"{(\w+)}|(\$\d)")
# The forms for none, one and two of a thing need not write the number: Arabic has words for them.
WITHOUT_A_NUMBER = {"ar": (0, 1, 2)}
LATIN_WORD = re.compile(r"[A-Za-zÀ-ÿ]{2,}")
# What Arabic texts of the trade leave in Latin letters.
STAYS_LATIN = {
    "ABS", "API", "APP", "Atom", "Bluetooth", "CARPRICE", "CD", "COD", "CSV", "CV", "DH", "ESP", "Excel",
    "GPS", "HTML", "JSON", "Lines", "KEY", "MLflow", "MP", "PRB", "PRD", "WW", "data", "gz", "gzip", "km",
    "problem", "raw", "warnings", "xlsx",
}  # fmt: skip


def forms(message: str | tuple[str, ...]) -> tuple[str, ...]:
    return (message,) if isinstance(message, str) else tuple(message)


def key(context: str | None, message: str | tuple[str, ...]) -> tuple[str, ...]:
    return (f"{context}: " if context else "", *forms(message))


@pytest.fixture(scope="module")
def extracted() -> set[tuple[str, ...]]:
    return {
        key(found[4], found[2])
        for folder in SOURCES
        for found in extract_from_dir(str(folder), [("**.py", "python")])
    }


@pytest.fixture(scope="module", params=[other for other in language.LANGUAGES if other != language.SOURCE])
def other(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def translated(other: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    with open(language.catalogue(other), "rb") as file:
        return {key(m.context, m.id): forms(m.string) for m in read_po(file, locale=other) if m.id}  # type: ignore[arg-type]


@pytest.fixture
def arabic() -> Iterator[None]:
    with language.speaking("ar"):
        yield


def test_every_message_of_the_source_is_translated(
    extracted: set[tuple[str, ...]], translated: dict[tuple[str, ...], tuple[str, ...]]
) -> None:
    assert len(extracted) > 150
    missing = {m for m in extracted if m not in translated or not all(translated[m])}
    assert not missing


def test_the_catalogue_holds_nothing_that_the_source_has_lost(
    extracted: set[tuple[str, ...]], translated: dict[tuple[str, ...], tuple[str, ...]]
) -> None:
    assert not set(translated) - extracted


def test_no_message_hides_where_the_catalogue_does_not_look() -> None:
    """Babel does not look into f-strings."""
    hidden = [
        call.args[0].value
        for folder in SOURCES
        for path in folder.rglob("*.py")
        for text in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(text, ast.JoinedStr)
        for call in ast.walk(text)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id in {"_", "N_", "ngettext"}
        and isinstance(call.args[0], ast.Constant)
    ]
    assert hidden == []


def test_translations_have_the_placeholders_of_their_messages(
    translated: dict[tuple[str, ...], tuple[str, ...]], other: str
) -> None:
    for (_, *french), translations in translated.items():
        assert len(translations) == (1 if len(french) == 1 else {"en": 2, "ar": 6}[other])
        for place, translation in enumerate(translations):
            expected = set(PLACEHOLDER.findall(french[min(place, len(french) - 1)]))
            found = set(PLACEHOLDER.findall(translation))
            if len(french) == 2 and place in WITHOUT_A_NUMBER.get(other, ()):
                assert found <= expected | {("n", "")}, translation
            else:
                assert found == expected, translation


def test_nothing_is_left_in_french_in_the_arabic_catalogue() -> None:
    with open(language.catalogue("ar"), "rb") as file:
        messages = [m for m in read_po(file, locale="ar") if m.id]
    for message in messages:
        for text in forms(message.string):  # type: ignore[arg-type]
            bare = PLACEHOLDER.sub("", text)
            assert re.search("[\u0621-\u064a]", bare) or not re.search(r"\w", bare) or "CV" in bare, text
            assert set(LATIN_WORD.findall(bare)) <= STAYS_LATIN, text
            # French and English punctuation, and other digits than Morocco's.
            assert not re.search(r"[,;?\u0660-\u0669]", bare), text


@pytest.mark.parametrize(
    ("write", "french", "english"),
    [
        (lambda: formats.money(95_300), "95\u202f300\u00a0MAD", "95,300\u00a0MAD"),
        (lambda: formats.signed_money(-3_500.4), "−3\u202f500\u00a0MAD", "−3,500\u00a0MAD"),
        (lambda: formats.signed_money(0.2), "0\u00a0MAD", "0\u00a0MAD"),
        (lambda: formats.share(0.065, 1), "6,5\u202f%", "6.5%"),
        (
            lambda: formats.mileage(120_000, 129_999),
            "120\u202f000 – 129\u202f999\u00a0km",
            "120,000 – 129,999\u00a0km",
        ),
        (lambda: formats.mileage(500_000, None), "> 500\u202f000\u00a0km", "> 500,000\u00a0km"),
        (lambda: formats.moment("2026-07-03T22:05:00+00:00"), "3 juil. 2026, 23:05", "Jul 3, 2026, 23:05"),
        (lambda: formats.moment("yesterday"), "", ""),
    ],
)  # fmt: skip
def test_french_and_english_write_the_same_number(write, french: str, english: str) -> None:  # noqa: ANN001
    assert write() == french
    with language.speaking("en"):
        assert write() == english


@pytest.mark.parametrize(
    ("write", "shown"),
    [
        (lambda: formats.money(134_684), "134\u202f684\u00a0درهم"),
        (lambda: formats.signed_money(-3_500.4), "−3\u202f500\u00a0درهم"),
        (lambda: formats.money_range(95_000, 120_000), "95\u202f000 – 120\u202f000\u00a0درهم"),
        (lambda: formats.share(0.065, 1), "6,5%"),
        (lambda: formats.mileage(120_000, 129_999), "120\u202f000 – 129\u202f999\u00a0كلم"),
        (lambda: formats.mileage(500_000, None), "أكثر من 500\u202f000\u00a0كلم"),
        (lambda: formats.moment("2026-07-03T22:05:00+00:00"), "3 يوليوز 2026، 23:05"),
        (lambda: formats.day(datetime.date(2026, 8, 3)), "3 غشت 2026"),
        (lambda: words.power(6), "6\u00a0CV"),
    ],
)
def test_arabic_writes_latin_digits_and_its_own_words(arabic: None, write, shown: str) -> None:  # noqa: ANN001
    assert without_marks(write()) == shown


def without_marks(text: str) -> str:
    return re.sub("[\u200e\u200f\u2066-\u2069]", "", text)


def test_numbers_and_names_are_isolated_from_the_arabic_around_them(arabic: None) -> None:
    assert formats.number(134_684) == "\u2066134\u202f684\u2069"
    assert formats.signed_number(-3_500) == "\u2066−\u20663\u202f500\u2069\u2069"
    assert (
        words.car({"make": "Dacia", "model": "Logan", "model_year": 2015}) == "\u2068Dacia Logan 2015\u2069"
    )
    said = language._("Il manque encore : {fields}.", fields="C+ (x)")
    assert "\u2068C+ (x)\u2069" in said
    assert language.enumerated(["a", "b"]) == "\u2067\u2068a\u2069، \u2068b\u2069\u2069"
    # A sentence that begins with a name still begins from the right.
    assert language._("{field} : {complaint}", field="x", complaint="y").startswith("\u200f")


def test_a_message_without_arabic_is_shown_in_french(arabic: None) -> None:
    assert language._("Une phrase de demain : {n}.", n=3) == "Une phrase de demain\u00a0: \u20683\u2069."


def test_arabic_words_of_lists_are_read_back_as_the_values_of_the_site(arabic: None) -> None:
    for known, read in (
        (words.FUELS, listing_words.fuel),
        (words.GEARBOXES, listing_words.gearbox),
        (words.CONDITIONS, listing_words.condition),
        (words.ORIGINS, listing_words.origin),
    ):
        for value in known:
            assert read(words.value(value)) == read(value), value


@pytest.mark.parametrize(
    ("price", "low", "high", "shown"),
    [
        (134_684, 115_100, 159_400, 135_000),
        (22_470, 18_900, 26_600, 22_500),
        (1_234_567, 900_000, 1_700_000, 1_230_000),
        (3_321, 2_900, 3_900, 3_300),
        (67_292, None, None, 67_000),
        (109_400, None, None, 110_000),
        (40, None, None, 0),
    ],
)
def test_an_estimate_is_rounded_to_what_its_range_can_carry(
    price: int, low: int | None, high: int | None, shown: int
) -> None:
    assert formats.rounded(price, formats.step_of(price, low, high)) == shown


def test_an_explanation_adds_up_as_it_is_shown() -> None:
    steps = [("a", "", 12_449.6), ("b", "", 12_449.6), ("c", "", -2_300.0), ("d", "", 499.9)]
    base, added, price = in_whole(1_000, 80_400.4, steps)
    assert (base, price) == (80_000, 103_000)
    assert base + sum(mad for *_, mad in added) == price
    assert all(mad and mad % 1_000 == 0 for *_, mad in added)
    assert [name for name, *_ in added] == ["a", "b", "c"]


def test_french_punctuation_does_not_begin_a_line() -> None:
    assert language._("Et si… ?") == "Et si…\u00a0?"
    assert language._("pas une puissance fiscale comme « 6 CV »").endswith("«\u00a06 CV\u00a0»")


def test_a_message_counts_as_its_language_does() -> None:
    def said(n: int) -> str:
        return language.ngettext("{n} annonce", "{n} annonces", n, n=n)

    with language.speaking("en"):
        assert [said(n) for n in (0, 1, 2)] == ["0 listings", "1 listing", "2 listings"]
    with language.speaking("ar"):
        assert [without_marks(said(n)) for n in (0, 1, 2, 3, 10, 11, 99, 100, 102, 103)] == [
            "لا إعلانات", "إعلان واحد", "إعلانان", "3 إعلانات", "10 إعلانات", "11 إعلانا", "99 إعلانا",
            "100 إعلان", "102 إعلان", "103 إعلانات",
        ]  # fmt: skip
    with language.speaking("fr"):
        assert [said(n) for n in (0, 1, 2)] == ["0 annonce", "1 annonce", "2 annonces"]
