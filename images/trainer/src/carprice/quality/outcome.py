"""What becomes of a raw file and of each of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.listings.headers import Recognised, missing_columns, recognise
from carprice.listings.problems import RowProblem
from carprice.listings.reading import RawFile, read_raw
from carprice.listings.tables import Parsed, parse
from carprice.params import QualityParams

WHOLE_FILE = RowProblem("whole_file_refused").sentence()


@dataclass(frozen=True)
class Outcome:
    """What became of a file and of its rows.

    `raw`, `found` and `parsed` are None when reading stopped before them. `repeated` and
    `problems` (object: None for a row that may be used) have one entry per row of the file.
    """

    raw: RawFile | None
    found: Recognised | None
    parsed: Parsed | None
    repeated: npt.NDArray[np.bool_]
    problems: npt.NDArray[Any]
    reasons: dict[str, int]
    refusal: DataRefused | None

    @property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """Which rows go into the listings, shape (rows,)."""
        if self.refusal:
            return np.zeros(len(self.problems), dtype=bool)
        return ~self.repeated & pd.isna(self.problems)

    @property
    def refused(self) -> npt.NDArray[np.bool_]:
        """Which rows are quarantined, shape (rows,)."""
        return ~self.repeated & ~self.accepted


def outcome_of(content: bytes, file: str, params: QualityParams) -> Outcome:
    """Read and check the bytes of a raw file; `file` is what sentences call it. Writes nothing."""
    nothing: npt.NDArray[Any] = np.zeros(0, dtype=object)
    try:
        raw = read_raw(content, file)
    except DataRefused as error:
        unreadable = DataRefused(f"{error}.", code=error.code, params=error.params)
        return Outcome(None, None, None, nothing.astype(bool), nothing, {}, unreadable)
    repeated = raw.repeated()
    problems: npt.NDArray[Any] = np.full(len(raw.table), None, dtype=object)
    found = recognise(list(raw.table.columns))
    if found.missing:
        no_columns = missing_columns(found, raw.header, file)
        problems[~repeated] = WHOLE_FILE
        reasons = {WHOLE_FILE: int((~repeated).sum())}
        return Outcome(raw, found, None, repeated, problems, reasons, no_columns)

    distinct = np.flatnonzero(~repeated)
    place = {int(row): position for position, row in enumerate(distinct)}
    faults = {place[row]: fault for row, fault in raw.faults.items() if row in place}
    parsed = parse(raw.table.iloc[distinct], require_price=True, faults=faults)
    problems[distinct] = parsed.problems.to_numpy(dtype=object)
    reasons = dict(parsed.reasons)
    usable = int(parsed.good.sum())
    refused = len(distinct) - usable
    refusal = _too_many_refused(file, refused, len(distinct), reasons, params)
    refusal = refusal or _too_few(file, usable, params)
    if refusal is not None and usable:
        problems[distinct[parsed.good.to_numpy()]] = WHOLE_FILE
        reasons[WHOLE_FILE] = usable
    return Outcome(raw, found, parsed, repeated, problems, reasons, refusal)


def _too_many_refused(
    file: str, refused: int, rows: int, reasons: dict[str, int], params: QualityParams
) -> DataRefused | None:
    if refused <= params.max_refused_share * rows:
        return None
    reason, times = next(iter(reasons.items()))
    share = refused / rows
    return DataRefused(
        f"In {file} {thousands(refused)} of {thousands(rows)} rows ({share:.0%}) can't be used, but at most "
        f"{params.max_refused_share:.0%} was expected (quality.max_refused_share). The most frequent "
        f"reason is: {reason} ({thousands(times)} rows). Correct the rows and land the file again.",
        code="too_many_refused_rows",
        params={
            "refused": refused,
            "rows": rows,
            "share": share,
            "most_share": params.max_refused_share,
            "reason": reason,
            "times": times,
        },
    )


def _too_few(file: str, usable: int, params: QualityParams) -> DataRefused | None:
    if usable >= params.min_rows:
        return None
    rows = "row" if usable == 1 else "rows"
    return DataRefused(
        f"{file} holds {usable} usable {rows}, but at least {params.min_rows} were expected "
        "(quality.min_rows). Land a file with more listings, or lower quality.min_rows in params.yaml.",
        code="too_few_rows",
        params={"usable": usable, "least": params.min_rows},
    )
