"""Complete listings as they would be without their mileage or fuel: how much less is known of their price."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from carprice.model.features import COLUMNS, NO_FUEL, NO_MILEAGE, UNKNOWN
from carprice.model.kernel_regression import Altered
from carprice.model.kernels import Floats

# Complete listings whose mileage and fuel are hidden to see how much less is known of the price.
HIDDEN = 500
# For each value of `partial` (HIDING): the columns that a complete listing would have other values in.
_HIDDEN_KM: dict[str, str | int] = {"km": "usual_km", "km_doubt": UNKNOWN}
_HIDDEN_FUEL: dict[str, str | int] = {"fuel": "usual_fuel", "with_fuel": "rarity"}
HIDING = {NO_MILEAGE: _HIDDEN_KM, NO_FUEL: _HIDDEN_FUEL, NO_MILEAGE + NO_FUEL: _HIDDEN_KM | _HIDDEN_FUEL}


def hidden_versions(rows: Floats, complete: npt.NDArray[np.int64]) -> Altered:
    """At most HIDDEN of the `complete` rows (places, in order), as they would be for each kind of HIDING."""
    places = complete[np.linspace(0, len(complete) - 1, min(len(complete), HIDDEN)).astype(np.int64)]
    versions = []
    for state, changes in HIDING.items():
        version = rows[places].copy()
        version[:, COLUMNS.index("partial")] = state
        for column, other in changes.items():
            value = rows[places, COLUMNS.index(other)] if isinstance(other, str) else other
            version[:, COLUMNS.index(column)] = value
        versions.append(version)
    return Altered(places, versions)
