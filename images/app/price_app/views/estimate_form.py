"""The form of *Estimer*: what it offers depends on the make and the model, so each choice draws it again."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import streamlit as st

from price_app import markup
from price_app.api_client import Listing
from price_contract import formats, words
from price_contract.answers import CarModelOptions, FormOptions
from price_contract.language import _

OTHER = ""  # no make or model has an empty name
UNKNOWN = ""  # nor has a fuel
OLDEST_YEAR, LARGEST_MILEAGE_KM, LARGEST_PRICE_MAD = 1950, 2_000_000, 100_000_000
# The key of the session state that holds the listing that was sent.
SENT = "listing to price"

_NOTHING_KNOWN = CarModelOptions(count=0, years=[], fuels=[], gearboxes=[], fiscal_powers=[])


def newest_year() -> int:
    """The newest model year that can be for sale."""
    return datetime.datetime.now(datetime.UTC).year + 1


@st.fragment
def form(options: FormOptions) -> None:
    """Draw the form. Its button puts the listing into the session state under SENT."""
    make, model, known = _make_and_model(options)
    # a row of columns each: on a phone they stand one below the other in this order
    left, right = st.columns(2)
    first, last = (known["years"][0], known["years"][-1]) if known["years"] else (None, None)
    year = left.number_input(
        _("Année-modèle"),
        OLDEST_YEAR,
        newest_year(),
        value=None,
        step=1,
        placeholder=_("ex. {year}", year=2015 if last is None else last),
        key="car year",
        persist_state="session",
        help=None if first is None else _("Annonces connues : de {first} à {last}.", first=first, last=last),
    )
    km = right.number_input(
        _with_amount(_("Kilométrage (km)"), "car km"),
        0,
        LARGEST_MILEAGE_KM,
        value=None,
        step=5_000,
        placeholder=_("vide si inconnu"),
        key="car km",
        persist_state="session",
        help=_(
            "Par exemple {n}. Sans le kilométrage, la fourchette est plus large.", n=formats.number(120_000)
        ),
    )
    name = f"{make}/{model}"
    left, right = st.columns(2)
    fuel = left.selectbox(
        _("Carburant"),
        [*_known_first(known["fuels"], options["fuels"]), UNKNOWN],
        format_func=lambda name: words.value(name) if name else _("Je ne sais pas"),
        key=f"car fuel {name}",
        persist_state="session",
    )
    power = right.selectbox(
        _("Puissance fiscale"),
        _known_first(known["fiscal_powers"], range(4, 41)),
        index=0 if known["fiscal_powers"] else None,
        format_func=words.power,
        placeholder=_("Non précisé"),
        key=f"car power {name}",
        persist_state="session",
    )
    left, right = st.columns(2)
    gearbox = left.selectbox(
        _("Boîte de vitesses"),
        _known_first(known["gearboxes"], options["gearboxes"]),
        index=0 if known["gearboxes"] else None,
        format_func=words.value,
        placeholder=_("Non précisé"),
        key=f"car gearbox {name}",
        persist_state="session",
    )
    condition = right.selectbox(
        _("État"),
        options["conditions"],
        index=None,
        format_func=words.value,
        placeholder=_("Non précisé"),
        key="car condition",
        persist_state="session",
    )
    left, right = st.columns(2)
    first_owner = left.selectbox(
        _("Première main"),
        [True, False],
        index=None,
        format_func=lambda flag: _("Oui") if flag else _("Non"),
        placeholder=_("Non précisé"),
        key="car first owner",
        persist_state="session",
    )
    asking = right.number_input(
        _with_amount(_("Prix demandé (MAD)"), "car asking"),
        1,
        LARGEST_PRICE_MAD,
        value=None,
        step=1_000,
        placeholder=_("facultatif"),
        key="car asking",
        persist_state="session",
        help=_("Si vous connaissez le prix demandé, la page dit s'il est dans la fourchette."),
    )
    more = _more(options)
    if not st.button(_("Estimer le prix"), type="primary", width="stretch", icon=":material/sell:"):
        return
    missing = [
        words.field(name)
        for name, value in (
            ("make", make), ("model", model), ("model_year", year)
        )
        if value is None or value == ""
    ]  # fmt: skip
    if missing:
        markup.notice(_("Il manque encore : {fields}.", fields=", ".join(missing)), "warning")
        return
    st.session_state[SENT] = {
        name: value
        for name, value in {
            "make": make, "model": model, "model_year": year, "mileage": km, "fuel": fuel or None,
            "fiscal_power_cv": power, "gearbox": gearbox, "condition": condition, "first_owner": first_owner,
            **more, "price_mad": asking,
        }.items()
        if value is not None
    }  # fmt: skip
    st.rerun()


def _make_and_model(options: FormOptions) -> tuple[str, str, CarModelOptions]:
    """The make, the model and what is known of it; "" for what is not chosen yet."""
    makes = options["makes"]
    left, right = st.columns(2)
    make = left.selectbox(
        _("Marque"),
        [*makes, OTHER],
        index=None if makes else 0,
        format_func=lambda name: (
            f"{name} · {formats.number(makes[name]['count'])}" if name else _("Autre (saisir)")
        ),
        placeholder=_("Chercher…"),
        key="car make",
        persist_state="session",
    )
    if make == OTHER:
        make = left.text_input(
            _("Nom de la marque"), max_chars=60, key="car other make", persist_state="session"
        ).strip()
        model = right.text_input(
            _("Nom du modèle"), max_chars=60, key="car other model", persist_state="session"
        ).strip()
        return make, model, _NOTHING_KNOWN
    models = makes[make]["models"] if make else {}
    chosen = right.selectbox(
        _("Modèle"),
        [*models, OTHER] if make else [],
        index=None,
        format_func=lambda name: (
            f"{name} · {formats.number(models[name]['count'])}" if name else _("Autre (saisir)")
        ),
        placeholder=_("Chercher…") if make else _("La marque d'abord"),
        disabled=make is None,
        key=f"car model of {make}",
        persist_state="session",
    )
    if chosen == OTHER:
        return (
            make or "",
            right.text_input(
                _("Nom du modèle"), max_chars=60, key="car other model", persist_state="session"
            ).strip(),
            _NOTHING_KNOWN,
        )
    return make or "", chosen or "", models[chosen] if chosen else _NOTHING_KNOWN


def _more(options: FormOptions) -> Listing:
    """The characteristics that not every model uses; the form asks for those that this model uses."""
    found: Listing = {}
    offered = [name for name in ("city", "origin", "doors") if options[_MORE[name]]]  # type: ignore[literal-required]
    if not offered and not options["has_equipment"]:
        return found
    with st.expander(_("Plus de détails")):
        for name in offered:
            values: list[Any] = options[_MORE[name]]  # type: ignore[literal-required]
            found[name] = st.selectbox(
                words.field(name),
                values,
                index=None,
                format_func=lambda value: (
                    words.value(value) if isinstance(value, str) else formats.number(value)
                ),
                placeholder=_("Non précisé"),
                key=f"car {name}",
                persist_state="session",
            )
        if options["has_equipment"]:
            chosen = st.multiselect(
                words.field("equipment"),
                words.EQUIPMENT,
                format_func=words.field,
                placeholder=_("Choisir…"),
                key="car equipment",
                persist_state="session",
            )
            if chosen:  # nothing chosen says nothing
                found |= {name: name in chosen for name in words.EQUIPMENT}
    return found


_MORE = {"city": "cities", "origin": "origins", "doors": "doors"}


def _known_first(known: Sequence[Any], others: Sequence[Any]) -> list[Any]:
    return [*known, *(value for value in others if value not in known)]


def _with_amount(label: str, key: str) -> str:
    """A label that repeats the number below it with its thousands apart: zeros are easily miscounted."""
    value = st.session_state.get(key)
    return label if value is None else f"{label} · {formats.number(value)}"
