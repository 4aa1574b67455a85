"""The types of the prediction log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """One answer: `listing` is over FEATURES, prices are in MAD, `source` is `predict` or `batch`.

    The listing has `asked_on` too, where the caller named the day that the price is asked for.

    `shadow_price_mad` is the price of version `shadow_version` for the same listing. The caller does not
    see it.
    """

    prediction_id: str
    at: datetime
    listing: Mapping[str, Any]
    asking_price_mad: float | None
    price_mad: float
    low_mad: float
    high_mad: float
    version: str
    alias: str
    source: str
    latency_ms: float
    shadow_version: str | None = None
    shadow_price_mad: float | None = None


@dataclass(frozen=True)
class Logged(Prediction):
    """A prediction as the log holds it, with the price that was paid where it is known.

    `listing` has every feature, None where unknown or not kept. Whole amounts are int.
    """

    price_paid_mad: float | None = None
    feedback_at: datetime | None = None


@dataclass(frozen=True)
class Feedback:
    """The price that was paid for the car of a prediction."""

    prediction_id: str
    price_paid_mad: float
    recorded_at: datetime


class FeedbackOfAnother(Exception):
    """The feedback on a prediction came with another API key; its text is the id of the prediction."""


@dataclass(frozen=True)
class Filters:
    """Selects the predictions that fit every filter that is not None.

    `make` and `model` are compared without case and accents. `since` is included, `until` is not.
    `with_feedback` True selects those with a price paid, False those without.
    """

    make: str | None = None
    model: str | None = None
    version: str | None = None
    alias: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    with_feedback: bool | None = None


@dataclass(frozen=True)
class Page:
    """One page of predictions, newest first, and the number of predictions on all pages."""

    total: int
    predictions: list[Logged]
