"""The car in the address of the page: a reload, the back button and a shared link bring it back.

The address holds facts about the car and nothing else.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from price_app.api_client import Listing
from price_app.views.estimate_form import SENT, Sent, fill
from price_contract import words
from price_contract.answers import FormOptions

# Field of the listing -> its name in the address.
_NAMES = {
    "make": "marque",
    "model": "modele",
    "model_year": "annee",
    "mileage": "km",
    "fuel": "carburant",
    "fiscal_power_cv": "cv",
    "gearbox": "boite",
    "condition": "etat",
    "first_owner": "main",
    "city": "ville",
    "origin": "origine",
    "doors": "portes",
    "price_mad": "prix",
}
_EQUIPMENT, _ASSUMED = "equipement", "suppose"
_WHOLE = {"model_year", "mileage", "fiscal_power_cv", "doors", "price_mad"}
_SHOWN = "car of the address"
_LONGEST = 60


def take(options: FormOptions) -> None:
    """Fill the form with the car of the address and ask for its price, where another one is shown."""
    car = _car()
    if car == st.session_state.get(_SHOWN, {}):
        return
    st.session_state[_SHOWN] = car
    if not {"make", "model", "model_year"} <= car.keys():
        return
    written = st.query_params.get(_ASSUMED, "").split(",")
    assumed = frozenset(field for field, name in _NAMES.items() if name in written and field in car)
    fill(car, options, assumed)
    st.session_state[SENT] = Sent(car, assumed)


def remember(sent: Sent) -> None:
    """Write the car into the address."""
    listing = sent.listing
    written = {_NAMES[name]: _text(listing[name]) for name in _NAMES if listing.get(name) is not None}
    there = [name for name in words.EQUIPMENT if listing.get(name)]
    if there:
        written[_EQUIPMENT] = ",".join(there)
    if sent.assumed:
        written[_ASSUMED] = ",".join(_NAMES[field] for field in sorted(sent.assumed))
    ours = {*_NAMES.values(), _EQUIPMENT, _ASSUMED}
    others = {name: text for name, text in st.query_params.items() if name not in ours}
    if dict(st.query_params.items()) != others | written:
        st.query_params.from_dict(others | written)
    st.session_state[_SHOWN] = _car()


def _car() -> Listing:
    found: Listing = {}
    for field, name in _NAMES.items():
        text = st.query_params.get(name, "")[:_LONGEST]
        value: Any = text
        if field in _WHOLE:
            value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
        elif field == "first_owner":
            value = {"oui": True, "non": False}.get(text)
        if value not in (None, ""):
            found[field] = value
    there = st.query_params.get(_EQUIPMENT, "").split(",")
    if any(name in words.EQUIPMENT for name in there):
        found |= {name: name in there for name in words.EQUIPMENT}
    return found


def _text(value: Any) -> str:
    return ("oui" if value else "non") if isinstance(value, bool) else str(value)
