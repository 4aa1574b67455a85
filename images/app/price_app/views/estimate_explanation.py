"""The explanation of *Estimer*: what each characteristic adds to the price, in words and as a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import streamlit as st

from price_app import charts, markup
from price_app.api_client import Listing
from price_app.views.estimate_answer import Answer
from price_contract import formats, words
from price_contract.answers import Explained
from price_contract.language import _

# contributions below this share of the price are added up under one name
SMALLEST_SHARE = 0.004
# Name, reason in words and MAD.
Step = tuple[str, str, float]
_FIELD_OF = {"fiscal_power": "fiscal_power_cv"}


def explanation(answer: Answer) -> None:
    """Draw the explanation, where the API gave one."""
    explained = answer.explanation
    if explained is None:
        return
    st.header(_("Pourquoi ce prix ?"), anchor=False)
    drawn(explained, answer.listing, answer.step_mad, answer.assumed)
    priced_by, explained_by = answer.estimate["model"]["version"], explained["model"]["version"]
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


def drawn(
    explained: Explained, listing: Listing, step_mad: int, assumed: frozenset[str] = frozenset()
) -> None:
    """Draw what each characteristic adds to the price, in words and as a drawing, in whole `step_mad`s."""
    steps = steps_of(explained, listing, assumed)
    base_mad, steps, price_mad = in_whole(step_mad, explained["base_mad"], steps)
    left, right = st.columns([5, 6], gap="large")
    with left:
        markup.draw(_in_words(base_mad, steps, price_mad))
    with right:
        st.altair_chart(
            charts.waterfall(base_mad, price_mad, [(name, mad) for name, _, mad in steps]),
            width="stretch",
        )


def steps_of(explained: Explained, listing: Listing, assumed: frozenset[str] = frozenset()) -> list[Step]:
    """Name, reason in words and MAD of each contribution, largest first.

    What the form filled in by itself (`assumed` fields) is told from what a person said.
    The small ones, and those of characteristics that the listing does not name, are added up in the last.
    """
    price = explained["price_mad"]
    large: list[Step] = []
    rest = 0.0
    for found in explained["contributions"]:
        group, mad = found["group"], found["contribution_mad"]
        said = words.characteristic(group, listing)
        if abs(mad) < SMALLEST_SHARE * price or not said:
            rest += mad
            continue
        if _FIELD_OF.get(group, group) in assumed:
            said = _("{value}, supposé", value=said)
        reason = words.REASONS.get((group, mad >= 0))
        name = _(words.GROUPS[group]) if group in words.GROUPS else group
        large.append((name, f"{_(reason)} ({said})" if reason else said, mad))
    large.sort(key=lambda step: -abs(step[2]))
    if round(rest):
        large.append((_("Le reste"), _("le reste, et ce qui n'est pas précisé"), rest))
    return large


def in_whole(step: int, base_mad: float, steps: Sequence[Step]) -> tuple[int, list[Step], int]:
    """Base, contributions and price in whole `step`s of MAD: they add up as they are shown.

    A contribution is the difference of the rounded sums before and after it; one of nothing is left out.
    """
    exact, shown = base_mad, formats.rounded(base_mad, step)
    first, found = shown, []
    for name, reason, mad in steps:
        exact += mad
        after = formats.rounded(exact, step)
        if after != shown:
            found.append((name, reason, float(after - shown)))
        shown = after
    return first, found, shown


def _in_words(base_mad: int, steps: Sequence[Step], price_mad: int) -> str:
    def line(amount: str, text: str, style: str = "", note: str = "") -> str:
        small = f" <small>{escape(note)}</small>" if note else ""
        return f'<li class="{style}"><b>{escape(amount)}</b><span>{escape(text)}{small}</span></li>'

    lines = [
        line(
            formats.money(base_mad),
            _("prix typique du marché"),
            "cp-total",
            _("toutes voitures confondues, d'où part le calcul"),
        )
    ]
    lines += [
        line(formats.signed_money(mad), text, "cp-up" if mad >= 0 else "cp-down")
        for _name, text, mad in steps
    ]
    lines.append(line(formats.money(price_mad), _("prix estimé"), "cp-total"))
    return f'<ul class="cp-words" data-testid="contributions">{"".join(lines)}</ul>'
