"""How good the production model is on listings that landed since, before any model is trained on them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from carprice.errors import NothingToDo, UsageProblem
from carprice.history import snapshots
from carprice.lifecycle.evaluation import test_listings
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.model.features import features_of
from carprice.model.metrics import Floats, regression_metrics, slice_metrics
from carprice.model.price_model import looks_mistyped
from carprice.monitoring.new_listings import Judged, judged_on
from carprice.params import LiveParams, Params
from carprice.reports.html import templates
from carprice.store import DataRoot

log = logging.getLogger(__name__)

AS_PROMISED: Final = "as promised"
WORSE: Final = "worse"
TOO_LITTLE: Final = "too little data"
Verdict = Literal["as promised", "worse", "too little data"]


@dataclass(frozen=True)
class Scored:
    """Listings with what a model says of them; all arrays of shape (n,), in MAD.

    `flagged` are prices that look like typing errors.
    """

    listings: pd.DataFrame
    asked: Floats
    predicted: Floats
    low: Floats
    high: Floats
    flagged: npt.NDArray[np.bool_]

    @property
    def error(self) -> Floats:
        """log(asked / predicted)."""
        found: Floats = np.log(self.asked / self.predicted)
        return found

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """Which prices lie inside their interval."""
        return (self.low <= self.asked) & (self.asked <= self.high)

    def figures(self, flagged_too: bool = False) -> dict[str, float]:
        """The metrics of `regression_metrics`, `interval_coverage` and `bias_log` (median log error).

        Of the prices that do not look mistyped, or of all of them. Empty with fewer than two.
        """
        rows = np.ones(len(self.asked), dtype=bool) if flagged_too else ~self.flagged
        if rows.sum() < 2:
            return {}
        return regression_metrics(self.asked[rows], self.predicted[rows]) | {
            "interval_coverage": float(self.covered[rows].mean()),
            "bias_log": float(np.median(self.error[rows])),
        }


@dataclass(frozen=True)
class Check:
    """One figure against its limit. From `low` to `high` it lies with the confidence asked for."""

    name: str
    value: float
    low: float
    high: float
    limit: float
    promised: float | None

    @property
    def verdict(self) -> Verdict:
        """Past the limit, inside it, or not sure on which side."""
        if self.low > self.limit:
            return WORSE
        return AS_PROMISED if self.high <= self.limit else TOO_LITTLE


@dataclass(frozen=True)
class Accuracy:
    """The live figures, those at promotion, and the verdict with each check behind it."""

    verdict: Verdict
    live: dict[str, float]
    live_all: dict[str, float]
    promised: dict[str, float]
    rows_flagged: int
    checks: list[Check]

    def record(self) -> dict[str, Any]:
        """The accuracy as JSON."""
        return {
            "verdict": self.verdict,
            "metrics": self.live,
            "metrics_all": self.live_all,
            "promised": self.promised,
            "rows_flagged": self.rows_flagged,
            "checks": [asdict(check) | {"verdict": check.verdict} for check in self.checks],
        }


def score_new_listings(
    root: DataRoot,
    params: Params,
    registry: Registry,
    shas: Sequence[str] = (),
    snapshot_id: str = "latest",
) -> dict[str, Any]:
    """Judge production on the listings of the files `shas` that it has not seen; the step's result.

    By default the files are those of the snapshot that production has not learned from. Doing it again
    replaces the report. Raises `NothingToDo` when no model is in production or nothing is new.
    """
    manifest = snapshots.manifest_of(root, snapshot_id)
    files = _wanted(root, registry, manifest, shas)
    judged = judged_on(root, registry, [entry["sha256"] for entry in files])
    new, repeated = judged.unseen(root, files)
    if len(new) == 0:
        raise NothingToDo(
            f"listings that version {judged.version} has not seen were expected, found all {repeated} known; "
            "it is judged on the next file that lands"
        )
    drawn = new.sample(min(len(new), params.live.max_rows), random_state=0).sort_index()
    pipeline = registry.load(judged.model_uri)
    live = score(pipeline, drawn)
    promised = score(pipeline, test_listings(root, judged.run))
    found = judge(live, promised, params.live)
    makes = _makes(live, promised, params.evaluation.slice_min_rows)
    report = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": judged.version,
        "run_id": judged.run.info.run_id,
        "snapshot_id": judged.snapshot_id,
        "file": files[-1]["file"],
        "sha256": files[-1]["sha256"],
        "files": files,
        "rows": len(new),
        "rows_scored": len(drawn),
        "rows_repeated": repeated,
        **found.record(),
        "makes": makes,
        "headline": headline(found, judged.version),
    }
    return _published(root, registry, judged, report)


def score(pipeline: Any, listings: pd.DataFrame) -> Scored:
    """What the pipeline says of listings (canonical columns with price, n rows) it was not trained on."""
    features = features_of(listings)
    asked = listings["price_mad"].to_numpy(dtype=np.float64)
    predicted, low, high = pipeline.predict(features, return_interval=True).T
    return Scored(listings, asked, predicted, low, high, looks_mistyped(pipeline, features, asked))


def judge(live: Scored, promised: Scored, params: LiveParams) -> Accuracy:
    """Compare live figures with those of the test rows at promotion, by bootstrap.

    Worse when any figure is past its limit with `confidence`; as promised when all are inside theirs with
    it; otherwise there is too little data. Source of the percentile intervals: Efron and Tibshirani, An
    Introduction to the Bootstrap (1993), chapter 13.
    """
    rows_flagged = int(live.flagged.sum())
    enough = len(live.asked) >= params.min_rows and len(promised.asked) - promised.flagged.sum() >= 2
    if not enough or len(live.asked) - rows_flagged < 2:
        checks: list[Check] = []
        verdict: Verdict = TOO_LITTLE
    else:
        checks = _checks(live, promised, params)
        said = {check.verdict for check in checks}
        verdict = WORSE if WORSE in said else TOO_LITTLE if TOO_LITTLE in said else AS_PROMISED
    return Accuracy(
        verdict,
        live.figures(),
        live.figures(flagged_too=True),
        promised.figures(),
        rows_flagged,
        checks,
    )


def headline(found: Accuracy, version: str) -> str:
    """The verdict in one sentence."""
    if not found.live:
        return f"version {version}: too few prices to say how good it is on new listings"
    figures = f"mean error {100 * found.live['mape']:.1f} %"
    if found.promised:
        figures += f", {100 * found.promised['mape']:.1f} % at promotion"
    words = {
        AS_PROMISED: f"version {version} is as good on new listings as promised",
        WORSE: f"version {version} is worse on new listings than promised",
        TOO_LITTLE: f"version {version}: too little data to say whether it is as good as promised",
    }
    return f"{words[found.verdict]} ({figures})"


def _checks(live: Scored, promised: Scored, params: LiveParams) -> list[Check]:
    kept, before = ~live.flagged, ~promised.flagged
    ape = (np.abs(live.predicted - live.asked) / live.asked)[kept]
    ape_before = (np.abs(promised.predicted - promised.asked) / promised.asked)[before]
    covered, covered_before = live.covered[kept], promised.covered[before]
    error = live.error[kept]
    random = np.random.default_rng(params.bootstrap_seed)
    draws = np.empty((params.bootstrap_resamples, 4))
    n, m = len(ape), len(ape_before)
    for i in range(params.bootstrap_resamples):
        now, then = random.integers(0, n, n), random.integers(0, m, m)
        draws[i] = (
            ape[now].mean(),
            ape[now].mean() / ape_before[then].mean() - 1,
            np.median(error[now]),
            covered_before[then].mean() - covered[now].mean(),
        )
    low, high = np.quantile(draws, (1 - params.confidence, params.confidence), axis=0)
    bias = float(np.median(error))
    # A bias is bad either way: what counts is how far from zero it is.
    bias_low = 0.0 if low[2] <= 0 <= high[2] else float(min(abs(low[2]), abs(high[2])))
    bias_high = float(max(abs(low[2]), abs(high[2])))

    def check(name: str, value: float, column: int, limit: float, promise: float | None) -> Check:
        return Check(name, float(value), float(low[column]), float(high[column]), limit, promise)

    return [
        check("mean error", ape.mean(), 0, params.max_mape, float(ape_before.mean())),
        check("growth of the mean error", ape.mean() / ape_before.mean() - 1, 1, params.max_loss, None),
        Check(
            "distance of asked from predicted prices",
            float(np.expm1(abs(bias))),
            float(np.expm1(bias_low)),
            float(np.expm1(bias_high)),
            params.max_bias,
            float(np.expm1(abs(np.median(promised.error[before])))),
        ),
        check(
            "loss of prices inside their interval",
            covered_before.mean() - covered.mean(),
            3,
            params.max_coverage_loss,
            None,
        ),
        # Of all rows: a model that is all wrong must not hide behind prices that look mistyped to it.
        Check(
            "prices that look mistyped",
            float(live.flagged.mean()),
            *_share_between(int(live.flagged.sum()), len(live.flagged), params.confidence),
            params.max_flagged_share,
            float(promised.flagged.mean()),
        ),
    ]


def _share_between(count: int, n: int, confidence: float) -> tuple[float, float]:
    """Exact bounds of a share, each with the confidence (Clopper and Pearson, Biometrika 26 (1934))."""
    low = float(stats.beta.ppf(1 - confidence, count, n - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(confidence, count + 1, n - count)) if count < n else 1.0
    return low, high


def _makes(live: Scored, promised: Scored, min_rows: int) -> list[dict[str, Any]]:
    """Live figures of each make with `min_rows` new listings, most of them first, and what was promised."""
    year = datetime.now(UTC).year
    now, then = (
        slice_metrics(s.listings[~s.flagged], s.predicted[~s.flagged], min_rows, year, s.covered[~s.flagged])
        for s in (live, promised)
    )
    found = [
        {
            "make": name.removeprefix("make="),
            **{key: figures[key] for key in ("rows", "mape", "median_ape", "interval_coverage")},
            "promised_mape": then[name]["mape"] if name in then else None,
        }
        for name, figures in now.items()
        if name.startswith("make=")
    ]
    return sorted(found, key=lambda make: -float(make["rows"] or 0))


def _wanted(
    root: DataRoot, registry: Registry, manifest: dict[str, Any], shas: Sequence[str]
) -> list[dict[str, Any]]:
    """The manifest's entries of `shas`, or of the files that production has not learned from."""
    files: list[dict[str, Any]] = manifest["files"]
    if not shas:
        run = registry.get_run(str(registry.require(PRODUCTION).run_id))
        learned = snapshots.manifest_of(root, run.data.tags["snapshot_id"])["files"]
        known = {entry["sha256"] for entry in learned}
        found = [entry for entry in files if entry["sha256"] not in known]
        if not found:
            raise NothingToDo(
                "files that production has not learned from were expected, found none in snapshot "
                f"{manifest['id']}"
            )
        return found
    registry.require(PRODUCTION)
    by_sha = {entry["sha256"]: entry for entry in files}
    missing = [sha for sha in shas if sha not in by_sha]
    if missing:
        raise UsageProblem(
            f"SHA-256 of files in snapshot {manifest['id']} were expected, found {', '.join(missing)}; "
            "run assemble-listings first"
        )
    return [entry for entry in files if entry["sha256"] in set(shas)]


