"""*Estimer*: one car in; its price, why, what resembles it, and what if."""

from __future__ import annotations

import datetime
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import streamlit as st

from price_app import charts, formats, markup, screens, sentences, words
from price_app.api_client import (
    ApiClient,
    ApiProblem,
    AskingPrice,
    Choices,
    Comparable,
    CurvePoint,
    Estimate,
    Explanation,
    Listing,
    ModelChoices,
    WhatIf,
)
from price_app.language import _, ngettext

OTHER = ""  # no make or model has an empty name
OLDEST_YEAR, LARGEST_MILEAGE_KM, LARGEST_PRICE_MAD = 1950, 2_000_000, 100_000_000
BELIEVED_KM_A_YEAR = 5_000
COMPARABLES = 8
# contributions below this share of the price are added up under one name
SMALLEST_SHARE = 0.004

_NOTHING_KNOWN = ModelChoices(count=0, years=[], fuels=[], gearboxes=[], fiscal_powers=[])


@dataclass
class Answer:
    """An estimate with what was asked of the API about it; kept while it is shown."""

    listing: Listing
    estimate: Estimate
    explanation: Explanation | None = None
    what_if: WhatIf | None = None
    comparables: list[Comparable] = field(default_factory=list)
    new: bool = True
    paid_mad: int | None = None


@screens.guarded
def page() -> None:
    """Draw the page."""
    choices = screens.choices()
    st.title(_("Combien vaut cette voiture ?"), anchor=False)
    markup.paragraph(
        _("Le prix demandé d'une voiture d'occasion au Maroc, estimé d'après les annonces du marché."),
        "cp-lead",
    )
    if not choices["makes"]:
        markup.notice(
            _("Les annonces connues ne peuvent pas être lues : saisissez la marque et le modèle."), "warning"
        )
    left, right = st.columns([5, 6], gap="large")
    with left, st.container(border=True):
        _form(choices)
    asked: Listing | None = st.session_state.pop("asked", None)
    with right:
        if asked is not None:
            st.session_state.pop("answer", None)
            try:
                with st.spinner(_("Estimation en cours…")):
                    st.session_state["answer"] = _ask(screens.client(), asked)
            except ApiProblem as problem:
                if problem.kind != "refused":
                    raise
                screens.refusal(problem)
                return
        answer: Answer | None = st.session_state.get("answer")
        if answer is None:
            _welcome()
            return
        _price(answer)
        _paid(answer)
    _why(answer)
    _what_if(answer)
    _comparables(answer)


def _ask(client: ApiClient, listing: Listing) -> Answer:
    answer = Answer(listing, client.predict(listing, _sticky_key()))
    car = {name: value for name, value in listing.items() if name != "price_mad"}
    # The price stands by itself: any of the things around it may be missing.
    with _missing():
        answer.explanation = client.explain(car)
    with _missing():
        answer.what_if = client.what_if(
            car, _mileages(listing["mileage"], listing["model_year"]), _years(listing["model_year"])
        )
    with _missing():
        answer.comparables = client.comparables(car, COMPARABLES)["comparables"]
    return answer


@contextmanager
def _missing() -> Iterator[None]:
    try:
        yield
    except ApiProblem as problem:
        screens.noted(problem)


def _sticky_key() -> str:
    """What keeps one visit with one model where two share the requests; it says nothing about anybody.

    It is the browser tab's, and gone when the page is loaded anew.
    """
    return str(st.session_state.setdefault("sticky key", secrets.token_hex(16)))


