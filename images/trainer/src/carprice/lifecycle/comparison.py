"""A candidate against production, on the newest listings that neither learned.

Whether a candidate must be better or only not worse depends on what it learned. Source of the second rule:
Piaggio and others, Reporting of Noninferiority and Equivalence Randomized Trials (JAMA, 2012).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd

from carprice.errors import UsageProblem
from carprice.history import snapshots
from carprice.history.seen import seen_at
from carprice.lifecycle.evaluation import prices_of, test_listings
from carprice.lifecycle.gates import Gate
from carprice.lifecycle.recent import newest
from carprice.lifecycle.registry import Registry
from carprice.lifecycle.training import learned_listings
from carprice.model.features import features_of
from carprice.model.metrics import Floats, regression_metrics, share_of_resamples_better, slice_metrics
from carprice.model.price_model import looks_mistyped
from carprice.params import Params, PromotionParams
from carprice.store import DataRoot

ReasonCode = Literal["learned_newer", "learned_little_newer", "learned_nothing_newer", "recent_window"]

REASONS: dict[ReasonCode, str] = {
    "learned_newer": "The candidate learned {newer} recent listings of files that version {version} does not "
    "know. So it must not be worse: with a confidence of {confidence_share}, its mean error must be below "
    "{allowed_share} of that of version {version}.",
    "learned_little_newer": "The candidate learned {newer} recent listings of files that version {version} "
    "does not know, fewer than {least}. So it must be better: with a confidence of {confidence_share}, its "
    "mean error must be below {allowed_share} of that of version {version}.",
    "learned_nothing_newer": "The candidate learned no recent listing of a file that version {version} does "
    "not know. So it must be better: with a confidence of {confidence_share}, its mean error must be below "
    "{allowed_share} of that of version {version}.",
    "recent_window": "Both versions are compared on the {rows} newest test listings that neither learned, "
    "seen since {since}. Groups of cars are compared on the same listings.",
}

# The first characters of a file's SHA-256 tell files apart.
_SHA_LENGTH = 12


@dataclass(frozen=True)
class Contest:
    """What is compared: two pipelines, and the listings that decide (canonical columns and `seen_at`).

    `version` is that in production. `rows` are the test listings that neither learned. `learned` are those
    that the candidate learned; their file and their time are enough. `known_files` has the first 12
    characters of the SHA-256 of each file that production knows.
    """

    version: str
    candidate: Any
    production: Any
    rows: pd.DataFrame
    learned: pd.DataFrame
    known_files: Collection[str]


def against_production(
    root: DataRoot, params: Params, registry: Registry, run: Any, production: Any
) -> tuple[list[Gate], dict[str, Any]]:
    """The gates of a run's model against the version in production, and what was compared, as JSON."""
    manifest = snapshots.manifest_of(root, run.data.tags["snapshot_id"])
    production_run = registry.get_run(str(production.run_id))
    rows = test_listings(root, run, production_run)
    contest = Contest(
        version=str(production.version),
        candidate=registry.load(run.data.tags["model_uri"]),
        production=registry.load(f"models:/{production.name}/{production.version}"),
        rows=rows.assign(seen_at=seen_at(manifest, rows)),
        learned=_learned(root, run, manifest),
        known_files=_files_of(root, registry, production_run),
    )
    return compare(contest, params)


def compare(contest: Contest, params: Params) -> tuple[list[Gate], dict[str, Any]]:
    """The gates of a candidate against production, and what was compared, as JSON."""
    limits = params.promotion
    rows = _window(contest, params.evaluation.recent_rows)
    compared: dict[str, Any] = {"production_version": contest.version, "rows": len(rows)}
    enough = Gate(
        "compared_rows",
        len(rows),
        ">=",
        limits.min_test_rows,
        "recent test listings that neither the candidate nor production learned, without odd prices",
    )
    if not enough.passed:
        # of a few listings, nearly all resamples say the same
        return [enough], compared
    newer = _newer(contest, rows["seen_at"].min())
    actual = rows["price_mad"].to_numpy(dtype=np.float64)
    candidate, champion = (prices_of(each, rows) for each in (contest.candidate, contest.production))
    whole = _whole_window(newer, actual, candidate, champion, limits)
    return [whole, _worst_slice(rows, candidate, champion, params), enough], compared | {
        "rule": whole.name,
        "reasons": _reasons(contest.version, newer, rows, limits),
        "candidate": regression_metrics(actual, candidate),
        "production": regression_metrics(actual, champion),
    }


def english(code: ReasonCode, params: dict[str, Any]) -> str:
    """The sentence of a reason."""
    shown = {
        name: f"{100 * value:g} %" if name.endswith("share") else value for name, value in params.items()
    }
    return REASONS[code].format(**shown)


