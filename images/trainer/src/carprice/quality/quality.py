"""Check one landed file: accept its good rows, quarantine the others, say what became of each."""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import DataRefused, NothingToDo
from carprice.landing.landing import fingerprint
from carprice.listings.headers import HEADERS, REQUIRED, Recognised, missing_sentence, recognise
from carprice.listings.reading import RawFile, read_raw
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import Parsed, parse
from carprice.listings.values import is_unknown
from carprice.params import Params, QualityParams
from carprice.store import DataRoot
from carprice_contract.data_root import LISTINGS, QUARANTINE, RAW, RECEIPTS

log = logging.getLogger(__name__)

WHOLE_FILE = "nothing is wrong with the row itself: the whole file was refused"

# shown of a refused row, so that its owner finds it again
_KEY_FIELDS = ("make", "model", "model_year", "mileage", "price_mad")
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


@dataclass(frozen=True)
class Outcome:
    """What became of a file and of its rows.

    `raw`, `found` and `parsed` are None where the file could not be read that far. `repeated` and
    `problems` (object: None for a row that may be used) have one entry per row of the file.
    """

    raw: RawFile | None
    found: Recognised | None
    parsed: Parsed | None
    repeated: npt.NDArray[np.bool_]
    problems: npt.NDArray[Any]
    reasons: dict[str, int]
    refusal: str | None

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


def check_data_quality(
    root: DataRoot, params: Params, file: str, sha256: str | None = None
) -> dict[str, Any]:
    """Deal with `raw/<file>`, whose content has this SHA-256, and return its receipt.

    Writes the accepted rows, the quarantined ones, the quality page and, last, the receipt. A file
    that has a receipt is not read again. Raises `DataRefused`, after writing the receipt, when the
    file as a whole can't be used, and `NothingToDo` when its content is no longer what was claimed.
    """
    if sha256 is not None and root.exists(f"{RECEIPTS}/{sha256}.json"):
        return _decided(root, sha256)
    try:
        seen_as = fingerprint(root, file)
        content = root.read_bytes(f"{RAW}/{file}")
    except FileNotFoundError as error:
        raise DataRefused(
            f"The file {file} was expected in {RAW}/, found none; it was removed before it was read: "
            "land it again."
        ) from error
    found_sha = hashlib.sha256(content).hexdigest()
    if sha256 is not None and sha256 != found_sha:
        raise NothingToDo(
            f"{file} changed after it was claimed ({sha256[:12]} was expected, found {found_sha[:12]}); "
            "its new content is claimed by the next run."
        )
    if root.exists(f"{RECEIPTS}/{found_sha}.json"):
        return _decided(root, found_sha)

    outcome = judge(content, file, params.quality)
    receipt = _receipt(file, found_sha, len(content), outcome)
    receipt["fingerprints"] = {file: seen_as}
    accepted = f"{LISTINGS}/{found_sha}.parquet"
    if outcome.refused.any() and outcome.raw is not None:
        root.write_bytes(f"{QUARANTINE}/{found_sha}.csv", quarantine_csv(outcome.raw, outcome))
    if outcome.refusal is None and outcome.parsed is not None:
        table = outcome.parsed.listings[outcome.parsed.good].copy()
        table["source_sha256"] = pd.Series(found_sha, index=table.index, dtype=object)
        root.write_parquet(accepted, table)
    else:
        root.remove(accepted)  # of a check that died under other settings
    root.write_text(receipt["quality_page"], quality_page(receipt, outcome, params.quality))
    root.write_json(f"{RECEIPTS}/{found_sha}.json", receipt)
    log.info(
        "%s: %d rows in, %d repeated, %d accepted, %d refused",
        file,
        receipt["rows_in"],
        receipt["rows_repeated"],
        receipt["rows_accepted"],
        receipt["rows_refused"],
    )
    if outcome.refusal is not None:
        raise DataRefused(outcome.refusal, result=receipt)
    return receipt


