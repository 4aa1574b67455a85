"""Words that stand for a value: unknown, yes and no, fuels, gearboxes, conditions, origins.

The words of a value are those of Avito Maroc in French, whatever language a file is written in.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

from carprice.listings.folding import words_of

_UNKNOWN = (
    "n/a", "na", "n.a.", "n.a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "none", "nil", "nc",
    "n.c.", "n/c", "nd", "n/d", "n.d.", "ns", "n/s", "\\n", "undefined", "undef", "void", "empty",
    "missing", "(vide)", "vide", "(blank)", "(null)", "[null]", "<null>", "<none>", "#ref!", "#value!",
    "#n/d", "inconnu", "inconnue", "unknown", "non spécifié", "non spécifiée", "non renseigné",
    "non renseignée", "non communiqué", "non communiquée", "non précisé", "non précisée", "non disponible",
    "non défini", "non définie", "not specified", "not available", "not provided", "not given",
    "unspecified", "indéterminé", "indéterminée", "à définir", "autre / inconnu", "autre/inconnu",
    "je ne sais pas", "je ne sais plus", "je sais pas", "ne sais pas", "sais pas", "jsp", "aucune idée",
    "pas connu", "pas connue", "i don't know", "i don’t know", "i dont know", "i do not know", "don't know",
    "don’t know", "dont know", "do not know", "dunno", "idk", "no idea", "not known", "not sure",
    "tbd", "tba", "/", "//", "[]", "{}", "()",
    "غير معروف", "غير محدد", "لا شيء", "غير متوفر", "لا أعرف", "لا اعرف", "لا أعلم",
    "لا اعلم", "ما عرفت",
)  # fmt: skip

_DIRHAMS = frozenset(("dh", "dhs", "mad", "dirham", "dirhams", "درهم"))
_OTHER_CURRENCIES = frozenset(
    ("eur", "euro", "euros", "€", "usd", "dollar", "dollars", "$", "us$", "gbp", "£", "aed", "sar", "dzd",
     "tnd", "cad", "chf", "kdh", "centimes", "يورو", "دولار")
)  # fmt: skip

_WHOLE_PRICES = frozenset((
    "total", "prix total", "prix de vente", "ttc", "fixe", "prix fixe", "negociable", "a debattre",
    "comptant", "د م",
))  # fmt: skip
_BESIDE_DIRHAMS = frozenset(("ttc", "net", "total", "fixe", "maroc", "marocain", "marocains", "moroccan"))
_PERIODS = frozenset((
    "jour", "jours", "semaine", "mois", "an", "day", "week", "month", "year", "journalier", "mensuel",
    "mensuelle", "daily", "weekly", "monthly", "يوم", "شهر",
))  # fmt: skip
# Such an amount is no number of dirhams, and how large it is depends on the speaker.
_SCALES = frozenset((
    "million", "millions", "millions de centimes", "mdh", "mdhs", "mille", "milliers", "ryal", "ryals",
    "riyal", "rial", "مليون", "الف", "ريال",
))  # fmt: skip
PriceUnit = Literal["dirhams", "other_currency", "price_per_period", "not_an_amount"]

_YES = (
    "true", "oui", "yes", "vrai", "1", "1.0", "y", "o", "x", "✓", "✔", "☑", "✅", "نعم", "t", "présent",
    "présente", "disponible", "inclus", "included", "avec", "de série", "d'origine", "on",
)  # fmt: skip
_NO = (
    "false", "non", "no", "faux", "0", "0.0", "n", "لا", "f", "absent", "absente", "✗", "✘", "❌", "off",
    "pas de", "non disponible", "not included", "sans",
)  # fmt: skip

FUELS: dict[str, tuple[str, ...]] = {
    "Diesel": (
        "diesel", "gasoil", "gas oil", "gazoil", "gazole", "mazout", "mazot", "disel", "diesal",
        "turbo diesel", "ديزل", "مازوت", "المازوت", "كازوال", "غازوال", "كازوال ديزل",
    ),
    "Essence": (
        "essence", "petrol", "gasoline", "benzine", "benzin", "super", "sans plomb", "super sans plomb",
        "essence sans plomb", "بنزين", "البنزين", "ليسانس", "ايسانس",
    ),
    "Hybride": (
        "hybride", "hybrid", "hev", "phev", "mhev", "hybride rechargeable", "hybride essence",
        "hybride diesel", "essence hybride", "diesel hybride", "plug in hybrid", "plug in", "mild hybrid",
        "full hybrid", "hybrid petrol", "petrol hybrid", "hybrid diesel", "essence electrique",
        "electrique essence", "hybride leger", "micro hybride", "هجين", "هيبريد", "هجينة",
    ),
    "Electrique": (
        "electrique", "electric", "ev", "bev", "100 electrique", "tout electrique", "full electric",
        "كهربائي", "كهربائية", "كهرباء",
    ),
    "LPG": ("lpg", "gpl", "essence gpl", "gpl essence", "bicarburation", "غاز"),
}  # fmt: skip
GEARBOXES: dict[str, tuple[str, ...]] = {
    "Manuelle": (
        "manuelle", "manuel", "manual", "bvm", "bvm5", "bvm6", "bvm 5", "bvm 6", "mecanique",
        "boite manuelle", "manual transmission", "manual gearbox", "5 vitesses manuelle",
        "6 vitesses manuelle", "stick", "مانويل", "يدوي", "يدوية", "عادي", "عادية",
    ),
    "Automatique": (
        "automatique", "automatic", "auto", "bva", "bva6", "bva7", "bva8", "bva 6", "bva 7", "bva 8",
        "automat", "boite automatique", "automatic transmission", "automatic gearbox", "dsg", "dsg6",
        "dsg7", "edc", "cvt", "tiptronic", "s tronic", "stronic", "steptronic", "g tronic", "eat6", "eat8",
        "dct", "at", "اوتوماتيك", "اوتوماتيكي", "اوتوماتيكية", "اوطوماتيك", "تلقائي",
    ),
}  # fmt: skip
CONDITIONS: dict[str, tuple[str, ...]] = {
    "Neuf": ("neuf", "neuve", "new", "brand new", "etat neuf", "جديد", "جديدة"),
    "Excellent": (
        "excellent", "excellente", "excellent etat", "etat excellent", "comme neuf", "comme neuve",
        "like new", "impeccable", "etat impeccable", "perfect", "parfait etat", "ممتاز", "ممتازة",
    ),
    "Très bon": (
        "tres bon", "tres bonne", "tres bon etat", "very good", "very good condition", "tbe", "جيد جدا",
        "جيدة جدا", "tr s bon",
    ),
    "Bon": ("bon", "bonne", "bon etat", "good", "good condition", "be", "جيد", "جيدة"),
    "Correct": (
        "correct", "correcte", "etat correct", "fair", "average", "moyen", "etat moyen", "ok", "متوسط",
        "متوسطة",
    ),
    "Endommagé": ("endommage", "endommagee", "damaged", "accidente", "accidentee", "متضررة"),
    "Pour pièces": (
        "pour pieces", "pour piece", "pieces", "en pieces", "pieces detachees", "pour pieces detachees",
        "for parts", "for parts only", "parts only", "spare parts", "for spare parts", "epave", "salvage",
        "wreck", "scrap", "قطع غيار", "قطع الغيار", "لقطع الغيار",
    ),
}  # fmt: skip
FOR_PARTS = "Pour pièces"
ORIGINS: dict[str, tuple[str, ...]] = {
    "WW au Maroc": (
        "ww au maroc", "ww", "ww maroc", "achetee au maroc", "bought in morocco", "registered in morocco",
        "ww في المغرب",
    ),
    "Dédouanée": (
        "dedouanee", "dedouane", "deja dedouanee", "customs cleared", "cleared", "customs paid",
        "imported and cleared", "معشرة", "مجمركة", "d douan e",
    ),
    "Pas encore dédouanée": (
        "pas encore dedouanee", "non dedouanee", "non dedouane", "a dedouaner", "not customs cleared",
        "not yet cleared", "customs not paid", "not cleared", "غير معشرة", "غير مجمركة",
        "غير معشرة بعد",
    ),
    "Importée neuve": (
        "importee neuve", "importe neuf", "imported new", "new import", "import e neuve", "مستوردة جديدة",
    ),
}  # fmt: skip
_FIRST_OWNERS: dict[str, tuple[str, ...]] = {
    "yes": (
        "premiere main", "1ere main", "1 ere main", "1er main", "1re main", "first owner", "1st owner",
        "first hand", "1st hand", "one owner", "1 owner", "1 proprietaire", "un proprietaire",
        "اليد الاولى", "يد اولى",
    ),
    "no": (
        "deuxieme main", "2eme main", "2 eme main", "2e main", "seconde main", "second hand",
        "second owner", "2nd owner", "2nd hand", "troisieme main", "3eme main", "3e main", "third owner",
        "3rd owner", "2", "3", "4", "5", "2 owners", "3 owners", "2 proprietaires", "3 proprietaires",
        "2 et plus", "اليد الثانية", "يد ثانية",
    ),
}  # fmt: skip
# How a piece of equipment is there, or that another one is
_EQUIPPED = (
    "automatique", "automatic", "auto", "manuelle", "manual", "bi zone", "bizone", "tri zone", "regulee",
    "digitale", "mono zone", "avant", "arriere", "avant et arriere", "av", "ar", "av ar", "av et ar",
    "front", "rear", "front and rear", "electrique", "electriques", "electric", "panoramique", "panoramic",
    "cuir", "leather", "full cuir", "alu", "aluminium", "conducteur", "passager", "lateraux", "rideaux",
    "conducteur et passager", "adaptatif", "adaptive", "acc", "bluetooth", "tactile", "integre", "couleur",
)  # fmt: skip
_NOT_EQUIPPED = (
    "tissu", "velours", "fabric", "cloth", "tole", "steel", "aucun", "aucune", "pas de", "manquant",
    "en panne", "hs", "not working",
)  # fmt: skip
_DRIVEN_WHEELS = (
    "traction", "propulsion", "integrale", "4x4", "4x2", "4 4", "2rm", "4rm", "2 roues motrices",
    "4 roues motrices", "fwd", "rwd", "awd", "4wd", "2wd", "front wheel drive", "rear wheel drive",
    "all wheel drive", "quattro", "xdrive", "4motion", "traction avant", "transmission integrale",
    "دفع امامي", "دفع خلفي", "دفع رباعي",
)  # fmt: skip
# A car's condition as a kind of ad
_SAYS_NOTHING = (
    "occasion",
    "d'occasion",
    "used",
    "voiture d'occasion",
    "second hand car",
    "مستعملة",
    "مستعمل",
)

_KILOMETRES = ("km", "kms", "kilometre", "kilometres", "kilometer", "kilometers", "كم", "كلم")
_DISTANCES = (*_KILOMETRES, "mi", "mile", "miles", "mls")

_DASHES = "-–—‐‑‒―−_?.•·… *"


def is_unknown(value: str) -> bool:
    """Whether a value means that nothing is known: empty, `--`, `N/A`, `\\N`, ..."""
    plain = value.strip().casefold()
    if plain in _unknown_words() or not plain.strip(_DASHES):
        return True
    if plain.isascii() and " " not in plain:
        return False
    return _without_accents(plain) in _unknown_without_accents()


def price_unit(value: str) -> PriceUnit | None:
    """What a value beside a price says that the price is in; None for a text that says nothing of it."""
    plain = value.strip().casefold()
    key = _key(plain)
    names = set(key.split())
    if (
        plain in _DIRHAMS
        or key in _WHOLE_PRICES
        or (names & _DIRHAMS and names <= _DIRHAMS | _BESIDE_DIRHAMS)
    ):
        return "dirhams"
    if plain in _OTHER_CURRENCIES:
        return "other_currency"
    amount, _, period = key.rpartition(" ")
    if period in _PERIODS and amount in ("", "par", "per", *_DIRHAMS):
        return "price_per_period"
    return "not_an_amount" if key in _SCALES else None


def is_rate_or_scale(value: str) -> bool:
    """Whether a value is a period or a number such as `mois` or `millions`, which may not be of a price.

    `DH/mois` is one of a price for certain.
    """
    return price_unit(value) in ("price_per_period", "not_an_amount") and not set(words_of(value)) & _DIRHAMS


def fuel(value: str) -> str | None:
    """The fuel that a text as a whole stands for, or None."""
    return _fuels().get(_key(value))


def gearbox(value: str) -> str | None:
    """The gearbox that a text as a whole stands for, or None."""
    return _gearboxes().get(_key(value))


def is_for_parts(value: object) -> bool:
    """Whether a condition says that the car is sold for its parts, which no market price is asked for."""
    return isinstance(value, str) and condition(value) == FOR_PARTS


def condition(value: str) -> str | None:
    """The condition that a text as a whole stands for, or None."""
    return _conditions().get(_key(value))


def origin(value: str) -> str | None:
    """The origin that a text as a whole stands for, or None."""
    return _origins().get(_key(value))


def is_driven_wheels(value: str) -> bool:
    """Whether a text names the wheels that a car drives, which some call its transmission."""
    return _key(value) in _driven_wheels()


def says_nothing(value: str) -> bool:
    """Whether a condition says no more than that the car is used."""
    return _key(value) in _nothing()


def is_distance_unit(value: str) -> bool:
    """Whether a text is no more than the name of a unit of distance."""
    return value.casefold() in _DISTANCES


def is_kilometres(value: str) -> bool:
    """Whether a text is a name of the kilometre."""
    return value.casefold() in _KILOMETRES


def yes_or_no(value: str) -> bool | None:
    """What a yes or no says, in any of the languages or as a program writes it; None for another text."""
    plain = value.casefold()
    return True if plain in _YES else False if plain in _NO else None


def first_owner(value: str) -> bool | None:
    """Whether a text says that the seller is the first owner; None where it says something else."""
    said = _first_owners().get(_key(value))
    return yes_or_no(value) if said is None else said == "yes"


def equipped(value: str) -> bool | None:
    """Whether a car has a piece of equipment of which a column says this; None where it can't be told."""
    plain = yes_or_no(value)
    if plain is not None:
        return plain
    key = _key(value)
    if key.isdigit():
        return int(key) > 0 if len(key) < 3 else None
    return True if key in _equipment()[0] else False if key in _equipment()[1] else None


