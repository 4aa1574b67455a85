"""The words of the page for the fields, values and decisions of the system."""

from __future__ import annotations

from typing import Any

from price_contract import formats
from price_contract.formats import kilometres, mileage, number
from price_contract.language import N_, _, composed, enumerated, isolated

FIELDS = {
    "make": N_("Marque"),
    "model": N_("Modèle"),
    "model_year": N_("Année-modèle"),
    "mileage": N_("Kilométrage"),
    "mileage_km": N_("Kilométrage"),
    "mileage_km_min": N_("Kilométrage"),
    "mileage_km_max": N_("Kilométrage"),
    "fuel": N_("Carburant"),
    "fiscal_power_cv": N_("Puissance fiscale"),
    "gearbox": N_("Boîte de vitesses"),
    "doors": N_("Nombre de portes"),
    "origin": N_("Origine"),
    "first_owner": N_("Première main"),
    "condition": N_("État"),
    "city": N_("Ville"),
    "district": N_("Secteur"),
    "equipment": N_("Équipements"),
    "price_mad": N_("Prix demandé"),
    "asked_on": N_("Date du prix"),
    "price_paid_mad": N_("Prix payé"),
    "alloy_wheels": N_("Jantes aluminium"),
    "airbags": N_("Airbags"),
    "air_conditioning": N_("Climatisation"),
    "gps": N_("GPS"),
    "sunroof": N_("Toit ouvrant"),
    "leather_seats": N_("Sièges cuir"),
    "parking_sensors": N_("Radar de recul"),
    "rear_camera": N_("Caméra de recul"),
    "electric_windows": N_("Vitres électriques"),
    "abs": N_("ABS"),
    "esp": N_("ESP"),
    "cruise_control": N_("Régulateur de vitesse"),
    "speed_limiter": N_("Limiteur de vitesse"),
    "cd_mp3_bluetooth": N_("CD/MP3/Bluetooth"),
    "onboard_computer": N_("Ordinateur de bord"),
    "remote_central_locking": N_("Verrouillage centralisé"),
}

EQUIPMENT = tuple(FIELDS)[list(FIELDS).index("alloy_wheels") :]

GROUPS = {
    "make_model": N_("Marque et modèle"),
    "model_year": N_("Année-modèle"),
    "mileage": N_("Kilométrage"),
    "fuel": N_("Carburant"),
    "fiscal_power": N_("Puissance fiscale"),
    "gearbox": N_("Boîte de vitesses"),
    "first_owner": N_("Première main"),
    "condition": N_("État"),
    "city": N_("Ville"),
    "origin": N_("Origine"),
    "doors": N_("Nombre de portes"),
    "equipment": N_("Équipements"),
    "market": N_("Marché"),
}

# why a characteristic adds to (True) or takes from (False) the price
REASONS = {
    ("make_model", True): N_("modèle coté au-dessus du marché"),
    ("make_model", False): N_("modèle coté en dessous du marché"),
    ("model_year", True): N_("voiture plutôt récente"),
    ("model_year", False): N_("voiture plutôt ancienne"),
    ("mileage", True): N_("kilométrage plutôt faible"),
    ("mileage", False): N_("kilométrage plutôt élevé"),
    ("fuel", True): N_("carburant recherché"),
    ("fuel", False): N_("carburant moins recherché"),
    ("fiscal_power", True): N_("puissance supérieure"),
    ("fiscal_power", False): N_("puissance modeste"),
    ("gearbox", True): N_("boîte recherchée"),
    ("gearbox", False): N_("boîte moins recherchée"),
    ("first_owner", True): N_("nombre de propriétaires, un plus"),
    ("first_owner", False): N_("nombre de propriétaires, un moins"),
    ("condition", True): N_("état annoncé, un plus"),
    ("condition", False): N_("état annoncé, un moins"),
    ("city", True): N_("ville plus chère"),
    ("city", False): N_("ville moins chère"),
    ("origin", True): N_("origine recherchée"),
    ("origin", False): N_("origine moins recherchée"),
    ("doors", True): N_("nombre de portes, un plus"),
    ("doors", False): N_("nombre de portes, un moins"),
    ("equipment", True): N_("équipement au-dessus de la moyenne"),
    ("equipment", False): N_("équipement en dessous de la moyenne"),
    ("market", True): N_("prix du marché en hausse"),
    ("market", False): N_("prix du marché en baisse"),
}

VERDICTS = {
    "fair": N_("Dans la fourchette"),
    "low": N_("Plutôt bas"),
    "high": N_("Plutôt cher"),
    "implausible": N_("Sans doute une faute de frappe"),
}

KINDS = {
    "quality": N_("Qualité des données"),
    "pipeline": N_("Passages du pipeline"),
    "drift": N_("Dérive"),
    "models": N_("Modèles"),
    "live": N_("Production"),
}

