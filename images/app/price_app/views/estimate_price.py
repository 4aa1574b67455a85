"""The price of *Estimer*: the amount in its range, the verdict on an asking price, and the price paid."""

from __future__ import annotations

from html import escape

import streamlit as st

from price_app import charts, markup, screens
from price_app.api_client import ApiProblem
from price_app.views.estimate_answer import Answer
from price_app.views.estimate_form import LARGEST_PRICE_MAD
from price_contract import formats, messages, words
from price_contract.answers import AskingPrice
from price_contract.language import _


def welcome() -> None:
    """What stands in the place of the price at first: three steps, and how good estimates are."""
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


def price(answer: Answer) -> None:
    """Draw the price with its range, the verdict and the warnings."""
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
        markup.notice(messages.warning(warning), "warning")


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


@st.fragment
def price_paid(answer: Answer) -> None:
    """Ask for the price that was paid; it shows how good the estimates are."""
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
