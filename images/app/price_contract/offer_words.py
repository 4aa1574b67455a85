"""The words of the cars on offer: labels, what is doubtful about a listing, how long it has been listed."""

from __future__ import annotations

from price_contract import formats
from price_contract.language import N_, _, ngettext
from price_contract.offer_answers import Label, NotRated, Offer, Standard, Suspicion

LABELS: dict[Label, str] = {
    "very_good_price": N_("Très bon prix"),
    "good_price": N_("Bon prix"),
    "fair_price": N_("Prix du marché"),
    "high_price": N_("Prix élevé"),
    "very_high_price": N_("Prix très élevé"),
    "not_rated": N_("Sans avis"),
}

NOT_RATED: dict[NotRated, str] = {
    "few_comparables": N_("Trop peu d'annonces comparables pour juger ce prix."),
    "unknown_model": N_("L'estimation ne connaît pas encore ce modèle de voiture."),
    "suspicious_price": N_("Le prix est trop loin des annonces comparables pour être jugé."),
    "partial": N_("L'annonce ne donne pas le kilométrage ou le carburant : son prix ne peut pas être jugé."),
    "for_parts": N_("La voiture est vendue pour pièces."),
    "implausible_mileage": N_("Le kilométrage annoncé n'est pas crédible pour une voiture de cet âge."),
    "unusual_car": N_("La voiture est trop inhabituelle pour être comparée à d'autres."),
}

SUSPICIONS: dict[Suspicion, str] = {
    "far_below": N_(
        "Le prix est bien plus bas que celui des annonces comparables : une erreur, un acompte ou un piège. "
        "Ne versez rien avant d'avoir vu la voiture et ses papiers."
    ),
    "far_above": N_("Le prix est bien plus haut que celui des annonces comparables : sans doute une erreur."),
    "mistyped": N_("Le prix ressemble à une faute de frappe : un chiffre de trop ou de moins."),
    "implausible_mileage": N_(
        "Le kilométrage annoncé n'est pas crédible pour une voiture de cet âge : vérifiez le compteur et le "
        "carnet d'entretien."
    ),
}

# What an average car means: what an estimate takes for granted.
STANDARDS: dict[Standard, str] = {
    "average_condition_registered_in_morocco": N_(
        "L'estimation vaut pour une voiture en état moyen et immatriculée au Maroc, sauf si l'annonce dit "
        "autre chose."
    ),
}


def label(code: str) -> str:
    """A label in words; one that is not known here stays as it is."""
    return _(LABELS[code]) if code in LABELS else code.replace("_", " ")


def why_not_rated(code: str | None) -> str:
    """Why a listing has no label; "" where nothing is known of it."""
    return _(NOT_RATED[code]) if code in NOT_RATED else ""


def suspicion(code: str) -> str:
    """What is doubtful about a listing, and what to do about it."""
    return _(SUSPICIONS[code]) if code in SUSPICIONS else code.replace("_", " ")


def standard(code: str) -> str:
    """What an average car means; "" for a standard that is not known here."""
    return _(STANDARDS[code]) if code in STANDARDS else ""


def listed_for(days: float | None) -> str:
    """`en ligne depuis 34 jours`; "" where unknown."""
    if days is None:
        return ""
    whole = round(days)
    if whole < 1:
        return _("en ligne depuis aujourd'hui")
    return ngettext("en ligne depuis {n} jour", "en ligne depuis {n} jours", whole, n=formats.number(whole))


def listed_in_all(days: float | None) -> str:
    """`34 jours`; "" where unknown."""
    if days is None:
        return ""
    whole = round(days)
    if whole < 1:
        return _("moins d'un jour")
    return ngettext("{n} jour", "{n} jours", whole, n=formats.number(whole))


def price_change(offer: Offer) -> str:
    """`baisse de 6 000 MAD (6 %)` since the listing was first seen; "" where its price stands."""
    first = offer["first_price_mad"]
    if not first or first == offer["price_mad"]:
        return ""
    difference = offer["price_mad"] - first
    amount, part = formats.money(abs(difference)), formats.share(abs(difference) / first)
    if difference < 0:
        return _("baisse de {amount} ({share})", amount=amount, share=part)
    return _("hausse de {amount} ({share})", amount=amount, share=part)


def against_estimate(offer: Offer) -> str:
    """`12 000 MAD (12 %) sous l'estimation`: the difference to the estimate as shown; "" without one."""
    estimate = offer["estimate_mad"]
    if estimate is None:
        return ""
    step = step_of(offer)
    shown = formats.rounded(estimate, step)
    difference = offer["price_mad"] - shown
    if abs(difference) < step:
        return _("au niveau de l'estimation")
    amount, part = formats.money(abs(difference)), formats.share(abs(difference) / max(shown, 1))
    if difference < 0:
        return _("{amount} ({share}) sous l'estimation", amount=amount, share=part)
    return _("{amount} ({share}) au-dessus de l'estimation", amount=amount, share=part)


def step_of(offer: Offer) -> int:
    """The step, in MAD, that the amounts of a listing's estimate are rounded to."""
    return formats.step_of(offer["estimate_mad"] or 0, offer["low_mad"], offer["high_mad"])


def estimate(offer: Offer) -> str:
    """`85 000 MAD`, as exact as its range; "" without an estimate."""
    found = offer["estimate_mad"]
    return "" if found is None else formats.money(formats.rounded(found, step_of(offer)))


def estimate_range(offer: Offer) -> str:
    """`entre 78 000 et 93 000 MAD`; "" without a range."""
    low, high = offer["low_mad"], offer["high_mad"]
    if low is None or high is None:
        return ""
    step = step_of(offer)
    return _(
        "entre {low} et {high}",
        low=formats.number(formats.rounded(low, step)),
        high=formats.money(formats.rounded(high, step)),
    )