def _published(root: DataRoot, registry: Registry, judged: Judged, report: dict[str, Any]) -> dict[str, Any]:
    """Write the report and put its figures on the version; the same version and files replace it."""
    files = report["files"]
    newest = datetime.fromisoformat(files[-1]["received_at"]).astimezone(UTC)
    digest = hashlib.sha256("\n".join(sorted(f["sha256"] for f in files)).encode()).hexdigest()[:8]
    name = f"reports/live/{newest:%Y%m%dT%H%M%SZ}-v{judged.version}-{digest}"
    report |= {"report": f"{name}.html"}
    root.write_text(f"{name}.html", templates().get_template("live.html").render(report=report))
    root.write_json(f"{name}.json", report)
    figures = {
        f"live_{key}": report["metrics"][key]
        for key in ("rows", "mape", "median_ape", "interval_coverage", "bias_log")
        if key in report["metrics"]
    }
    with registry.answering():
        for key, value in figures.items():
            # With the time the file was received a repetition is the same point, not another one.
            registry.client.log_metric(
                judged.run.info.run_id, key, value, timestamp=int(newest.timestamp() * 1000)
            )
    registry.tag_version(
        judged.version,
        **{
            "live.verdict": report["verdict"],
            "live.mape": f"{report['metrics']['mape']:.4f}" if report["metrics"] else "",
            "live.rows": str(report["rows_scored"]),
            "live.at": report["written_at"],
            "live.report": report["report"],
        },
    )
    log.info("%s; report at %s", report["headline"], root.uri(report["report"]))
    return report