def _key(value: str) -> str:
    return " ".join(words_of(value))


def _without_accents(text: str) -> str:
    """The letters that are left of a text whose accented letters were lost."""
    kept = unicodedata.normalize("NFC", text).encode("ascii", "ignore").decode()
    return "".join(c for c in kept if c.isalnum())


def _by_key(table: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {_key(word): value for value, words in table.items() for word in words}


_unknown_words = lru_cache(maxsize=1)(lambda: frozenset(_UNKNOWN) | {""})
_unknown_without_accents = lru_cache(maxsize=1)(
    lambda: frozenset(_without_accents(word) for word in _UNKNOWN if len(word) > 8) - {""}
)
_fuels = lru_cache(maxsize=1)(lambda: _by_key(FUELS))
_gearboxes = lru_cache(maxsize=1)(lambda: _by_key(GEARBOXES))
_conditions = lru_cache(maxsize=1)(lambda: _by_key(CONDITIONS))
_origins = lru_cache(maxsize=1)(lambda: _by_key(ORIGINS))
_first_owners = lru_cache(maxsize=1)(lambda: _by_key(_FIRST_OWNERS))
_driven_wheels = lru_cache(maxsize=1)(lambda: frozenset(map(_key, _DRIVEN_WHEELS)))
_nothing = lru_cache(maxsize=1)(lambda: frozenset(map(_key, _SAYS_NOTHING)))
_equipment = lru_cache(maxsize=1)(
    lambda: (frozenset(map(_key, _EQUIPPED)), frozenset(map(_key, _NOT_EQUIPPED)))
)
