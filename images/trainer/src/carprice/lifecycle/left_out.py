"""What a run's model says of each listing that it learned, without the listing's own price.

It is written at training, because only then the model knows it: `left_out/left_out.parquet` of the run has
`listing_id`, `expected_mad`, `low_mad` and `high_mad`, and `scale`, the unit of the errors of such a car in
log price. At 800,000 listings it takes about 20 MB.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pandas as pd

FOLDER, FILE = "left_out", "left_out.parquet"


def write(pipeline: Any, listing_ids: pd.Series[Any], folder: str) -> str:
    """Write the table of a fitted pipeline, whose training listings had these ids; returns where it is."""
    model = pipeline.named_steps["price"]
    low, high = model.quantiles_
    expected, scale = model.left_out_mad_, model.left_out_scale_
    table = pd.DataFrame(
        {
            "listing_id": listing_ids.to_numpy(dtype=object),
            "expected_mad": expected,
            "low_mad": (expected * np.exp(low * scale)).astype(np.float32),
            "high_mad": (expected * np.exp(high * scale)).astype(np.float32),
            "scale": scale,
        }
    )
    path = os.path.join(folder, FILE)
    table.to_parquet(path, index=False)
    return path
