"""Labels that a scraper took along with a value: `Carburant : Diesel`, `Année-Modèle2018`."""

from __future__ import annotations

import re

from carprice.listings.amounts import UnusableValue
from carprice.listings.header_names import name_of

_LONGEST_LABEL, _LONGEST_GLUED = 40, 80
NEVER_LABELLED = {"url", "listing_id", "scraped_at"}
_NUMBERS = {"model_year", "mileage", "fiscal_power_cv", "doors", "price_mad"}
# a table as a program writes it, or a line of several labels
_MORE_LABELS = re.compile(r"^[\[{(]|:.*:|[|\n]", re.DOTALL)
_GLUED = re.compile(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Ý0-9])")
_BEFORE_NUMBER = re.compile(r"([^\d:]{2,40}[^\W\d])\s+(?=\d)")
# Names of cars can begin like a label: Tesla makes a Model3.
_SEEN_GLUED = {
    "model_year",
    "mileage",
    "fuel",
    "gearbox",
    "condition",
    "origin",
    "first_owner",
    "fiscal_power_cv",
    "doors",
}


def parted(text: str) -> tuple[str | None, str]:
    """The raw field that the label before a value stands for and the value; None and the text without one."""
    label, colon, value = text.partition(":")
    if colon and len(label) <= _LONGEST_LABEL and value.strip() and not _MORE_LABELS.search(text):
        name = name_of(label)
        # "Prix (€)" stays beside its amount, which is none in dirhams
        if name.field is not None and name.foreign is None:
            return name.field, value.strip()
    if len(text) <= _LONGEST_GLUED and not text.isupper():
        for match in reversed(list(_GLUED.finditer(text))):
            named = name_of(text[: match.start()]).field
            if named in _SEEN_GLUED:
                return named, text[match.start() :]
    return None, text


def without_label(text: str, raw_field: str) -> str:
    """A value without the label of its field. Raises UnusableValue for the label of another field."""
    if raw_field in NEVER_LABELLED or (":" not in text and not text[:1].isalpha()):
        return text
    named, value = parted(text)
    if named is None:
        spaced = _BEFORE_NUMBER.match(text) if raw_field in _NUMBERS else None
        return text[spaced.end() :] if spaced and name_of(spaced[1]).field == raw_field else text
    if named == raw_field or (named.startswith("mileage") and raw_field.startswith("mileage")):
        return value
    raise UnusableValue("other_meaning", text)
