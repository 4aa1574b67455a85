"""The requests as /openapi.json and /docs describe them; the routes read with `carprice.listings`.

The routes take more than is described here: every header of `HEADERS`, every way to write a value. A request
that is described here is read.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from carprice.listings.headers import HEADERS
from carprice.listings.problems import (
    ASIDE_CODES,
    FILE_CODES,
    ROW_CODES,
    TITLE_CODES,
    VALUE_CODES,
)
from carprice.listings.schema import COLUMNS, EQUIPMENT, FIRST_YEAR, LONGEST_TEXT, newest_year
from price_contract.offer_answers import Label
from price_contract.problem_kinds import ACCEPTED, PROBLEMS

ENGLISH: dict[str, Any] = {
    "make": "Dacia",
    "model": "Logan",
    "model_year": 2015,
    "mileage": 120000,
    "fuel": "Diesel",
    "fiscal_power_cv": 6,
    "gearbox": "Manuelle",
    "air_conditioning": True,
    "asking_price": 99000,
}
FRENCH: dict[str, Any] = {
    "Marque": "Dacia",
    "Modèle": "Logan",
    "Année-Modèle": "2015",
    "Kilométrage": "120 000 - 129 999",
    "Type de carburant": "Diesel",
    "Puissance fiscale": "6 CV",
    "Boite de vitesses": "Manuelle",
    "Climatisation": "Oui",
    "Prix": "99 000 DH",
}
LISTING_EXAMPLES = {
    "english": {"summary": "Canonical names", "value": ENGLISH},
    "french": {
        "summary": "The French headers of the listing sites, values as they are written there",
        "value": FRENCH,
    },
}


MOST_ROWS, MOST_POINTS = 10_000, 60
FILE_FORM = {
    "schema": {
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary"}},
        "additionalProperties": False,
    }
}


class _Schema(BaseModel):
    model_config = ConfigDict(protected_namespaces=(), extra="forbid")


_Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=r"\S")]
_Kilometres = Annotated[float, Field(ge=0, le=COLUMNS["mileage_km_min"].high)]
_Year = Annotated[int, Field(ge=FIRST_YEAR, le=newest_year())]
_Power = Annotated[float, Field(ge=1, le=COLUMNS["fiscal_power_cv"].high)]
_Doors = Annotated[int, Field(ge=1, le=9)]
_Price = Annotated[float, Field(gt=0, lt=1e12)]
_MONTH_AND_DAY = (
    r"(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31"  # leap days are read
)
_Day = Annotated[str, Field(pattern=rf"^20\d\d-({_MONTH_AND_DAY})$")]
_Bracket = Annotated[str, Field(pattern=r"^\d{1,3}( \d{3})? - \d{1,3} \d{3}$|^\d{1,3}([ .]?\d{3})?( km)?$")]

_OPTIONAL: dict[str, tuple[Any, str]] = {
    "mileage": (_Kilometres | _Bracket, "Kilometres, or a bracket such as `120 000 - 129 999`."),
    "mileage_km_min": (_Kilometres, "Least kilometres, where `mileage` is not given."),
    "mileage_km_max": (_Kilometres, "Largest kilometres, where `mileage` is not given."),
    "fuel": (_Text, "Diesel, Essence, Hybride, Electrique …"),
    "fiscal_power_cv": (_Power, "Fiscal power in CV."),
    "gearbox": (_Text, "Manuelle or Automatique."),
    "condition": (_Text, "Neuf, Excellent, Très bon, Bon, Correct, Endommagé, Pour Pièces."),
    "origin": (_Text, "WW au Maroc, Dédouanée, Importée neuve, Pas encore dédouanée."),
    "city": (_Text, "City."),
    "district": (_Text, "District."),
    "doors": (_Doors, "Number of doors."),
    "first_owner": (bool, "Whether the seller is the first owner."),
    **{name: (bool, name.replace("_", " ").capitalize() + ".") for name in EQUIPMENT},
    "asking_price": (_Price, "The asking price in MAD, for a verdict on it."),
    "price_mad": (_Price, "Another name of `asking_price`."),
    "asked_on": (
        _Day,
        "The day that the price is asked for, such as `2026-05-04`; today where it is not given. A day "
        "beyond those that the model learned gets the price of the nearest of them, and a warning.",
    ),
}


# Its overloads know no fields by names that are made.
_created: Any = create_model


def _described(name: str, said: str) -> str:
    also = ", ".join(f"`{header}`" for header in HEADERS.get(name, ()) if header != name)
    return f"{said} Also read under {also}." if also else said


def _needed(kind: Any, name: str, said: str) -> tuple[Any, Any]:
    return (kind, Field(description=_described(name, said)))


def _optional(kind: Any, name: str, said: str) -> tuple[Any, Any]:
    return (kind | None, Field(default=None, description=_described(name, said)))


ListingIn: type[BaseModel] = _created(
    "ListingIn",
    __base__=_Schema,
    __doc__="One listing under canonical names. Without mileage or fuel the interval is wider and the answer "
    "has a warning. The service also reads fields that are not listed here, and warns of those that it does "
    "not know.",
    make=_needed(_Text, "make", "The make, as listing sites write it."),
    model=_needed(_Text, "model", "The model."),
    model_year=_needed(_Year, "model_year", f"The model year, from {FIRST_YEAR} to next year."),
    **{name: _optional(kind, name, said) for name, (kind, said) in _OPTIONAL.items()},
)
ListingIn.model_config["json_schema_extra"] = {"examples": [ENGLISH]}

_YesNo = Literal["Oui", "Non"]
_Written = Annotated[str, Field(pattern=r"^[1-9]\d{0,2}( ?\d{3}){1,2}( DH)?$")]
_FRENCH_FIELDS: dict[str, tuple[str, Any]] = {
    "Kilométrage": ("mileage", _Kilometres | _Bracket),
    "Type de carburant": ("fuel", _Text),
    "Puissance fiscale": ("fiscal_power_cv", _Power | Annotated[str, Field(pattern=r"^[1-9]\d? CV$")]),
    "Boite de vitesses": ("gearbox", _Text),
    "Ville": ("city", _Text),
    "Origine": ("origin", _Text),
    "Première main": ("first_owner", _YesNo),
    "État": ("condition", _Text),
    "Climatisation": ("air_conditioning", _YesNo),
    "Prix": ("price_mad", _Price | _Written),
}
RawListingIn: type[BaseModel] = _created(
    "RawListingIn",
    __base__=_Schema,
    __doc__="One listing as the listing sites write it. The service reads every header that scrapers use; "
    "these are the most frequent ones.",
    **{
        "Marque": (_Text, Field(description="The make.")),
        "Modèle": (_Text, Field(description="The model.")),
        "Année-Modèle": (
            _Year | Annotated[str, Field(pattern=r"^(19[5-9]\d|20[01]\d)$")],
            Field(description="The model year."),
        ),
        **{
            header: (kind | None, Field(default=None, description=f"The same as `{name}`."))
            for header, (name, kind) in _FRENCH_FIELDS.items()
        },
    },
)
RawListingIn.model_config["json_schema_extra"] = {"examples": [FRENCH]}


class Listing(RootModel[ListingIn | RawListingIn]):  # type: ignore[valid-type]
    """One listing, under canonical names or under the headers of the listing sites."""


class BatchIn(_Schema):
    """Up to 10,000 listings; the list may also be sent bare."""

    listings: list[Listing] = Field(max_length=MOST_ROWS)


class WhatIfIn(_Schema):
    """A listing, and the mileages and model years to price it with."""

    listing: Listing
    mileage_km: list[_Kilometres] = Field(default_factory=list, max_length=MOST_POINTS)
    model_year: list[_Year] = Field(default_factory=list, max_length=MOST_POINTS)


class FeedbackIn(_Schema):
    """The price that was paid for a car that was priced."""

    prediction_id: str = Field(pattern="^[0-9a-f]{32}$")
    price_paid_mad: float = Field(ge=1_000, le=1e9)
    confirmed: bool = Field(
        default=False, description="Whether a price that is far from the estimate is meant as it stands."
    )


class WatchIn(_Schema):
    """A search to save; filters as `/v1/listings` takes them."""

    make: _Text | None = Field(default=None, description="The make, as people write it.")
    model: _Text | None = Field(default=None, description="The model, as people write it.")
    year_from: _Year | None = Field(default=None, description="The oldest model year.")
    year_to: _Year | None = Field(default=None, description="The newest model year.")
    mileage_to: _Kilometres | None = Field(default=None, description="The largest mileage in kilometres.")
    city: _Text | None = Field(default=None, description="The city.")
    fuel: _Text | None = Field(default=None, description="Diesel, Essence, Hybride, Electrique …")
    price_from: _Price | None = Field(default=None, description="The lowest asking price in MAD.")
    price_to: _Price | None = Field(default=None, description="The highest asking price in MAD.")
    labels: list[Label] = Field(
        default_factory=list, max_length=len(get_args(Label)), description="The labels that are told."
    )


# The bodies that the routes read themselves.
REQUESTS: tuple[type[BaseModel], ...] = (Listing, BatchIn, WhatIfIn, FeedbackIn, WatchIn)

_FIELD_CODES = {*ACCEPTED, *VALUE_CODES, *ROW_CODES, *TITLE_CODES, *ASIDE_CODES}
# What is wrong with a body that is a file. A file with too many rows is one with too many listings.
_BODY_CODES = FILE_CODES.keys() - {"too_many_rows"}
# Schema -> the codes that its `code` may be.
CODES: dict[str, set[str]] = {
    "Problem": {*PROBLEMS, *_BODY_CODES},
    "FieldError": _FIELD_CODES,
    "BatchRow": {*PROBLEMS, *_FIELD_CODES},
}
