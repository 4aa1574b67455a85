"""The accepted rows of a file that landed earlier, read from `raw/` again."""

from __future__ import annotations

import io
from datetime import datetime

import pandas as pd

from carprice.history.snapshots import KnownNames
from carprice.listings.tables import as_canonical
from carprice.params import QualityParams
from carprice.quality.accepted import AcceptedFile
from carprice.quality.check import source_of
from carprice.quality.outcome import opened
from carprice.store import DataRoot


def accepted_rows(
    root: DataRoot,
    params: QualityParams,
    name: str,
    sha256: str,
    known: KnownNames,
    written_at: datetime | None,
) -> pd.DataFrame:
    """The rows (canonical columns) of the file `name` of the data root, whether it would be held or not.

    Its content has this SHA-256. `known` are the names that its titles were read by, and "3 hours ago" counts
    from `written_at`. Nothing is written. Raises `DataRefused` where this release can't read the file.
    """
    source, _ = source_of(root, name)
    outcome = opened(source, name.rsplit("/", 1)[-1], params, known, written_at)
    if outcome.refusal is not None:
        raise outcome.refusal
    output = io.BytesIO()
    listings = AcceptedFile(output, sha256)
    outcome.read([listings.add])
    if outcome.refusal is not None:
        raise outcome.refusal
    listings.close()
    if outcome.shared is not None:
        output = io.BytesIO()
        listings = AcceptedFile(output, sha256)
        outcome.identify([listings.add])
        listings.close()
    return as_canonical(pd.read_parquet(io.BytesIO(output.getvalue())))
