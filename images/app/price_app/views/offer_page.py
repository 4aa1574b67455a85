"""A listing's own page: its price against the estimate over time, why this price, and comparable cars."""

from __future__ import annotations

from html import escape

import streamlit as st

from price_app import charts, market_cache, market_charts, markup, places
from price_app.api_client import ApiProblem
from price_app.views import estimate_alternatives, estimate_explanation, offer_card
from price_contract import formats, offer_words, words
from price_contract.answers import AskingPrice, Priced
from price_contract.language import _, enumerated, ngettext
from price_contract.offer_answers import OfferDetails

# The key of the session state that holds the address of the list that was shown last.
LIST = "address of the list"
_LONGEST_ID = 300


def page(listing_id: str) -> None:
    """Draw the page of one listing."""
    places.link(
        places.OFFERS,
        _("Toutes les annonces"),
        st.session_state.get(LIST, {}),
        icon=":material/arrow_back:",
    )
    try:
        offer = market_cache.listing(listing_id[:_LONGEST_ID])
    except ApiProblem as problem:
        if problem.kind != "not found":
            raise
        with st.container(border=True, key="no_offer"):
            st.markdown("## :material/search_off:")
            st.subheader(_("Cette annonce n'est plus connue"), anchor=False)
            markup.paragraph(_("Elle a été retirée il y a longtemps, ou son adresse est incomplète."))
        return
    _heading(offer)
    left, right = st.columns([6, 5], gap="large")
    with left:
        _price(offer)
    with right:
        _about(offer)
    _history(offer)
    _explanation(offer)
    _nearest(offer)


def _heading(offer: OfferDetails) -> None:
    listing = dict(offer)
    parts = (words.details(listing), words.value(str(offer["condition"] or "")))
    markup.draw(
        f'<h1 class="cp-offer-title">{escape(words.car(listing))}</h1>'
        f'<p class="cp-lead">{escape(" · ".join(filter(None, parts)))}</p>'
    )
    if offer["status"] == "gone":
        day = formats.short_day(offer["gone_since"])
        markup.notice(
            _("Cette annonce n'est plus en ligne depuis le {day}.", day=day)
            if day
            else _("Cette annonce n'est plus en ligne."),
            "warning",
        )


def _price(offer: OfferDetails) -> None:
    """The asking price with its label, in the range of the estimate."""
    parts = [
        f'<div class="cp-big" data-testid="asked">{escape(formats.money(offer["price_mad"]))}</div>',
        offer_card.label_html(offer),
    ]
    rated = offer["label"] != "not_rated" and not offer["suspicions"]
    if rated:
        against = offer_words.against_estimate(offer)
        parts.append(f'<p class="cp-sub"><strong>{escape(against[:1].upper() + against[1:])}</strong></p>')
    elif not offer["suspicions"]:
        parts.append(f'<p class="cp-sub">{escape(offer_words.why_not_rated(offer["not_rated"]))}</p>')
    parts.append(offer_card.doubts_html(offer))
    if offer["estimate_mad"] is not None:
        said = _("Estimation : {price}", price=offer_words.estimate(offer))
        between = offer_words.estimate_range(offer)
        parts.append(f'<p class="cp-sub">{escape(enumerated(filter(None, (said, between))))}</p>')
        if rated:
            parts.append(charts.price_range(_priced(offer), offer_words.step_of(offer)))
    n = offer["comparables"]
    compared = (
        ngettext("Comparée à {n} voiture.", "Comparée à {n} voitures.", n, n=formats.number(n)) if n else ""
    )
    own = _("Son propre prix ne compte pas dans son estimation.") if offer["estimate_mad"] is not None else ""
    basis = " ".join(filter(None, (compared, own, offer_words.standard(offer["standard"]))))
    parts.append(f'<p class="cp-small cp-basis" data-testid="basis">{escape(basis)}</p>')
    markup.draw(f'<div class="cp-price cp-asking">{"".join(parts)}{offer_card.ad_link(offer)}</div>')


def _priced(offer: OfferDetails) -> Priced:
    """The estimate as the drawing of a range takes it."""
    estimate = offer["estimate_mad"] or 0
    asked = AskingPrice(price_mad=offer["price_mad"], verdict=None, difference_mad=0, difference_share=0.0)
    return {
        "prediction_id": "",
        "price_mad": estimate,
        "low_mad": offer["low_mad"],
        "high_mad": offer["high_mad"],
        "currency": "MAD",
        "interval_coverage": None,
        "evidence": "usual",
        "model": {"name": "", "version": "", "alias": ""},
        "listing": {},
        "warnings": [],
        "asking_price": asked,
    }


