"""The sentence of each code of the API and of `carprice.listings`, in the language that is on.

The French sentences stand here; `locale` has those of the other languages. The placeholders are parameters of
the code. A code that is not here gets the English sentence that came with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from price_contract import formats, words
from price_contract.answers import BatchRow, FieldError, Params, PriceWarning, WarningCode
from price_contract.language import N_, _, current, enumerated
from price_contract.problem_kinds import FieldCode, ProblemCode

ASKED_ON = "asked_on"
LONGEST_VALUE = 80
# What stands between two complaints about one row.
_BETWEEN = {"fr": " ; ", "ar": "؛ "}

PROBLEMS: dict[ProblemCode, str] = {
    "registry-away": N_("Le registre des modèles ne répond pas, et aucun modèle n'est gardé en réserve."),
    "loading": N_("Le modèle est en cours de chargement. Réessayez dans quelques secondes."),
    "no-model": N_("Aucun modèle n'est encore en production."),
    "version-refused": N_("La version {version} du modèle a été refusée, et il n'y en a pas d'autre."),
    "database-away": N_("Le journal des estimations ne répond pas. Réessayez dans un instant."),
    "keys-away": N_("Les clés du service de prix ne peuvent pas être lues. Réessayez dans un instant."),
    "store-away": N_("Le dépôt des données ne répond pas. Réessayez plus tard."),
    "service-error": N_("Le service de prix a rencontré une erreur. Réessayez, ou revenez plus tard."),
    "path-unknown": N_("Le service de prix ne connaît pas l'adresse {path}."),
    "method-not-allowed": N_("Le service de prix n'accepte pas {method} à l'adresse {path}, mais {allowed}."),
    "http-error": N_("Le service de prix a refusé la demande."),
    "invalid-values": N_("Ces valeurs ne sont pas acceptées : {fields}."),
    "invalid-json": N_("Le service de prix n'a pas pu lire la demande, qui doit être du JSON."),
    "unsupported-media-type": N_("Le service de prix attend {expected}, et a reçu {found}."),
    "not-an-object": N_("Une annonce doit être un objet JSON."),
    "not-a-list": N_("Le service de prix attend une liste d'annonces."),
    "too-many-rows": N_("Il y a trop d'annonces : {most_rows} au plus. Envoyez-les en plusieurs fois."),
    "invalid-file": N_("Ce fichier ne peut pas être lu."),
    "model-card-missing": N_("Cette version n'a pas de fiche."),
    "prediction-unknown": N_("Cette estimation n'est pas, ou n'est plus, dans le journal."),
    "feedback-of-another": N_("Le prix payé de cette estimation a été donné avec une autre clé."),
    "report-unknown": N_("Ce rapport n'existe pas."),
    "listings-gone": N_("Les annonces dont le modèle a appris les prix ne peuvent pas être lues."),
    "query-too-long": N_("La demande est trop longue : {most_bytes} octets au plus."),
    "too-many-requests": N_("Trop de demandes à la fois. Réessayez dans {wait_seconds} s."),
    "key-missing": N_("Le service de prix demande une clé."),
    "key-unknown": N_("Le service de prix ne connaît pas cette clé."),
    "key-revoked": N_("Cette clé n'est plus valable."),
    "body-too-slow": N_("L'envoi a duré plus de {most_seconds} s. Réessayez."),
    "unsupported-encoding": N_("Le service de prix lit {expected}, et a reçu {found}."),
    "invalid-gzip": N_("L'envoi compressé ne peut pas être lu. Compressez-le à nouveau."),
    "key-unneeded": N_("Le service de prix ne demande pas de clé, et ne connaît pas celle qu'il a reçue."),
    "feedback-unlikely": N_(
        "{price_paid_mad} MAD est loin de l'estimation de {price_mad} MAD. Confirmez si c'est bien le prix "
        "payé."
    ),
    "invalid-cursor": N_("Cette page n'existe pas. Revenez au début."),
    "cursor-of-other-filters": N_("Cette page est celle d'une autre recherche. Revenez au début."),
    "cursor-outdated": N_("Les annonces ont été estimées à nouveau depuis cette page. Revenez au début."),
    "listing-unknown": N_("Cette annonce n'est pas, ou n'est plus, sur le marché."),
    "too-many-listings": N_("{found} annonces correspondent : {most} au plus. Précisez la recherche."),
    "watch-unknown": N_("Cette alerte n'existe pas, ou n'existe plus."),
    "too-many-watches": N_("Il y a déjà {most} alertes. Supprimez-en une qui ne sert plus."),
    "too-many-new-watches": N_("Trop de nouvelles alertes à la fois. Réessayez dans {wait_seconds} s."),
    "market-missing": N_("Les annonces en vente n'ont pas encore été estimées."),
    "body-too-large": N_("L'envoi est trop gros : {most_bytes} octets au plus. Envoyez moins d'annonces."),
}

# Why a candidate must be better than production, or only not worse (`carprice.lifecycle.comparison.REASONS`).
REASONS = {
    "learned_newer": N_(
        "Ce modèle a appris {newer} annonces récentes de fichiers que la version {version} ne connaît pas. "
        "Il ne doit donc pas faire moins bien : avec une certitude de {confidence_share}, son erreur moyenne "
        "doit être inférieure à {allowed_share} de celle de la version {version}."
    ),
    "learned_little_newer": N_(
        "Ce modèle n'a appris que {newer} annonces récentes de fichiers que la version {version} ne connaît "
        "pas, moins de {least}. Il doit donc faire mieux : avec une certitude de {confidence_share}, son "
        "erreur moyenne doit être inférieure à {allowed_share} de celle de la version {version}."
    ),
    "learned_nothing_newer": N_(
        "Ce modèle n'a appris aucune annonce récente d'un fichier que la version {version} ne connaît pas. "
        "Il doit donc faire mieux : avec une certitude de {confidence_share}, son erreur moyenne doit être "
        "inférieure à {allowed_share} de celle de la version {version}."
    ),
    "recent_window": N_(
        "Les deux versions sont comparées sur les {rows} annonces de test les plus récentes qu'aucune n'a "
        "apprises, vues depuis le {since}. Les groupes de voitures sont comparés sur les mêmes annonces."
    ),
}

# Why a whole file is refused (`carprice.listings.problems.FILE_CODES`).
FILES = {
    "empty_file": N_("Il est vide. Il faut une ligne d'en-tête et des annonces."),
    "other_format": N_("Ce n'est pas un fichier CSV. Enregistrez les annonces au format CSV (texte)."),
    "not_text_file": N_("Ce n'est pas du texte. Enregistrez les annonces au format CSV."),
    "too_long_line": N_("Une de ses lignes dépasse {most} octets. Exportez les annonces au format CSV."),
    "too_large_file": N_(
        "Il est trop gros : {most} octets au plus. Répartissez les annonces en plusieurs fichiers."
    ),
    "damaged_archive": N_("Cette archive gzip est abîmée. Compressez les annonces à nouveau."),
    "damaged_workbook": N_("Ce classeur Excel est abîmé. Enregistrez-le à nouveau."),
    "several_sheets": N_(
        "Plusieurs feuilles contiennent des annonces : {sheets}. Enregistrez chacune à part."
    ),
    "not_json": N_("Son JSON est abîmé à la ligne {line}. Exportez les annonces à nouveau."),
    "no_list_of_records": N_("Il n'a pas de liste d'annonces : il faut une liste d'objets JSON."),
    "no_header": N_("La première ligne doit donner le nom des colonnes."),
    "no_rows": N_("Il n'a qu'un en-tête : il faut des annonces en dessous."),
    "too_many_rows": N_("Il a trop de lignes : {most} au plus. Envoyez-les en plusieurs fichiers."),
    "missing_columns": N_("Il manque : {missing}. Colonnes trouvées : {found}."),
    "other_unit": N_("Sa colonne « {column} » est dans une autre unité : {found}."),
    "too_many_refused_rows": N_("{refused} de ses {rows} lignes sont inutilisables : {most_share} au plus."),
    "too_few_rows": N_("Il n'a que {usable} lignes utilisables : il en faut au moins {least}."),
    "too_few_listings": N_("Il n'a que {distinct} annonces différentes : il en faut au moins {least}."),
    "file_removed": N_("Il a été retiré avant d'être lu."),
    "rejected": N_("{by} l'a refusé : {reason}"),
}
_WORKBOOK = N_("C'est un classeur Excel. Enregistrez-le au format CSV, puis déposez ce fichier.")
_WORKBOOKS = {"excel_or_zip", "old_excel"}

# What a field takes (`carprice.listings.problems.EXPECTED`).
EXPECTED = {
    "text": N_("un texte d'au plus {longest} caractères"),
    "link": N_("un lien d'au plus {longest} caractères"),
    "year": N_("une année comme 2015 (de {low} à {high})"),
    "mileage": N_("un kilométrage comme « 200 000 - 249 999 » ou « 173 000 km » (de {low} à {high})"),
    "kilometres": N_("un nombre de kilomètres comme 200 000 (de {low} à {high})"),
    "fiscal_power": N_("une puissance fiscale comme « 6 CV » (de {low} à {high})"),
    "number_of_doors": N_("un nombre de portes comme 5 (de {low} à {high})"),
    "amount": N_("un montant en dirhams comme 60000"),
    "date": N_("une date comme 31/12/2023"),
    "yes_or_no": N_("oui ou non"),
}

# What a field of the API itself takes.
ACCEPTED: dict[FieldCode, str] = {
    "not_finite": N_("un nombre fini"),
    "prediction_id": N_("l'identifiant d'une estimation"),
    "price_paid": N_("le prix payé, de {low} à {high} MAD"),
    "number_list": N_("une liste d'au plus {most} nombres de {low} à {high}"),
    "number": N_("un nombre de {low} à {high}"),
    "whole_number": N_("un nombre entier"),
    "at_least": N_("un nombre d'au moins {low}"),
    "at_most": N_("un nombre d'au plus {high}"),
    "moment": N_("une date comme 2026-05-04"),
    "flag": N_("oui ou non"),
    "text_length": N_("un texte d'au plus {most} caractères"),
    "list_of_listings": N_("une liste d'annonces"),
    "not_accepted": N_("une autre valeur"),
    "repeated_key": N_("une seule fois le même champ"),
    "plus_not_encoded": N_("une date dont le + est écrit %2B"),
    "known_field": N_("l'un des champs {known}"),
    "known_parameter": N_("l'un des paramètres {known}"),
    "not_with_cursor": N_("pas de numéro de page à côté d'un curseur"),
    "one_file": N_("un fichier d'annonces"),
    "one_of": N_("l'une des valeurs {known}"),
    "not_above_other": N_("au plus la valeur de {other}, qui est {most}"),
}

# What is wrong with one value or with the shape of a row, or why a row without a fault is no listing
# (`VALUE_CODES`, `ROW_CODES`, `TITLE_CODES` and `ASIDE_CODES` there).
COMPLAINTS = {
    "unknown_or_empty": N_("vide ou inconnu"),
    "out_of_range": N_("doit être compris entre {low} et {high}"),
    "not_positive": N_("doit être supérieur à 0"),
    "too_long": N_("plus de {longest} caractères"),
    "not_text": N_("pas du texte"),
    "not_a_year": N_("pas une année comme 2015"),
    "not_a_mileage": N_("pas un kilométrage comme « 200 000 - 249 999 » ou « 173 000 km »"),
    "not_kilometres": N_("pas un nombre de kilomètres comme 200 000"),
    "not_a_fiscal_power": N_("pas une puissance fiscale comme « 6 CV »"),
    "not_a_number_of_doors": N_("pas un nombre de portes comme 5"),
    "not_an_amount": N_("pas un montant en dirhams comme 60000 ou « 60 000 DH »"),
    "not_a_date": N_("pas une date comme 31/12/2023"),
    "not_a_yes_or_no": N_("ni oui ni non"),
    "mileage_bounds_reversed": N_("le plus petit kilométrage dépasse le plus grand"),
    "other_currency": N_("un montant dans une autre monnaie que le dirham"),
    "price_per_period": N_("un montant par mois ou par jour, et non le prix de la voiture"),
    "two_amounts": N_("deux montants, sans que rien ne dise lequel est demandé"),
    "two_years": N_("deux années, sans que rien ne dise laquelle est l'année-modèle"),
    "other_distance": N_("une distance en miles, et non en kilomètres"),
    "in_the_future": N_("une date dans le futur"),
    "other_meaning": N_("dit autre chose que ce que cette colonne contient"),
    "rounded_number": N_("un nombre en notation scientifique : ses derniers chiffres sont perdus"),
    "not_a_link": N_("n'est pas l'adresse d'une page"),
    "no_known_make": N_("ne nomme aucune marque connue"),
    "no_known_model": N_("ne nomme aucun modèle connu"),
    "given_twice": N_("une autre valeur que « {other} », qui dit la même chose"),
    "title_names_no_make": N_("le titre ne nomme aucune marque connue"),
    "title_names_no_model": N_("le titre ne nomme aucun modèle connu"),
    "title_names_another_make": N_("le titre nomme une autre marque que la colonne des marques"),
    "title_names_several_cars": N_("le titre nomme plusieurs voitures"),
    "title_says_no_year": N_("le titre ne dit pas l'année du modèle"),
    "empty_row": N_("la ligne est vide"),
    "unclosed_quote": N_("un guillemet de la ligne n'est pas fermé"),
    "joined_rows": N_("un guillemet joint la ligne aux suivantes"),
    "doubtful_row": N_("la ligne suit une ligne abîmée et peut en faire partie"),
    "nul_byte": N_("la ligne contient un octet nul"),
    "not_a_record": N_("la ligne n'est pas un objet JSON"),
    "repeated_key": N_("la clé {key} est deux fois dans la ligne"),
    "wrong_number_of_values": N_("valeurs dans la ligne : {values}, colonnes dans l'en-tête : {columns}"),
    "moved_cells": N_(
        "contient ce qui ressemble à une valeur de {belongs} ; les cellules de la ligne ont glissé"
    ),
    "moved_value": N_("peut être la valeur d'une autre colonne, car les cellules de la ligne ont glissé"),
    "whole_file_refused": N_("la ligne est bonne, mais tout le fichier a été refusé"),
    "no_asking_price": N_("aucun prix demandé"),
    "sold": N_("la voiture est vendue ou n'est plus à vendre : plus personne n'en demande ce prix"),
    "no_price_of_a_car": N_("moins de {least} MAD, ce que ne coûte aucune voiture : aucun prix demandé"),
    "not_a_used_car": N_("pas une voiture d'occasion à vendre : {found}"),
}
# Codes whose complaint says more than what the field takes.
_NOT_ABOUT_THE_VALUE = {"mileage_bounds_reversed", "two_amounts", "in_the_future", "sold", "given_twice"}

WARNINGS: dict[WarningCode, str] = {
    "unknown_make": N_("La marque « {value} » n'est pas connue : aucune annonce ne dit ce qu'elle vaut."),
    "unknown_model": N_("Le modèle « {value} » n'est pas connu : le prix est celui d'une {make} comparable."),
    "few_listings": N_(
        "Annonces de « {value} » que le modèle a apprises : {count}. La fourchette n'est qu'approximative."
    ),
    "few_with_fuel": N_(
        "Annonces de « {model} » au carburant « {value} » que le modèle a apprises : {count}."
    ),
    "for_parts": N_(
        "Une voiture vendue pour pièces n'a pas de prix de marché : le modèle n'en a appris aucun."
    ),
    "low_mileage": N_(
        "{value} km, c'est peu pour une voiture de {year} : les annonces qui l'affirment demandent moins que "
        "ce kilométrage ne le laisse attendre, et ce prix en tient compte."
    ),
    "unknown_value": N_("{field} « {value} » n'a jamais été vu : le prix est donc moins sûr."),
    "unknown_mileage": N_(
        "Le kilométrage n'est pas connu : le modèle suppose {usual} km, habituels pour cette année, et la "
        "fourchette est plus large."
    ),
    "unknown_fuel": N_(
        "Le carburant n'est pas connu : le modèle suppose « {usual} », habituel pour ces voitures, et la "
        "fourchette est plus large."
    ),
    "doubtful_mileage": N_(
        "{value} km paraissent trop peu pour une voiture de {year} : le modèle considère que le kilométrage "
        "n'a pas été renseigné."
    ),
    "outside_training_range": N_(
        "{field} : cette valeur est hors de ce que le modèle a appris, il prend la plus proche."
    ),
    "newer_than_learned": N_(
        "Le modèle ne connaît aucune voiture plus récente que {bound} : il prolonge l'écart de prix d'une "
        "année à l'autre."
    ),
    "asked_before_learned": N_(
        "Le modèle ne connaît aucun prix d'avant le {bound} : il donne le prix de ce jour-là."
    ),
    "asked_after_learned": N_(
        "Le modèle ne connaît aucun prix d'après le {bound} : il donne le prix de ce jour-là, et le marché a "
        "pu changer depuis."
    ),
    "no_market_level": N_(
        "Le modèle ne sait pas de quels jours datent les prix : la date {value} ne change rien."
    ),
    "ignored_field": N_("{field} : ce champ n'est pas connu, il n'est pas pris en compte."),
    "duplicate_field": N_("{field} : ce champ n'est pas pris en compte, car « {other} » dit la même chose."),
    "not_used_by_model": N_("{field} : le modèle n'utilise pas cette information, elle ne change rien."),
}


def problem(code: str, params: Params, sentence: str) -> str:
    """Why the API refused a request; `sentence` for a code that is not known here."""
    if code in FILES:
        return refused_file(code, params, sentence)
    return _sentence(PROBLEMS, code, params, sentence)


def field_error(found: FieldError) -> str:
    """What is wrong with one field of a form: its name, the value, what is accepted."""
    name, code, params = words.field(found["field"]), found["code"], found["params"]
    if code in _NOT_ABOUT_THE_VALUE:
        return _named(name, _sentence(COMPLAINTS, code, params, found["accepted"]))
    takes = accepted(found)
    if not found["value"]:
        return _("{field} : cette information manque. Attendu : {accepted}", field=name, accepted=takes)
    if code == "unknown_or_empty":
        return _(
            "{field} : « {value} » veut dire inconnu. Attendu : {accepted}",
            field=name,
            value=_short(found["value"]),
            accepted=takes,
        )
    return _(
        "{field} : « {value} » n'est pas accepté. Attendu : {accepted}",
        field=name,
        value=_short(found["value"]),
        accepted=takes,
    )


def accepted(found: FieldError) -> str:
    """What the field of an error takes."""
    code, params = found["code"], found["params"]
    if code in _NOT_ABOUT_THE_VALUE:
        return _sentence(COMPLAINTS, code, params, found["accepted"])
    if "expected" in params:
        return _sentence(EXPECTED, str(params["expected"]), params, found["accepted"])
    return _sentence(ACCEPTED, code, params, found["accepted"])


def warning(found: PriceWarning) -> str:
    """Why an estimate is less certain than usual."""
    params = {**found["params"], "field": words.field(found["field"])}
    if found["code"] == "unknown_fuel":
        params["usual"] = words.fuel(str(params.get("usual", "")))
    if found["code"] == "few_with_fuel":
        params["value"] = words.value(str(params.get("value", "")))
    if found["field"] == ASKED_ON:
        params |= {name: _day(value) for name, value in found["params"].items()}
    return _sentence(WARNINGS, found["code"], params, found["message"])


def warnings(found: Sequence[PriceWarning]) -> str:
    """Why an estimate is less certain than usual, in one text; one sentence names all fields without use."""
    unused = [each for each in found if each["code"] == "not_used_by_model"]
    sentences = [warning(each) for each in found if each["code"] != "not_used_by_model"]
    if unused:
        names = enumerated(words.field(each["field"]) for each in unused)
        template = WARNINGS["not_used_by_model"]
        sentences.append(_(template, field=names))
    return " ".join(sentences)


def reason(found: Mapping[str, Any]) -> str:
    """Which rule decided about a candidate and why: a reason with its `code`, `params` and `sentence`."""
    params = dict(found.get("params") or {})
    if "since" in params:
        params["since"] = _day(params["since"])
    for name, value in params.items():
        if name.endswith("share"):
            params[name] = formats.share(value, 0 if round(100 * value, 6) % 1 == 0 else 1)
    return _sentence(REASONS, str(found.get("code")), params, str(found.get("sentence") or ""))


def unpriced_row(row: BatchRow) -> str:
    """Why a row of a file has no price."""
    parts = [
        _named(
            words.field(error["field"]),
            _sentence(COMPLAINTS, error["code"], error["params"], error["accepted"]),
        )
        for error in row.get("errors", [])
    ]
    if parts:
        return joined(parts)
    code, params, sentence = row.get("code", ""), row.get("params", {}), row.get("problem", "")
    return _sentence(COMPLAINTS if code in COMPLAINTS else PROBLEMS, code, params, sentence)


def joined(complaints: Sequence[str]) -> str:
    """Several complaints about one thing in one text."""
    return _BETWEEN.get(current(), "; ").join(complaints)


def refused_file(code: str, params: Params, sentence: str) -> str:
    """Why a whole file can't be read; `sentence` for a code that is not known here."""
    if code == "other_format" and params.get("format") in _WORKBOOKS:
        return _(_WORKBOOK)
    return _sentence(FILES, code, params, sentence)


def _sentence(texts: Mapping[Any, str], code: str, params: Params, otherwise: str) -> str:
    """The sentence of `code`, or `otherwise` for a code or parameters of a newer API."""
    if code not in texts:
        return otherwise
    try:
        return _(texts[code], **{name: _shown(name, value) for name, value in params.items()})
    except KeyError:
        return otherwise


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return enumerated(words.field(str(each)) if name == "fields" else _short(each) for each in value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _short(value)
    if name.endswith("share"):
        return formats.share(value)
    # A year has no separator of thousands.
    return formats.number(value) if value >= 10_000 else f"{value:g}"


def _day(value: Any) -> str:
    """A day such as 2026-05-04 as people write it; other text as it is."""
    moment = formats.parse_moment(str(value))
    return formats.day(moment.date()) if moment else str(value)


def _named(name: str, complaint: str) -> str:
    return _("{field} : {complaint}", field=name, complaint=complaint)


def _short(value: object) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 1] + "…"
