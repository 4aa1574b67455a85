"""*Historique*: past predictions, the prices that were paid, and staging beside production."""

from __future__ import annotations

import datetime
import math

import streamlit as st

from price_app import markup, screens
from price_app.api_client import ApiProblem
from price_contract import formats, words
from price_contract.answers import LoggedPrediction, VersionErrors
from price_contract.language import _, ngettext

PAGE_SIZE = 20


@screens.guarded
def page() -> None:
    """Draw the page."""
    st.title(_("Historique"), anchor=False)
    markup.paragraph(_("Les estimations déjà faites. Aucune donnée personnelle n'y est gardée."), "cp-lead")
    _comparison()
    filters = _filters()
    found = screens.client().predictions(filters, 1, PAGE_SIZE)
    total = found["total"]
    if not total:
        _empty(bool(filters))
        return
    left, right = st.columns([3, 1], vertical_alignment="center")
    with left:
        st.subheader(
            ngettext("{n} estimation", "{n} estimations", total, n=formats.number(total)), anchor=False
        )
    with right:
        client = screens.client()
        st.download_button(
            _("Exporter (CSV)"),
            lambda: client.predictions_csv(filters),
            "estimations.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            width="stretch",
        )
    pages = math.ceil(total / PAGE_SIZE)
    number = st.pagination(pages, key=f"page {sorted(filters.items())}") if pages > 1 else 1
    if number > 1:
        found = screens.client().predictions(filters, number, PAGE_SIZE)
    _table(found["predictions"])
    _paid(found["predictions"])


def _filters() -> dict[str, str]:
    """The filters as the API names them."""
    with st.expander(_("Filtrer"), icon=":material/filter_list:"):
        first, second, third = st.columns(3)
        chosen = {
            "make": first.text_input(_("Marque"), max_chars=60, key="filter make").strip(),
            "model": second.text_input(_("Modèle"), max_chars=60, key="filter model").strip(),
            "version": third.text_input(_("Version du modèle"), max_chars=20, key="filter version").strip(),
        }
        first, second, third = st.columns(3, vertical_alignment="bottom")
        since = first.date_input(_("Depuis le"), value=None, key="filter since", format="DD/MM/YYYY")
        until = second.date_input(_("Jusqu'au"), value=None, key="filter until", format="DD/MM/YYYY")
        if third.toggle(_("Avec un prix payé"), key="filter feedback"):
            chosen["with_feedback"] = "true"
    if since is not None:
        chosen["since"] = _midnight(since)
    if until is not None:
        chosen["until"] = _midnight(until + datetime.timedelta(days=1))
    return {name: value for name, value in chosen.items() if value}


def _midnight(day: datetime.date) -> str:
    """The start of a day in Morocco, in UTC."""
    at = datetime.datetime.combine(day, datetime.time(), formats.zone())
    return at.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _empty(filtered: bool) -> None:
    with st.container(border=True, key="empty_history"):
        st.markdown("## :material/history:")
        if filtered:
            st.subheader(_("Aucune estimation ne correspond"), anchor=False)
            markup.paragraph(_("Élargissez les dates ou retirez un filtre."))
        else:
            st.subheader(_("Aucune estimation pour l'instant"), anchor=False)
            markup.paragraph(_("Chaque estimation faite dans la page ou par l'API apparaît ici."))


def _table(predictions: list[LoggedPrediction]) -> None:
    rows: list[list[markup.Cell]] = [
        [
            formats.moment(found["at"]),
            words.car(found["listing"]),
            words.details(found["listing"]),
            _estimate(found),
            _range(found),
            _amount(found["asking_price_mad"]),
            _amount(found["price_paid_mad"]),
            words.source(found["source"]),
            found["version"],
        ]
        for found in predictions
    ]
    columns = [
        _("Quand"), _("Voiture"), _("Détails"), _("Prix estimé"), _("Fourchette"), _("Prix demandé"),
        _("Prix payé"), _("Demandé par"), _("Version"),
    ]  # fmt: skip
    markup.table(columns, rows, "predictions")


def _estimate(found: LoggedPrediction) -> markup.Cell:
    """The price, as exact as its range."""
    return _amount(formats.rounded(found["price_mad"], _step(found)))


def _range(found: LoggedPrediction) -> markup.Cell:
    low, high, step = found["low_mad"], found["high_mad"], _step(found)
    if low is None or high is None:
        return markup.Figure("")
    return markup.Figure(formats.money_range(formats.rounded(low, step), formats.rounded(high, step)))


