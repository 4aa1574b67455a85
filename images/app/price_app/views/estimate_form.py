"""The form of *Estimer*: what it offers depends on the make and the model, so each choice draws it again."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from carprice.listings.car_names import canonical_make_and_model
from carprice.listings.vocabulary import shipped_vocabulary
from price_app import markup
from price_app.api_client import Listing
from price_contract import formats, words
from price_contract.answers import CarModelOptions, FormOptions
from price_contract.language import _, enumerated

OTHER = ""  # no make or model has an empty name
UNKNOWN = ""  # nor has a fuel
POWERS = range(4, 41)
LONGEST_NAME = 60
OLDEST_YEAR, LARGEST_MILEAGE_KM, LARGEST_PRICE_MAD = 1950, 2_000_000, 100_000_000
# The keys of the session state that hold what was sent, and that the answer rests on a refused value.
SENT, CLEARED = "listing to price", "answer is cleared"
_RESULT = ".st-key-result, .st-key-result_more"

_NOTHING_KNOWN = CarModelOptions(count=0, years=[], fuels=[], gearboxes=[], fiscal_powers=[])


@dataclass(frozen=True)
class Sent:
    """A listing to price, and those of its fields that the form filled in by itself."""

    listing: Listing
    assumed: frozenset[str] = frozenset()


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
        value=None,
        step=1,
        placeholder=_("ex. {year}", year=2015 if last is None else last),
        key="car year",
        persist_state="session",
        help=None if first is None else _("Annonces connues : de {first} à {last}.", first=first, last=last),
    )
    km = right.number_input(
        _with_amount(_("Kilométrage (km)"), "car km"),
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
    assumed = {
        field
        for field, defaults in (
            ("fuel", known["fuels"]),
            ("fiscal_power_cv", known["fiscal_powers"]),
            ("gearbox", known["gearboxes"]),
        )
        if defaults and not st.session_state.get(_said(field, name))
    }  # fmt: skip
    left, right = st.columns(2)
    fuel = left.selectbox(
        _assumed_label(_("Carburant"), "fuel" in assumed),
        [*_known_first(known["fuels"], options["fuels"]), UNKNOWN],
        format_func=lambda name: words.value(name) if name else _("Je ne sais pas"),
        key=f"car fuel {name}",
        on_change=_say,
        args=("fuel", name),
        persist_state="session",
    )
    power = right.selectbox(
        _assumed_label(_("Puissance fiscale"), "fiscal_power_cv" in assumed),
        _known_first(known["fiscal_powers"], POWERS),
        index=0 if known["fiscal_powers"] else None,
        format_func=words.power,
        placeholder=_("Non précisé"),
        key=f"car power {name}",
        on_change=_say,
        args=("fiscal_power_cv", name),
        persist_state="session",
    )
    left, right = st.columns(2)
    gearbox = left.selectbox(
        _assumed_label(_("Boîte de vitesses"), "gearbox" in assumed),
        _known_first(known["gearboxes"], options["gearboxes"]),
        index=0 if known["gearboxes"] else None,
        format_func=words.value,
        placeholder=_("Non précisé"),
        key=f"car gearbox {name}",
        on_change=_say,
        args=("gearbox", name),
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
        value=None,
        step=1_000,
        placeholder=_("facultatif"),
        key="car asking",
        persist_state="session",
        help=_("Si vous connaissez le prix demandé, la page dit s'il est dans la fourchette."),
    )
    more = _more(options)
    if assumed:
        markup.paragraph(
            _("« supposé » : le plus courant parmi les annonces de ce modèle. Changez-le s'il est faux."),
            "cp-small",
        )
    listing = {
        field: value
        for field, value in {
            "make": make, "model": model, "model_year": year, "mileage": km, "fuel": fuel or None,
            "fiscal_power_cv": power, "gearbox": gearbox, "condition": condition, "first_owner": first_owner,
            **more, "price_mad": asking,
        }.items()
        if value is not None
    }  # fmt: skip
    refused = _refused(listing)
    for field, low, high in refused:
        markup.notice(
            _(
                "{field} : un nombre de {low} à {high} est attendu.",
                field=words.field(field),
                low=_number(field, low),
                high=_number(field, high),
            ),
            "bad",
        )
    clicked = st.button(_("Estimer le prix"), type="primary", width="stretch", icon=":material/sell:")
    missing = [words.field(field) for field in ("make", "model", "model_year") if not listing.get(field)]
    if clicked and missing:
        markup.notice(_("Il manque encore : {fields}.", fields=enumerated(missing)), "warning")
    elif clicked and not refused:
        st.session_state[SENT] = Sent(listing, frozenset(assumed & listing.keys()))
        st.rerun()
    elif clicked:
        st.session_state[CLEARED] = True
        st.rerun()
    _fade(listing, bool(refused))


def fill(car: Listing, options: FormOptions, assumed: frozenset[str] = frozenset()) -> None:
    """Put a car into the form, whose fields `assumed` nobody said. Call it before the form is drawn."""
    make, model = str(car["make"]), str(car["model"])
    state = st.session_state
    makes = options["makes"]
    if make in makes:
        state["car make"], state[f"car model of {make}"] = make, model
    else:
        state["car make"], state["car other model"] = make if makes else OTHER, model
        state["car other make"] = make
    known = makes[make]["models"].get(model, _NOTHING_KNOWN) if make in makes else _NOTHING_KNOWN
    name = f"{make}/{model}"
    state["car year"], state["car km"] = car["model_year"], car.get("mileage")
    state["car asking"] = car.get("price_mad")
    for field, key, offered in (
        ("fuel", f"car fuel {name}", [*_known_first(known["fuels"], options["fuels"]), UNKNOWN]),
        ("fiscal_power_cv", f"car power {name}", _known_first(known["fiscal_powers"], POWERS)),
        ("gearbox", f"car gearbox {name}", _known_first(known["gearboxes"], options["gearboxes"])),
        ("condition", "car condition", options["conditions"]),
        ("city", "car city", options["cities"]),
        ("origin", "car origin", options["origins"]),
        ("doors", "car doors", options["doors"]),
        ("first_owner", "car first owner", [True, False]),
    ):
        unsaid = UNKNOWN if field == "fuel" else None
        value = car.get(field, unsaid)
        state[key] = value if value in offered else unsaid
        if field not in assumed:
            _say(field, name)
    state["car equipment"] = [field for field in words.EQUIPMENT if car.get(field)]


def _fade(listing: Listing, refused: bool) -> None:
    """Let a price fade that is not the one of the form's car, and hide it beside a value that is refused."""
    answer = st.session_state.get("answer")
    settling = SENT in st.session_state or CLEARED in st.session_state
    if answer is None or settling or (answer.listing == listing and not refused):
        return
    if refused:
        st.html(f"<style>{_RESULT} {{ display: none }}</style>")
        return
    st.html(f"<style>{_RESULT} {{ opacity: .3; filter: grayscale(1) }}</style>")
    markup.notice(
        _("Les valeurs ont changé : le prix affiché est celui d'avant. Estimez à nouveau."), "warning"
    )


