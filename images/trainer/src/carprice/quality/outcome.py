"""What becomes of a raw file and of each of its rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.listings.columns import Recognised, profiles_of, recognise, refusal_of
from carprice.listings.problems import RowProblem
from carprice.listings.reading import RawFile, read_raw
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import Parsed, parse
from carprice.params import QualityParams
from carprice.quality.repeats import first_rows

WHOLE_FILE = RowProblem("whole_file_refused").sentence()

FATES = ("accepted", "repeated", "unpriced", "not_used_car", "quarantined")
"""What becomes of a row: one of these, never two."""


@dataclass(frozen=True)
class Outcome:
    """What became of a file and of its rows.

    `raw`, `found` and `parsed` are None when reading stopped before them. `first_rows` (the row that each
    row equals, itself where it is the first) and `problems` (object: None for a row that may be used) have
    one entry per row of the file.
    """

    raw: RawFile | None
    found: Recognised | None
    parsed: Parsed | None
    first_rows: npt.NDArray[np.int64]
    problems: npt.NDArray[Any]
    reasons: dict[str, int]
    refusal: DataRefused | None

    @property
    def repeated(self) -> npt.NDArray[np.bool_]:
        """Which rows equal an earlier row, shape (rows,)."""
        repeated: npt.NDArray[np.bool_] = self.first_rows != np.arange(len(self.first_rows))
        return repeated

    @property
    def fates(self) -> npt.NDArray[Any]:
        """The fate of each row, one of `FATES`, shape (rows,)."""
        fates = np.full(len(self.problems), "quarantined", dtype=object)
        if self.parsed is not None:
            fates[~self.repeated] = self.parsed.fates
        if self.refusal:
            fates[fates == "accepted"] = "quarantined"
        fates[self.repeated] = "repeated"
        return fates

    def counts(self) -> dict[str, int]:
        """The rows of each of `FATES`."""
        fates = self.fates
        return {fate: int((fates == fate).sum()) for fate in FATES}

    @property
    def distinct_listings(self) -> int:
        """How many ads the rows are that can be used, whether the file is refused or not."""
        if self.parsed is None:
            return 0
        return int(self.parsed.listings.loc[self.parsed.good, "listing_id"].nunique())

    def listings(self) -> pd.DataFrame:
        """The accepted rows in canonical columns; none where the file could not be read as listings."""
        if self.parsed is None or self.refusal is not None:
            return pd.DataFrame(columns=list(COLUMNS))
        return self.parsed.listings[self.parsed.good]

    def columns(self) -> dict[str, str]:
        """Each column of the file and what it was taken for: a field, or why it is not used."""
        if self.raw is None or self.found is None:
            return {}
        field_of = {column: name for name, column in self.found.columns.items()}
        uses = {}
        for column in self.raw.table.columns:
            unused = "second" if column in self.found.second else "unknown"
            unused = "index" if column == self.raw.index_column else unused
            uses[column] = field_of.get(column, unused)
        return uses

    def row_reasons(self) -> npt.NDArray[Any]:
        """Why each row has its fate; None for an accepted row, shape (rows,)."""
        reasons = self.problems.copy()
        if self.raw is not None:
            first = self.raw.lines[self.first_rows]
            for row in np.flatnonzero(self.repeated):
                reasons[row] = f"the same as line {first[row]}"
        return reasons

    def listing_of_row(self) -> npt.NDArray[np.int64]:
        """The position in `parsed.listings` of each row's values, shape (rows,)."""
        position: npt.NDArray[np.int64] = np.cumsum(~self.repeated) - 1
        return position[self.first_rows]

    @property
    def accepted(self) -> npt.NDArray[np.bool_]:
        """Which rows go into the listings, shape (rows,)."""
        accepted: npt.NDArray[np.bool_] = self.fates == "accepted"
        return accepted

    @property
    def partial(self) -> npt.NDArray[np.bool_]:
        """Which accepted rows have no mileage or no fuel, shape (rows,)."""
        partial = np.zeros(len(self.problems), dtype=bool)
        if self.parsed is not None:
            partial[~self.repeated] = self.parsed.partial.to_numpy()
        return partial & self.accepted

    @property
    def refused(self) -> npt.NDArray[np.bool_]:
        """Which rows are quarantined, shape (rows,)."""
        refused: npt.NDArray[np.bool_] = self.fates == "quarantined"
        return refused


def outcome_of(
    content: bytes, file: str, params: QualityParams, rejection: DataRefused | None = None
) -> Outcome:
    """Read and check the bytes of a raw file; `file` is what sentences call it. Writes nothing.

    `rejection` refuses a file that could be used.
    """
    nothing: npt.NDArray[Any] = np.zeros(0, dtype=object)
    try:
        raw = read_raw(content, file)
    except DataRefused as error:
        unreadable = DataRefused(f"{error}.", code=error.code, params=error.params)
        return Outcome(None, None, None, nothing.astype(np.int64), nothing, {}, unreadable)
    firsts = first_rows(raw)
    repeated = firsts != np.arange(len(firsts))
    problems: npt.NDArray[Any] = np.full(len(raw.table), None, dtype=object)
    found = recognise(profiles_of(raw.table))
    no_columns = refusal_of(found, raw.header, file)
    if no_columns is not None:
        problems[~repeated] = WHOLE_FILE
        reasons = {WHOLE_FILE: int((~repeated).sum())}
        return Outcome(raw, found, None, firsts, problems, reasons, no_columns)

    distinct = np.flatnonzero(~repeated)
    place = {int(row): position for position, row in enumerate(distinct)}
    faults = {place[row]: fault for row, fault in raw.faults.items() if row in place}
    parsed = parse(raw.table.iloc[distinct], require_price=True, faults=faults)
    problems[distinct] = parsed.problems.to_numpy(dtype=object)
    reasons = dict(parsed.reasons)
    usable = int(parsed.good.sum())
    refused = int((parsed.fates == "quarantined").sum())
    refusal = _too_many_refused(file, refused, len(distinct), reasons, params)
    refusal = refusal or _too_few(file, usable, params) or rejection
    if refusal is not None and usable:
        problems[distinct[parsed.good.to_numpy()]] = WHOLE_FILE
        reasons[WHOLE_FILE] = usable
    return Outcome(raw, found, parsed, firsts, problems, reasons, refusal)


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
