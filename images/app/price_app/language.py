"""Two languages: French in the source, English from `locale/en.po`, and which of them is on."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import streamlit as st
from babel.messages.pofile import read_po

LANGUAGES = {"fr": "Français", "en": "English"}
CATALOGUE = Path(__file__).with_name("locale") / "en.po"
# Keys of widgets whose choice outlives a change of language begin so.
KEPT = "car "
_STATE, _QUERY = "language", "lang"


def current() -> str:
    """The language that is on: `fr` or `en`."""
    return str(st.session_state.get(_STATE, "fr"))


def _(message: str, /, **values: object) -> str:
    """`message` in the language that is on, its `{placeholders}` filled with `values`."""
    return _translated(message, 1).format(**values)


def ngettext(one: str, many: str, n: int, /, **values: object) -> str:
    """The form of a message that goes with the number `n`, its `{placeholders}` filled with `values`."""
    if current() == "fr":
        return _typeset(one if n < 2 else many).format(**values)
    return _translated(one, n).format(**values)


def N_(message: str) -> str:  # noqa: N802
    """Marks a message for the catalogue where it stands; `_` translates it where it is shown."""
    return message


def remember() -> None:
    """Take the language from the address at first, and keep it in the address from then on."""
    if _STATE not in st.session_state:
        asked = st.query_params.get(_QUERY, "fr")
        st.session_state[_STATE] = asked if asked in LANGUAGES else "fr"
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
    # A list tells its choice by the label, which is another one from now on.
    for key in st.session_state:
        if str(key).startswith(KEPT):
            st.session_state[key] = st.session_state[key]


def _translated(message: str, n: int) -> str:
    if current() == "fr":
        return _typeset(message)
    found = catalogue().get(message)
    return (found[0 if n == 1 else -1] or message) if found else message


@lru_cache(maxsize=1024)
def _typeset(french: str) -> str:
    """French as it is printed: no line begins with a colon or a closing guillemet."""
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", french)


@lru_cache(maxsize=1)
def catalogue() -> dict[str, tuple[str, ...]]:
    """English by French message; two forms where it counts something."""
    with open(CATALOGUE, "rb") as file:
        messages = read_po(file, locale="en")
    found: dict[str, tuple[str, ...]] = {}
    for message in messages:
        if message.id:
            key = message.id if isinstance(message.id, str) else message.id[0]
            found[key] = (message.string,) if isinstance(message.string, str) else tuple(message.string or ())
    return found
