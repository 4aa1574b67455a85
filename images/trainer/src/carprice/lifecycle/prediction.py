"""Batch prediction: a raw file in, the same rows with a price out."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from carprice import local_files
from carprice.lifecycle.registry import Registry
from carprice.listings import reading, tables
from carprice.listings.asked_days import ASKED_ON, asked_days
from carprice.model.features import features_of
from carprice.model.price_evidence import evidence_of
from carprice.model.price_warnings import MESSAGES, warnings_of_table
from carprice.spreadsheets import SpreadsheetWriter

log = logging.getLogger(__name__)

PRICE, LOW, HIGH = "predicted_price_mad", "low_mad", "high_mad"
EVIDENCE, WARNINGS, PROBLEM = "evidence", "warnings", "problem"
NOT_USED = "not_used_by_model"


def predict_file(
    registry: Registry, source: str, target: str, alias: str, asked_on: str | None = None
) -> dict[str, Any]:
    """Price every row of the raw file `source` with the version that `alias` names.

    A price is that of the day in the row's column `asked_on`, else of the day `asked_on`, else of today.

    Writes `target` (CSV, UTF-8, the source's delimiter): every input row in its order with its own
    columns and words, then the columns of `price_rows`.
    `target` appears as a whole or not at all. Raises `UsageProblem` when `source` can't be read or `target`
    can't be written, before anything is priced.
    """
    local_files.require_place_for(target, "--output")
    raw = reading.read_raw(local_files.read(source), os.path.basename(source))
    priced = price_rows(registry, raw, alias, asked_on)
    with local_files.writing(target) as output:
        both = pd.concat([raw.table.reset_index(drop=True), priced.reset_index(drop=True)], axis=1)
        SpreadsheetWriter(output, both.columns, raw.delimiter).write_table(both)
    without = int(priced[PRICE].isna().sum())
    log.info(
        "%d rows priced, %d without a price (see the column `%s`)", len(priced) - without, without, PROBLEM
    )
    return {"rows": len(priced), "priced": len(priced) - without, "without_price": without, "file": target}


def price_rows(
    registry: Registry, raw: reading.RawFile, alias: str, asked_on: str | None = None
) -> pd.DataFrame:
    """Price, low and high (whole MAD, missing where unknown), and words of each raw row.

    `evidence` says how much is known of such cars (`carprice.model.price_evidence`; low and high are missing
    where it is none), `warnings` why the price is less certain than usual, `problem` why there is no price.
    """
    loaded = registry.load_version(alias)
    parsed = tables.parse(raw.table, require_price=False, faults=raw.faults)
    days, without_day = asked_days(raw.table)
    problems = parsed.problems.copy()
    for row, problem in without_day.items():
        if problems.iloc[row] is None:
            problems.iloc[row] = problem.sentence()
    good = problems.isna().to_numpy()
    prices = np.full((len(raw.table), 3), np.nan)
    warnings, evidence = (np.full(len(raw.table), "", dtype=object) for _ in range(2))
    if good.any():
        asked = np.array([day or asked_on for day in days], dtype=object)
        listings = features_of(parsed.listings[good].assign(**{ASKED_ON: asked[good]}))
        priced = np.round(loaded.pipeline.predict(listings, return_interval=True))
        found = list(warnings_of_table(loaded.pipeline, listings))
        known = [evidence_of(each) for each in found]
        priced[np.array(known) == "none", 1:] = np.nan
        prices[good], evidence[good] = priced, known
        warnings[good] = [sentences_of(each) for each in found]
    columns: dict[str, Any] = {
        name: pd.array(prices[:, i], dtype="Float64").astype("Int64")
        for i, name in enumerate((PRICE, LOW, HIGH))
    }
    words = {EVIDENCE: evidence, WARNINGS: warnings, PROBLEM: problems.fillna("")}
    return pd.DataFrame(columns | words)


def sentences_of(warnings: Sequence[Mapping[str, Any]]) -> str:
    """The sentences of a row's warnings for one cell of a file; "" where there are none.

    One sentence names all fields that the model does not use.
    """
    unused = [warning for warning in warnings if warning["code"] == NOT_USED]
    sentences = [str(warning["message"]) for warning in warnings if warning["code"] != NOT_USED]
    if unused:
        names = ", ".join(str(warning["params"]["name"]) for warning in unused)
        sentences.append(MESSAGES[NOT_USED].format(name=names))
    return " ".join(sentences)