def _window(contest: Contest, count: int) -> pd.DataFrame:
    """The newest `count` rows, and those of the same time, without the prices that both pipelines find odd.

    A price that only one of the two finds odd stays in: a bad model must not hide its own errors.
    """
    taken = count
    while True:
        rows = contest.rows[newest(contest.rows["seen_at"], taken)]
        odd = np.ones(len(rows), dtype=bool)
        if len(rows):
            actual = rows["price_mad"].to_numpy(dtype=np.float64)
            for each in (contest.candidate, contest.production):
                odd &= looks_mistyped(each, features_of(rows), actual)
        kept = rows[~odd]
        if len(kept) >= count or len(rows) == len(contest.rows):
            return kept[newest(kept["seen_at"], count)].reset_index(drop=True)
        taken *= 2


def _learned(root: DataRoot, run: Any, manifest: dict[str, Any]) -> pd.DataFrame:
    """The file of each listing that a run learned, and when it was seen: not the whole table."""
    listings = learned_listings(root, run)
    return listings[["source_sha256"]].assign(seen_at=seen_at(manifest, listings))


def _newer(contest: Contest, since: pd.Timestamp) -> int:
    """How many listings the candidate learned that are as recent as the window, of files new to it.

    In a short history the window reaches back to the oldest listing. So they must also be as recent as the
    newer half of what the candidate learned of files that production knows.
    """
    seen = contest.learned["seen_at"]
    known = contest.learned["source_sha256"].str[:_SHA_LENGTH].isin(set(contest.known_files))
    newer = ~known & (seen >= since)
    if known.any():
        newer &= seen >= seen[known].median()
    return int(newer.sum())


def _whole_window(
    newer: int, actual: Floats, candidate: Floats, champion: Floats, limits: PromotionParams
) -> Gate:
    confidence = share_of_resamples_better(
        _errors(candidate, actual),
        _errors(champion, actual),
        _margin(newer, limits),
        limits.bootstrap_resamples,
        limits.bootstrap_seed,
    )
    name, wanted = (
        ("not_worse_than_production", f"at most {100 * limits.newer_margin:g} % above")
        if newer >= limits.newer_rows
        else ("better_than_production", "below")
    )
    return Gate(
        name,
        confidence,
        ">=",
        limits.production_confidence,
        f"confidence that the mean error is {wanted} production's on the same recent rows (paired bootstrap)",
    )


def _worst_slice(rows: pd.DataFrame, candidate: Floats, champion: Floats, params: Params) -> Gate:
    least, year = params.evaluation.slice_min_rows, datetime.now(UTC).year
    its, theirs = (slice_metrics(rows, prices, least, year) for prices in (candidate, champion))
    worse = {name: _loss(its[name]["mape"], theirs[name]["mape"]) for name in its}
    worst = max(worse, key=lambda name: worse[name], default=None)
    return Gate(
        "worst_slice_loss",
        worse[worst] if worst else 0.0,
        "<=",
        params.promotion.max_slice_loss,
        "how much worse than production the worst slice of the recent rows is "
        f"({worst or 'no slice is large enough'})",
    )


def _errors(predicted: Floats, actual: Floats) -> Floats:
    """The relative error of each price, of shape (n,): infinite where it is no number."""
    errors: Floats = np.nan_to_num(np.abs(predicted - actual) / actual, nan=np.inf, posinf=np.inf)
    return errors


def _loss(its: float, theirs: float) -> float:
    """How far a mean error is above production's, as a share of that; infinite where it is no number."""
    if not np.isfinite(its):
        return np.inf
    if np.isnan(theirs):
        return -1.0
    if theirs == 0:
        return 0.0 if its == 0 else np.inf
    return its / theirs - 1


def _margin(newer: int, limits: PromotionParams) -> float:
    """How far above production's error, as a share of it, the candidate's may be."""
    return limits.newer_margin if newer >= limits.newer_rows else limits.production_margin


def _reasons(version: str, newer: int, rows: pd.DataFrame, limits: PromotionParams) -> list[dict[str, Any]]:
    """Which rule decides and why: `code`, `params` and `sentence` of each reason."""
    rule: dict[str, Any] = {
        "version": version,
        "confidence_share": limits.production_confidence,
        "allowed_share": round(1 + _margin(newer, limits), 6),
    }
    learned: tuple[ReasonCode, dict[str, Any]] = ("learned_nothing_newer", rule)
    if newer >= limits.newer_rows:
        learned = ("learned_newer", {"newer": newer} | rule)
    elif newer:
        learned = ("learned_little_newer", {"newer": newer, "least": limits.newer_rows} | rule)
    said: list[tuple[ReasonCode, dict[str, Any]]] = [
        learned,
        ("recent_window", {"rows": len(rows), "since": f"{rows['seen_at'].min():%Y-%m-%d}"}),
    ]
    return [{"code": code, "params": params, "sentence": english(code, params)} for code, params in said]


def _files_of(root: DataRoot, registry: Registry, run: Any) -> set[str]:
    """The files of the snapshot that a run was trained on, by the first 12 characters of their SHA-256."""
    try:
        manifest = snapshots.manifest_of(root, run.data.tags["snapshot_id"])
    except UsageProblem:
        # the snapshot is gone; a tag of the run is too short for the files of a long history
        manifest = registry.manifest_of(run.info.run_id)
    return {entry["sha256"][:_SHA_LENGTH] for entry in manifest["files"]}
