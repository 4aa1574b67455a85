"""What a query asks of the listings or of the market, and how /openapi.json describes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast, get_args

import orjson
from fastapi import Request

from carprice.listings.records import shown
from carprice.listings.schema import FIRST_YEAR, LONGEST_TEXT, newest_year
from price_api.market.figures import Scope
from price_api.market.filters import (
    FILTERS,
    HIGHEST_PRICE,
    LABELS,
    OfferFilters,
    known_names,
    read_filters,
    read_word,
)
from price_api.market.offers import SORTS, Mask, Offers, Sort
from price_api.problems import field_error, refused_fields
from price_contract.answers import FieldError

Status = Literal["on_offer", "gone", "all"]
STATUSES: tuple[Status, ...] = get_args(Status)
MOST_LISTED, USUAL_LISTED = 100, 25
_FLAGS = {"true": True, "false": False}
_CHOOSING = (*FILTERS, "label", "status", "suspicious", "sort")
_PAGING = ("limit", "cursor")
_SCOPE = ("make", "model", "model_year")
_LONGEST_CURSOR = 400


@dataclass(frozen=True)
class Question:
    """Which listings are asked for, and in which order."""

    filters: OfferFilters = field(default_factory=OfferFilters)
    status: Status = "on_offer"
    suspicious: bool | None = None
    sort: Sort = "below_estimate"

    @property
    def text(self) -> str:
        """The same text for the same question."""
        return orjson.dumps(asdict(self), option=orjson.OPT_SORT_KEYS).decode()

    def fitting(self, offers: Offers) -> Mask:
        """The rows that fit."""
        mask = offers.fitting(self.filters)
        if self.status != "all":
            mask &= offers.on_offer if self.status == "on_offer" else ~offers.on_offer
        if self.suspicious is not None:
            mask &= offers.suspicious if self.suspicious else ~offers.suspicious
        return mask


@dataclass(frozen=True)
class PageQuestion:
    """A question, and which page of its answer is asked for."""

    question: Question
    limit: int
    cursor: str | None


def read_question(request: Request) -> Question:
    """The question of a query without pages. Raises `Refusal` with each parameter at fault."""
    given, labels, errors = _given(request, _CHOOSING)
    question = _question(given, labels, errors)
    if errors:
        raise refused_fields(errors)
    return question


def read_page_question(request: Request) -> PageQuestion:
    """The question of a query with pages. Raises `Refusal` with each parameter at fault."""
    given, labels, errors = _given(request, (*_CHOOSING, *_PAGING))
    question = _question(given, labels, errors)
    limit = _whole("limit", given.get("limit") or str(USUAL_LISTED), 1, MOST_LISTED, errors)
    cursor = given.get("cursor") or None
    if cursor is not None and len(cursor) > _LONGEST_CURSOR:
        errors.append(field_error("text_length", "cursor", shown(cursor), most=_LONGEST_CURSOR))
    if errors:
        raise refused_fields(errors)
    return PageQuestion(question, limit, cursor)


def read_scope(request: Request) -> Scope:
    """The cars that figures are asked for. Raises `Refusal` with each parameter at fault."""
    given, _, errors = _given(request, _SCOPE)
    named = {name: value for name, value in given.items() if name != "model_year"}
    year = given.get("model_year", "").strip()
    filters = read_filters(named, (), errors)
    model_year = _whole("model_year", year, FIRST_YEAR, newest_year(), errors) if year else None
    if errors:
        raise refused_fields(errors)
    return Scope(filters.make, filters.model, model_year)


def _given(request: Request, known: tuple[str, ...]) -> tuple[dict[str, str], list[str], list[FieldError]]:
    """The parameters of a query by their names in `known`, the labels, and what comes twice."""
    items = request.query_params.multi_items()
    names = known_names(dict(items), known)
    values: dict[str, str] = {}
    labels: list[str] = []
    errors: list[FieldError] = []
    for key, value in items:
        name = names[key]
        if name == "label":
            labels.append(value)
        elif values.setdefault(name, value) != value:
            errors.append(field_error("repeated_key", shown(key), f"{shown(values[name])}, {shown(value)}"))
    return values, labels, errors


def _question(given: dict[str, str], labels: Iterable[str], errors: list[FieldError]) -> Question:
    filters = read_filters(given, labels, errors)
    status = read_word("status", given.get("status"), STATUSES, errors)
    sort = read_word("sort", given.get("sort"), SORTS, errors)
    suspicious = given.get("suspicious") or None
    if suspicious is not None and suspicious not in _FLAGS:
        errors.append(field_error("flag", "suspicious", shown(suspicious)))
    return Question(
        filters,
        cast(Status, status or "on_offer"),
        None if suspicious is None else _FLAGS.get(suspicious),
        cast(Sort, sort or "below_estimate"),
    )


def _whole(name: str, text: str, low: int, high: int, errors: list[FieldError]) -> int:
    if text.isascii() and text.isdigit() and len(text) < 10 and low <= int(text) <= high:
        return int(text)
    errors.append(field_error("number", name, shown(text), low=low, high=high))
    return low


def parameters(*, paged: bool) -> list[dict[str, Any]]:
    """The parameters of `read_question`, or with pages of `read_page_question`, as /openapi.json has them."""
    text = {"type": "string", "maxLength": LONGEST_TEXT}
    year = {"type": "integer", "minimum": FIRST_YEAR, "maximum": newest_year()}
    price = {"type": "number", "minimum": 0, "maximum": HIGHEST_PRICE}
    described = {
        **_NAMES,
        "year_from": (year, "The oldest model year.", 2012),
        "year_to": (year, "The newest model year.", None),
        "mileage_to": (
            {"type": "number", "minimum": 0, "maximum": 2_000_000},
            "The largest mileage in kilometres.",
            None,
        ),
        "city": (text, "The city.", None),
        "fuel": (text, "Diesel, Essence, Hybride, Electrique …", None),
        "price_from": (price, "The lowest asking price in MAD.", None),
        "price_to": (price, "The highest asking price in MAD.", 120000),
        "label": (
            {"type": "array", "items": {"type": "string", "enum": list(LABELS)}},
            "The label; several labels let each of them through.",
            "good_price",
        ),
        "status": (
            {"type": "string", "enum": list(STATUSES), "default": "on_offer"},
            "Listings that are on offer, that are gone, or all.",
            None,
        ),
        "suspicious": (
            {"type": "boolean"},
            "Only listings with something suspicious, or only those without; both where it is not given.",
            None,
        ),
        "sort": (
            {"type": "string", "enum": list(SORTS), "default": "below_estimate"},
            "How far below the estimate, with what has no label at the end; the newest first; the lowest "
            "price or mileage first.",
            None,
        ),
    }
    if paged:
        limit = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": USUAL_LISTED}
        described["limit"] = (limit, "The most listings of a page.", None)
        described["cursor"] = (
            {"type": "string", "maxLength": _LONGEST_CURSOR},
            "`next` of the page before, with the same filters and the same order.",
            None,
        )
    return _described(described)


def scope_parameters() -> list[dict[str, Any]]:
    """The parameters of `read_scope` as /openapi.json has them."""
    year = {"type": "integer", "minimum": FIRST_YEAR, "maximum": newest_year()}
    return _described({**_NAMES, "model_year": (year, "The model year.", None)})


_Described = dict[str, tuple[dict[str, Any], str, Any]]
_NAMES: _Described = {
    "make": ({"type": "string", "maxLength": LONGEST_TEXT}, "The make, as people write it.", "Dacia"),
    "model": ({"type": "string", "maxLength": LONGEST_TEXT}, "The model, as people write it.", "Logan"),
}


def _described(found: _Described) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": False, "schema": schema, "description": said}
        | ({} if example is None else {"example": example})
        for name, (schema, said, example) in found.items()
    ]
