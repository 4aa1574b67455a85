"""The filters of *Annonces*, which the address of the page keeps."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from price_app import market_cache, screens
from price_app.api_client import ApiProblem
from price_app.offer_search import LABELS, SORTS, Search, of_address
from price_contract import formats, offer_words, words
from price_contract.answers import FormOptions
from price_contract.language import N_, _, current
from price_contract.offer_answers import MarketFigures

_KEY = "offers "
# The search that the widgets were last filled with, and the language in which.
_FILLED = "search of the filters"
_NAMES = {
    "below_estimate": N_("Les plus avantageuses"),
    "newest": N_("Les plus récentes"),
    "price": N_("Les moins chères"),
    "mileage": N_("Le moins de kilomètres"),
}
_OLDEST_YEAR, _NEWEST_YEAR = 1950, 2100
_LARGEST = 100_000_000


def chosen(everything: MarketFigures) -> Search:
    """Draw the filters; what they say. `everything` are the figures of the whole market."""
    _fill()
    options = _options()
    with st.container(border=True, key="offer_filters"):
        make, model = _make_and_model(everything, options)
        first, second, third, fourth = st.columns(4)
        year_from = first.number_input(
            _("Année, à partir de"), _OLDEST_YEAR, _NEWEST_YEAR, value=None, step=1, key=f"{_KEY}year_from"
        )
        year_to = second.number_input(
            _("Année, jusqu'à"), _OLDEST_YEAR, _NEWEST_YEAR, value=None, step=1, key=f"{_KEY}year_to"
        )
        price_to = third.number_input(
            _("Prix au plus (MAD)"), 0, _LARGEST, value=None, step=10_000, key=f"{_KEY}price_to"
        )
        mileage_to = fourth.number_input(
            _("Kilométrage au plus"), 0, _LARGEST, value=None, step=10_000, key=f"{_KEY}mileage_to"
        )
        labels = st.pills(
            _("Avis sur le prix"),
            LABELS,
            selection_mode="multi",
            format_func=offer_words.label,
            key=f"{_KEY}labels",
            wrap=True,
        )
        with st.expander(_("Plus de filtres"), icon=":material/tune:"):
            first, second, third = st.columns(3)
            city = _named(first, "city", _("Ville"), options["cities"] if options else [])
            fuel = _named(second, "fuel", _("Carburant"), options["fuels"] if options else words.FUELS)
            price_from = third.number_input(
                _("Prix au moins (MAD)"), 0, _LARGEST, value=None, step=10_000, key=f"{_KEY}price_from"
            )
            suspicious = st.toggle(_("Seulement les annonces à vérifier"), key=f"{_KEY}suspicious")
    return Search(
        make, model, year_from, year_to, mileage_to, price_from, price_to, city, fuel,
        tuple(label for label in LABELS if label in labels),
        _state("sort") or "below_estimate",
        suspicious,
    )  # fmt: skip


def sort_box() -> None:
    """Draw the list of sorts; `chosen` knows the one that is chosen."""
    st.selectbox(
        _("Trier"),
        list(SORTS),
        format_func=lambda sort: _(_NAMES[sort]),
        key=f"{_KEY}sort",
        label_visibility="collapsed",
    )


def remember(search: Search) -> None:
    """Note that the address names what the widgets say."""
    st.session_state[_FILLED] = (search, current())


def clear() -> None:
    """Take every filter away at the next draw."""
    for name in [name for name in st.query_params if name not in {"lang"}]:
        del st.query_params[name]
    st.session_state.pop(_FILLED, None)


def _fill() -> None:
    """Set the widgets to the search of the address, where they show another one.

    A list knows its choice by its label, so they are set again when the language changes.
    """
    search = of_address(st.query_params)
    # Streamlit forgets what the widgets say while the page draws none of them.
    if st.session_state.get(_FILLED) == (search, current()) and f"{_KEY}sort" in st.session_state:
        return
    for name in ("make", "year_from", "year_to", "mileage_to", "price_from", "price_to", "city", "fuel"):
        st.session_state[f"{_KEY}{name}"] = getattr(search, name)
    st.session_state[_model_key(search.make)] = search.model
    st.session_state[f"{_KEY}labels"] = list(search.labels)
    st.session_state[f"{_KEY}sort"] = search.sort
    st.session_state[f"{_KEY}suspicious"] = search.suspicious
    remember(search)


def _make_and_model(everything: MarketFigures, options: FormOptions | None) -> tuple[str | None, str | None]:
    left, right = st.columns(2)
    counts: dict[str, int] = {}
    for found in everything["models"]:
        counts[found["make"]] = counts.get(found["make"], 0) + found["offers"]
    makes = sorted(counts, key=lambda make: -counts[make])
    makes += [make for make in (options["makes"] if options else {}) if make not in counts]
    # Beyond the models that the answer lists there may be more of a make, so nothing is counted.
    make = _named(left, "make", _("Marque"), makes)
    if make is None:
        right.selectbox(
            _("Modèle"), [], index=None, placeholder=_("Choisissez d'abord la marque"), disabled=True
        )
        return None, None
    models = {found["model"]: found["offers"] for found in market_cache.figures(make)["models"]}
    key = _model_key(make)
    given = _state(key.removeprefix(_KEY))
    model = right.selectbox(
        _("Modèle"),
        _with(given, models),
        index=None,
        format_func=lambda name: f"{name} · {formats.number(models[name])}" if name in models else name,
        placeholder=_("Tous les modèles"),
        key=key,
    )
    return make, model


def _model_key(make: str | None) -> str:
    return f"{_KEY}model of {make}"


def _named(
    column: st.delta_generator.DeltaGenerator, name: str, label: str, known: Iterable[str]
) -> str | None:
    """A list with one choice or none, which takes what the address names even where nobody offers it."""
    chosen: str | None = column.selectbox(
        label,
        _with(_state(name), known),
        index=None,
        format_func=words.value,
        placeholder=_("Toutes") if name != "fuel" else _("Tous"),
        key=f"{_KEY}{name}",
    )
    return chosen


def _with(given: str | None, known: Iterable[str]) -> list[str]:
    found = list(known)
    return found if given is None or given in found else [given, *found]


def _state(name: str) -> str | None:
    value: str | None = st.session_state.get(f"{_KEY}{name}")
    return value


def _options() -> FormOptions | None:
    """What the form can offer; None while no model is in production: the listings are there all the same."""
    try:
        return screens.form_options()
    except ApiProblem as problem:
        screens.log_problem(problem)
        return None
