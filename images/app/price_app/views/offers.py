"""*Annonces*: the cars on offer, a listing's own page, and saved searches."""

from __future__ import annotations

from typing import Any

import streamlit as st

from price_app import market_cache, markup, places, screens
from price_app.api_client import ApiProblem
from price_app.offer_search import Search, of_address
from price_app.views import offer_card, offer_filters, offer_page, watches
from price_contract import formats
from price_contract.language import N_, _, ngettext
from price_contract.offer_answers import OffersPage

PAGE_SIZE = 20
# The address names the page of the list: the API's cursor and, for people, the number of the page.
CURSOR, NUMBER = "suite", "page"
LEAD = N_("Les voitures en vente, comparées à leur estimation : les prix les plus avantageux d'abord.")
_LONGEST_CURSOR, _LARGEST_NUMBER = 400, 100_000
_EARLIER = "cursors of the earlier pages"


@screens.guarded
def page() -> None:
    """Draw the list, or the listing or the saved search that the address names."""
    if ad := st.query_params.get(places.AD, ""):
        places.remember(st.query_params.to_dict())
        offer_page.page(ad)
    elif secret := st.query_params.get(places.WATCH, ""):
        places.remember(st.query_params.to_dict())
        watches.page(secret)
    else:
        _list()


def _list() -> None:
    everything = market_cache.figures()
    st.title(_("Annonces"), anchor=False)
    markup.paragraph(_(LEAD), "cp-lead")
    search = offer_filters.chosen(everything)
    cursor, number = _place(search)
    head = st.container()
    try:
        found, outdated = _found(search, cursor), False
    except ApiProblem as problem:
        if problem.kind == "refused" and cursor and "cursor" in problem.code:
            # The market was rated again, and its pages begin anew.
            found, outdated, cursor, number = _found(search, ""), True, "", 1
        elif problem.kind == "refused":
            screens.refusal(problem)
            return
        else:
            raise
    with head:
        _head(search, found)
    _remember(search, cursor, number)
    if outdated:
        markup.notice(_("De nouvelles annonces sont arrivées : voici le début de la liste."))
    watches.save(search)
    if not found["listings"]:
        _nothing(search)
        return
    for place, offer in enumerate(found["listings"]):
        offer_card.card(offer, str(place))
    _pages(search, found, cursor, number)
    client = screens.client()
    st.download_button(
        _("Exporter (CSV)"),
        lambda: client.listings_csv(search.query()),
        "annonces.csv",
        "text/csv",
        icon=":material/download:",
        on_click="ignore",
    )


def query(search: Search, cursor: str = "") -> dict[str, Any]:
    """What the API is asked for a page of the list; without a cursor the first."""
    return search.query() | {"limit": str(PAGE_SIZE)} | ({"cursor": cursor} if cursor else {})


def _found(search: Search, cursor: str) -> OffersPage:
    return market_cache.listings(query(search, cursor))


def _place(search: Search) -> tuple[str, int]:
    """The cursor and the number of the page that the address names; the first of another search."""
    if search != of_address(st.query_params):
        return "", 1
    cursor = st.query_params.get(CURSOR, "")[:_LONGEST_CURSOR]
    text = st.query_params.get(NUMBER, "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 2
    return (cursor, min(max(number, 2), _LARGEST_NUMBER)) if cursor else ("", 1)


def _head(search: Search, found: OffersPage) -> None:
    """How many listings there are, how they are sorted, and what is said of their prices."""
    total = found["total"]
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.subheader(ngettext("{n} annonce", "{n} annonces", total, n=formats.number(total)), anchor=False)
    with right:
        offer_filters.sort_box()
    if total:
        markup.draw(offer_card.counts_html(found["labels"]))
    seen = formats.moment(found["newest_seen_at"])
    if seen:
        markup.paragraph(_("Dernières annonces vues le {at}.", at=seen), "cp-small")


def _remember(search: Search, cursor: str, number: int) -> None:
    """Write the search and the page into the address."""
    written = search.address()
    if cursor:
        written |= {CURSOR: cursor, NUMBER: str(number)}
    if "lang" in st.query_params:
        written["lang"] = st.query_params["lang"]
    places.remember(written)
    offer_filters.remember(search)
    st.session_state[offer_page.LIST] = {name: text for name, text in written.items() if name != "lang"}


def _nothing(search: Search) -> None:
    with st.container(border=True, key="no_offers"):
        st.markdown("## :material/search_off:")
        if search.is_empty:
            st.subheader(_("Aucune annonce pour l'instant"), anchor=False)
            markup.paragraph(_("Les annonces apparaissent ici dès qu'un fichier en apporte."))
            return
        st.subheader(_("Aucune annonce ne correspond"), anchor=False)
        markup.paragraph(_("Élargissez l'année, le prix ou le kilométrage, ou créez une alerte."))
        st.button(
            _("Retirer tous les filtres"), icon=":material/filter_list_off:", on_click=offer_filters.clear
        )


def _pages(search: Search, found: OffersPage, cursor: str, number: int) -> None:
    """Links to the pages before and after this one."""
    if not cursor and not found["next"]:
        return
    known: dict[int, str] = st.session_state.get(_EARLIER, {}).get(search, {})
    known = known | {1: "", number: cursor}
    if found["next"]:
        known[number + 1] = found["next"]
    st.session_state[_EARLIER] = {search: known}
    first = (number - 1) * PAGE_SIZE + 1
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        if number > 1:
            before = number - 1 if number - 1 in known else 1
            label = _("Page précédente") if before > 1 or number == 2 else _("Première page")
            _page_link(search, known[before], before, label, ":material/navigate_before:")
        markup.paragraph(
            _(
                "Annonces {first} à {last} sur {total}",
                first=formats.number(first),
                last=formats.number(first + len(found["listings"]) - 1),
                total=formats.number(found["total"]),
            ),
            "cp-small",
        )
        if found["next"]:
            _page_link(search, found["next"], number + 1, _("Page suivante"), ":material/navigate_next:")


def _page_link(search: Search, cursor: str, number: int, label: str, icon: str) -> None:
    place = {CURSOR: cursor, NUMBER: str(number)} if cursor else {}
    places.link(places.OFFERS, label, search.address() | place, icon)