def _refused(listing: Listing) -> list[tuple[str, int, int]]:
    """The fields whose number can't be used, each with its limits."""
    limits = {
        "model_year": (OLDEST_YEAR, newest_year()),
        "mileage": (0, LARGEST_MILEAGE_KM),
        "price_mad": (1, LARGEST_PRICE_MAD),
    }
    return [
        (field, low, high)
        for field, (low, high) in limits.items()
        if field in listing and not low <= listing[field] <= high
    ]


def _number(field: str, value: int) -> str:
    return str(value) if field == "model_year" else formats.number(value)


def _said(field: str, car: str) -> str:
    return f"said {field} {car}"


def _say(field: str, car: str) -> None:
    """A person chose this value."""
    st.session_state[_said(field, car)] = True


def _assumed_label(label: str, assumed: bool) -> str:
    return _("{label} · supposé", label=label) if assumed else label


def _make_and_model(options: FormOptions) -> tuple[str, str, CarModelOptions]:
    """The make, the model and what is known of it; "" for what is not chosen yet."""
    makes = options["makes"]
    left, right = st.columns(2)
    make = left.selectbox(
        _("Marque"),
        [*makes, OTHER],
        index=None if makes else 0,
        format_func=lambda name: (
            _counted(name, makes[name]["count"]) if name in makes else name or _("Autre (saisir)")
        ),
        placeholder=_("Chercher ou saisir…"),
        accept_new_options=True,
        key="car make",
        persist_state="session",
    )
    make = _known_name(make, makes, shipped_vocabulary().make_named)
    if make == OTHER:
        make = left.text_input(
            _("Nom de la marque"), max_chars=60, key="car other make", persist_state="session"
        ).strip()
        model = right.text_input(
            _("Nom du modèle"), max_chars=60, key="car other model", persist_state="session"
        ).strip()
        return make, model, _NOTHING_KNOWN
    if make and make not in makes:
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
            _counted(name, models[name]["count"]) if name in models else name or _("Autre (saisir)")
        ),
        placeholder=_("Chercher ou saisir…") if make else _("La marque d'abord"),
        accept_new_options=True,
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
    chosen = _known_name(
        chosen, models, lambda text: canonical_make_and_model(make, text, shipped_vocabulary()).model
    )
    return make or "", chosen or "", models.get(chosen or "", _NOTHING_KNOWN)


def _counted(name: str, listings: int) -> str:
    return f"{name} · {formats.number(listings)}"


def _known_name(
    typed: str | None, known: Mapping[str, Any], named: Callable[[str], str | None]
) -> str | None:
    """A name that was typed, in its known spelling where it has one: `داسيا` and `dacia` are Dacia."""
    if not typed or typed in known:
        return typed
    text = typed.strip()[:LONGEST_NAME]
    same = next((name for name in known if name.casefold() == text.casefold()), None)
    meant = same or named(text)
    return meant if meant in known else text


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
