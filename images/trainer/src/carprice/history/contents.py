"""What rows say, as hashes: whether two sightings or two files say the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from carprice.history.columnar import Hashes, Mask, hashes_of, mixed
from carprice.history.comparing import Codes
from carprice.history.parts import parts_of
from carprice.listings.schema import COLUMNS

_OF_THE_CAR = [name for name in COLUMNS if name not in ("listing_id", "scraped_at", "source_sha256")]


def content_of(table: pa.Table) -> str:
    """12 hexadecimal digits that tell whether two tables of rows (canonical columns) say the same."""
    digest = hashlib.sha256(f"{len(table)} {' '.join(table.column_names)}\n".encode())
    for column in table.column_names:
        # in parts: the texts of a million rows take memory
        for part in parts_of({"rows": table}, "rows", [column]):
            digest.update(hashes_of(part, column).astype("<u8", copy=False).tobytes())
    return digest.hexdigest()[:12]


class Contents:
    """The contents of the rows of files: `new` has those of all files, which have so many rows each.

    `with_car` are the numbers of the ids, in `names`, that rows with `given` ids have where these tell an ad
    only with the car.
    """

    def __init__(
        self,
        new: pa.Table,
        lengths: Sequence[int],
        given: Mask,
        names: npt.NDArray[np.object_],
        with_car: Codes,
    ) -> None:
        ends = np.cumsum(lengths)
        starts = ends - lengths
        header = " ".join(COLUMNS)
        self._plain = [hashlib.sha256(f"{length} {header}\n".encode()) for length in lengths]
        has_given = [bool(given[start:end].any()) for start, end in zip(starts, ends, strict=True)]
        self._with_car = [d.copy() if has else None for d, has in zip(self._plain, has_given, strict=True)]
        self._rows = len(new)
        found = np.zeros(len(new), dtype=np.uint64)
        for name in COLUMNS:
            hashes = hashes_of(new, name).astype("<u8", copy=False)
            others = hashes
            if name == "listing_id" and given.any():
                others = pd.util.hash_array(names[with_car], categorize=False).astype("<u8", copy=False)
            for place, (start, end) in enumerate(zip(starts, ends, strict=True)):
                self._plain[place].update(hashes[start:end].tobytes())
                digest = self._with_car[place]
                if digest is not None:
                    digest.update(others[start:end].tobytes())
            if name in _OF_THE_CAR:
                found = mixed([found, hashes])
        self._new = found
        self._known: dict[int, int] = {}

    def of(self, number: int, with_car: bool) -> str:
        """`content_of` the rows of the file of this number, with the ids that count."""
        digest = self._with_car[number] if with_car else None
        return (digest or self._plain[number]).hexdigest()[:12]

    def hashes(self, table: pa.Table, rows: npt.NDArray[np.int64]) -> Hashes:
        """A hash of what each of these rows says of its car; the table ends with the rows of the files."""
        known = len(table) - self._rows
        found = np.zeros(len(rows), dtype=np.uint64)
        old = rows < known
        found[~old] = self._new[rows[~old] - known]
        if old.any():
            unknown = np.array([row for row in rows[old].tolist() if row not in self._known], dtype=np.int64)
            if len(unknown):
                taken = table.select(_OF_THE_CAR).take(pa.array(unknown))
                hashes = np.zeros(len(unknown), dtype=np.uint64)
                for name in _OF_THE_CAR:
                    hashes = mixed([hashes, hashes_of(taken, name)])
                self._known.update(zip(unknown.tolist(), hashes.tolist(), strict=True))
            found[old] = [self._known[row] for row in rows[old].tolist()]
        return found