def judge(content: bytes, file: str, params: QualityParams) -> Outcome:
    """Read and check the bytes of a raw file; `file` is what sentences call it. Writes nothing."""
    nothing: npt.NDArray[Any] = np.zeros(0, dtype=object)
    try:
        raw = read_raw(content, file)
    except DataRefused as error:
        return Outcome(None, None, None, nothing.astype(bool), nothing, {}, f"{error}.")
    repeated = raw.repeated()
    problems: npt.NDArray[Any] = np.full(len(raw.table), None, dtype=object)
    found = recognise(list(raw.table.columns))
    if found.missing:
        refusal = f"In {file} {missing_sentence(found, raw.header)}."
        problems[~repeated] = WHOLE_FILE
        reasons = {WHOLE_FILE: int((~repeated).sum())}
        return Outcome(raw, found, None, repeated, problems, reasons, refusal)

    distinct = np.flatnonzero(~repeated)
    place = {int(row): position for position, row in enumerate(distinct)}
    faults = {place[row]: fault for row, fault in raw.faults.items() if row in place}
    parsed = parse(raw.table.iloc[distinct], require_price=True, faults=faults)
    problems[distinct] = parsed.problems.to_numpy(dtype=object)
    reasons = dict(parsed.reasons)
    usable = int(parsed.good.sum())
    refused = len(distinct) - usable
    verdict = _too_many_refused(file, refused, len(distinct), reasons, params) or _too_few(
        file, usable, params
    )
    if verdict is not None and usable:
        problems[distinct[parsed.good.to_numpy()]] = WHOLE_FILE
        reasons[WHOLE_FILE] = usable
    return Outcome(raw, found, parsed, repeated, problems, reasons, verdict)


def quarantine_csv(raw: RawFile, outcome: Outcome) -> bytes:
    """The refused rows in the file's own columns and words, then `line` and `reason`.

    In UTF-8 with a byte order mark, which spreadsheets recognise, and with the file's delimiter.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=raw.delimiter)
    writer.writerow([*raw.header, "line", "reason"])
    chosen = np.flatnonzero(outcome.refused)
    rows = raw.table.iloc[chosen].itertuples(index=False, name=None)
    writer.writerows(
        [*row, line, problem]
        for row, line, problem in zip(rows, raw.lines[chosen], outcome.problems[chosen], strict=True)
    )
    return text.getvalue().encode("utf-8-sig")


def quality_page(receipt: dict[str, Any], outcome: Outcome, params: QualityParams) -> str:
    """The HTML page that tells a data owner what became of a file, complete in itself."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("carprice.reports"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["thousands"] = _count
    return environment.get_template("quality.html").render(
        receipt=receipt,
        params=params,
        delimiter=_DELIMITER_NAMES.get(receipt["delimiter"] or "", ""),
        checked_at=datetime.fromisoformat(receipt["checked_at"]).strftime("%d %B %Y, %H:%M UTC"),
        columns=_columns(outcome),
        absent=_absent(outcome),
        required=[HEADERS[name][0] for name in REQUIRED],
        examples=_examples(outcome, params.example_rows),
        key_headers=_key_headers(outcome),
        whole_file=WHOLE_FILE,
    )


def _decided(root: DataRoot, sha256: str) -> dict[str, Any]:
    receipt: dict[str, Any] = root.read_json(f"{RECEIPTS}/{sha256}.json")
    log.info("%s is already %s: nothing to do", receipt["file"], receipt["status"])
    if receipt["status"] == "refused":
        raise DataRefused(receipt["refusal"], result=receipt)
    return receipt


def _too_many_refused(
    file: str, refused: int, rows: int, reasons: dict[str, int], params: QualityParams
) -> str | None:
    if refused <= params.max_refused_share * rows:
        return None
    reason, times = next(iter(reasons.items()))
    return (
        f"In {file} {refused:,} of {rows:,} rows ({refused / rows:.0%}) can't be used, at most "
        f"{params.max_refused_share:.0%} was expected (quality.max_refused_share); the most frequent "
        f"reason is: {reason} ({times:,} rows). Correct the rows and land the file again."
    )


def _too_few(file: str, usable: int, params: QualityParams) -> str | None:
    if usable >= params.min_rows:
        return None
    rows = "row" if usable == 1 else "rows"
    return (
        f"{file} holds {usable} usable {rows}, at least {params.min_rows} were expected (quality.min_rows): "
        "too few to learn from; land a file with more listings, or lower quality.min_rows in params.yaml."
    )


