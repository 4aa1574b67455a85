"""What a visitor looks for among the listings: its words in the address, and its query of the API.

The address holds filters and nothing else: a reload, the back button and a shared link bring them back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from price_contract.offer_answers import Label, WatchFilters

LABELS: tuple[Label, ...] = get_args(Label)
# Sort of the API -> its name in the address; the first is the usual one.
SORTS = {"below_estimate": "estimation", "newest": "nouveautes", "price": "prix", "mileage": "km"}
# Field -> its name in the address.
NAMES = {
    "make": "marque",
    "model": "modele",
    "year_from": "depuis",
    "year_to": "jusqu_a",
    "mileage_to": "km_max",
    "price_from": "prix_min",
    "price_to": "prix_max",
    "city": "ville",
    "fuel": "carburant",
}
LABELS_NAME, SORT_NAME, SUSPICIOUS_NAME = "avis", "tri", "suspectes"
_WHOLE = {"year_from", "year_to", "mileage_to", "price_from", "price_to"}
_LONGEST = 60


@dataclass(frozen=True)
class Search:
    """Filters of the listings, how they are sorted, and whether only the suspicious ones are shown."""

    make: str | None = None
    model: str | None = None
    year_from: int | None = None
    year_to: int | None = None
    mileage_to: int | None = None
    price_from: int | None = None
    price_to: int | None = None
    city: str | None = None
    fuel: str | None = None
    labels: tuple[Label, ...] = ()
    sort: str = "below_estimate"
    suspicious: bool = False

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that are given, as the API names them, without labels."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name) is not None}

    @property
    def is_empty(self) -> bool:
        """Whether everything fits."""
        return not (self.filters or self.labels or self.suspicious)

    def query(self) -> dict[str, Any]:
        """The query of `/v1/listings`."""
        found: dict[str, Any] = {name: str(value) for name, value in self.filters.items()}
        if self.labels:
            found["label"] = list(self.labels)
        if self.suspicious:
            found["suspicious"] = "true"
        return found | {"sort": self.sort}

    def address(self) -> dict[str, str]:
        """As query parameters of the page."""
        found = {NAMES[name]: str(value) for name, value in self.filters.items()}
        if self.labels:
            found[LABELS_NAME] = ",".join(self.labels)
        if self.sort != "below_estimate":
            found[SORT_NAME] = SORTS[self.sort]
        if self.suspicious:
            found[SUSPICIOUS_NAME] = "oui"
        return found


def of_address(parameters: Mapping[str, str]) -> Search:
    """The search that the address of the page names; what can't be used is left out."""
    found: dict[str, Any] = {}
    for field, name in NAMES.items():
        text = parameters.get(name, "").strip()[:_LONGEST]
        if field in _WHOLE:
            found[field] = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        else:
            found[field] = text or None
    if found["make"] is None:
        found["model"] = None
    given = parameters.get(LABELS_NAME, "").split(",")
    found["labels"] = tuple(label for label in LABELS if label in given)
    wanted = parameters.get(SORT_NAME)
    found["sort"] = next((sort for sort, name in SORTS.items() if name == wanted), "below_estimate")
    found["suspicious"] = parameters.get(SUSPICIOUS_NAME) == "oui"
    return Search(**found)


def of_watch(filters: WatchFilters) -> Search:
    """The search that finds what a watch looks for."""
    known = {field.name for field in fields(Search)} - {"labels"}
    found: dict[str, Any] = {name: value for name, value in filters.items() if name in known}
    found |= {name: int(found[name]) for name in _WHOLE if name in found}
    return Search(**found, labels=tuple(filters.get("labels", ())))
