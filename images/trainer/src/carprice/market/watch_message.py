"""The words of the message about new good offers, in the language of the watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from carprice.formats import thousands
from carprice.market.labels import LABELS

MOST_OFFERS = 10

_LABELS = {
    "fr": ("très bon prix", "bon prix", "prix du marché", "prix élevé", "prix très élevé"),
    "en": ("very good price", "good price", "fair price", "high price", "very high price"),
    "ar": ("ثمن جيد جدا", "ثمن جيد", "ثمن السوق", "ثمن مرتفع", "ثمن مرتفع جدا"),
}
_WORDS = {
    "fr": (
        "{count} nouvelle annonce : {first}",
        "{count} nouvelles annonces, dont {first}",
        "{car} : {price} MAD, estimée à {estimate} MAD ({label})",
        "et {count} de plus",
        "Chaque annonce n'est signalée qu'une fois. Le lien de votre recherche montre toutes les annonces "
        "et permet de l'arrêter.",
    ),
    "en": (
        "{count} new offer: {first}",
        "{count} new offers, among them {first}",
        "{car}: {price} MAD, estimated at {estimate} MAD ({label})",
        "and {count} more",
        "Each offer is told once. The link of your search shows all of them, and stops it.",
    ),
    "ar": (
        "إعلان جديد ({count}): {first}",
        "إعلانات جديدة ({count})، منها {first}",
        "{car}: {price} درهم، التقدير {estimate} درهم ({label})",
        "و{count} إعلانات أخرى",
        "يتم إخبارك بكل إعلان مرة واحدة. رابط بحثك يعرض جميع الإعلانات ويسمح بإيقافه.",
    ),
}


def message(offers: Sequence[Mapping[str, Any]], language: str) -> tuple[str, str]:
    """Subject and text about offers (rows of offers.parquet), the best one first.

    `language` is fr, en or ar; in any other one the words are French.
    """
    one, several, line, more, end = _WORDS.get(language, _WORDS["fr"])
    labels = _LABELS.get(language, _LABELS["fr"])
    lines = []
    for offer in offers[:MOST_OFFERS]:
        label = labels[LABELS.index(offer["label"])]
        lines.append(
            line.format(
                car=_car(offer),
                price=thousands(offer["price_mad"]),
                estimate=thousands(offer["estimate_mad"]),
                label=label,
            )
        )
        if offer["url"]:
            lines.append(f"  {offer['url']}")
    if len(offers) > MOST_OFFERS:
        lines.append(more.format(count=len(offers) - MOST_OFFERS))
    subject = (one if len(offers) == 1 else several).format(count=len(offers), first=_car(offers[0]))
    return subject, "\n".join([*lines, "", end])


def _car(offer: Mapping[str, Any]) -> str:
    year = offer["model_year"]
    return " ".join([str(offer["make"]), str(offer["model"]), *([f"{year:.0f}"] if year else [])])
