"""The catalogue is complete, and the two languages say the same numbers."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from conftest import REPOSITORY

from price_app.views.estimate_explanation import in_whole
from price_contract import formats, language

SOURCES = [REPOSITORY / "images" / "app" / name for name in ("price_app", "price_contract")]
PLACEHOLDER = re.compile(r"{(\w+)}")


def forms(message: str | tuple[str, ...]) -> tuple[str, ...]:
    return (message,) if isinstance(message, str) else tuple(message)


@pytest.fixture(scope="module")
def extracted() -> set[tuple[str, ...]]:
    return {
        forms(found[2])
        for folder in SOURCES
        for found in extract_from_dir(str(folder), [("**.py", "python")])
    }


@pytest.fixture(scope="module")
def translated() -> dict[tuple[str, ...], tuple[str, ...]]:
    with open(language.CATALOGUE, "rb") as file:
        return {forms(m.id): forms(m.string) for m in read_po(file, locale="en") if m.id}  # type: ignore[arg-type]


@pytest.fixture
def english() -> Iterator[None]:
    with language.speaking("en"):
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
    translated: dict[tuple[str, ...], tuple[str, ...]],
) -> None:
    for french, english in translated.items():
        assert len(french) == len(english)
        for one, other in zip(french, english, strict=True):
            assert sorted(PLACEHOLDER.findall(one)) == sorted(PLACEHOLDER.findall(other)), one


@pytest.mark.parametrize(
    ("write", "french", "other"),
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
def test_both_languages_write_the_same_number(write, french: str, other: str, request) -> None:  # noqa: ANN001
    assert write() == french
    request.getfixturevalue("english")
    assert write() == other


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


def test_a_message_counts_as_its_language_does(english: None) -> None:
    def said(n: int) -> str:
        return language.ngettext("{n} annonce", "{n} annonces", n, n=n)

    assert [said(n) for n in (0, 1, 2)] == ["0 listings", "1 listing", "2 listings"]
    with language.speaking("fr"):
        assert [said(n) for n in (0, 1, 2)] == ["0 annonce", "1 annonce", "2 annonces"]
