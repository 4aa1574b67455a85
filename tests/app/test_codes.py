"""Every code of a problem or a warning, of the API and of carprice, has its sentence in each language."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from string import Formatter
from typing import Any, get_args

import pytest

from carprice.lifecycle import comparison
from carprice.listings import problems as listing_problems
from carprice.model import price_warnings
from price_contract import language, messages, problem_kinds
from price_contract.answers import BatchRow, FieldError, WarningCode

UNTRANSLATED = "the English sentence of the API"
ARABIC = re.compile("[\u0621-\u064a]")
ROWS = (
    listing_problems.VALUE_CODES
    | listing_problems.ROW_CODES
    | listing_problems.TITLE_CODES
    | listing_problems.ASIDE_CODES
)
EXAMPLES: dict[str, Any] = {
    "fields": ["model_year"], "expected": ["application/json"], "missing": ["Marque"], "found": ["Prix"],
    "share": 0.75, "most_share": 0.5, "requests_per_second": 5.0, "most_seconds": 30.0,
    **dict.fromkeys(
        ("low", "high", "longest", "most", "most_rows", "found_rows", "most_bytes", "found_bytes", "rows",
         "refused", "usable", "distinct", "least", "values", "columns", "bytes", "line", "wait_seconds",
         "value", "bound", "usual", "year", "newer", "price_mad", "price_paid_mad", "count"),
        12_345,
    ),
    "confidence_share": 0.8, "allowed_share": 1.025, "since": "2026-11-27",
}  # fmt: skip


def literals(kind: Any) -> set[str]:
    """The words of a `Literal`, or of a union of them."""
    return {word for each in get_args(kind) for word in ([each] if isinstance(each, str) else get_args(each))}


def names_in(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def params_of(*sentences: str) -> dict[str, Any]:
    """An example of each parameter that the English sentences name."""
    return {name: EXAMPLES.get(name, f"some {name}") for each in sentences for name in names_in(each)}


@pytest.fixture(params=language.LANGUAGES)
def lang(request: pytest.FixtureRequest) -> Iterator[str]:
    with language.speaking(request.param):
        yield request.param


def check(sentence: str, french: str, lang: str) -> None:
    """`sentence` is the one of the code in this language, with its parameters in their places."""
    template = french if lang == "fr" else language.translations(lang).gettext(french)
    assert (template == french) == (lang == "fr")
    assert bool(ARABIC.search(sentence)) == (lang == "ar")
    assert UNTRANSLATED not in sentence
    assert "{" not in sentence
    for text, _, _, _ in Formatter().parse(template):
        assert without_spaces(text) in without_spaces(sentence)


def without_spaces(text: str) -> str:
    return "".join(text.split())


def test_the_tables_hold_every_code_and_no_other() -> None:
    assert literals(problem_kinds.ProblemCode) == set(problem_kinds.PROBLEMS) == set(messages.PROBLEMS)
    assert literals(problem_kinds.FieldCode) == set(problem_kinds.ACCEPTED) == set(messages.ACCEPTED)
    assert set(get_args(WarningCode)) == set(price_warnings.MESSAGES) == set(messages.WARNINGS)
    assert set(listing_problems.EXPECTED) == set(messages.EXPECTED)
    assert set(ROWS) == set(messages.COMPLAINTS)
    assert set(listing_problems.FILE_CODES) == set(messages.FILES)
    assert literals(comparison.ReasonCode) == set(comparison.REASONS) == set(messages.REASONS)


@pytest.mark.parametrize("code", problem_kinds.PROBLEMS)
def test_each_problem_of_the_api_has_its_sentences(code: Any, lang: str) -> None:
    english = problem_kinds.PROBLEMS[code].sentence
    params = params_of(english) | params_of("{fields}")
    assert "{" not in problem_kinds.english(english, params).replace('{"listings"', "")
    found = messages.problem(code, params, UNTRANSLATED)
    check(found, messages.PROBLEMS[code], lang)


@pytest.mark.parametrize("code", problem_kinds.ACCEPTED)
def test_each_field_that_the_api_checks_has_its_sentences(code: Any, lang: str) -> None:
    params = params_of(problem_kinds.ACCEPTED[code])
    for value in ("a value", None):
        error = FieldError(field="f", value=value, accepted=UNTRANSLATED, code=code, params=params)
        check(messages.field_error(error), messages.ACCEPTED[code], lang)


@pytest.mark.parametrize("expected", listing_problems.EXPECTED)
def test_each_kind_of_value_has_its_sentences(expected: str, lang: str) -> None:
    params = params_of(listing_problems.EXPECTED[expected]) | {"expected": expected}
    code = listing_problems.UNREADABLE[expected]
    error = FieldError(field="f", value="x", accepted=UNTRANSLATED, code=code, params=params)
    check(messages.field_error(error), messages.EXPECTED[expected], lang)


@pytest.mark.parametrize("code", ROWS)
def test_each_reason_of_a_row_has_its_sentences(code: str, lang: str) -> None:
    params = params_of(ROWS[code])
    row = BatchRow(row=1, problem=UNTRANSLATED, errors=[], code=code, params=params)
    if code in listing_problems.VALUE_CODES:
        error = FieldError(field="f", value="x", accepted=UNTRANSLATED, code=code, params=params)
        row |= {"code": "invalid-values", "errors": [error]}
    check(messages.unpriced_row(row), messages.COMPLAINTS[code], lang)


@pytest.mark.parametrize("code", listing_problems.FILE_CODES)
def test_each_refusal_of_a_file_has_its_sentences(code: str, lang: str) -> None:
    params = params_of(*(f"{{{name}}}" for name in listing_problems.FILE_CODES[code]))
    check(messages.refused_file(code, params, UNTRANSLATED), messages.FILES[code], lang)
    check(messages.problem(code, params, UNTRANSLATED), messages.FILES[code], lang)


@pytest.mark.parametrize("code", get_args(WarningCode))
def test_each_warning_has_its_sentences(code: WarningCode, lang: str) -> None:
    params = params_of(price_warnings.MESSAGES[code], *(["{make}"] if code == "unknown_model" else []))
    found = messages.warning({"code": code, "field": "fuel", "message": UNTRANSLATED, "params": params})
    check(found, messages.WARNINGS[code], lang)


@pytest.mark.parametrize("code", comparison.REASONS)
def test_each_reason_of_a_comparison_with_production_has_its_sentences(
    code: comparison.ReasonCode, lang: str
) -> None:
    params = params_of(comparison.REASONS[code])
    found = messages.reason({"code": code, "params": params, "sentence": UNTRANSLATED})
    check(found, messages.REASONS[code], lang)
    assert ("since" not in params) == ("2026" not in found)
    assert ("allowed_share" not in params) == ("102.5" not in found.replace(",", "."))


@pytest.mark.parametrize(
    "say",
    [
        lambda code: messages.problem(code, {}, UNTRANSLATED),
        lambda code: messages.refused_file(code, {}, UNTRANSLATED),
        lambda code: messages.unpriced_row({"row": 1, "problem": UNTRANSLATED, "code": code, "params": {}}),
    ],
)
def test_a_code_of_a_newer_api_gets_the_sentence_that_came_with_it(say: Callable[[str], str]) -> None:
    assert say("a-code-of-tomorrow") == UNTRANSLATED
    assert say("too_many_rows") == UNTRANSLATED or "{" not in say("too_many_rows")


def test_a_value_that_means_unknown_is_told_from_one_that_is_missing(lang: str) -> None:
    def said(value: str | None) -> str:
        params = {"expected": "text", "longest": 200}
        return messages.field_error(
            FieldError(field="make", value=value, accepted="", code="unknown_or_empty", params=params)
        )

    assert "N/A" in said("N/A")
    assert {"fr": "veut dire inconnu", "en": "means unknown", "ar": "تعني غير معروف"}[lang] in said("N/A")
    assert said(None) == said("")
    assert {"fr": "manque", "en": "is missing", "ar": "ناقصة"}[lang] in said(None)


def test_numbers_are_written_as_the_language_writes_them_and_years_without_a_separator(lang: str) -> None:
    def said(params: Mapping[str, Any]) -> str:
        error = FieldError(field="f", value="x", accepted="", code="not_a_year", params=dict(params))
        return messages.field_error(error)

    assert "1950" in said({"expected": "year", "low": 1950, "high": 2027})
    grouped = "2,000,000" if lang == "en" else "2\u202f000\u202f000"
    assert grouped in said({"expected": "mileage", "low": 0, "high": 2_000_000})