def _receipt(file: str, sha256: str, size: int, outcome: Outcome) -> dict[str, Any]:
    found = outcome.found
    return {
        "file": file,
        "names": [file],
        "sha256": sha256,
        "bytes": size,
        "status": "refused" if outcome.refusal else "accepted",
        "rows_in": len(outcome.problems),
        "rows_repeated": int(outcome.repeated.sum()),
        "rows_accepted": int(outcome.accepted.sum()),
        "rows_refused": int(outcome.refused.sum()),
        "refusal": outcome.refusal,
        "reasons": outcome.reasons,
        "unknown_columns": [*found.unknown, *found.second] if found else [],
        "missing_columns": [HEADERS[name][0] for name in found.missing] if found else [],
        "encoding": outcome.raw.encoding if outcome.raw else None,
        "delimiter": outcome.raw.delimiter if outcome.raw else None,
        "quality_page": f"reports/quality/{sha256}.html",
        "checked_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def _columns(outcome: Outcome) -> list[dict[str, Any]]:
    """One entry per column of the file: its name, what it is used as, how full it is, what stands in it."""
    raw, found = outcome.raw, outcome.found
    if raw is None or found is None:
        return []
    field_of = {column: name for name, column in found.columns.items()}
    rows = raw.table[~outcome.repeated]
    entries = []
    for column in raw.table.columns:
        counts = rows[column].value_counts()
        known = counts[[not is_unknown(str(value)) for value in counts.index]]
        name = field_of.get(column)
        if column == raw.index_column:
            use = "row number, not used"
        elif name is not None:
            use = HEADERS[name][0]
        elif column in found.second:
            use = "not used: another column says the same"
        else:
            use = "not known, kept aside"
        entries.append(
            {
                "name": column or "(no name)",
                "use": use,
                "known": name is not None,
                "required": name in REQUIRED,
                "filled": float(known.sum() / max(len(rows), 1)),
                "content": _content(name, known, outcome),
            }
        )
    return entries


def _content(name: str | None, known: pd.Series[int], outcome: Outcome) -> str:
    """What stands in a column, in a few words."""
    parsed = outcome.parsed
    canonical = {"mileage": "mileage_km_min"}.get(name or "", name or "")
    column = COLUMNS.get(canonical)
    if parsed is not None and column is not None and column.kind in {"number", "flag"}:
        values = parsed.listings.loc[parsed.good, canonical].dropna()
        if values.empty:
            return "no usable value"
        if column.kind == "flag":
            return f"yes in {values.mean():.0%} of the rows that say so"
        shown = str if canonical == "model_year" else _count
        low, middle, high = (shown(round(v)) for v in (values.min(), values.median(), values.max()))
        return f"{low} to {high}, half below {middle}"
    if known.empty:
        return "always empty"
    if len(known) > 1 and known.iloc[0] == 1:
        return f"{_count(len(known))} different values"
    top = ", ".join(f"{_short(str(value))} ({_count(times)})" for value, times in known.head(3).items())
    more = f" and {_count(len(known) - 3)} other values" if len(known) > 3 else ""
    return top + more


def _absent(outcome: Outcome) -> list[str]:
    """Optional columns that the file does not have, by their usual header."""
    if outcome.found is None:
        return []
    ours = {"listing_id", "mileage_km_min", "mileage_km_max", "scraped_at", "source_sha256"}
    return [
        headers[0]
        for name, headers in HEADERS.items()
        if name not in outcome.found.columns and name not in ours and name not in REQUIRED
    ]


def _key_headers(outcome: Outcome) -> list[str]:
    return (
        [outcome.found.columns[f] for f in _KEY_FIELDS if f in outcome.found.columns] if outcome.found else []
    )


def _examples(outcome: Outcome, most: int) -> list[dict[str, Any]]:
    """Refused rows to look at: some of each reason, in the order of the file."""
    if outcome.raw is None:
        return []
    rows = np.flatnonzero(outcome.refused)
    reasons = pd.Series(outcome.problems[rows], index=rows, dtype=object)
    reasons = reasons[reasons != WHOLE_FILE]
    chosen = reasons.groupby(reasons).cumcount().sort_values(kind="stable").index[:most].sort_values()
    headers = _key_headers(outcome)
    return [
        {
            "line": int(outcome.raw.lines[row]),
            "reason": outcome.problems[row],
            "values": [_short(str(value)) for value in outcome.raw.table[headers].iloc[row]],
        }
        for row in chosen
    ]


def _short(text: str, longest: int = 40) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _count(number: float) -> str:
    """A whole number with narrow no-break spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
