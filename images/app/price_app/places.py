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


def _nothing() -> None:
    """Never run: the page that is registered under the address is."""
