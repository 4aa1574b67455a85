"""The language of a visit: kept in the session and in the address, changed by a control."""

from __future__ import annotations

import streamlit as st

from price_contract.language import LANGUAGES, SOURCE, current, follow

# The keys of widgets that keep their choice when the language changes begin with this.
KEPT = "car "
_STATE, _QUERY = "language", "lang"


def of_visit() -> str:
    """The language of this visit, one of `LANGUAGES`."""
    return str(st.session_state.get(_STATE, SOURCE))


def remember() -> None:
    """Take the language from the address at the first call, and write it into the address afterwards."""
    follow(of_visit)
    if _STATE not in st.session_state:
        wanted = st.query_params.get(_QUERY, SOURCE)
        st.session_state[_STATE] = wanted if wanted in LANGUAGES else SOURCE
    if current() == SOURCE:
        st.query_params.pop(_QUERY, None)
    elif st.query_params.get(_QUERY) != current():
        st.query_params[_QUERY] = current()


def switch() -> None:
    """The control that changes the language."""
    st.segmented_control(
        "Langue / Language / اللغة",
        list(LANGUAGES),
        default=current(),
        required=True,
        format_func=lambda name: LANGUAGES[name],
        key="language_switch",
        on_change=_switched,
        label_visibility="collapsed",
    )


def _switched() -> None:
    st.session_state[_STATE] = st.session_state["language_switch"]
    # A list knows its choice by the label, and the labels change now.
    for key in st.session_state:
        if str(key).startswith(KEPT):
            st.session_state[key] = st.session_state[key]