def _mileages(now: int, year: int) -> list[int]:
    """25 mileages around the car's own, which is among them.

    They begin where sellers mean what they say: next to nothing on an old car is a field left as it was.
    """
    first = min(now, BELIEVED_KM_A_YEAR * max(newest_year() - year, 0))
    last = max(300_000, int(now * 1.4) // 10_000 * 10_000)
    return sorted({*range(first, last + 1, max((last - first) // 24, 1)), now})


def _years(now: int) -> list[int]:
    """The model years around the car's own."""
    return list(range(max(now - 8, OLDEST_YEAR), min(now + 8, newest_year()) + 1))


def newest_year() -> int:
    """The newest model year that can be for sale."""
    return datetime.datetime.now(datetime.UTC).year + 1


# The form: what can be chosen depends on what is chosen, so each choice draws the form again (and it alone).


@st.fragment
def _form(choices: Choices) -> None:
    make, model, known = _make_and_model(choices)
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
        placeholder=_("ex. {n}", n=formats.number(120_000)),
        key="car km",
        persist_state="session",
    )
    name = f"{make}/{model}"
    left, right = st.columns(2)
    fuel = left.selectbox(
        _("Carburant"),
        _known_first(known["fuels"], choices["fuels"]),
        format_func=words.value,
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
        _known_first(known["gearboxes"], choices["gearboxes"]),
        index=0 if known["gearboxes"] else None,
        format_func=words.value,
        placeholder=_("Non précisé"),
        key=f"car gearbox {name}",
        persist_state="session",
    )
    condition = right.selectbox(
        _("État"),
        choices["conditions"],
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
    more = _more(choices)
    if not st.button(_("Estimer le prix"), type="primary", width="stretch", icon=":material/sell:"):
        return
    missing = [
        words.field(name)
        for name, value in (
            ("make", make), ("model", model), ("model_year", year), ("mileage", km), ("fuel", fuel)
        )
        if value is None or value == ""
    ]  # fmt: skip
    if missing:
        markup.notice(_("Il manque encore : {fields}.", fields=", ".join(missing)), "warning")
        return
    st.session_state["asked"] = {
        name: value
        for name, value in {
            "make": make, "model": model, "model_year": year, "mileage": km, "fuel": fuel,
            "fiscal_power_cv": power, "gearbox": gearbox, "condition": condition, "first_owner": first_owner,
            **more, "price_mad": asking,
        }.items()
        if value is not None
    }  # fmt: skip
    st.rerun()


def _make_and_model(choices: Choices) -> tuple[str, str, ModelChoices]:
    """The make, the model and what is known of it; "" for what is not chosen yet."""
    makes = choices["makes"]
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


def _more(choices: Choices) -> Listing:
    """The characteristics that not every model uses: only those that this one does are asked for."""
    found: Listing = {}
    asked = [name for name in ("city", "origin", "doors") if choices[_MORE[name]]]  # type: ignore[literal-required]
    if not asked and not choices["has_equipment"]:
        return found
    with st.expander(_("Plus de détails")):
        for name in asked:
            options: list[Any] = choices[_MORE[name]]  # type: ignore[literal-required]
            found[name] = st.selectbox(
                words.field(name),
                options,
                index=None,
                format_func=lambda value: (
                    words.value(value) if isinstance(value, str) else formats.number(value)
                ),
                placeholder=_("Non précisé"),
                key=f"car {name}",
                persist_state="session",
            )
        if choices["has_equipment"]:
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


# The answer


def _welcome() -> None:
    metrics = screens.model().get("metrics") or {}
    error = metrics.get("test_median_ape") or metrics.get("test_unflagged_median_ape")
    coverage = screens.model().get("interval_coverage")
    steps = [
        _("Choisissez la marque et le modèle : les listes viennent des annonces connues."),
        _("Donnez l'année et le kilométrage, et ce que vous savez d'autre."),
        _("Ajoutez le prix demandé pour savoir s'il est juste."),
    ]
    trust = ""
    if error is not None:
        trust = _(
            "Sur des annonces que le modèle n'avait jamais vues, la moitié des estimations sont à moins de "
            "{error} du prix demandé.",
            error=formats.share(error, 1),
        )
    if coverage is not None:
        trust += " " + _(
            "Chaque prix vient avec une fourchette qui contient {n} annonces sur 10.",
            n=formats.number(coverage * 10),
        )
    title = _("En trois étapes")
    items = "".join(f"<li>{escape(step)}</li>" for step in steps)
    markup.draw(f'<div class="cp-steps"><h2>{escape(title)}</h2><ol>{items}</ol><p>{escape(trust)}</p></div>')


def _price(answer: Answer) -> None:
    estimate = answer.estimate
    said = _(
        "{n} annonces comparables sur 10 demandent entre {low} et {high}.",
        n=formats.number(estimate["interval_coverage"] * 10),
        low=formats.money(estimate["low_mad"]),
        high=formats.money(estimate["high_mad"]),
    )
    title = " · ".join(filter(None, (words.car(answer.listing), words.details(answer.listing))))
    version = _(
        "Modèle {name}, version {version}",
        name=estimate["model"]["name"],
        version=estimate["model"]["version"],
    )
    markup.draw(
        f'<div class="cp-price" id="cp-result"><h2>{escape(title)}</h2>'
        f'<div class="cp-big" data-testid="price">{escape(formats.money(estimate["price_mad"]))}</div>'
        f'<p class="cp-sub">{escape(said)}</p>{charts.price_range(estimate)}'
        f"{_verdict(estimate['asking_price'])}"
        f'<p class="cp-version">{escape(version)}</p></div>'
    )
    if answer.new:
        # On a phone the price is below the form.
        st.html(
            "<script>document.getElementById('cp-result')?.scrollIntoView({behavior:'smooth',block:'nearest'})</script>",
            unsafe_allow_javascript=True,
        )
        answer.new = False
    for warning in estimate["warnings"]:
        markup.notice(sentences.warning(warning, answer.listing), "warning")


def _verdict(asking: AskingPrice | None) -> str:
    if asking is None:
        return ""
    verdict, difference = asking["verdict"], asking["difference_mad"]
    amount, part = formats.money(abs(difference)), formats.share(abs(asking["difference_share"]))
    if difference == 0:
        said = _("Le prix demandé est exactement le prix estimé.")
    elif difference > 0:
        said = _(
            "Le prix demandé est {amount} ({share}) au-dessus du prix estimé.", amount=amount, share=part
        )
    else:
        said = _(
            "Le prix demandé est {amount} ({share}) en dessous du prix estimé.", amount=amount, share=part
        )
    advice = {
        "fair": _("Un prix normal pour cette voiture."),
        "low": _(
            "Moins cher que presque toutes les annonces comparables : une affaire, ou un défaut à chercher."
        ),
        "high": _("Plus cher que presque toutes les annonces comparables : il y a de quoi négocier."),
        "implausible": _("Vérifiez le nombre de zéros : aucune annonce comparable n'est si loin."),
    }[verdict]
    tone = {"fair": "good", "low": "low", "high": "high", "implausible": "bad"}[verdict]
    return (
        f'<div class="cp-verdict cp-{tone}" data-testid="verdict">'
        f"<strong>{escape(_(words.VERDICTS[verdict]))}</strong>"
        f"<span>{escape(said)} {escape(advice)}</span></div>"
    )


def _why(answer: Answer) -> None:
    explanation = answer.explanation
    if explanation is None:
        return
    st.header(_("Pourquoi ce prix ?"), anchor=False)
    steps = steps_of(explanation, answer.listing)
    left, right = st.columns([5, 6], gap="large")
    with left:
        markup.draw(_in_words(explanation, steps))
    with right:
        st.altair_chart(
            charts.waterfall(
                explanation["base_mad"], explanation["price_mad"], [(name, mad) for name, _, mad in steps]
            ),
            width="stretch",
        )
    priced_by, explained_by = answer.estimate["model"]["version"], explanation["model"]["version"]
    if priced_by != explained_by:
        markup.notice(
            _(
                "Le prix ci-dessus vient de la version {one} du modèle, "
                "cette explication de la version {other}.",
                one=priced_by,
                other=explained_by,
            ),
            "warning",
        )


def steps_of(explanation: Explanation, listing: Listing) -> list[tuple[str, str, float]]:
    """Name, reason in words and MAD of each contribution, largest first.

    The small ones, and those of characteristics that the listing does not name, are added up in the last.
    """
    price = explanation["price_mad"]
    large: list[tuple[str, str, float]] = []
    rest = 0.0
    for found in explanation["contributions"]:
        group, mad = found["group"], found["contribution_mad"]
        said = words.characteristic(group, listing)
        if abs(mad) < SMALLEST_SHARE * price or not said:
            rest += mad
            continue
        reason = words.REASONS.get((group, mad >= 0))
        name = _(words.GROUPS[group]) if group in words.GROUPS else group
        large.append((name, f"{_(reason)} ({said})" if reason else said, mad))
    large.sort(key=lambda step: -abs(step[2]))
    if round(rest):
        large.append((_("Le reste"), _("le reste, et ce qui n'est pas précisé"), rest))
    return large


def _in_words(explanation: Explanation, steps: Sequence[tuple[str, str, float]]) -> str:
    def line(amount: str, text: str, style: str = "", note: str = "") -> str:
        small = f" <small>{escape(note)}</small>" if note else ""
        return f'<li class="{style}"><b>{escape(amount)}</b><span>{escape(text)}{small}</span></li>'

    lines = [
        line(
            formats.money(explanation["base_mad"]),
            _("prix typique du marché"),
            "cp-total",
            _("toutes voitures confondues, d'où part le calcul"),
        )
    ]
    lines += [
        line(formats.signed_money(mad), text, "cp-up" if mad >= 0 else "cp-down")
        for _name, text, mad in steps
    ]
    lines.append(line(formats.money(explanation["price_mad"]), _("prix estimé"), "cp-total"))
    return f'<ul class="cp-words" data-testid="contributions">{"".join(lines)}</ul>'


def _what_if(answer: Answer) -> None:
    if answer.what_if is None:
        return
    st.header(_("Et si… ?"), anchor=False)
    markup.paragraph(
        _(
            "Le prix de la même voiture avec un autre kilométrage, ou d'une autre année. "
            "La bande est la fourchette."
        ),
        "cp-small",
    )
    left, right = st.columns(2, gap="large")
    with left:
        _curve(answer.what_if["mileage_km"], "mileage_km", _("Kilométrage (km)"), answer.listing["mileage"])
    with right:
        _curve(answer.what_if["model_year"], "model_year", _("Année-modèle"), answer.listing["model_year"])


def _curve(
    points: Sequence[CurvePoint], along: Literal["mileage_km", "model_year"], title: str, here: int
) -> None:
    now = [point["price_mad"] for point in points if point.get(along) == here]
    if now:
        st.altair_chart(charts.curve(points, along, title, (here, now[0])), width="stretch")


def _comparables(answer: Answer) -> None:
    if not answer.comparables:
        return
    st.header(_("Annonces comparables"), anchor=False)
    n = len(answer.comparables)
    markup.paragraph(
        ngettext(
            "L'annonce la plus proche, parmi celles dont le modèle a appris les prix.",
            "Les {n} annonces les plus proches, parmi celles dont le modèle a appris les prix.",
            n,
            n=n,
        ),
        "cp-small",
    )
    markup.draw(
        f'<div class="cp-cards" data-testid="comparables">{"".join(map(_card, answer.comparables))}</div>'
    )


def _card(found: Comparable) -> str:
    listing: dict[str, Any] = dict(found)
    alike = _("Ressemblance {share}", share=formats.share(found["similarity"]))
    link = markup.Link(_("Voir l'annonce"), found["url"])
    address = markup.cell_html(link) if markup.is_web_address(found["url"]) else ""
    return (
        f'<div class="cp-card"><h3>{escape(words.car(listing))}</h3>'
        f'<div class="cp-card-price">{escape(formats.money(found["price_mad"]))}</div>'
        f"<p>{escape(words.details(listing))}</p>"
        f'<span class="cp-like"><i style="width:{round(found["similarity"] * 100)}%"></i></span>'
        f"<p>{escape(alike)}</p>{address}</div>"
    )


@st.fragment
def _paid(answer: Answer) -> None:
    """What was really paid, which is how the model's next version is judged."""
    with st.expander(_("Vous avez acheté ou vendu cette voiture ?"), icon=":material/handshake:"):
        markup.paragraph(
            _(
                "Le prix réellement payé dit si l'estimation était juste. "
                "Aucune donnée personnelle n'est gardée."
            ),
            "cp-small",
        )
        paid = st.number_input(
            _("Prix réellement payé (MAD)"),
            1,
            LARGEST_PRICE_MAD,
            value=None,
            step=1_000,
            key=f"paid {answer.estimate['prediction_id']}",
        )
        if st.button(_("Enregistrer ce prix"), icon=":material/check:") and paid is not None:
            try:
                screens.client().feedback(answer.estimate["prediction_id"], paid)
            except ApiProblem as problem:
                screens.show(problem)
                return
            answer.paid_mad = paid
        if answer.paid_mad is not None:
            markup.notice(_("Merci ! {price} enregistré.", price=formats.money(answer.paid_mad)), "good")
