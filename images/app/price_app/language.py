"""The two languages of the page: French in the source, English from `locale/en.po`."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from gettext import GNUTranslations
from pathlib import Path

import streamlit as st
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"fr": "Français", "en": "English"}
CATALOGUE = Path(__file__).with_name("locale") / "en.po"
# The keys of widgets that keep their choice when the language changes begin with this.
KEPT = "car "
_STATE, _QUERY = "language", "lang"


def current() -> str:
    """The language that is on: `fr` or `en`."""
    return str(st.session_state.get(_STATE, "fr"))


def _(message: str, /, **values: object) -> str:
    """`message` in the language that is on, its `{placeholders}` filled with `values`."""
    text = _typeset(message) if current() == "fr" else english().gettext(message)
    return text.format(**values)


def ngettext(one: str, many: str, n: int, /, **values: object) -> str:
    """The singular or plural of a message for the number `n`, its `{placeholders}` filled with `values`."""
    text = _typeset(one if n < 2 else many) if current() == "fr" else english().ngettext(one, many, n)
    return text.format(**values)


def N_(message: str) -> str:  # noqa: N802
    """Mark a message for the catalogue; `_` translates it where the page shows it."""
    return message


def remember() -> None:
    """Take the language from the address at the first call, and write it into the address afterwards."""
    if _STATE not in st.session_state:
        wanted = st.query_params.get(_QUERY, "fr")
        st.session_state[_STATE] = wanted if wanted in LANGUAGES else "fr"
    if current() == "fr":
        st.query_params.pop(_QUERY, None)
    elif st.query_params.get(_QUERY) != current():
        st.query_params[_QUERY] = current()


def switch() -> None:
    """The control that changes the language."""
    st.segmented_control(
        "Langue / Language",
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


@lru_cache(maxsize=1024)
def _typeset(french: str) -> str:
    """French with its typographic spaces: no line begins with a colon or a closing guillemet."""
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", french)


@lru_cache(maxsize=1)
def english() -> GNUTranslations:
    """The English of each French message."""
    with open(CATALOGUE, "rb") as file:
        catalogue = read_po(file, locale="en")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)
