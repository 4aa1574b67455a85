"""Saved searches of *Annonces*: save one, its secret link, its own page."""

from __future__ import annotations

from html import escape
from typing import cast
from urllib.parse import quote, urlsplit

import streamlit as st

from price_app import markup, places, screens, settings
from price_app.api_client import ApiProblem
from price_app.offer_search import Search, of_watch
from price_app.views import offer_card
from price_contract import formats, offer_words, words
from price_contract.language import _, current, ngettext
from price_contract.offer_answers import Label, NewWatch, ToldOffer, WatchFilters

# What a watch tells of where the search names no label.
USUAL: tuple[Label, ...] = ("very_good_price", "good_price")
_NEW, _ASKED = "new watch", "delete the watch"
_LONGEST_SECRET = 200


def save(search: Search) -> None:
    """Offer to save a search; once it is saved, show its secret link this one time."""
    new: NewWatch | None = st.session_state.get(_NEW)
    with st.expander(
        _("Créer une alerte pour cette recherche"), icon=":material/notifications:", expanded=new is not None
    ):
        if new is not None:
            _saved(new)
            return
        labels = tuple(label for label in search.labels if label != "not_rated") or USUAL
        markup.paragraph(
            _(
                "Sans compte : chaque nouvelle annonce qui correspond à cette recherche est signalée une "
                "fois, sur une page à vous et dans un flux (Atom)."
            )
        )
        filters = cast(WatchFilters, search.filters | {"labels": list(labels)})
        markup.draw(f'<ul class="cp-chips" data-testid="watch-filters">{_chips(filters)}</ul>')
        if st.button(_("Créer cette alerte"), icon=":material/notification_add:"):
            try:
                st.session_state[_NEW] = screens.client().save_watch(filters)
            except ApiProblem as problem:
                if problem.kind != "refused":
                    raise
                screens.refusal(problem)
                return
            st.rerun()


def page(secret: str) -> None:
    """Draw the page of a saved search: what it looks for, what it told of, its feed, and its end."""
    secret = secret[:_LONGEST_SECRET]
    places.link(places.OFFERS, _("Toutes les annonces"), {}, icon=":material/arrow_back:")
    st.title(_("Votre alerte"), anchor=False)
    try:
        watch = screens.client().watch(secret)
    except ApiProblem as problem:
        if problem.kind != "not found":
            raise
        markup.notice(_("Cette alerte n'existe pas, ou a été supprimée."), "warning")
        return
    markup.draw(f'<ul class="cp-chips" data-testid="watch-filters">{_chips(watch["filters"])}</ul>')
    markup.paragraph(_("Créée le {day}.", day=formats.short_day(watch["created_at"])), "cp-small")
    found = watch["offers"]
    n = len(found)
    st.header(
        ngettext("{n} annonce signalée", "{n} annonces signalées", n, n=formats.number(n)), anchor=False
    )
    if not found:
        markup.paragraph(_("Rien pour l'instant : les prochaines annonces à bon prix apparaîtront ici."))
    for place, told in enumerate(found):
        _told(told, place)
    places.link(
        places.OFFERS,
        _("Toutes les annonces de cette recherche"),
        of_watch(watch["filters"]).address(),
        icon=":material/search:",
    )
    st.subheader(_("Flux (Atom)"), anchor=False)
    _feed(f"/v1/watches/{quote(secret, safe='')}/feed")
    _end(secret)


def _told(told: ToldOffer, place: int) -> None:
    markup.paragraph(
        _(
            "Signalée le {at}, à {price} ({label}).",
            at=formats.moment(told["at"]),
            price=formats.money(told["price_mad"]),
            label=offer_words.label(told["label"]),
        ),
        "cp-small",
    )
    if told["offer"] is None:
        markup.notice(_("Cette annonce n'est plus connue."))
    else:
        offer_card.card(told["offer"], f"told_{place}")


def _saved(new: NewWatch) -> None:
    markup.notice(
        _(
            "L'alerte est créée. Gardez ce lien : il n'est montré que cette fois, et qui le connaît peut "
            "voir et supprimer l'alerte."
        ),
        "good",
    )
    st.caption(_("Lien secret de votre alerte"))
    st.code(_page_address(new["secret"]), language=None, wrap_lines=True)
    st.caption(_("Flux (Atom) pour un lecteur de flux"))
    _feed(new["feed"])
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        if st.button(_("J'ai gardé le lien"), type="primary", icon=":material/check:"):
            del st.session_state[_NEW]
            st.rerun()
        places.link(
            places.OFFERS,
            _("Ouvrir la page de l'alerte"),
            {places.WATCH: new["secret"]},
            icon=":material/open_in_new:",
        )


def _feed(path: str) -> None:
    """The address of the feed, as the visitor reaches the API; its path alone where nobody said how."""
    base = settings.Settings.from_environment().public_address
    st.code(base + path, language=None, wrap_lines=True)
    if not base:
        markup.paragraph(
            _(
                "Cette adresse commence par celle de l'API : demandez-la à la personne qui exploite le "
                "service."
            ),
            "cp-small",
        )


def _page_address(secret: str) -> str:
    parts = urlsplit(st.context.url or "")
    base = (
        f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/').rpartition('/')[0]}" if parts.netloc else ""
    )
    language = "" if current() == "fr" else f"&lang={current()}"
    return f"{base}/{places.OFFERS}?{places.WATCH}={quote(secret, safe='')}{language}"


def _end(secret: str) -> None:
    """Delete the search, once it was asked twice."""
    st.subheader(_("Ne plus être prévenu"), anchor=False)
    if st.session_state.get(_ASKED) != secret:
        if st.button(_("Supprimer cette alerte"), icon=":material/delete:"):
            st.session_state[_ASKED] = secret
            st.rerun()
        return
    markup.notice(_("L'alerte et la liste de ce qu'elle a signalé seront supprimées."), "warning")
    with st.container(horizontal=True):
        if st.button(_("Oui, supprimer"), type="primary", icon=":material/delete:"):
            screens.client().delete_watch(secret)
            st.session_state.pop(_ASKED, None)
            st.session_state.pop(_NEW, None)
            st.query_params.pop(places.WATCH, None)
            st.toast(_("L'alerte est supprimée."), icon=":material/check:")
            st.rerun()
        if st.button(_("Non, la garder")):
            st.session_state.pop(_ASKED, None)
            st.rerun()


def _chips(filters: WatchFilters) -> str:
    """What a search looks for, one item for each filter."""
    return "".join(f"<li>{escape(text)}</li>" for text in in_words(filters))


def in_words(filters: WatchFilters) -> list[str]:
    """What a search looks for, in a few words each."""
    car = " ".join(str(filters[name]) for name in ("make", "model") if name in filters)
    found = [car or _("toutes les voitures")]
    if "year_from" in filters:
        found.append(_("à partir de {year}", year=filters["year_from"]))
    if "year_to" in filters:
        found.append(_("jusqu'à {year}", year=filters["year_to"]))
    if "mileage_to" in filters:
        found.append(_("{km} au plus", km=formats.kilometres(filters["mileage_to"])))
    if "price_from" in filters:
        found.append(_("{price} au moins", price=formats.money(filters["price_from"])))
    if "price_to" in filters:
        found.append(_("{price} au plus", price=formats.money(filters["price_to"])))
    found += [words.value(str(filters[name])) for name in ("city", "fuel") if name in filters]
    return found + [offer_words.label(label) for label in filters.get("labels", [])]
