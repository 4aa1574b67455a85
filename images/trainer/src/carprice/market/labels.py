"""The label of an asking price: five classes by where it stands in the model's predictive distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from carprice.params import MarketParams

LABELS = ("very_good_price", "good_price", "fair_price", "high_price", "very_high_price")
"""The classes, the cheapest first."""
NOT_RATED = "not_rated"

REASONS = (
    "for_parts",
    "unknown_model",
    "few_comparables",
    "implausible_mileage",
    "suspicious_price",
    "partial",
    "unusual_car",
)
"""Why an offer is not rated; of several reasons the first one is told."""

SUSPICIONS = ("far_below", "far_above", "mistyped", "implausible_mileage")
"""What an offer may be suspected of. Suspicious offers are never called a bargain."""

Positions = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def classes(
    position: Positions,
    params: MarketParams,
    before: Codes | None = None,
) -> Codes:
    """The place in LABELS of each position, of shape (n,).

    `before` has the class that the same price had before, -1 where there is none. It stays until the position
    has left the class by more than `market.hysteresis`.
    """
    edges = np.array([0.0, *params.label_positions, 1.0])
    found: Codes = np.searchsorted(edges[1:-1], position, side="right")
    if before is None:
        return found
    kept = np.clip(before, 0, len(LABELS) - 1)
    inside = (position >= edges[kept] - params.hysteresis) & (position <= edges[kept + 1] + params.hysteresis)
    stays: Codes = np.where((before >= 0) & inside, kept, found)
    return stays


def first_reason(reasons: Sequence[npt.NDArray[np.bool_]]) -> Codes:
    """The first of n rows' reasons that holds, as its place; -1 where none does. One mask for each reason."""
    found = np.full(len(reasons[0]), -1, dtype=np.int64)
    for place in range(len(reasons) - 1, -1, -1):
        found[reasons[place]] = place
    return found


def joined(suspicions: Sequence[npt.NDArray[np.bool_]]) -> npt.NDArray[np.object_]:
    """The codes of SUSPICIONS that hold for each row, in order, separated by commas: of shape (n,)."""
    number = sum(mask.astype(np.int64) << place for place, mask in enumerate(suspicions))
    texts = np.array(
        [
            ",".join(code for place, code in enumerate(SUSPICIONS) if every & (1 << place))
            for every in range(1 << len(SUSPICIONS))
        ],
        dtype=object,
    )
    return np.asarray(texts[number], dtype=object)
