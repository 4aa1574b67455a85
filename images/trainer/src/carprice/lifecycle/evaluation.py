"""Score a candidate on the listings that no model was ever trained on."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import DataRefused, UsageProblem
from carprice.history import snapshots
from carprice.history.car_groups import NEITHER, TEST, TRAINING
from carprice.history.seen import dated, seen_at
from carprice.lifecycle import model_card
from carprice.lifecycle.label_figures import label_figures
from carprice.lifecycle.recent import window
from carprice.lifecycle.registry import Registry
from carprice.lifecycle.typing_error_page import publish, read
from carprice.listings.market_prices import at_market_prices
from carprice.model.features import features_of
from carprice.model.market import market_level
from carprice.model.metrics import Floats, mean, regression_metrics, slice_metrics
from carprice.model.price_model import looks_mistyped
from carprice.model.typing_errors import typing_errors
from carprice.params import Params
from carprice.reports import paths
from carprice.store import DataRoot
from carprice.strict_json import finite

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """How a run chose its test rows; written with the run's parameters."""

    test_share: float
    seed: int

    @classmethod
    def of_run(cls, run: Any) -> Split:
        """The split that an MLflow run was trained with."""
        logged = run.data.params
        return cls(float(logged["evaluation.test_share"]), int(logged["evaluation.split_seed"]))

    def of_snapshot(
        self, root: DataRoot, snapshot_id: str, columns: Sequence[str] | None = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The listings of a snapshot, and the car group and the side of each, both of n rows.

        Of the listings all columns, or some, of which `listing_id` is one.
        """
        manifest, listings = snapshots.load(root, snapshot_id, columns)
        return listings, snapshots.split(root, manifest, listings, self.test_share, self.seed)


def evaluate(root: DataRoot, params: Params, registry: Registry, run_id: str) -> dict[str, Any]:
    """Score a run's model on its snapshot's test rows and log metrics and pictures to the run.

    Metrics named `test_*` are on all test rows, `test_unflagged_*` on those whose price does not
    look like a typing error, `test_recent_*` on the newest of these. `interval_coverage` is the share
    of prices inside the interval, `interval_width` its mean width as a share of the price. A metric that is
    no number, such as that of no rows, is NaN in the run and null in records.
    """
    import mlflow
    import mlflow.artifacts

    from carprice.lifecycle import pictures

    run = registry.get_run(run_id)
    listings = test_listings(root, run)
    actual = listings["price_mad"].to_numpy(dtype=np.float64)
    pipeline = registry.load(run.data.tags["model_uri"])
    predicted, low, high = pipeline.predict(features_of(listings), return_interval=True).T
    flagged = looks_mistyped(pipeline, features_of(listings), actual)
    covered = (low <= actual) & (actual <= high)
    slices = slice_metrics(
        listings[~flagged],
        predicted[~flagged],
        params.evaluation.slice_min_rows,
        datetime.now(UTC).year,
        covered[~flagged],
    )
    metrics = {f"test_{name}": value for name, value in regression_metrics(actual, predicted).items()}
    unflagged = regression_metrics(actual[~flagged], predicted[~flagged])
    metrics |= {f"test_unflagged_{name}": value for name, value in unflagged.items()}
    manifest = snapshots.manifest_of(root, run.data.tags["snapshot_id"])
    recent = ~flagged & window(seen_at(manifest, listings), flagged, params.evaluation.recent_rows)
    metrics |= {
        f"test_recent_{name}": value
        for name, value in regression_metrics(actual[recent], predicted[recent]).items()
    }
    for name, rows in (("unflagged", ~flagged), ("recent", recent)):
        metrics[f"test_{name}_interval_coverage"] = mean(covered[rows])
        metrics[f"test_{name}_interval_width"] = mean(((high - low) / predicted)[rows])
    with registry.run(run_id), tempfile.TemporaryDirectory() as folder:
        mlflow.log_metrics(metrics)
        mlflow.log_dict(finite({"metrics": metrics, "slices": slices}), "evaluation/evaluation.json")
        drawn = [
            draw(actual, predicted, flagged, folder)
            for draw in (pictures.predicted_against_actual, pictures.residuals)
        ]
        level = market_level(pipeline)
        if len(level):
            drawn.append(pictures.market(level, folder))
        for picture in drawn:
            mlflow.log_artifact(picture, "evaluation")
        importance = mlflow.artifacts.download_artifacts(
            artifact_uri=f"runs:/{run_id}/importance/importance.png", dst_path=folder
        )
        rated = label_figures(root, manifest, pipeline, listings[~flagged], params.market)
        mlflow.log_dict(finite({"labels": rated}), "evaluation/labels.json")
        page = model_card.render(
            run, manifest, metrics, slices, [importance, *drawn], level, float(actual.min()), rated
        )
        mlflow.log_text(page, "model_card.html")
        root.write_text(paths.model_card(run_id), page)
        in_training = mlflow.artifacts.download_artifacts(
            artifact_uri=f"runs:/{run_id}/data/typing_errors.csv", dst_path=folder
        )
        limit = params.training.typing_error_log_distance
        found = [read(in_training), typing_errors(listings[flagged], predicted[flagged], limit)]
        publish(root, pd.concat(found), [entry["sha256"] for entry in manifest["files"]], run_id)
    log.info(
        "%d test rows, %d look like typing errors; on the others: mean error %.1f %%, median error %.1f %%",
        len(actual), flagged.sum(), 100 * unflagged["mape"], 100 * unflagged["median_ape"],
    )  # fmt: skip
    return {
        "run_id": run_id,
        "snapshot_id": run.data.tags["snapshot_id"],
        "rows_test": len(actual),
        "rows_flagged": int(flagged.sum()),
        "metrics": metrics,
        "model_card": paths.model_card(run_id),
        "slices": {name: {"rows": m["rows"], "mape": m["mape"]} for name, m in slices.items()},
    }


def test_listings(root: DataRoot, *runs: Any) -> pd.DataFrame:
    """The test listings of the first run's snapshot, without every car that another of the runs trained on.

    The listings have the day that their price was asked on, because a model is judged on the price of that
    day. Raises what `test_rows` raises.
    """
    manifest, chosen = test_rows(root, *runs)
    return dated(manifest, snapshots.rows(root, manifest, chosen))


def test_rows(root: DataRoot, *runs: Any) -> tuple[dict[str, Any], npt.NDArray[np.bool_]]:
    """The manifest of the first run's snapshot, and which of its n listings are test listings, shape (n,).

    Those are left out that another of the runs trained on, and the car groups of which it trained on a part:
    two groups may have become one since. A listing that may be a copy of another one is left out, so that no
    car counts twice, and so is a car for parts, whose price no market knows. Raises `DataRefused` when there
    are fewer than two.
    """
    snapshot_id = runs[0].data.tags["snapshot_id"]
    listings, cars = Split.of_run(runs[0]).of_snapshot(root, snapshot_id, ["listing_id", "condition"])
    manifest = snapshots.manifest_of(root, snapshot_id)
    doubtful = snapshots.may_be_copies(root, manifest)
    chosen = (cars["side"] == TEST).to_numpy() & ~cars["listing_id"].isin(doubtful).to_numpy()
    chosen = chosen & at_market_prices(listings)
    for run in runs[1:]:
        touched = cars.loc[cars["listing_id"].isin(_trained_ids(root, run, snapshot_id)), "group"]
        chosen = chosen & ~cars["group"].isin(touched).to_numpy()
    if chosen.sum() < 2:
        whose = " that production did not learn" if len(runs) > 1 else ""
        raise DataRefused(
            f"at least 2 test listings{whose} were expected, found {chosen.sum()} in snapshot "
            f"{snapshot_id}; land more listings or raise evaluation.test_share"
        )
    return manifest, chosen


def _trained_ids(root: DataRoot, run: Any, snapshot_id: str) -> pd.Series[Any]:
    """The ids that the listings which a run trained on, or may have trained on, have in a snapshot."""
    split, own = Split.of_run(run), run.data.tags["snapshot_id"]
    manifest, sides = snapshots.manifest_of(root, snapshot_id), {TRAINING}
    try:
        its_manifest = snapshots.manifest_of(root, own)
    except UsageProblem:
        # a listing keeps its side or gets none, so this snapshot tells it, drawn as the run drew it
        log.warning(
            "snapshot %s of run %s is gone; its split of %s counts", own, run.info.run_id, snapshot_id
        )
        its_manifest, sides = manifest, {TRAINING, NEITHER}
    _, cars = split.of_snapshot(root, its_manifest["id"], ["listing_id"])
    learned = cars.loc[cars["side"].isin(sides), "listing_id"]
    return snapshots.ids_in(root, manifest, its_manifest, learned)


def prices_of(pipeline: Any, listings: pd.DataFrame) -> Floats:
    """The pipeline's price in MAD for each listing, of shape (n,)."""
    predicted: Floats = np.asarray(pipeline.predict(features_of(listings)), dtype=np.float64)
    return predicted
