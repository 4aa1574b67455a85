"""Which listings ask a market price: those of whole cars, and not those of cars for parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.words import is_for_parts


def at_market_prices(listings: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which listings (canonical columns, n rows) are of whole cars: of shape (n,). Needs `condition`."""
    parts = {value for value in listings["condition"].dropna().unique() if is_for_parts(value)}
    whole: npt.NDArray[np.bool_] = ~listings["condition"].isin(parts).to_numpy()
    return whole
