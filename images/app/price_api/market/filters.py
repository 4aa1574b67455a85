"""What a caller looks for among the listings: read from a query or from the body of a watch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast, get_args

from carprice.listings.car_names import canonical_make_and_model
from carprice.listings.header_names import field_of
from carprice.listings.records import LONGEST_SHOWN, shown
from carprice.listings.schema import COLUMNS, FIRST_YEAR, LONGEST_TEXT, newest_year
from carprice.listings.values import parse_mileage, parse_price, reader_of
from carprice.listings.vocabulary import shipped_vocabulary
from price_api.problems import field_error, refuse_unknown, refused_fields
from price_contract.answers import FieldError
from price_contract.offer_answers import Label, WatchFilters
from price_contract.problem_kinds import FieldCode

TEXTS = ("make", "model", "city", "fuel")
YEARS = ("year_from", "year_to")
PRICES = ("price_from", "price_to")
FILTERS = ("make", "model", *YEARS, "mileage_to", "city", "fuel", *PRICES)
LABELS: tuple[Label, ...] = get_args(Label)
HIGHEST_PRICE = 1e12
_NEVER_ABOVE = (YEARS, PRICES)


@dataclass(frozen=True)
class OfferFilters:
    """Conditions on a listing, all of which must hold; None and no labels let everything through.

    Texts are in the spelling that files of listings get. A listing whose value is unknown fails a
    condition on it.
    """

    make: str | None = None
    model: str | None = None
    year_from: int | None = None
    year_to: int | None = None
    mileage_to: float | None = None
    city: str | None = None
    fuel: str | None = None
    price_from: float | None = None
    price_to: float | None = None
    labels: tuple[Label, ...] = ()

    def record(self) -> WatchFilters:
        """As JSON, without the conditions that are not given."""
        found: dict[str, Any] = {
            name: value for name in FILTERS if (value := getattr(self, name)) is not None
        }
        if self.labels:
            found["labels"] = list(self.labels)
        return cast(WatchFilters, found)


def known_names(
    given: Iterable[str], known: tuple[str, ...], unknown: FieldCode = "known_parameter"
) -> dict[str, str]:
    """The name among `known` of each given one; `Marque` is `make`, as in a listing.

    Raises `Refusal` with the code `unknown` for a name that is none of them, and for two names of one thing.
    """
    names: dict[str, str] = {}
    errors: list[FieldError] = []
    for each in given:
        name = each if each in known else _field(each)
        names[each] = name if name in known else each
    refuse_unknown([each for each in names if names[each] not in known], known, unknown)
    first: dict[str, str] = {}
    for each, name in names.items():
        other = first.setdefault(name, each)
        if other != each:
            errors.append(field_error("repeated_key", shown(each), f"{shown(each)} and {shown(other)}"))
    if errors:
        raise refused_fields(errors)
    return names


def read_filters(
    given: Mapping[str, Any], labels: Iterable[Any], errors: list[FieldError], label_field: str = "label"
) -> OfferFilters:
    """The filters of texts or JSON scalars by FILTERS, and of labels; adds what can't be used to `errors`.

    An empty value is not given.
    """
    texts = {name: _text(name, value, errors) for name, value in given.items() if name in FILTERS}
    values: dict[str, Any] = {name: texts.get(name) for name in TEXTS}
    values |= _canonical(values["make"], values["model"], values["city"], values["fuel"])
    for name in (*YEARS, "mileage_to", *PRICES):
        values[name] = _number(name, texts.get(name), errors)
    for low, high in _NEVER_ABOVE:
        least, most = values[low], values[high]
        if least is not None and most is not None and least > most:
            errors.append(field_error("not_above_other", low, f"{least:g}", other=high, most=most))
    found = [read_word(label_field, each, LABELS, errors) for each in labels]
    values["labels"] = tuple(dict.fromkeys(cast(Label, each) for each in found if each))
    return OfferFilters(**values)


def read_word(name: str, value: Any, known: tuple[str, ...], errors: list[FieldError]) -> str | None:
    """`value`, where it is one of `known`; adds to `errors` where it is another, None where it is empty."""
    if isinstance(value, str) and value in known:
        return value
    if value is not None and value != "":
        errors.append(field_error("one_of", name, shown(value), known=list(known)))
    return None


@lru_cache(maxsize=256)
def _field(header: str) -> str | None:
    return field_of(header) if len(header) <= LONGEST_SHOWN else None


def _text(name: str, value: Any, errors: list[FieldError]) -> str | None:
    """A scalar as text; None where it is empty or of no use."""
    if isinstance(value, float) and value.is_integer() and abs(value) < HIGHEST_PRICE:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float | None):
        errors.append(field_error("not_accepted", name, shown(value)))
        return None
    text = "" if value is None else str(value).strip()
    if len(text) > LONGEST_TEXT:
        errors.append(field_error("text_length", name, shown(text), most=LONGEST_TEXT))
        return None
    return text or None


@lru_cache(maxsize=1024)
def _canonical(make: str | None, model: str | None, city: str | None, fuel: str | None) -> dict[str, Any]:
    """The texts in the spelling that a file's rows get; what nobody knows stays as it is."""
    car = canonical_make_and_model(make, model, shipped_vocabulary())
    return {
        "make": car.make or make,
        "model": car.model or model,
        "city": _read("city", city),
        "fuel": _read("fuel", fuel),
    }


def _read(name: str, text: str | None) -> str | None:
    try:
        return reader_of(name).read(text) or text if text else None
    except ValueError:
        return text


def _number(name: str, text: str | None, errors: list[FieldError]) -> float | int | None:
    if text is None:
        return None
    low, high = _limits(name)
    try:
        value = _value(name, text)
        if value is not None and low <= value <= high:
            return value
    except (ValueError, OverflowError):
        pass
    errors.append(field_error("number", name, shown(text), low=low, high=high))
    return None


def _limits(name: str) -> tuple[float, float]:
    if name in YEARS:
        return FIRST_YEAR, newest_year()
    return 0, HIGHEST_PRICE if name in PRICES else float(COLUMNS["mileage_km_min"].high or 0)


def _value(name: str, text: str) -> float | int | None:
    """A number as people write it. Raises ValueError."""
    if name in YEARS:
        year = float(text)
        if not year.is_integer():
            raise ValueError
        return int(year)
    if name in PRICES:
        return parse_price(text)
    bracket = parse_mileage(text)
    if bracket is None:
        return None
    low, high = bracket
    return high if high == high else low
