"""The verdict on an asking price."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from carprice.model.features import COLUMNS
from carprice.model.plain_values import plain
from price_contract.answers import AskingPrice, Verdict

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

_RARITY = COLUMNS.index("rarity")


def asking_price_verdict(
    pipeline: Pipeline, listing: Mapping[str, Any], asking_mad: float, price: float, low: float, high: float
) -> AskingPrice:
    """How `asking_mad` compares with what such cars are offered for; price, low and high are the estimate."""
    features, model = pipeline.named_steps["features"], pipeline.named_steps["price"]
    row = np.zeros((1, len(COLUMNS)))
    name = f"{plain(listing['make'])}/{plain(listing['model'])}"
    row[0, _RARITY] = math.log(features.count_.get(name, 0) + 1)
    verdict: Verdict
    if abs(math.log(asking_mad / price)) > model.reach(row)[0]:
        verdict = "implausible"
    elif asking_mad < low:
        verdict = "low"
    elif asking_mad > high:
        verdict = "high"
    else:
        verdict = "fair"
    return {
        "price_mad": round(asking_mad),
        "verdict": verdict,
        "difference_mad": round(asking_mad) - round(price),
        "difference_share": round(asking_mad / price - 1, 4),
    }
