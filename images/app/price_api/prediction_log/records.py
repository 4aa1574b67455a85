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

    `key_name` is the name of the API key that asked, None where none is in use. `evidence` is that of the
    answer, None in a row of an earlier release.

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
    key_name: str | None = None
    evidence: str | None = None


@dataclass(frozen=True)
class Logged(Prediction):
    """A prediction as the log holds it, with the price that was paid where it is known.

    `listing` has every feature, None where unknown or not kept. Whole amounts are int.
    """

    price_paid_mad: float | None = None
    feedback_at: datetime | None = None
    feedback_unlikely: bool | None = None


@dataclass(frozen=True)
class Feedback:
    """The price that was paid for the car of a prediction.

    `unlikely`: it is far from the estimate. `replaced`: there was one before.
    """

    prediction_id: str
    price_paid_mad: float
    recorded_at: datetime
    unlikely: bool = False
    replaced: bool = False


class FeedbackOfAnother(Exception):
    """The feedback on a prediction came with another API key; its text is the id of the prediction."""


@dataclass(frozen=True)
class Filters:
    """Selects the predictions that fit every filter that is not None.

    `make` and `model` are compared without case and accents. `since` is included, `until` is not.
    `with_feedback` True selects those with a price paid, False those without. `key_name` selects the
    predictions that this key asked for.
    """

    make: str | None = None
    model: str | None = None
    version: str | None = None
    alias: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    with_feedback: bool | None = None
    key_name: str | None = None


@dataclass(frozen=True)
class Cursor:
    """The place of a prediction in the log: a page continues after it, however much the log has grown."""

    at: datetime
    prediction_id: str


@dataclass(frozen=True)
class Page:
    """One page of predictions, newest first, the number of predictions on all pages, and where it ends.

    `next` is None on the last page.
    """

    total: int
    predictions: list[Logged]
    next: Cursor | None = None
