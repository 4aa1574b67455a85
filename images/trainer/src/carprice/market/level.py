"""The market level over time, of all cars and of each make, with the band that it lies in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from carprice.model.market import level_deviation, market_level

BAND_REACH = 1.645
"""How many standard deviations the band of 90 % reaches to either side."""

LEVEL = pa.schema(
    [
        ("scope", pa.string()),
        ("day", pa.string()),
        *((name, pa.float64()) for name in ("level", "low", "high")),
        ("listings", pa.int64()),
    ]
)
"""The columns of level.parquet; `scope` is "" for all cars, else a make."""


def level_table(pipeline: Any) -> pa.Table:
    """The level of each day that the model tells; without rows where it knows no level."""
    table = market_level(pipeline)
    counts: dict[str, int] = {}
    for model, count in pipeline.named_steps["features"].count_.items():
        for scope in ("", model.partition("/")[0]):
            counts[scope] = counts.get(scope, 0) + count
    level = table["level"].to_numpy(dtype=np.float64)
    reach = BAND_REACH * level_deviation(pipeline, table)
    columns = {
        "scope": table["make"].to_numpy(dtype=object),
        "day": table["day"].to_numpy(dtype=object),
        "level": level,
        "low": level * np.exp(-reach),
        "high": level * np.exp(reach),
        "listings": [counts.get(make, 0) for make in table["make"]],
    }
    return pa.Table.from_pandas(pd.DataFrame(columns), schema=LEVEL, preserve_index=False)