def _step(found: LoggedPrediction) -> int:
    return formats.step_of(found["price_mad"], found["low_mad"], found["high_mad"])


def _amount(mad: float | None) -> markup.Cell:
    return markup.Figure("" if mad is None else formats.money(mad))


def _paid(predictions: list[LoggedPrediction]) -> None:
    """A form for the price that was paid for one of the cars of this page."""
    st.subheader(_("Donner le prix réellement payé"), anchor=False)
    by_id = {found["prediction_id"]: found for found in predictions}
    with st.form("paid", border=True):
        left, middle, right = st.columns([3, 2, 1], vertical_alignment="bottom")
        chosen = left.selectbox(
            _("Estimation"),
            list(by_id),
            index=None,
            format_func=lambda key: " · ".join(
                (
                    words.car(by_id[key]["listing"]),
                    formats.money(formats.rounded(by_id[key]["price_mad"], _step(by_id[key]))),
                    formats.moment(by_id[key]["at"]),
                )
            ),
            placeholder=_("Choisir…"),
            key="paid which",
        )
        paid = middle.number_input(
            _("Prix réellement payé (MAD)"), 1_000, 100_000_000, value=None, step=1_000, key="paid how much"
        )
        sent = right.form_submit_button(_("Enregistrer"), type="primary", width="stretch")
    asked_back = st.session_state.get("asked back")
    confirmed = asked_back is not None and asked_back == (chosen, paid)
    if sent and (chosen is None or paid is None):
        markup.notice(_("Choisissez une estimation et donnez un prix."), "warning")
    elif sent and chosen is not None and paid is not None:
        try:
            screens.client().feedback(chosen, paid, confirmed)
        except ApiProblem as problem:
            if problem.code == "feedback-unlikely":
                st.session_state["asked back"] = (chosen, paid)
                markup.notice(
                    _(
                        "{price} est loin de l'estimation. Si c'est bien le prix payé, "
                        "enregistrez-le encore une fois ; il est gardé à part.",
                        price=formats.money(paid),
                    ),
                    "warning",
                )
                return
            if problem.kind not in {"refused", "not found"}:
                raise
            screens.refusal(problem)
            return
        screens.forget_comparison()
        st.session_state["thanks"] = (words.car(by_id[chosen]["listing"]), paid)
        st.rerun()
    thanks = st.session_state.pop("thanks", None)
    if thanks is not None:
        markup.notice(
            _("Merci ! {price} enregistré pour {car}.", price=formats.money(thanks[1]), car=thanks[0]), "good"
        )


def _comparison() -> None:
    """Production beside staging, once staging has made predictions."""
    try:
        found = screens.comparison()
    except ApiProblem as problem:
        if problem.kind == "refused" or problem.kind == "not found":
            return
        raise
    staging, agreement = found.get("staging"), found.get("agreement") or {}
    if not staging or not (staging.get("predictions") or agreement.get("pairs")):
        return
    production = found.get("production") or {}
    if staging.get("version") == production.get("version"):
        return  # staging was promoted
    st.subheader(_("Le modèle candidat face au modèle en production"), anchor=False)
    markup.table(
        [
            "",
            _("Version"),
            _("Estimations"),
            _("Prix payés connus"),
            _("Erreur médiane"),
            _("Erreur moyenne"),
        ],
        [_version_row(_("Production"), production), _version_row(_("Candidat"), staging)],
        "comparison",
    )
    if agreement.get("pairs"):
        pairs = int(agreement["pairs"])
        markup.paragraph(
            ngettext(
                "Sur {n} voiture estimée par les deux, l'écart médian est de {gap} ; "
                "{near} sont à moins de 5 %.",
                "Sur {n} voitures estimées par les deux, l'écart médian est de {gap} ; "
                "{near} sont à moins de 5 %.",
                pairs,
                n=formats.number(pairs),
                gap=_share(agreement.get("median_abs_difference_share")),
                near=_share(agreement.get("within_5_percent")),
            ),
            "cp-small",
        )


def _version_row(name: str, errors: VersionErrors) -> list[markup.Cell]:
    return [
        markup.Badge(name, "plain"),
        str(errors.get("version") or ""),
        formats.number(errors.get("predictions") or 0),
        formats.number(errors.get("feedback") or 0),
        _share(errors.get("median_ape")),
        _share(errors.get("mape")),
    ]


def _share(value: float | None) -> str:
    return "" if value is None else formats.share(value, 1)
