"""The price of *Estimer*: the amount in its range, the verdict on an asking price, and the price paid."""

from __future__ import annotations

from html import escape

import streamlit as st

from price_app import charts, markup, screens
from price_app.api_client import ApiProblem
from price_app.views.estimate_answer import Answer
from price_app.views.estimate_form import LARGEST_PRICE_MAD
from price_contract import formats, messages, words
from price_contract.answers import PriceWarning
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
    """Draw the price with its range and a verdict, or that too little is known of such cars."""
    estimate = answer.estimate
    title = " · ".join(filter(None, (words.car(answer.listing), words.details(answer.listing))))
    version = _(
        "Modèle {name}, version {version}",
        name=estimate["model"]["name"],
        version=estimate["model"]["version"],
    )
    said = {"usual": _usual, "little": _rough, "none": _unknown}[estimate["evidence"]](answer)
    markup.draw(
        f'<div class="cp-price" id="cp-result" role="status"><h2>{escape(title)}</h2>{said}'
        f'<p class="cp-version">{escape(version)}</p></div>'
    )
    if answer.new:
        # On a phone the price is below the form.
        st.html(
            "<script>document.getElementById('cp-result')?.scrollIntoView({behavior:'smooth',block:'nearest'})</script>",
            unsafe_allow_javascript=True,
        )
        answer.new = False
    if estimate["evidence"] == "usual":
        for warning in estimate["warnings"]:
            markup.notice(messages.warning(warning), tone_of(warning))


def tone_of(warning: PriceWarning) -> markup.Tone:
    """A field without use makes a price no less certain."""
    return "plain" if warning["code"] == "not_used_by_model" else "warning"


def _usual(answer: Answer) -> str:
    estimate = answer.estimate
    said = _(
        "{n} annonces comparables sur 10 demandent entre {low} et {high}.",
        n=formats.number((estimate["interval_coverage"] or 0) * 10),
        low=answer.money(estimate["low_mad"]),
        high=answer.money(estimate["high_mad"]),
    )
    return (
        f'<div class="cp-big" data-testid="price">{escape(answer.money(estimate["price_mad"]))}</div>'
        f'<p class="cp-sub">{escape(said)}</p>{charts.price_range(estimate, answer.step_mad)}'
        f"{_verdict(answer)}"
    )


def _rough(answer: Answer) -> str:
    """A car of which few listings tell: why first, then a rough range, and no verdict."""
    estimate = answer.estimate
    said = _(
        "À titre indicatif, entre {low} et {high}.",
        low=answer.money(estimate["low_mad"]),
        high=answer.money(estimate["high_mad"]),
    )
    return (
        _doubts(_("Peu d'annonces ressemblent à cette voiture."), answer)
        + f'<div class="cp-rough" data-testid="price">{escape(answer.money(estimate["price_mad"]))}</div>'
        f'<p class="cp-sub">{escape(said)}</p>{charts.price_range(estimate, answer.step_mad)}'
        + _no_verdict(answer)
    )


def _unknown(answer: Answer) -> str:
    """A car that the model can't know: why first, then at most an order of magnitude."""
    estimate = answer.estimate
    parts = [_doubts(_("Le modèle ne connaît pas de voiture comme celle-ci."), answer)]
    if answer.is_priced:
        amount = f'<span data-testid="price">{escape(answer.money(estimate["price_mad"]))}</span>'
        label = escape(_("Un ordre de grandeur, sans fourchette :"))
        parts.append(f'<p class="cp-sub">{label} {amount}</p>')
    else:
        nothing = _("Aucun prix ne peut être donné.")
        parts.append(f'<p class="cp-sub" data-testid="no-price">{escape(nothing)}</p>')
    return "".join(parts) + _no_verdict(answer)


def _doubts(title: str, answer: Answer) -> str:
    """Why little is known, before any amount."""
    reasons = "".join(
        f"<li>{escape(messages.warning(warning))}</li>" for warning in answer.estimate["warnings"]
    )
    return (
        f'<div class="cp-notice cp-warning cp-doubts" data-testid="doubts"><strong>{escape(title)}</strong>'
        f"<ul>{reasons}</ul></div>"
    )


def _no_verdict(answer: Answer) -> str:
    if answer.estimate["asking_price"] is None:
        return ""
    said = _("Trop peu d'annonces comparables pour juger le prix demandé.")
    return f'<p class="cp-sub" data-testid="no-verdict">{escape(said)}</p>'


def _verdict(answer: Answer) -> str:
    asking = answer.estimate["asking_price"]
    if asking is None or asking["verdict"] is None:
        return ""
    verdict = asking["verdict"]
    # What is shown adds up: the difference is that to the estimate as it is shown.
    estimated = formats.rounded(answer.estimate["price_mad"], answer.step_mad)
    difference = round(asking["price_mad"]) - estimated
    amount, part = formats.money(abs(difference)), formats.share(abs(difference) / max(estimated, 1))
    if abs(difference) < answer.step_mad:
        said = _("Le prix demandé est celui de l'estimation.")
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
            1_000,
            LARGEST_PRICE_MAD,
            value=None,
            step=1_000,
            key=f"paid {answer.estimate['prediction_id']}",
        )
        prediction_id = answer.estimate["prediction_id"]
        unlikely = answer.asked_back_mad is not None and answer.asked_back_mad == paid
        if unlikely:
            markup.notice(
                _(
                    "{price} est loin de l'estimation. Si c'est bien le prix payé, confirmez-le ; "
                    "il est gardé à part.",
                    price=formats.money(paid or 0),
                ),
                "warning",
            )
        label = _("Confirmer ce prix") if unlikely else _("Enregistrer ce prix")
        if st.button(label, icon=":material/check:") and paid is not None:
            try:
                screens.client().feedback(prediction_id, paid, confirmed=unlikely)
            except ApiProblem as problem:
                if problem.code != "feedback-unlikely":
                    screens.show(problem)
                    return
                answer.asked_back_mad = paid
                st.rerun(scope="fragment")
            answer.paid_mad, answer.asked_back_mad = paid, None
        if answer.paid_mad is not None:
            markup.notice(_("Merci ! {price} enregistré.", price=formats.money(answer.paid_mad)), "good")
            if st.button(_("Retirer ce prix"), icon=":material/undo:"):
                try:
                    screens.client().withdraw(prediction_id)
                except ApiProblem as problem:
                    screens.show(problem)
                    return
                answer.paid_mad = None
                st.rerun(scope="fragment")
