"""What *Estimer* asks the API about one car, and keeps while it is shown."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import streamlit as st

from price_app import screens
from price_app.api_client import ApiClient, ApiProblem, Listing
from price_app.views.estimate_form import OLDEST_YEAR, newest_year
from price_contract import formats
from price_contract.answers import Comparable, Explained, Priced, WhatIf

BELIEVED_KM_A_YEAR = 5_000
COMPARABLES = 8


@dataclass
class Answer:
    """An estimate with what the API says about it; a part that failed is None or empty."""

    listing: Listing
    estimate: Priced
    explanation: Explained | None = None
    what_if: WhatIf | None = None
    comparables: list[Comparable] = field(default_factory=list)
    new: bool = True
    paid_mad: int | None = None
    # a price paid that the API asks to confirm
    asked_back_mad: int | None = None
    # what the form filled in by itself
    assumed: frozenset[str] = frozenset()

    @property
    def is_priced(self) -> bool:
        """Whether the page may show an amount: the model knows the make, and the car is whole."""
        codes = {warning["code"] for warning in self.estimate["warnings"]}
        return not codes & {"unknown_make", "for_parts"}

    @property
    def step_mad(self) -> int:
        """The step that amounts of this estimate are rounded to where people read them."""
        estimate = self.estimate
        return formats.step_of(estimate["price_mad"], estimate["low_mad"], estimate["high_mad"])

    def money(self, mad: float | None) -> str:
        """An amount of this estimate in words."""
        return formats.money(formats.rounded(mad or 0, self.step_mad))

    @property
    def mileage_km(self) -> int:
        """The mileage that the car has, or that the model assumes where nobody knows it."""
        given = self.listing.get("mileage")
        assumed = [w for w in self.estimate["warnings"] if w["code"] == "unknown_mileage"]
        return int(given if given is not None else round(assumed[0]["params"]["usual"]) if assumed else 0)


def answer_about(client: ApiClient, listing: Listing, assumed: frozenset[str] = frozenset()) -> Answer:
    """Ask for the price of `listing` and everything around it. Raises `ApiProblem` without a price.

    Of a car that the model can't know nothing explains the price, and no listing is known to be like it.
    """
    answer = Answer(listing, client.predict(listing, _sticky_key()), assumed=assumed)
    if answer.estimate["evidence"] == "none":
        return answer
    car = {name: value for name, value in listing.items() if name != "price_mad"}
    # The price stands by itself: each of the other parts may fail.
    with optional():
        answer.explanation = client.explain(car)
    with optional():
        answer.what_if = client.what_if(
            car, _mileages(answer.mileage_km, listing["model_year"]), _years(listing["model_year"])
        )
    with optional():
        answer.comparables = client.comparables(car, COMPARABLES)["comparables"]
    return answer


@contextmanager
def optional() -> Iterator[None]:
    """Log a problem of the API and go on without its answer."""
    try:
        yield
    except ApiProblem as problem:
        screens.log_problem(problem)


def _sticky_key() -> str:
    """A random key that keeps one visit with one model version where two share the requests.

    It belongs to the browser tab and says nothing about a person.
    """
    return str(st.session_state.setdefault("sticky key", secrets.token_hex(16)))


def _mileages(now: int, year: int) -> list[int]:
    """25 mileages around the car's own, which is among them.

    They begin at a mileage that sellers mean: almost none on an old car is a field that nobody filled in.
    """
    first = min(now, BELIEVED_KM_A_YEAR * max(newest_year() - year, 0))
    last = max(300_000, int(now * 1.4) // 10_000 * 10_000)
    return sorted({*range(first, last + 1, max((last - first) // 24, 1)), now})


def _years(now: int) -> list[int]:
    """The model years around the car's own."""
    return list(range(max(now - 8, OLDEST_YEAR), min(now + 8, newest_year()) + 1))
