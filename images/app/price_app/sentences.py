"""The API's sentences, which are English, on a French page.

The ones people meet are known here; any other is shown as the API wrote it.
"""

from __future__ import annotations

import re
from typing import Any

from price_app import words
from price_app.api_client import Fault, Notice
from price_app.language import N_, _, current

_PROBLEMS = [
    (r"empty or unknown", N_("vide ou inconnu")),
    (r"not a year such as 2015", N_("pas une année comme 2015")),
    (
        r"not a mileage such as '200 000 - 249 999' or '173 000 km'",
        N_("pas un kilométrage comme « 200 000 - 249 999 » ou « 173 000 km »"),
    ),
    (r"not a number of kilometres such as (?P<n>\d+)", N_("pas un nombre de kilomètres comme {n}")),
    (r"not a fiscal power such as '6 CV'", N_("pas une puissance fiscale comme « 6 CV »")),
    (r"not a number of doors such as 5", N_("pas un nombre de portes comme 5")),
    (
        r"not an amount in dirhams such as 60000 or '60 000 DH'",
        N_("pas un montant en dirhams comme 60000 ou « 60 000 DH »"),
    ),
    (r"not a yes or no", N_("ni oui ni non")),
    (r"longer than (?P<n>\d+) characters", N_("plus de {n} caractères")),
    (r"the least mileage is larger than the largest", N_("le plus petit kilométrage dépasse le plus grand")),
    (r"must be from (?P<n>[\d ]+) to (?P<m>[\d ]+)", N_("doit être compris entre {n} et {m}")),
    (r"text of at most (?P<n>[\d ]+) characters", N_("un texte d'au plus {n} caractères")),
    (
        r"a year such as 2015 \(from (?P<n>[\d ]+) to (?P<m>[\d ]+)\)",
        N_("une année comme 2015 (de {n} à {m})"),
    ),
    (
        r"a mileage such as '200 000 - 249 999' or '173 000 km' \(from (?P<n>[\d ]+) to (?P<m>[\d ]+)\)",
        N_("un kilométrage comme « 200 000 - 249 999 » ou « 173 000 km » (de {n} à {m})"),
    ),
    (
        r"a number of doors such as 5 \(from (?P<n>[\d ]+) to (?P<m>[\d ]+)\)",
        N_("un nombre de portes comme 5 (de {n} à {m})"),
    ),
    (
        r"a fiscal power such as '6 CV' \(from (?P<n>[\d ]+) to (?P<m>[\d ]+)\)",
        N_("une puissance fiscale comme « 6 CV » (de {n} à {m})"),
    ),
    (r"an amount in dirhams such as 60000 or '60 000 DH'.*", N_("un montant en dirhams comme 60000")),
    (r"a yes or no", N_("oui ou non")),
    (r"the row is empty", N_("la ligne est vide")),
    (r"a quotation mark in the row is not closed", N_("un guillemet de la ligne n'est pas fermé")),
    (
        r"the row has (?P<n>\d+) values, the header has (?P<m>\d+) columns",
        N_("la ligne a {n} valeurs, l'en-tête {m} colonnes"),
    ),
]


_FILES = [
    (r".* is empty \(\d+ bytes\).*", N_("Il est vide. Il faut une ligne d'en-tête et des annonces.")),
    (
        r".* is (an Excel workbook or a ZIP archive|an old Excel workbook):.*",
        N_("C'est un classeur Excel. Enregistrez-le au format CSV, puis déposez ce fichier."),
    ),
    (
        r".* is (a gzip archive|a PDF document|a Parquet file):.*",
        N_("Ce n'est pas un fichier CSV. Enregistrez les annonces au format CSV (texte)."),
    ),
    (r".* is not text \(.*", N_("Ce n'est pas du texte. Enregistrez les annonces au format CSV.")),
    (r".* has no readable header:.*", N_("La première ligne doit donner le nom des colonnes.")),
    (
        r".* has too many rows: at most (?P<most>[\d,]+) were expected.*",
        N_("Il a trop de lignes : {most} au plus. Envoyez-les en plusieurs fichiers."),
    ),
    (r".* and no rows:.*", N_("Il n'a qu'un en-tête : il faut des annonces en dessous.")),
    (
        r".*the required columns? (?P<names>.+) (?:is|are) missing; the columns found are (?P<found>.+); .*",
        N_("Il manque : {names}. Colonnes trouvées : {found}."),
    ),
]


def problem(sentence: str) -> str:
    """A sentence of the API in the language that is on, its parts one by one where it has several."""
    if current() == "en":
        return sentence
    return " ; ".join(_part(part) for part in sentence.split("; "))


def fault(found: Fault) -> str:
    """What is wrong with one field: its name, the value, what is accepted."""
    return _(
        "{field} : « {value} » n'est pas accepté. Attendu : {accepted}",
        field=words.field(found["field"]),
        value=_short(found["value"]),
        accepted=problem(found["accepted"]),
    )


def warning(notice: Notice, listing: dict[str, Any]) -> str:
    """A warning about an estimate in plain words."""
    field, value = notice["field"], _short(listing.get(notice["field"]))
    make = _short(listing.get("make"))
    if notice["code"] == "unknown_make":
        return _(
            "La marque « {value} » n'est pas connue : le prix vient des autres caractéristiques.", value=value
        )
    if notice["code"] == "unknown_model":
        return _(
            "Le modèle « {value} » n'est pas connu : le prix est celui d'une {make} comparable.",
            value=value,
            make=make,
        )
    if notice["code"] == "unknown_value":
        return _(
            "{field} « {value} » n'a jamais été vu : cette information n'est pas prise en compte.",
            field=words.field(field),
            value=value,
        )
    if notice["code"] == "outside_training_range":
        return _(
            "{field} : cette valeur est hors de ce que le modèle a appris, le prix est donc moins sûr.",
            field=words.field(field),
        )
    if notice["code"] == "ignored_field":
        return _("{field} : ce champ n'est pas pris en compte.", field=words.field(field))
    return notice["message"]


def refused_file(sentence: str) -> str:
    """Why a file can't be read at all, in plain words."""
    for pattern, french in _FILES:
        found = re.fullmatch(pattern, sentence, flags=re.DOTALL)
        if found:
            return _(french, **found.groupdict())
    return sentence


def _part(part: str) -> str:
    for pattern, french in _PROBLEMS:
        found = re.fullmatch(rf"(?:(?P<field>[^:]+): )?{pattern}", part)
        if found:
            groups = found.groupdict()
            name = groups.pop("field")
            text = _(french, **groups)
            return f"{words.field(name)} : {text}" if name else text
    return part


def _short(value: object, longest: int = 80) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= longest else text[: longest - 1] + "…"
