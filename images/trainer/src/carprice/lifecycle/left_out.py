"""What a run's model says of each listing that it learned, without the listing's own price.

It is written at training, because only then the model knows it: `left_out/left_out.parquet` of the run has
`listing_id`, `expected_mad`, and `scale`, the unit of the errors of such a car in log price. The interval
comes from these and the model's quantiles.
"""

from __future__ import annotations

import os
from typing import Any

import pandas as pd

FOLDER, FILE = "left_out", "left_out.parquet"


def write(pipeline: Any, listing_ids: pd.Series[Any], folder: str) -> str:
    """Write the table of a fitted pipeline, whose training listings had these ids; returns where it is."""
    model = pipeline.named_steps["price"]
    table = pd.DataFrame(
        {
            "listing_id": listing_ids.to_numpy(dtype=object),
            "expected_mad": model.left_out_mad_,
            "scale": model.left_out_scale_,
        }
    )
    path = os.path.join(folder, FILE)
    table.to_parquet(path, index=False)
    return path
