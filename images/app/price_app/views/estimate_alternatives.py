"""The alternatives of *Estimer*: other mileages and years, and comparable listings."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Literal

import streamlit as st

from price_app import charts, markup
from price_app.views.estimate_answer import Answer
from price_contract import formats, words
from price_contract.answers import Comparable, CurvePoint, WhatIf
from price_contract.language import _, enumerated, ngettext

MOST_ALIKE = 0.99


def price_curves(answer: Answer) -> None:
    """Draw the price over mileage and over model year, where the API gave it."""
    if answer.what_if is None:
        return
    st.header(_("Et si… ?"), anchor=False)
    markup.paragraph(
        _(
            "Le prix de la même voiture avec un autre kilométrage, ou d'une autre année. "
            "La bande est la fourchette."
        ),
        "cp-small",
    )
    left, right = st.columns(2, gap="large")
    with left:
        _curve(answer, "mileage_km", _("Kilométrage (km)"), answer.listing.get("mileage"))
    with right:
        _curve(answer, "model_year", _("Année-modèle"), answer.listing["model_year"])


def _curve(answer: Answer, along: Literal["mileage_km", "model_year"], title: str, here: int | None) -> None:
    asked: WhatIf | dict[str, list[CurvePoint]] = answer.what_if or {}
    # Beyond the data the model knows nothing.
    points = [point for point in asked.get(along, []) if point["low_mad"] is not None]
    now = [point["price_mad"] for point in points if point.get(along) == here]
    mark = (here, now[0]) if here is not None and now else None
    if mark is not None or (here is None and points):
        st.altair_chart(charts.curve(points, along, title, mark, answer.step_mad), width="stretch")
        markup.unseen(_in_words(answer, points, along, title))


def _in_words(
    answer: Answer, points: Sequence[CurvePoint], along: Literal["mileage_km", "model_year"], title: str
) -> str:
    """The drawing as text: a few of its points."""
    some = points[:: max(len(points) // 6, 1)]
    said = [
        _(
            "{place} : {price}",
            place=str(point["model_year"])
            if along == "model_year"
            else formats.number(point.get("mileage_km", 0)),
            price=answer.money(point["price_mad"]),
        )
        for point in some
    ]
    return _("{title} et prix estimé. {points}.", title=title, points=enumerated(said))


def comparables(answer: Answer) -> None:
    """Draw the comparable listings, where the API gave some."""
    if not answer.comparables:
        return
    st.header(_("Annonces comparables"), anchor=False)
    n = len(answer.comparables)
    markup.paragraph(
        ngettext(
            "L'annonce la plus proche, parmi celles dont le modèle a appris les prix.",
            "Les {n} annonces les plus proches, parmi celles dont le modèle a appris les prix.",
            n,
            n=n,
        ),
        "cp-small",
    )
    cards(answer.comparables)


def cards(found: Sequence[Comparable]) -> None:
    """Draw similar listings side by side."""
    markup.draw(f'<div class="cp-cards" data-testid="comparables">{"".join(map(_card, found))}</div>')


def _card(found: Comparable) -> str:
    listing: dict[str, Any] = dict(found)
    # Cars that differ in what the card shows are never the same.
    likeness = min(found["similarity"], MOST_ALIKE)
    alike = _("Ressemblance {share}", share=formats.share(likeness))
    link = markup.Link(_("Voir l'annonce"), found["url"])
    address = markup.cell_html(link) if markup.is_web_address(found["url"]) else ""
    return (
        f'<div class="cp-card"><h3>{escape(words.car(listing))}</h3>'
        f'<div class="cp-card-price">{escape(formats.money(found["price_mad"]))}</div>'
        f"<p>{escape(words.details(listing))}</p>"
        f'<span class="cp-like"><i style="width:{round(likeness * 100)}%"></i></span>'
        f"<p>{escape(alike)}</p>{address}</div>"
    )
