"""What one column of a file is used for, by its header and by its values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from carprice.listings.availability import reader_of_availability
from carprice.listings.cards import card_of, tells_several_fields
from carprice.listings.folding import words_of
from carprice.listings.header_names import HeaderName, is_index_header
from carprice.listings.other_ads import USED_CAR, kind_of_category
from carprice.listings.schema import EQUIPMENT
from carprice.listings.value_kinds import FIELD_OF, MIXED, ColumnValues, ValueKind
from carprice.listings.words import is_rate_or_scale

Role = Literal[
    "field", "title", "make_and_model", "mixed", "equipment", "category", "place", "currency",
    "distance_unit", "current_price", "availability", "index", "second", "other_unit", "unknown",
]  # fmt: skip

USE_CODES: dict[str, str] = {
    "header": "its header says so",
    "values": "its values say so: {share} of them",
    "values_are": "its header says {header}, but {share} of its values are this",
    "second": "not used: the column {used!r} holds the same",
    "second_differs": "not used: the column {used!r} holds the same, but differs in {differing} of the rows "
    "(usually this one is {factor} times the other)",
    "earlier_price": "not used: its header says that it is an earlier price",
    "current_price": "its header says that it is the current price: where it names one, it counts",
    "driven_wheels": "not used: its values say which wheels are driven, not the gearbox",
    "values_do_not_fit": "not used: its header says {header}, but {share} of its values can be read as that",
    "other_unit": "not used: its header says {unit}",
    "titles_say_others": "not used: titles say another model year in {share} of the rows",
    "row_numbers": "not used: it numbers the rows",
    "empty": "its header says so; it is empty",
    "in_thousands": "its values are too small for kilometres of used cars and are read as thousands of them",
    "years_of_two_digits": "its years have two digits: 18 is read as 2018, and 98 as 1998",
    "not_known": "not used: neither its header nor its values are known",
}
"""Why a column is used as it is."""

# A column with other values than its header says must hold almost nothing else.
_MOSTLY, _HALF, _SOME, _FEW = 0.8, 0.5, 0.3, 0.1
_YEARS = 0.9
_TITLES = 0.6
_LEAST_MIXED, _MIXED_IN_ALL = 0.02, 0.7
# Hardly any car has a larger fiscal power, and hardly any engine less horsepower.
_MOST_FISCAL_POWER = 45
# Comments differ from ad to ad, and categories do not.
_MOST_CATEGORIES = 60
_BY_LOOKS = (
    "fuel",
    "gearbox",
    "condition",
    "origin",
    "fiscal_power_cv",
    "doors",
    "mileage",
    "model_year",
    "price_mad",
)
_NEEDED = {"model_year", "price_mad", "mileage"}
# Words of headers whose numbers are no asking prices, model years or mileages of the car
_SOMETHING_ELSE = frozenset((
    "neuf", "neuve", "new", "ancien", "ancienne", "old", "mois", "mensuel", "mensuelle", "mensualite",
    "monthly", "month", "credit", "apport", "avance", "acompte", "frais", "cote", "argus", "estime",
    "estimee", "estimated", "estimation", "predicted", "prediction", "min", "max", "minimum", "maximum",
    "moyen", "moyenne", "mean", "average", "barre", "before", "avant", "original", "reduction", "remise",
    "discount", "date", "creation", "publication", "garantie", "warranty", "visite", "assurance",
    "vignette", "scraped", "consommation", "consumption", "co2", "vitesse", "speed", "cylindree", "engine",
    "autonomie", "range", "entretien", "service", "prochain", "next", "phone", "telephone", "tel", "vues",
    "views", "photos", "images", "achat", "purchase", "catalogue", "marche", "market", "budget", "caution",
    "deposit", "venale", "mise", "reprise", "distance", "vidange", "prochaine", "membre", "member", "depuis",
    "since", "enchere", "bid", "loyer", "annuel", "annuelle", "annual", "yearly", "par", "courroie",
    "distribution", "pneus", "pneu", "revision", "limite", "limit", "dedouane", "dedouanee", "dedouanement",
))  # fmt: skip

# Words of headers whose links lead to who sells a car, and not to its ad
_SELLERS = frozenset((
    "vendeur", "vendeuse", "seller", "boutique", "shop", "store", "profil", "profile", "agence", "agency",
    "dealer", "garage", "concessionnaire", "annonceur", "user", "utilisateur", "author", "auteur",
))  # fmt: skip

# Words of headers of texts that people write
_COMMENTS = frozenset((
    "description", "descriptif", "commentaire", "commentaires", "comment", "comments", "remarque",
    "remarques", "note", "notes", "texte", "text", "detail", "details", "observation",
    "observations", "motif",
))  # fmt: skip

# Words of headers of kinds of cars, and not of ads
_BODIES = frozenset(("carrosserie", "body", "bodytype", "silhouette"))

# Words of headers whose months and days are those of a price, and not of a warranty
_RATES = frozenset((
    "periode", "period", "prix", "price", "tarif", "rate", "loyer", "rent", "location", "paiement", "payment",
))  # fmt: skip
# Words of headers that promise a currency, and of those whose units are of something else than the price
_CURRENCY = frozenset(("devise", "currency", "monnaie"))
_NO_PRICE = frozenset(("km", "kilometrage", "mileage", "distance", "acceptees", "accepted"))

# Words of headers whose days are those of cars, and not of ads
_REGISTRATION = frozenset(("circulation", "immatriculation", "registration", "mec", "fabrication"))


@dataclass(frozen=True)
class ColumnUse:
    """What a column of a file is used for, and why.

    `field` is the raw field that it holds or, for a column that is not used, would hold. `code` is one of
    `USE_CODES`, `params` are its parameters.
    """

    column: str
    role: Role
    field: str | None = None
    code: str = "header"
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> str:
        """What only one column can be used for, empty where there is no such limit."""
        if self.role == "field":
            return self.field or ""
        return self.role if self.role in ("title", "make_and_model") else ""

    @property
    def taken_for(self) -> str:
        """The field that the column holds, or its role."""
        return self.field if self.role == "field" and self.field else self.role

    def reason(self) -> str:
        """Why, in English."""
        return USE_CODES[self.code].format(
            **{name: _shown(name, value) for name, value in self.params.items()}
        )


def use_of(
    column: str, named: HeaderName, values: ColumnValues, numbers_rows: bool, few_rows: bool
) -> ColumnUse:
    """What a column is used for, other columns aside.

    The values of `few_rows` say nothing against a header.
    """
    if is_index_header(column) or (numbers_rows and named.field in (None, "listing_id")):
        return ColumnUse(column, "index", code="row_numbers")
    if named.foreign:
        params = {"kind": named.foreign, "unit": named.unit}
        return ColumnUse(column, "other_unit", named.field, "other_unit", params)
    if named.time == "earlier":
        return ColumnUse(column, "second", "price_mad", "earlier_price")
    says_on_sale = reader_of_availability(column) if named.field in (None, "condition") else None
    if says_on_sale is not None:
        told = values.share_where(lambda text: says_on_sale(text) is not None)
        if told >= (_HALF if named.field is None else _MOSTLY):
            return _valued(column, "availability", None, named.field, told)
    if named.field == "url" and _of_somebody(column):
        return ColumnUse(column, "unknown", code="not_known")
    if named.field is None:
        if few_rows and named.hint is None:
            return ColumnUse(column, "unknown", code="not_known")
        return _by_values(column, named, values)
    if not values.filled:
        return ColumnUse(column, "field", named.field, "empty")
    if few_rows:
        return ColumnUse(column, "field", named.field)
    return _other_than_named(column, named, values) or ColumnUse(column, "field", named.field)


def _other_than_named(column: str, named: HeaderName, values: ColumnValues) -> ColumnUse | None:
    """The use of a column whose values say something else than its header, or None."""
    name = named.field or ""
    if name in ("make", "model"):
        if values.share("title") >= _TITLES or (
            values.share("title") >= _SOME and values.share("make_and_model") >= _HALF
        ):
            return _valued(column, "title", None, name, values.share("title"))
        if name == "model" and values.share("year") >= _YEARS:
            return _valued(column, "field", "model_year", name, values.share("year"))
        if values.share("make_and_model") >= _MOSTLY:
            return _valued(column, "make_and_model", None, name, values.share("make_and_model"))
        if name == "model" and values.share("make") >= _YEARS and values.distinct > 1:
            return _valued(column, "field", "make", name, values.share("make"))
        return None
    if name == "city":
        located = max(values.share("place"), values.share_where(lambda text: "," in text))
        return _valued(column, "place", None, name, located) if located >= _FEW else None
    if name == "scraped_at" and values.share("year") >= _YEARS:
        return _valued(column, "field", "model_year", name, values.share("year"))
    if name == "model_year" and not _REGISTRATION & set(words_of(column)) and values.are_days_of_ads():
        return _valued(column, "field", "scraped_at", name, values.share("day"))
    if name == "mileage" and values.share("consumption") >= _HALF:
        return _unfit(column, name, values)
    if name == "fiscal_power_cv" and values.share_where(_is_engine_power) >= _HALF:
        return _unfit(column, name, values)
    if name == "mileage" and "distance" in words_of(column) and values.share_where(_is_near) >= _HALF:
        # how far away the seller is
        return _unfit(column, name, values)
    if name in _BY_LOOKS:
        return None if values.fit(name) >= _HALF else _by_looks(column, named, values)
    if name in EQUIPMENT and values.fit(name) < _HALF and values.share("equipment") >= _HALF:
        return _valued(column, "equipment", None, name, values.share("equipment"))
    if named.rank and name in ("url", "first_owner", *EQUIPMENT) and values.fit(name) < _HALF:
        return _unfit(column, name, values)
    return None


def _is_engine_power(text: str) -> bool:
    """Whether a text begins with the power of an engine in horsepower, too much for a fiscal power."""
    number = re.match(r"\d+", text)
    return number is not None and int(number[0]) > _MOST_FISCAL_POWER


def _is_near(text: str) -> bool:
    """Whether a text is a way to a seller, below 1,000 km: a used car has gone farther."""
    return re.fullmatch(r"\d{1,3}(?:[.,]\d)?(?: ?km)?", text.strip().casefold()) is not None


def _by_looks(column: str, named: HeaderName, values: ColumnValues) -> ColumnUse | None:
    """A column whose values mostly do not fit its header, but may be of other kinds."""
    name = named.field or ""
    if values.share("driven_wheels") >= _HALF:
        return ColumnUse(column, "unknown", name, "driven_wheels")
    for kind, other in FIELD_OF.items():
        if other != name and values.share(kind) >= _MOSTLY:
            return _valued(column, "field", other, name, values.share(kind))
    mixed = _mixed(column, values)
    if mixed is None and named.rank and name not in _NEEDED and values.fit(name) < _FEW:
        return _unfit(column, name, values)
    return mixed


def _by_values(column: str, named: HeaderName, values: ColumnValues) -> ColumnUse:
    """The use of a column whose header does not tell it."""
    unknown = ColumnUse(column, "unknown", code="not_known")
    if not values.filled:
        return unknown
    header = set(words_of(column))
    rates = values.share_where(is_rate_or_scale)
    known = values.share("currency") >= (_HALF if header & _CURRENCY else _MOSTLY)
    if known and (not rates or header & (_RATES | _CURRENCY)) and not header & _NO_PRICE:
        return _valued(column, "currency", None, None, values.share("currency"))
    if values.label is not None and not named.hint and values.fit(values.label) >= _HALF:
        return _valued(column, "field", values.label, None, values.fit(values.label))
    if values.share("place") >= _HALF:
        return _valued(column, "place", None, None, values.share("place"))
    if values.share("distance_unit") >= _MOSTLY:
        return _valued(column, "distance_unit", None, None, values.share("distance_unit"))
    if _holds_categories(column, named, values):
        return _valued(column, "category", None, None, values.share("category"))
    if values.share("equipment") >= _SOME and named.hint != "title":
        several = _several(column, values)
        if several is not None and not set(several.params["fields"]) <= set(EQUIPMENT):
            return several
    if (
        values.share("equipment") >= (_HALF if named.hint == "equipment" else _MOSTLY)
        and named.hint != "title"
    ):
        return _valued(column, "equipment", None, None, values.share("equipment"))
    looks = _by_looks_alone(column, values)
    if looks is not None:
        return looks
    several = _several(column, values)
    if several is not None and named.hint != "title" and values.share("title") < _SOME:
        return several
    if values.share("title") >= (_HALF if named.hint == "title" else _TITLES):
        return _valued(column, "title", None, None, values.share("title"))
    if values.share("make_and_model") >= (_HALF if named.hint == "title" else _MOSTLY):
        return _valued(column, "make_and_model", None, None, values.share("make_and_model"))
    if named.hint == "title" and values.share("title") + values.share("make_and_model") > _FEW:
        return _valued(column, "title", None, None, values.share("title"))
    return unknown


def _holds_categories(column: str, named: HeaderName, values: ColumnValues) -> bool:
    """Whether a column holds the categories of ads: under an unknown header those of cars for the most part.

    Other columns may hold the same words: of a warranty (`Pièces et main d'œuvre`), a seller or a comment.
    """
    if (_COMMENTS | _SELLERS | _BODIES) & set(words_of(column)) or named.hint == "title":
        return False
    if named.hint == "category":
        return values.share("category") >= _HALF
    if values.distinct > _MOST_CATEGORIES or values.filled < _HALF:
        return False
    cars = values.share_where(lambda text: kind_of_category(text) == USED_CAR)
    return values.share("category") >= _MOSTLY and cars >= _HALF


def _by_looks_alone(column: str, values: ColumnValues) -> ColumnUse | None:
    for kind, name in FIELD_OF.items():
        told = kind in ("year", "price", "mileage", "power") and _says_something_else(column)
        if kind == "doors" or told or (kind == "link" and _of_somebody(column)):
            continue
        if values.share(kind) >= (_YEARS if kind in ("year", "link", "make", "city") else _MOSTLY):
            return _valued(column, "field", name, None, values.share(kind))
    return _mixed(column, values)


def _of_somebody(column: str) -> bool:
    """Whether a header names who sells the cars, one of whom may sell many."""
    return bool(_SELLERS & set(words_of(column)))


def _says_something_else(column: str) -> bool:
    return bool(_SOMETHING_ELSE & set(words_of(column)))


def _mixed(column: str, values: ColumnValues) -> ColumnUse | None:
    """The use of a column in which a scraper put whatever a card showed."""
    shares: dict[ValueKind, float] = {kind: values.share(kind) for kind in MIXED}
    kinds = [kind for kind, share in shares.items() if share >= _LEAST_MIXED]
    if len(kinds) < 2 or sum(shares.values()) < _MIXED_IN_ALL or max(shares.values()) == sum(shares.values()):
        return None
    fields = [FIELD_OF[kind] for kind in kinds]
    return ColumnUse(column, "mixed", None, "values", {"share": sum(shares.values()), "fields": fields})


def _several(column: str, values: ColumnValues) -> ColumnUse | None:
    """The use of a column whose values each tell several fields."""
    share = values.share_where(tells_several_fields)
    if share < _HALF:
        return None
    fields: dict[str, None] = {}
    for text, _ in values.some:
        fields |= dict.fromkeys(card_of(text) or ())
    return ColumnUse(column, "mixed", None, "values", {"share": share, "fields": list(fields)})


def _valued(column: str, role: Role, name: str | None, header: str | None, share: float) -> ColumnUse:
    if header is None:
        return ColumnUse(column, role, name, "values", {"share": share})
    return ColumnUse(column, role, name, "values_are", {"share": share, "header": header})


def _unfit(column: str, name: str, values: ColumnValues) -> ColumnUse:
    params = {"share": values.fit(name), "header": name}
    return ColumnUse(column, "unknown", name, "values_do_not_fit", params)


def _shown(name: str, value: Any) -> Any:
    return f"{value:.0%}" if name in ("share", "differing") else value
