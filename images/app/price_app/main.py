"""The entry of the app (`streamlit run main.py`): the frame around the pages, and the list of pages."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts the folder of this file on the path; the packages are in the folder above.
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[1])
if _PACKAGE_PARENT not in sys.path:
    sys.path.insert(0, _PACKAGE_PARENT)

import streamlit as st  # noqa: E402

from price_app import component_words, language, markup, places, screens  # noqa: E402
from price_app.views import batch, estimate, history, market, model, offers, reports  # noqa: E402
from price_contract.language import _, pgettext  # noqa: E402

ICON = str(Path(__file__).with_name("icon.svg"))


def main() -> None:
    """Draw the frame and the page that the address names."""
    language.remember()
    st.set_page_config(page_title=_("Prix de voitures d'occasion"), page_icon=ICON, layout="wide")
    chosen = st.navigation(
        [
            st.Page(estimate.page, title=_("Estimer"), icon=":material/sell:", default=True),
            st.Page(
                offers.page, title=_("Annonces"), icon=":material/directions_car:", url_path=places.OFFERS
            ),
            st.Page(market.page, title=_("Marché"), icon=":material/query_stats:", url_path=places.MARKET),
            st.Page(batch.page, title=_("Lot"), icon=":material/table_rows:", url_path="lot"),
            st.Page(history.page, title=_("Historique"), icon=":material/history:", url_path="historique"),
            st.Page(
                model.page, title=pgettext("page", "Modèle"), icon=":material/monitoring:", url_path="modele"
            ),
            st.Page(reports.page, title=_("Rapports"), icon=":material/description:", url_path="rapports"),
        ],
        position="top",
    )
    st.html(screens.STYLE)
    st.html(screens.MARKET_STYLE)
    component_words.translate()
    with st.container(
        horizontal=True, horizontal_alignment="distribute", vertical_alignment="center", key="frame"
    ):
        markup.paragraph(_("Prix auto · Maroc"), "cp-brand")
        language.switch()
    chosen.run()


main()
