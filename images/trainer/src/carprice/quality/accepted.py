"""The accepted rows of a file as Parquet, written as they come."""

from __future__ import annotations

from typing import IO

import pandas as pd

from carprice.listings.schema import COLUMNS
from carprice.quality.judging import JudgedRows


class AcceptedFile:
    """Writes accepted rows in canonical columns; `sha256` names the file that they come from."""

    def __init__(self, output: IO[bytes], sha256: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        types = {"text": pa.string(), "time": pa.timestamp("us", tz="UTC")}
        self._schema = pa.schema(
            [(name, types.get(column.kind, pa.float64())) for name, column in COLUMNS.items()]
        )
        self._writer = pq.ParquetWriter(output, self._schema)
        self._sha256 = sha256

    def add(self, rows: JudgedRows) -> None:
        """Write those of the rows that are accepted."""
        import pyarrow as pa

        listings = rows.listings
        if len(listings):
            listings = listings.assign(
                source_sha256=pd.Series(self._sha256, index=listings.index, dtype=object)
            )
            table = pa.Table.from_pandas(listings, schema=self._schema, preserve_index=False)
            self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file; the caller closes `output`."""
        self._writer.close()
