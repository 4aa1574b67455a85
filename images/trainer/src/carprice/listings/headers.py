"""The headers that scrapers use, and the field that each one stands for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from carprice.listings.cleaning import clean
from carprice.listings.folding import words_of

# Raw field -> the header that a data owner is shown, then every other known header of it. Matching
# ignores case, accents, punctuation, spaces, small words ("de", "en") and a unit at the end ("Prix (DH)").
HEADERS: dict[str, tuple[str, ...]] = {
    "listing_id": ("listing_id", "id annonce", "ad id", "annonce id", "numéro annonce"),
    "url": (
        "Lien",
        "url",
        "link",
        "lien annonce",
        "lien de l'annonce",
        "ad link",
        "href",
        "ad url",
        "url annonce",
        "الرابط",
    ),
    "city": ("Ville", "city", "town", "ville annonce", "المدينة"),
    "district": ("Secteur", "district", "quartier", "area", "neighborhood", "neighbourhood", "الحي"),
    "make": (
        "Marque",
        "make",
        "brand",
        "manufacturer",
        "constructeur",
        "fabricant",
        "marque voiture",
        "الماركة",
        "العلامة",
        "العلامة التجارية",
        "الشركة المصنعة",
    ),
    "model": ("Modèle", "model", "car model", "nom du modèle", "model name", "gamme", "الموديل", "الطراز"),
    "trim": ("Finition", "trim", "version", "trim level", "niveau de finition"),
    "model_year": (
        "Année-Modèle",
        "model_year",
        "année du modèle",
        "year model",
        "سنة الصنع",
        "سنة الموديل",
    ),
    "mileage": (
        "Kilométrage",
        "mileage",
        "mileage_km",
        "odometer",
        "kilomètres",
        "km",
        "kms",
        "kilometers",
        "milage",
        "kilometrage compteur",
        "kilométrage au compteur",
        "المسافة المقطوعة",
        "الكيلومترات",
        "عدد الكيلومترات",
        "الكيلومتراج",
    ),
    "mileage_km_min": ("mileage_km_min", "kilométrage min"),
    "mileage_km_max": ("mileage_km_max", "kilométrage max"),
    "fuel": (
        "Type de carburant",
        "fuel",
        "fuel type",
        "carburant",
        "énergie",
        "motorisation",
        "الوقود",
        "نوع الوقود",
    ),
    "fiscal_power_cv": (
        "Puissance fiscale",
        "fiscal_power_cv",
        "fiscal power",
        "cv",
        "cvs",
        "chevaux fiscaux",
        "cv fiscaux",
        "puissance cv",
        "tax horsepower",
        "القوة الجبائية",
        "القوة الضريبية",
    ),
    "gearbox": (
        "Boite de vitesses",
        "gearbox",
        "boîte",
        "boîte à vitesses",
        "gear box",
        "transmission type",
        "ناقل الحركة",
        "علبة السرعات",
    ),
    "doors": (
        "Nombre de portes",
        "doors",
        "portes",
        "number of doors",
        "nb portes",
        "nbre portes",
        "nbr portes",
        "num doors",
        "الأبواب",
        "عدد الأبواب",
    ),
    "origin": ("Origine", "origin", "provenance", "المنشأ", "الأصل"),
    "first_owner": (
        "Première main",
        "first_owner",
        "1ère main",
        "first hand",
        "1st owner",
        "اليد الأولى",
        "أول مالك",
    ),
    "condition": ("État", "condition", "état du véhicule", "الحالة", "حالة السيارة"),
    "alloy_wheels": ("Jantes aluminium", "alloy_wheels", "jantes alu", "jantes en aluminium"),
    "airbags": ("Airbags", "airbag"),
    "air_conditioning": ("Climatisation", "air_conditioning", "clim", "aircon", "air conditioner"),
    "gps": ("Système de navigation/GPS", "gps", "navigation", "système de navigation", "navigation/gps"),
    "sunroof": ("Toit ouvrant", "sunroof", "toit panoramique"),
    "leather_seats": ("Sièges cuir", "leather_seats", "cuir", "sièges en cuir"),
    "parking_sensors": ("Radar de recul", "parking_sensors", "radars de recul"),
    "rear_camera": ("Caméra de recul", "rear_camera", "reversing camera", "rear view camera"),
    "electric_windows": ("Vitres électriques", "electric_windows", "power windows"),
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
    "price_mad": ("Prix", "price_mad", "price", "السعر", "الثمن"),
    "scraped_at": ("scraped_at", "date", "date de collecte", "date d'extraction", "scraped on", "التاريخ"),
    # our own exports have it; the hash of the file that is read replaces it
    "source_sha256": ("source_sha256",),
}

# Headers that mean the field less exactly; a column under one of `HEADERS` wins over them.
WEAKER: dict[str, tuple[str, ...]] = {
    "listing_id": ("id", "ref", "reference", "référence annonce", "listing"),
    "url": ("page", "source url", "lien page", "adresse", "website link"),
    "city": ("localisation", "location", "lieu", "région", "emplacement", "localité", "place", "الموقع"),
    "model_year": (
        "année",
        "year",
        "année de mise en circulation",
        "mise en circulation",
        "année de fabrication",
        "année de sortie",
        "année de production",
        "année pub",
        "année annonce",
        "year of manufacture",
        "manufacture year",
        "registration year",
        "first registration",
        "date de mise en circulation",
        "date première mise en circulation",
        "première mise en circulation",
        "millésime",
        "date d'immatriculation",
        "année d'immatriculation",
        "première immatriculation",
        "date de première immatriculation",
        "date de 1ère mise en circulation",
        "1ère mise en circulation",
        "mec",
        "date mec",
        "année mec",
        "registration date",
        "date of registration",
        "manufacturing year",
        "year built",
        "build year",
        "production year",
        "السنة",
        "سنة",
    ),
    "mileage": ("distance", "distance parcourue", "compteur", "kilo"),
    "fuel": ("moteur", "engine type", "type moteur", "engine"),
    "fiscal_power_cv": ("puissance", "power", "القوة"),
    "gearbox": ("transmission", "vitesses", "vitesse", "gear", "type de transmission"),
    "condition": ("état général", "status"),
    "first_owner": (
        "main",
        "owners",
        "owner",
        "nombre de propriétaires",
        "number of owners",
        "propriétaires",
    ),
    "price_mad": (
        "prix de vente",
        "prix demandé",
        "asking price",
        "selling price",
        "prix affiché",
        "prix actuel",
        "current price",
        "montant",
        "prix final",
        "prix ttc",
        "prix public",
        "sale price",
        "tarif",
        "amount",
        "prix promo",
        "prix réduit",
        "prix après réduction",
        "prix occasion",
        "prix d'occasion",
        "used price",
    ),
    "scraped_at": (
        "date de publication",
        "date publication",
        "date annonce",
        "date d'annonce",
        "posted",
        "posted at",
        "posted on",
        "published",
        "published at",
        "publié le",
        "date de dépôt",
        "scrape date",
        "timestamp",
        "created at",
        "updated at",
    ),
}

Hint = Literal["title", "equipment", "category"]

# Headers that say little by themselves: the values of the column decide.
HINTS: dict[Hint, tuple[str, ...]] = {
    "title": (
        "titre",
        "title",
        "nom",
        "name",
        "annonce",
        "libellé",
        "désignation",
        "intitulé",
        "headline",
        "subject",
        "voiture",
        "véhicule",
        "car",
        "vehicle",
        "car name",
        "ad title",
        "titre annonce",
        "marque modèle",
        "make model",
        "العنوان",
        "السيارة",
    ),
    "equipment": (
        "équipements",
        "équipement",
        "options",
        "equipment",
        "features",
        "accessoires",
        "extras",
        "liste équipements",
        "équipements de série",
        "التجهيزات",
    ),
    "category": ("type", "catégorie", "category", "rubrique", "section", "type annonce", "الفئة"),
}

ForeignUnit = Literal["currency", "distance", "period", "thousands"]

_SMALL_WORDS = frozenset(
    ("de", "du", "des", "la", "le", "les", "l", "d", "a", "au", "en", "in", "of", "the", "et", "and", "par")
)
_EMPTY_WORDS = frozenset(
    ("element", "elements", "icon", "icone", "text", "texte", "label", "value", "valeur", "val", "field",
     "champ", "col", "column", "colonne", "data", "str", "string", "raw", "info", "infos", "detail",
     "details", "annonce", "ad", "advert", "listing", "item", "car", "vehicle", "vehicule", "voiture",
     "auto", "product", "produit", "driven", "span", "div", "css", "class", "again")
)  # fmt: skip
_OWN_UNITS = frozenset(
    ("dh", "dhs", "mad", "dirham", "dirhams", "درهم", "km", "kms", "kilometre", "kilometres", "kilometer",
     "kilometers", "cv")
)  # fmt: skip
_SYMBOLS = re.compile("[€$£]")
_FOREIGN: dict[ForeignUnit, frozenset[str]] = {
    "currency": frozenset(
        ("eur", "euro", "euros", "keur", "usd", "dollar", "dollars", "gbp", "pound", "pounds",
         "sterling", "aed", "sar", "dzd", "tnd", "qar", "xof", "fcfa", "chf", "cad", "centime",
         "centimes", "يورو", "دولار", "ريال")
    ),
    "period": frozenset(
        ("mois", "mensuel", "mensuelle", "mensualite", "mensualites", "month", "monthly", "jour",
         "jours", "day", "daily", "semaine", "week", "weekly")
    ),
    "thousands": frozenset(
        ("milliers", "millier", "thousand", "thousands", "1000", "x1000", "kdh", "kdhs", "kmad", "000",
         "10000", "1000km", "1000dh", "million", "millions", "x", "k")
    ),
    "distance": frozenset(
        ("mile", "miles", "mi", "milles")
    ),
}  # fmt: skip
_OTHER_POWER = frozenset(("ch", "hp", "kw", "din", "bhp", "ps", "reelle", "reel", "moteur", "maximale"))


@dataclass(frozen=True)
class HeaderName:
    """What a header says: a field, or a hint of what the values may be, or neither.

    `rank` is 0 for a usual header of the field and 1 for one that means it less exactly. `foreign` names what
    the header measures in, where it is not dirhams or kilometres; `unit` is its word for it.
    """

    field: str | None = None
    rank: int = 0
    hint: Hint | None = None
    foreign: ForeignUnit | None = None
    unit: str = ""


def field_of(header: str) -> str | None:
    """The raw field that a header stands for by itself, or None."""
    named = name_of(header)
    return None if named.foreign else named.field


def name_of(header: str) -> HeaderName:
    """What a header says by itself, without the values below it."""
    # callers choose the headers, and a cache of long ones would fill the memory
    return _name_of_short(header) if len(header) <= _LONGEST_CACHED else _name_of(header)


_LONGEST_CACHED = 100


def is_index_header(header: str) -> bool:
    """Whether a header is that of an unnamed row-number column, as pandas writes one."""
    return re.fullmatch(r"|unnamed: \d+", header.strip().casefold()) is not None


def _name_of(header: str) -> HeaderName:
    text = clean(header)
    words = _words(text)
    whole = _lookup(words)
    if whole is None:
        whole = _damaged(text)
    if whole is not None and not _SYMBOLS.search(text):
        return whole
    foreign, unit = _foreign(words, text)
    rest = [word for word in words if foreign is None or word not in _FOREIGN[foreign]]
    bare = [word for word in rest if word not in _OWN_UNITS]
    found = (
        _lookup(rest)
        or _lookup(bare)
        or _lookup([word for word in rest if word not in _EMPTY_WORDS])
        or _lookup([word for word in bare if word not in _EMPTY_WORDS])
    )
    if found is None:
        return HeaderName()
    if found.field == "fiscal_power_cv" and _OTHER_POWER & set(words):
        return HeaderName()
    if foreign is None or found.field not in ("price_mad", "mileage", "mileage_km_min", "mileage_km_max"):
        return found
    return HeaderName(found.field, found.rank, None, foreign, unit)


_name_of_short = lru_cache(maxsize=1024)(_name_of)


def _words(text: str) -> list[str]:
    # "AnneeModele" and "KMDriven" are two words each
    parted = re.sub(r"(?<=[a-zà-ÿ])(?=[A-ZÀ-Ý])|(?<=[A-ZÀ-Ý])(?=[A-ZÀ-Ý][a-zà-ÿ]{2})", " ", text)
    return words_of(parted)


def _key(words: list[str]) -> str:
    """Words without small ones, plurals and spaces: `boites de vitesse` and `BoiteVitesses` are the same."""
    kept = [word for word in words if word not in _SMALL_WORDS] or words
    return "".join(word.removesuffix("s") if len(word) > 3 else word for word in kept)


@lru_cache(maxsize=1)
def _known() -> dict[str, HeaderName]:
    known: dict[str, HeaderName] = {}
    for hint, headers in HINTS.items():
        known.update((_key(words_of(header)), HeaderName(hint=hint)) for header in headers)
    for rank, table in ((1, WEAKER), (0, HEADERS)):
        for name, headers in table.items():
            known.update((_key(words_of(header)), HeaderName(name, rank)) for header in headers)
    return known


def _lookup(words: list[str]) -> HeaderName | None:
    return _known().get(_key(words)) if words else None


def _damaged(text: str) -> HeaderName | None:
    """The one field whose header fits when each letter that is not ASCII, or was lost, may be any letter."""
    plain = re.sub(r"[\s_./()-]+", "", text.casefold())
    lost = re.sub(r"[^\x00-\x7f]|\?", "", plain)
    if lost == plain or len(lost) < 3 or not lost.isalpha():
        return None
    pattern = re.compile(re.sub(r"(?:[^\x00-\x7f]|\?)+", "[a-z]{0,2}", plain))
    found = {named for key, named in _whole_keys() if pattern.fullmatch(key)}
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=1)
def _whole_keys() -> list[tuple[str, HeaderName]]:
    return [
        ("".join(words_of(header)), HeaderName(name, rank))
        for rank, table in ((1, WEAKER), (0, HEADERS))
        for name, headers in table.items()
        for header in headers
    ]


def _foreign(words: list[str], text: str) -> tuple[ForeignUnit | None, str]:
    if symbol := _SYMBOLS.search(text):
        return "currency", symbol[0]
    for kind, units in _FOREIGN.items():
        # "x" and "k" say thousands only beside a number or a unit of their own
        for word in words:
            if word in units and len(word) > 1:
                return kind, word
    return None, ""