ACTIONS = {"promotion": N_("Promotion"), "rollback": N_("Retour en arrière")}

# What asked for a price of the history.
SOURCES = {"predict": N_("page ou API"), "batch": N_("lot")}

# The phrases that the system writes into its history.
HISTORY_PHRASES = {
    "gates": N_("contrôles automatiques"),
    "all gates said yes": N_("tous les contrôles sont passés"),
    "rolled back by hand": N_("retour en arrière demandé à la main"),
}

# The verdicts of reports.
CONCLUSIONS = {
    "accepted": N_("accepté"),
    "refused": N_("refusé"),
    "held": N_("en attente d'une décision"),
    "some rows refused": N_("quelques lignes refusées"),
    "promoted": N_("promu"),
    "kept": N_("gardé"),
    "failed": N_("en échec"),
    "stable": N_("stable"),
    "drifted": N_("dérive"),
    "too little data": N_("trop peu de données"),
    "in production": N_("en production"),
    "was in production": N_("a été en production"),
    "not in production": N_("pas en production"),
    "as promised": N_("comme promis"),
    "worse": N_("moins bon"),
}

# The words of the listing site, which are French.
FUELS = (N_("Diesel"), N_("Essence"), N_("Hybride"), N_("Electrique"))
GEARBOXES = (N_("Manuelle"), N_("Automatique"))
CONDITIONS = (
    N_("Excellent"),
    N_("Très bon"),
    N_("Bon"),
    N_("Correct"),
    N_("Neuf"),
    N_("Endommagé"),
    N_("Pour pièces"),
)
ORIGINS = (N_("WW au Maroc"), N_("Dédouanée"), N_("Importée neuve"), N_("Pas encore dédouanée"))
VALUES = {*FUELS, *GEARBOXES, *CONDITIONS, *ORIGINS}


def field(name: str) -> str:
    """The name of a field; a column name of somebody's file stays as it is."""
    return _(FIELDS[name]) if name in FIELDS else name


def value(text: str) -> str:
    """A category of the site in the language that is on; one that the page does not know stays as it is."""
    return _(text) if text in VALUES else text


def fuel(plain: str) -> str:
    """A fuel as the model writes it (lower case, no accents) in the language that is on."""
    return next((_(text) for text in FUELS if text.casefold() == plain), plain)


def history_phrase(text: str) -> str:
    """A phrase of the history in the language that is on; what a person wrote stays as it is."""
    return _(HISTORY_PHRASES[text]) if text in HISTORY_PHRASES else text


def source(code: str) -> str:
    """What asked for a price of the history."""
    return _(SOURCES[code]) if code in SOURCES else code


def yes_or_no(flag: Any) -> str:
    """A flag in words; "" where unknown."""
    return "" if flag is None else _("oui") if flag else _("non")


def car(listing: dict[str, Any]) -> str:
    """`Dacia Logan 2015`."""
    year = listing.get("model_year")
    parts = [listing.get("make"), listing.get("model"), None if year is None else int(year)]
    return isolated(" ".join(str(part) for part in parts if part is not None))


def mileage_of(listing: dict[str, Any]) -> str:
    """The mileage of a listing in canonical fields or as the form sends it."""
    if listing.get("mileage_km_min") is not None:
        return mileage(listing["mileage_km_min"], listing.get("mileage_km_max"))
    given = listing.get("mileage")
    return kilometres(given) if isinstance(given, int | float) else str(given or "")


def power(cv: Any) -> str:
    """`6 CV`; "" where unknown."""
    return "" if cv is None else _("{n} CV", n=number(float(cv)))


def details(listing: dict[str, Any]) -> str:
    """The details of a car in one line: mileage, fuel, power, gearbox, city."""
    parts = [
        mileage_of(listing),
        value(str(listing.get("fuel") or "")),
        power(listing.get("fiscal_power_cv")),
        value(str(listing.get("gearbox") or "")),
        isolated(str(listing.get("city") or "")),
    ]
    return composed(" · ".join(part for part in parts if part))


def characteristic(group: str, listing: dict[str, Any]) -> str:
    """The values of a listing for one group of the explanation; "" where there are none."""
    if group == "make_model":
        return isolated(" ".join(str(listing[name]) for name in ("make", "model") if listing.get(name)))
    if group == "mileage":
        return mileage_of(listing)
    if group == "fiscal_power":
        return power(listing.get("fiscal_power_cv"))
    if group == "first_owner":
        return yes_or_no(listing.get("first_owner"))
    if group == "equipment":
        return enumerated(field(name) for name in EQUIPMENT if listing.get(name))
    if group == "market":
        day = formats.parse_moment(str(listing.get("asked_on")))
        return formats.day(day.date()) if day else _("aujourd'hui")
    found = listing.get(group)
    if found is None:
        return ""
    return str(int(found)) if isinstance(found, int | float) else value(str(found))
