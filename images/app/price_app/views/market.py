"""*Marché*: what the cars on offer cost, and how the price of an equal car moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from price_app import market_cache, market_charts, markup, places, screens
from price_contract import formats
from price_contract.language import _, current, enumerated, ngettext
from price_contract.offer_answers import MarketFigures, MarketLevel

MOST_MODELS = 15
# Field -> its name in the address.
_NAMES = {"make": "marque", "model": "modele", "model_year": "annee"}
_KEY, _FILLED = "market ", "scope of the market"
_LONGEST = 60
_A_MONTH_DAYS = 30.44
# Between two asked prices lie amounts that nobody asks, so they are shown in whole steps of so many dirhams.
_STEP = 100
# A change of the level is told over these months, where they are known.
_TOLD_MONTHS = (12, 6, 3, 1)

Scope = tuple[str | None, str | None, int | None]


@screens.guarded
def page() -> None:
    """Draw the page."""
    everything = market_cache.figures()
    st.title(_("Le marché"), anchor=False)
    markup.paragraph(
        _("Ce que demandent les vendeurs aujourd'hui, et comment les prix bougent à voiture égale."),
        "cp-lead",
    )
    whole = st.container()
    scope = _scope(everything)
    with whole:
        _level(everything, _("Niveau des prix, tout le marché"), "level_all")
    figures = market_cache.figures(*scope) if any(scope) else everything
    _figures(figures, scope)
    if scope[0] and figures["level_scope"]:
        _level(figures, _("Niveau des prix, {make}", make=figures["level_scope"]), "level_make")
    _groups(figures)
    _models(figures, scope)
    seen = formats.moment(figures["newest_seen_at"])
    if seen:
        markup.paragraph(_("Dernières annonces vues le {at}.", at=seen), "cp-small")


def _scope(everything: MarketFigures) -> Scope:
    """Draw the choice of a make, a model and a year; the address keeps it."""
    wanted = _of_address()
    if st.session_state.get(_FILLED) != (wanted, current()) or f"{_KEY}make" not in st.session_state:
        st.session_state[f"{_KEY}make"] = wanted[0]
        st.session_state[f"{_KEY}model of {wanted[0]}"] = wanted[1]
        st.session_state[f"{_KEY}year of {wanted[0]}/{wanted[1]}"] = wanted[2]
    with st.container(border=True, key="market_scope"):
        first, second, third = st.columns(3)
        counts: dict[str, int] = {}
        for found in everything["models"]:
            counts[found["make"]] = counts.get(found["make"], 0) + found["offers"]
        make: str | None = first.selectbox(
            _("Marque"),
            _with(st.session_state.get(f"{_KEY}make"), sorted(counts, key=lambda name: -counts[name])),
            index=None,
            placeholder=_("Toutes les marques"),
            key=f"{_KEY}make",
        )
        model = _model(second, make)
        year = _year(third, make, model, everything)
    scope = (make, model, year)
    _remember(scope)
    return scope


def _model(column: st.delta_generator.DeltaGenerator, make: str | None) -> str | None:
    if make is None:
        column.selectbox(
            _("Modèle"), [], index=None, placeholder=_("Choisissez d'abord la marque"), disabled=True
        )
        return None
    models = {found["model"]: found["offers"] for found in market_cache.figures(make)["models"]}
    key = f"{_KEY}model of {make}"
    chosen: str | None = column.selectbox(
        _("Modèle"),
        _with(st.session_state.get(key), list(models)),
        index=None,
        format_func=lambda name: f"{name} · {formats.number(models[name])}" if name in models else name,
        placeholder=_("Tous les modèles"),
        key=key,
    )
    return chosen


def _year(
    column: st.delta_generator.DeltaGenerator, make: str | None, model: str | None, everything: MarketFigures
) -> int | None:
    figures = market_cache.figures(make, model) if make else everything
    key = f"{_KEY}year of {make}/{model}"
    years = [row["model_year"] for row in reversed(figures["by_year"])]
    chosen: int | None = column.selectbox(
        _("Année-modèle"),
        _with(st.session_state.get(key), years),
        index=None,
        placeholder=_("Toutes les années"),
        key=key,
    )
    return chosen


def _of_address() -> Scope:
    make, model, year = (st.query_params.get(name, "").strip()[:_LONGEST] for name in _NAMES.values())
    whole = int(year) if year.isascii() and year.isdigit() and len(year) == 4 else None
    return (make or None, (model or None) if make else None, whole)


def _remember(scope: Scope) -> None:
    written = {
        name: str(value) for name, value in zip(_NAMES.values(), scope, strict=True) if value is not None
    }
    if "lang" in st.query_params:
        written["lang"] = st.query_params["lang"]
    places.remember(written)
    st.session_state[_FILLED] = (_of_address(), current())


def _with(given: Any, known: Sequence[Any]) -> list[Any]:
    return [*known] if given is None or given in known else [given, *known]


def _figures(figures: MarketFigures, scope: Scope) -> None:
    """How many cars are on offer, what they cost, how long they stay."""
    name = " ".join(str(part) for part in scope if part is not None) or _("Toutes les voitures")
    markup.draw(f'<h2 class="cp-heading">{markup.cell_html(name)}</h2>')
    asking, listed, cut = figures["asking"], figures["days_listed"], figures["cut_share"]
    pairs = [(_("En vente"), formats.number(figures["offers"]))]
    if asking is not None:
        pairs += [
            (_("Prix médian"), formats.money(formats.rounded(asking["median"], _STEP))),
            (
                _("La moitié demande entre"),
                formats.money_range(
                    formats.rounded(asking["q1"], _STEP), formats.rounded(asking["q3"], _STEP)
                ),
            ),
        ]
    if listed is not None:
        n = round(listed["median"])
        pairs.append((_("En ligne depuis (médiane)"), ngettext("{n} jour", "{n} jours", n, n=n)))
    if cut is not None:
        pairs.append((_("Ont baissé leur prix"), formats.share(cut)))
    markup.facts(pairs, "market-figures")
    if asking is not None:
        markup.paragraph(
            _(
                "Du moins cher au plus cher : de {low} à {high}. Les prix suspects ne sont pas comptés.",
                low=formats.money(asking["lowest"]),
                high=formats.money(asking["highest"]),
            ),
            "cp-small",
        )
    if not figures["enough"]:
        markup.notice(
            _("Trop peu d'annonces pour donner des prix : il en faut au moins cinq. Élargissez le choix.")
            if figures["offers"]
            else _("Aucune voiture de ce choix n'est en vente aujourd'hui."),
            "warning",
        )
    if figures["offers"]:
        make, model, year = scope
        address = {"marque": make, "modele": model, "depuis": year, "jusqu_a": year}
        places.link(
            places.OFFERS,
            _("Voir ces annonces"),
            {name: str(value) for name, value in address.items() if value is not None},
            icon=":material/sell:",
        )


def _level(figures: MarketFigures, name: str, key: str) -> None:
    """The price of an equal car over time, with a sentence that says what changed."""
    rows = figures["level"]
    markup.draw(f'<h2 class="cp-heading">{markup.cell_html(name)}</h2>')
    if len(rows) < 2:
        markup.notice(
            _(
                "Le niveau des prix dans le temps n'est pas encore connu : il faut des annonces de plusieurs "
                "mois."
            )
        )
        return
    said = change_in_words(rows)
    if said:
        markup.draw(f'<p class="cp-text" data-testid="level-said">{markup.cell_html(said)}</p>')
    st.altair_chart(market_charts.level(rows), width="stretch", key=key)
    markup.paragraph(
        _(
            "Le prix d'une voiture égale (même modèle, âge, kilométrage), 100 le dernier jour connu. La "
            "bande est la marge d'erreur à 90 %."
        ),
        "cp-small",
    )


def change_in_words(rows: Sequence[MarketLevel]) -> str:
    """What an equal car cost some months before the newest day, against now; "" where that is not known."""
    newest = formats.parse_moment(rows[-1]["day"])
    oldest = formats.parse_moment(rows[0]["day"])
    if newest is None or oldest is None:
        return ""
    known_months = (newest - oldest).days / _A_MONTH_DAYS
    months = next((each for each in _TOLD_MONTHS if each <= known_months + 0.2), None)
    if months is None:
        return ""

    def distance(row: MarketLevel) -> float:
        at = formats.parse_moment(row["day"])
        return abs((newest - at).days / _A_MONTH_DAYS - months) if at else float("inf")

    then = min(rows, key=distance)
    if not then["low"] > 0:
        return ""
    # `level` is the price then where that of the newest day is 1.
    change, least, most = (1 / then[name] - 1 for name in ("level", "high", "low"))
    values: dict[str, Any] = {
        "n": months,
        "change": formats.share(abs(change), 1),
        "least": formats.signed_share(least, 1),
        "most": formats.signed_share(most, 1),
    }
    if least <= 0 <= most:
        return ngettext(
            "Depuis {n} mois, pas de changement net à voiture égale (entre {least} et {most}).",
            "Depuis {n} mois, pas de changement net à voiture égale (entre {least} et {most}).",
            months,
            **values,
        )
    if change > 0:
        return ngettext(
            "Depuis {n} mois, les prix ont monté de {change} à voiture égale (entre {least} et {most}).",
            "Depuis {n} mois, les prix ont monté de {change} à voiture égale (entre {least} et {most}).",
            months,
            **values,
        )
    return ngettext(
        "Depuis {n} mois, les prix ont baissé de {change} à voiture égale (entre {least} et {most}).",
        "Depuis {n} mois, les prix ont baissé de {change} à voiture égale (entre {least} et {most}).",
        months,
        **values,
    )


def _groups(figures: MarketFigures) -> None:
    """Prices by year and by mileage, of the groups with enough listings."""
    years: list[dict[str, Any]] = [
        {"name": str(row["model_year"]), **_prices(row)}
        for row in figures["by_year"]
        if row["median"] is not None
    ]
    mileages: list[dict[str, Any]] = [
        {"name": bracket(row["km_from"], row["km_to"]), **_prices(row)}
        for row in figures["by_mileage"]
        if row["median"] is not None
    ]
    left, right = st.columns(2, gap="large")
    for column, rows, heading, title, key in (
        (left, years, _("Prix par année"), _("Année-modèle"), "by_year"),
        (right, mileages, _("Prix par kilométrage"), _("Milliers de kilomètres"), "by_mileage"),
    ):
        with column:
            if figures["scope"]["model_year"] is not None and key == "by_year":
                continue
            st.header(heading, anchor=False)
            if len(rows) < 2:
                markup.notice(_("Trop peu d'annonces pour comparer."))
                continue
            st.altair_chart(market_charts.groups(rows, title), width="stretch", key=key)
            said = [
                _("{place} : {price}", place=row["name"], price=formats.money(row["median"])) for row in rows
            ]
            markup.unseen(_("{title} et prix médian. {points}.", title=title, points=enumerated(said)))
            left_out = sum(row["median"] is None for row in figures[key])  # type: ignore[literal-required]
            note = _("Le trait est le prix médian, la barre la moitié des annonces autour de lui.")
            if left_out:
                note += " " + _("Les groupes de moins de cinq annonces ne sont pas montrés.")
            markup.paragraph(note, "cp-small")


def _prices(row: Any) -> dict[str, Any]:
    return {name: row[name] for name in ("median", "q1", "q3", "offers")}


def bracket(km_from: int, km_to: int | None) -> str:
    """A bracket of mileages in thousands: `50 – 100`, `> 300`."""
    if km_to is None:
        return f"> {formats.number(km_from / 1000)}"
    return f"{formats.number(km_from / 1000)} – {formats.number(km_to / 1000)}"


def _models(figures: MarketFigures, scope: Scope) -> None:
    """The models of the scope with most cars on offer."""
    if scope[1] or len(figures["models"]) < 2:
        return
    st.header(_("Les modèles les plus proposés"), anchor=False)
    rows: list[list[markup.Cell]] = [
        [
            f"{found['make']} {found['model']}",
            formats.number(found["offers"]),
            _("trop peu d'annonces")
            if found["median"] is None
            else markup.Figure(formats.money(found["median"])),
        ]
        for found in figures["models"][:MOST_MODELS]
    ]
    markup.table([_("Voiture"), _("En vente"), _("Prix médian")], rows, "models")