def _about(offer: OfferDetails) -> None:
    """When the listing was seen, and how its price changed."""
    first, last = formats.short_day(offer["first_seen_at"]), formats.short_day(offer["last_seen_at"])
    changed = offer_words.price_change(offer)
    pairs = [
        (_("En ligne"), offer_words.listed_in_all(offer["days_listed"])),
        (_("Vue pour la première fois"), first),
        (_("Vue pour la dernière fois"), last),
        (_("Prix"), changed[:1].upper() + changed[1:] if changed else _("inchangé")),
        (_("Puissance fiscale"), words.power(offer["fiscal_power_cv"])),
        (_("Site"), offer["source"] or ""),
    ]
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs if value
    )
    markup.draw(f'<dl class="cp-about" data-testid="about">{rows}</dl>')
    places.link(
        places.MARKET,
        _("Le marché de ce modèle"),
        {"marque": offer["make"], "modele": offer["model"]},
        icon=":material/monitoring:",
    )


def _history(offer: OfferDetails) -> None:
    drawing = market_charts.price_history(offer)
    if drawing is None:
        return
    st.header(_("Le prix dans le temps"), anchor=False)
    key = [("cp-key-asked", _("Prix demandé"))]
    if offer["estimate_mad"] is not None:
        key += [("cp-key-estimate", _("Estimation")), ("cp-key-range", _("Fourchette"))]
    items = "".join(f'<li><i class="{name}"></i>{escape(text)}</li>' for name, text in key)
    markup.draw(f'<ul class="cp-key">{items}</ul>')
    st.altair_chart(drawing, width="stretch", key="price_history")
    changes = offer["prices"]
    said = [
        _("{day} : {price}", day=formats.short_day(each["at"]), price=formats.money(each["price_mad"]))
        for each in changes
    ]
    markup.unseen(_("Prix demandés. {prices}.", prices=enumerated(said)))
    if len(changes) < 2:
        markup.paragraph(
            _("Le prix n'a pas changé depuis la première fois que l'annonce a été vue."), "cp-small"
        )
        return
    rows: list[list[markup.Cell]] = []
    for before, each in zip([None, *changes], changes, strict=False):
        difference = each["price_mad"] - before["price_mad"] if before else None
        rows.append(
            [
                formats.short_day(each["at"]),
                markup.Figure(formats.money(each["price_mad"])),
                markup.Figure("" if difference is None else formats.signed_money(difference)),
            ]
        )
    with st.expander(_("Tous les prix")):
        markup.table([_("Depuis le"), _("Prix demandé"), _("Changement")], rows, "prices")


def _explanation(offer: OfferDetails) -> None:
    """What each characteristic adds to the price, where the model in production says so."""
    explained = offer["explanation"]
    if explained is None:
        return
    st.header(_("Pourquoi cette estimation ?"), anchor=False)
    step = formats.step_of(explained["price_mad"], offer["low_mad"], offer["high_mad"])
    estimate_explanation.drawn(explained, dict(offer), step)
    shown = offer["estimate_mad"]
    if shown is not None and formats.rounded(shown, step) != formats.rounded(explained["price_mad"], step):
        markup.paragraph(
            _(
                "Le modèle d'aujourd'hui arrive à {price} parce qu'il connaît aussi le prix de cette annonce "
                "; l'estimation de {estimate} n'en tient pas compte.",
                price=formats.money(formats.rounded(explained["price_mad"], step)),
                estimate=formats.money(formats.rounded(shown, step)),
            )
            if offer["learned"]
            else _(
                "Le modèle d'aujourd'hui arrive à {price} ; l'estimation de {estimate} date de la dernière "
                "évaluation du marché.",
                price=formats.money(formats.rounded(explained["price_mad"], step)),
                estimate=formats.money(formats.rounded(shown, step)),
            ),
            "cp-small",
        )


def _nearest(offer: OfferDetails) -> None:
    nearest = offer["nearest"]
    if nearest is None or not nearest["comparables"]:
        return
    st.header(_("Annonces comparables"), anchor=False)
    markup.paragraph(
        _("Celles qui ressemblent le plus à cette voiture, parmi les annonces connues."), "cp-small"
    )
    estimate_alternatives.cards(nearest["comparables"])
