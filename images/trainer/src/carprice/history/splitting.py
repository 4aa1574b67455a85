"""The split into training and test rows: a listing that is a test row once stays one."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pandas as pd

BUCKETS = 10_000


def is_test(listing_ids: pd.Series, test_share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Which listings are test rows: a boolean array of the length of `listing_ids`.

    The choice depends on the listing's id, `seed` and `test_share` (0 to 1) alone, not on the
    other rows, so every model is scored on rows that no model was trained on.
    """
    salt = f"{seed}:".encode()
    buckets = np.fromiter(
        (
            int.from_bytes(hashlib.blake2b(salt + str(i).encode(), digest_size=8).digest(), "big") % BUCKETS
            for i in listing_ids
        ),
        dtype=np.int64,
        count=len(listing_ids),
    )
    chosen: npt.NDArray[np.bool_] = buckets < round(test_share * BUCKETS)
    return chosen
