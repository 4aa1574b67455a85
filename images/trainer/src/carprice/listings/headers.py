"""The headers that scrapers use, and the field that each one stands for."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from carprice.errors import DataRefused
from carprice.listings.schema import COLUMNS
from carprice.listings.text import ascii_words, shorten

# Raw fields without which no row can be used; a prediction does without the price.
REQUIRED: tuple[str, ...] = tuple(
    dict.fromkeys(
        column.field for column in COLUMNS.values() if column.required and column.name != "listing_id"
    )
)

# Raw field -> the header that a data owner is shown, then every other known header of it. Matching
# ignores case, accents, punctuation, spaces and a unit at the end ("Prix (DH)").
HEADERS: dict[str, tuple[str, ...]] = {
    "listing_id": ("listing_id", "id annonce", "ad id"),
    "url": ("Lien", "url", "link", "lien annonce", "lien de l'annonce", "ad link"),
    "city": ("Ville", "city", "town", "localisation"),
    "district": ("Secteur", "district", "quartier", "area"),
    "make": ("Marque", "make", "brand", "manufacturer", "constructeur"),
    "model": ("Modèle", "model", "car model"),
    "model_year": (
        "Année-Modèle",
        "model_year",
        "année",
        "year",
        "année du modèle",
        "année de mise en circulation",
    ),
    "mileage": ("Kilométrage", "mileage", "mileage_km", "odometer", "kilomètres", "km", "kms"),
    "mileage_km_min": ("mileage_km_min", "kilométrage min"),
    "mileage_km_max": ("mileage_km_max", "kilométrage max"),
    "fuel": ("Type de carburant", "fuel", "fuel type", "carburant", "énergie"),
    "fiscal_power_cv": ("Puissance fiscale", "fiscal_power_cv", "fiscal power", "puissance"),
    "gearbox": ("Boite de vitesses", "gearbox", "boîte", "boîte à vitesses", "transmission"),
    "doors": ("Nombre de portes", "doors", "portes", "number of doors"),
    "origin": ("Origine", "origin", "provenance"),
    "first_owner": ("Première main", "first_owner", "1ère main", "first hand"),
    "condition": ("État", "condition", "état du véhicule"),
    "alloy_wheels": ("Jantes aluminium", "alloy_wheels", "jantes alu"),
    "airbags": ("Airbags", "airbag"),
    "air_conditioning": ("Climatisation", "air_conditioning", "clim", "aircon"),
    "gps": ("Système de navigation/GPS", "gps", "navigation", "système de navigation", "navigation/gps"),
    "sunroof": ("Toit ouvrant", "sunroof"),
    "leather_seats": ("Sièges cuir", "leather_seats", "cuir"),
    "parking_sensors": ("Radar de recul", "parking_sensors", "radars de recul"),
    "rear_camera": ("Caméra de recul", "rear_camera", "reversing camera"),
    "electric_windows": ("Vitres électriques", "electric_windows"),
    "abs": ("ABS",),
    "esp": ("ESP",),
    "cruise_control": ("Régulateur de vitesse", "cruise_control"),
    "speed_limiter": ("Limiteur de vitesse", "speed_limiter"),
    "cd_mp3_bluetooth": ("CD/MP3/Bluetooth", "cd_mp3_bluetooth"),
    "onboard_computer": ("Ordinateur de bord", "onboard_computer", "on-board computer"),
    "remote_central_locking": (
        "Verrouillage centralisé à distance",
        "remote_central_locking",
        "verrouillage centralisé",
        "central locking",
    ),
    "price_mad": ("Prix", "price_mad", "price", "prix de vente"),
    "scraped_at": ("scraped_at", "date", "date de collecte", "date d'extraction", "scraped on"),
    # our own exports have it; the hash of the file that is read replaces it
    "source_sha256": ("source_sha256",),
}

_MOST_COLUMNS_SHOWN = 40
_UNITS = {"dh", "dhs", "mad", "km", "kms", "cv", "ch"}


@lru_cache(maxsize=1)
def _fields_by_header() -> dict[str, str]:
    return {ascii_words(header): name for name, headers in HEADERS.items() for header in headers}


def field_of(header: str) -> str | None:
    """The raw field a header stands for, or None."""
    key = ascii_words(header)
    known = _fields_by_header()
    if key in known:
        return known[key]
    words = key.split()
    while words and words[-1] in _UNITS:
        words.pop()
    return known.get(" ".join(words))


def is_index_header(header: str) -> bool:
    """Whether a header is that of an unnamed row-number column, as pandas writes one."""
    return re.fullmatch(r"|unnamed: \d+", header.strip().casefold()) is not None


@dataclass(frozen=True)
class Recognised:
    """How the columns of a raw table map to raw fields."""

    columns: Mapping[str, str]  # raw field -> column of the table
    unknown: tuple[str, ...]  # columns with an unknown header; they are reported and not used
    second: tuple[str, ...]  # columns of a field that an earlier column already holds
    missing: tuple[str, ...]  # required raw fields without a column

    def name(self, raw_field: str) -> str:
        """The file's own header of a raw field, or the usual one where the file has none."""
        return self.columns.get(raw_field) or HEADERS[raw_field][0]


def recognise(columns: Sequence[str], require_price: bool = True) -> Recognised:
    """Map the columns of a raw table to raw fields; the first column of a field counts."""
    found: dict[str, str] = {}
    unknown, second = [], []
    for column in columns:
        name = field_of(column)
        if name is None:
            if not is_index_header(column):
                unknown.append(column)
        elif name in found:
            second.append(column)
        else:
            found[name] = column
    held = set(found)
    if "mileage_km_min" in found:
        held.add("mileage")
    required = REQUIRED if require_price else tuple(n for n in REQUIRED if n != "price_mad")
    missing = tuple(name for name in required if name not in held)
    return Recognised(found, tuple(unknown), tuple(second), missing)


def missing_columns(found: Recognised, columns: Sequence[str], file: str = "") -> DataRefused:
    """The refusal of a table: which required columns are missing, what was found, which of those comes close.

    `file` is the name of the file where the sentence has to say it.
    """
    names = [HEADERS[name][0] for name in found.missing]
    known = [column for column in columns if not is_index_header(column)]
    keys = {ascii_words(column): column for column in (*found.unknown, *found.second)}
    guesses = []
    for name in found.missing:
        for alias in HEADERS[name]:
            close = difflib.get_close_matches(ascii_words(alias), keys, n=1, cutoff=0.7)
            if close:
                guesses.append(f"{keys[close[0]]!r} looks like {HEADERS[name][0]!r}")
                break
    shown = [shorten(column, 60) for column in known[:_MOST_COLUMNS_SHOWN]]
    listed = ", ".join(map(repr, shown)) or "none"
    left = len(known) - len(shown)
    more = f" and {left} more" if left else ""
    sentence = (
        f"the required column{'s' if len(names) > 1 else ''} {', '.join(repr(n) for n in names)} "
        f"{'are' if len(names) > 1 else 'is'} missing; the columns found are {listed}{more}"
        + (f" ({'; '.join(guesses)})" if guesses else "")
        + "; add or rename the column and land the file again"
    )
    params = {"missing": names, "found": shown, "found_more": left}
    return DataRefused(f"In {file} {sentence}." if file else sentence, code="missing_columns", params=params)
