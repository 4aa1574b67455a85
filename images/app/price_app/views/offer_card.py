"""One listing of *Annonces* as a card: what it is, its price over time, and what the estimate says of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from price_app import markup, places
from price_contract import formats, offer_words, words
from price_contract.language import _, enumerated, ngettext
from price_contract.offer_answers import Label, Offer, PriceChange

TONES: dict[Label, str] = {
    "very_good_price": "best",
    "good_price": "good",
    "fair_price": "fair",
    "high_price": "high",
    "very_high_price": "worst",
    "not_rated": "none",
}
_GOOD: set[Label] = {"very_good_price", "good_price"}
# The line of prices shows at most so many steps.
_MOST_STEPS = 12


def card(offer: Offer, name: str) -> None:
    """Draw the card of a listing; `name` is a key of the page that no other card has."""
    with st.container(border=True, key=f"offer_{name}"):
        markup.draw(card_html(offer))
        places.link(
            places.OFFERS,
            _("Voir le détail"),
            {places.AD: offer["listing_id"]},
            icon=":material/query_stats:",
        )


def ad_link(offer: Offer) -> str:
    """The link to the ad as HTML; "" where it has no web address."""
    if not markup.is_web_address(offer["url"]):
        return ""
    label = _("Voir l'annonce sur {site}", site=offer["source"]) if offer["source"] else _("Voir l'annonce")
    return f'<p class="cp-ad">{markup.cell_html(markup.Link(label + " ↗", offer["url"]))}</p>'


def card_html(offer: Offer) -> str:
    """The card as HTML."""
    listing = dict(offer)
    about = offer_words.listed_for(offer["days_listed"]) if offer["status"] == "on_offer" else gone(offer)
    return (
        f'<article class="cp-offer" data-testid="offer">'
        f'<div class="cp-offer-car"><h3>{escape(words.car(listing))}</h3>'
        f"<p>{escape(words.details(listing))}</p>"
        f'<p class="cp-small">{escape(_capital(about))}</p>{ad_link(offer)}</div>'
        f'<div class="cp-offer-asked"><span class="cp-offer-price">'
        f"{escape(formats.money(offer['price_mad']))}</span>{price_line(offer)}</div>"
        f'<div class="cp-offer-said">{label_html(offer)}{said_html(offer)}</div>'
        f"{doubts_html(offer)}</article>"
    )


def label_html(offer: Offer) -> str:
    """The label in a colour and in words. What is suspicious is never called a good price."""
    label: Label = "not_rated" if offer["suspicions"] and offer["label"] in _GOOD else offer["label"]
    tone, word = TONES.get(label, "none"), offer_words.label(label)
    found = f'<span class="cp-label cp-label-{tone}">{escape(word)}</span>'
    if offer["suspicions"]:
        doubt = _("À vérifier")
        found += f' <span class="cp-label cp-label-doubt">⚠ {escape(doubt)}</span>'
    return f'<p class="cp-labels" data-testid="label">{found}</p>'


def said_html(offer: Offer) -> str:
    """The estimate with its range, and where the price stands; without a verdict where there is none."""
    estimate = offer_words.estimate(offer)
    parts = []
    if offer["label"] != "not_rated" and not offer["suspicions"]:
        parts.append(
            f'<p class="cp-offer-against">{escape(_capital(offer_words.against_estimate(offer)))}</p>'
        )
        parts.append(range_html(offer))
    elif not offer["suspicions"]:
        parts.append(f"<p>{escape(offer_words.why_not_rated(offer['not_rated']))}</p>")
    if estimate:
        said = _("estimée {price}", price=estimate)
        between = offer_words.estimate_range(offer)
        parts.append(f'<p class="cp-small">{escape(_capital(enumerated(filter(None, (said, between)))))}</p>')
    return "".join(parts)


def doubts_html(offer: Offer) -> str:
    """What is doubtful about a listing, and what to do."""
    if not offer["suspicions"]:
        return ""
    reasons = [offer_words.suspicion(code) for code in offer["suspicions"]]
    return (
        '<div class="cp-notice cp-warning cp-offer-doubts" data-testid="suspicious">'
        + "".join(f"<p>{escape(reason)}</p>" for reason in dict.fromkeys(reasons))
        + "</div>"
    )


def range_html(offer: Offer) -> str:
    """The range of the estimate as a band and the asking price in it; the words beside it say the same."""
    low, high, price = offer["low_mad"], offer["high_mad"], offer["price_mad"]
    if low is None or high is None or high <= low:
        return ""
    margin = (high - low) * 0.4
    first, last = min(low - margin, price - margin / 4), max(high + margin, price + margin / 4)

    def place(mad: float) -> float:
        return round((mad - first) / (last - first) * 100, 1)

    return (
        '<div class="cp-mini" aria-hidden="true">'
        f'<i class="cp-mini-band" style="inset-inline-start:{place(low)}%;'
        f'inline-size:{round(place(high) - place(low), 1)}%"></i>'
        f'<i class="cp-mini-here" style="inset-inline-start:{place(price)}%"></i></div>'
    )


def price_line(offer: Offer) -> str:
    """The changes of the price as a small line, and in words; nothing where it stands."""
    change = offer_words.price_change(offer)
    if not change and offer["price_changes"] < 1:
        return ""
    n = offer["price_changes"]
    counted = n > 1 or (n == 1 and not change)
    said = (
        ngettext("{n} changement de prix", "{n} changements de prix", n, n=formats.number(n))
        if counted
        else ""
    )
    text = " · ".join(filter(None, (change, said)))
    return f'{steps_html(offer["prices"])}<p class="cp-small">{escape(_capital(text))}</p>'


def steps_html(prices: Sequence[PriceChange]) -> str:
    """Asking prices as steps, each as wide as it lasted; "" where the price never changed."""
    shown = list(prices)[-_MOST_STEPS:]
    moments = [formats.parse_moment(change["at"]) for change in shown]
    if len(shown) < 2 or None in moments:
        return ""
    at: list[float] = [moment.timestamp() for moment in moments if moment is not None]
    # The newest price is drawn as long as the others on the average.
    at.append(at[-1] + max((at[-1] - at[0]) / len(at), 1.0))
    amounts = [change["price_mad"] for change in shown]
    low, high = min(amounts), max(amounts)

    def height(mad: float) -> float:
        return 12.0 + 76.0 * (mad - low) / max(high - low, 1)

    steps = "".join(
        f'<i style="inset-inline-start:{round((start - at[0]) / (at[-1] - at[0]) * 100, 1)}%;'
        f"inline-size:{round((end - start) / (at[-1] - at[0]) * 100, 1)}%;"
        f'inset-block-end:{round(height(mad), 1)}%"></i>'
        for start, end, mad in zip(at, at[1:], amounts, strict=False)
    )
    said = enumerated(
        _("{day} : {price}", day=formats.short_day(change["at"]), price=formats.money(change["price_mad"]))
        for change in shown
    )
    return f'<div class="cp-steps-line" role="img" aria-label="{escape(said, quote=True)}">{steps}</div>'


def gone(offer: Offer) -> str:
    """`plus en ligne depuis le 24 nov.`."""
    day = formats.short_day(offer["gone_since"])
    return _("plus en ligne depuis le {day}", day=day) if day else _("plus en ligne")


def counts_html(labels: dict[Label, int]) -> str:
    """How many listings have each label, as a bar with its words."""
    total = sum(labels.values())
    if not total:
        return ""
    there = [(label, labels[label]) for label in TONES if labels.get(label)]
    bar = "".join(
        f'<i class="cp-bar-{TONES[label]}" style="flex-grow:{count}"></i>' for label, count in there
    )
    legend = "".join(
        f'<li><i class="cp-bar-{TONES[label]}"></i>{escape(offer_words.label(label))} '
        f"<b>{escape(formats.number(count))}</b></li>"
        for label, count in there
    )
    return (
        '<div class="cp-counts" data-testid="label-counts">'
        f'<div class="cp-bar" aria-hidden="true">{bar}</div>'
        f"<ul>{legend}</ul></div>"
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
