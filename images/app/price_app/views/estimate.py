"""*Estimer*: the form for one car, its price, the explanation, and alternatives."""

from __future__ import annotations

import streamlit as st

from price_app import address, markup, screens
from price_app.api_client import ApiProblem
from price_app.views.estimate_alternatives import comparables, price_curves
from price_app.views.estimate_answer import Answer, answer_about
from price_app.views.estimate_explanation import explanation
from price_app.views.estimate_form import CLEARED, SENT, Sent, form
from price_app.views.estimate_price import price, price_paid, welcome
from price_contract.language import _


@screens.guarded
def page() -> None:
    """Draw the page."""
    options = screens.form_options()
    st.title(_("Combien vaut cette voiture ?"), anchor=False)
    markup.paragraph(
        _("Le prix demandé d'une voiture d'occasion au Maroc, estimé d'après les annonces du marché."),
        "cp-lead",
    )
    if not options["makes"]:
        markup.notice(
            _("Les annonces connues ne peuvent pas être lues : saisissez la marque et le modèle."), "warning"
        )
    address.take(options)
    left, right = st.columns([5, 6], gap="large")
    with left, st.container(border=True):
        form(options)
    sent: Sent | None = st.session_state.pop(SENT, None)
    if st.session_state.pop(CLEARED, False):
        st.session_state.pop("answer", None)
    with right, st.container(key="result"):
        if sent is not None:
            st.session_state.pop("answer", None)
            try:
                with st.spinner(_("Estimation en cours…")):
                    st.session_state["answer"] = answer_about(screens.client(), sent.listing, sent.assumed)
            except ApiProblem as problem:
                if problem.kind != "refused":
                    raise
                screens.refusal(problem)
                return
            address.remember(sent)
        answer: Answer | None = st.session_state.get("answer")
        if answer is None:
            welcome()
            return
        price(answer)
        if answer.is_priced:
            price_paid(answer)
    with st.container(key="result_more"):
        explanation(answer)
        price_curves(answer)
        comparables(answer)
