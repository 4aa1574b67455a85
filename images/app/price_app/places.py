"""Links to the app's own pages: they keep the visit and the language."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from price_contract.language import current

OFFERS, MARKET = "annonces", "marche"
# The query parameters that name a listing's own page, and the page of a saved search.
AD, WATCH = "ad", "alerte"


def link(place: str, label: str, parameters: Mapping[str, str], icon: str | None = None) -> None:
    """A link to a page with these query parameters; `label` holds only words of the app."""
    query = dict(parameters) if current() == "fr" else {"lang": current(), **parameters}
    # Streamlit knows a page by its address.
    st.page_link(st.Page(_nothing, url_path=place, title=label), label=label, icon=icon, query_params=query)


def remember(parameters: Mapping[str, str]) -> None:
    """Write the query parameters into the address.

    Also where they are known already: a link to the page that is open changes them, and not what the browser
    shows as the address. The browser adds no step to its history where nothing changes.
    """
    st.query_params.from_dict(dict(parameters))


def _nothing() -> None:
    """Never run: the page that is registered under the address is."""
