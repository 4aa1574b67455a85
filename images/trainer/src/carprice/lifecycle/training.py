"""Train a candidate on a snapshot and log all of it to MLflow."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from carprice.errors import DataRefused
from carprice.history import snapshots
from carprice.history.car_groups import TEST, TRAINING
from carprice.history.seen import dated
from carprice.lifecycle import left_out
from carprice.lifecycle.drawing import drawn
from carprice.lifecycle.evaluation import Split
from carprice.lifecycle.out_of_time import out_of_time, together
from carprice.lifecycle.registry import Registry
from carprice.lifecycle.saved_models import TRUSTED_TYPES
from carprice.listings.market_prices import at_market_prices
from carprice.listings.schema import FEATURES
from carprice.model.features import INPUTS, features_of, partial_of
from carprice.model.market import learned_days, market_level
from carprice.model.metrics import regression_metrics
from carprice.model.price_model import (
    build_pipeline,
    expected_in_training,
    flagged_in_training,
)
from carprice.model.signature import model_signature
from carprice.model.typing_errors import typing_errors
from carprice.params import Params, TrainingParams
from carprice.spreadsheets import csv_text
from carprice.store import DataRoot
from carprice.strict_json import finite

log = logging.getLogger(__name__)

DRAWN_BY = (
    "listing_id", "make", "model", "scraped_at", "mileage_km_min", "mileage_km_max", "fuel", "condition",
)  # fmt: skip
"""The columns that decide which listings are learned (`rows_to_learn`)."""

LEARNED_FROM = ("listing_id", "price_mad", "scraped_at", "source_sha256", *FEATURES)
"""The columns that learning takes: links and titles take as much memory as all of these."""


def fit(listings: pd.DataFrame, params: Params, same_car: npt.NDArray[np.int64] | None = None) -> Pipeline:
    """Fit the pipeline on training listings (canonical columns, n rows).

    With `asked_on`, the day of each price, it learns how the market moved. `same_car` is that of
    `PriceModel.fit`.
    """
    pipeline = build_pipeline(params.training)
    log.info("fitting on %d listings", len(listings))
    # Not `pipeline.fit`, which keeps the features of all listings until the end.
    rows = pipeline.named_steps["features"].fit_transform(features_of(listings))
    pipeline.named_steps["price"].fit(rows, listings["price_mad"].to_numpy(dtype=np.float64), same_car)
    return pipeline


def rows_to_learn(training: pd.DataFrame, params: TrainingParams) -> pd.DataFrame:
    """The training listings (canonical columns) that a model learns: at most `max_rows`, by `listing_id`.

    Where there are more, they are drawn (see `carprice.lifecycle.drawing`). The order of `training` makes
    no difference. Partial listings only take the room that complete ones leave, and none where their weight
    is 0. Cars for parts are not learned: nobody asks a market price for them.
    """
    training = training[at_market_prices(training)]
    partial = partial_of(training) != 0
    complete = drawn(training[~partial], params.max_rows, params.drawing_seed)
    room = params.max_rows - len(complete) if params.partial_weight else 0
    rest = drawn(training[partial], room, params.drawing_seed)
    return pd.concat([complete, rest]).sort_values("listing_id", kind="stable", ignore_index=True)


def listings_to_learn(
    root: DataRoot,
    manifest: dict[str, Any],
    split: Split,
    params: TrainingParams,
    columns: Sequence[str] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The listings of a snapshot that a model learns (canonical columns, or some), by `listing_id`.

    Also the columns `listing_id`, `group`, `side` and `at_market_price` (not a car for parts) of all n
    listings. Only the learned ones are read as a whole.
    """
    listings, cars = split.of_snapshot(root, manifest["id"], DRAWN_BY)
    learned = rows_to_learn(listings[(cars["side"] == TRAINING).to_numpy()], params)["listing_id"]
    rows = snapshots.rows(root, manifest, listings["listing_id"].isin(learned).to_numpy(), columns)
    sides = cars[["listing_id", "group", "side"]].assign(at_market_price=at_market_prices(listings))
    return rows.sort_values("listing_id", kind="stable", ignore_index=True), sides


def learned_listings(root: DataRoot, run: Any) -> pd.DataFrame:
    """The listings of its snapshot that a run learned, by `listing_id`."""
    kinds = {"max_rows": int, "drawing_seed": int, "partial_weight": float}
    # a run of an earlier release may have logged fewer
    logged = {
        name: kind(run.data.params[f"training.{name}"])
        for name, kind in kinds.items()
        if f"training.{name}" in run.data.params
    }
    manifest = snapshots.manifest_of(root, run.data.tags["snapshot_id"])
    return listings_to_learn(root, manifest, Split.of_run(run), TrainingParams(**logged))[0]


def importance_of(pipeline: Pipeline, listings: pd.DataFrame) -> pd.DataFrame:
    """How much worse prices get when one column is shuffled.

    Returns columns `feature`, `importance` (increase of the mean absolute log error), `spread`
    (standard deviation over 3 shuffles), largest first. Source: Breiman (2001), permutation importance.
    """
    sample = listings.sample(min(len(listings), 800), random_state=0)
    features = features_of(sample)
    varying = [column for column in INPUTS if features[column].nunique(dropna=False) > 1]
    fixed = features.drop(columns=varying)

    def score(_: Any, varied: pd.DataFrame, price: npt.NDArray[np.float64]) -> float:
        predicted = pipeline.predict(pd.concat([varied, fixed], axis=1)[list(INPUTS)])
        return -float(np.abs(np.log(predicted) - np.log(price)).mean())

    found = permutation_importance(
        pipeline,
        features[varying],
        sample["price_mad"].to_numpy(dtype=np.float64),
        scoring=score,
        n_repeats=3,
        random_state=0,
    )
    table = pd.DataFrame(
        {"feature": varying, "importance": found.importances_mean, "spread": found.importances_std}
    )
    return table.sort_values("importance", ascending=False, ignore_index=True)


def train(root: DataRoot, params: Params, registry: Registry, snapshot_id: str) -> dict[str, Any]:
    """Train on the snapshot's training rows; returns the step's result.

    Raises `DataRefused` when the snapshot holds too few listings to train and test on.
    """
    import mlflow
    import mlflow.sklearn

    from carprice.lifecycle import pictures

    manifest = snapshots.manifest_of(root, snapshot_id)
    split = Split(params.evaluation.test_share, params.evaluation.split_seed)
    training, cars = listings_to_learn(root, manifest, split, params.training, LEARNED_FROM)
    doubtful = snapshots.may_be_copies(root, manifest)
    training = dated(manifest, training)
    in_test = (cars["side"] == TEST).to_numpy() & ~cars["listing_id"].isin(doubtful).to_numpy()
    in_test &= cars["at_market_price"].to_numpy()
    rows_test = int(in_test.sum())
    available = int((cars["side"] == TRAINING).sum())
    places = pd.Index(cars["listing_id"]).get_indexer(pd.Index(training["listing_id"]))
    same_car = pd.factorize(cars["group"].to_numpy(dtype=object)[places])[0]
    del cars
    if len(training) < params.training.min_rows:
        raise DataRefused(
            f"at least {params.training.min_rows} distinct training listings were expected "
            f"(training.min_rows), found {len(training)} in snapshot {manifest['id']}; land more listings"
        )
    log.info("snapshot %s: %d listings to train on, %d to test on", manifest["id"], len(training), rows_test)
    partial = int((partial_of(training) != 0).sum())
    log.info("%d of the listings to learn have no mileage or no fuel", partial)
    pipeline = fit(training, params, same_car)
    flagged, expected = flagged_in_training(pipeline), expected_in_training(pipeline)
    clean = training[~flagged]
    log.info("%d training prices look like typing errors and have no say", flagged.sum())
    metrics = regression_metrics(clean["price_mad"].to_numpy(dtype=np.float64), expected[~flagged])
    importance = importance_of(pipeline, clean)
    doubted = np.isin(np.arange(len(in_test)), places[flagged])
    errors = snapshots.rows(root, manifest, doubted).sort_values("listing_id", kind="stable")
    errors = typing_errors(errors, expected[flagged], params.training.typing_error_log_distance)
    tested = dated(manifest, snapshots.rows(root, manifest, in_test, LEARNED_FROM))
    folds = out_of_time(pipeline, training, tested, params)
    later = {f"oot_{name}": value for name, value in together(folds).items()}

    with registry.run(name=f"snapshot-{manifest['id']}") as run, tempfile.TemporaryDirectory() as folder:
        log.info("logging to MLflow run %s", run.info.run_id)
        mlflow.log_params(
            {
                f"training.{key}": value
                for key, value in params.training.model_dump().items()
                if not isinstance(value, list)
            }
            | {f"evaluation.{key}": value for key, value in params.evaluation.model_dump().items()}
            | {"model": type(pipeline.named_steps["price"]).__name__}
        )
        mlflow.log_dict(params.model_dump(), "params.yaml")
        # What all other training listings say of each one: honest, unlike the fit itself.
        mlflow.log_metrics({f"train_loo_{name}": value for name, value in metrics.items()})
        mlflow.log_metrics({"train_rows": float(len(training)), "train_rows_partial": float(partial)})
        mlflow.log_metrics(
            {"train_rows_flagged": float(flagged.sum()), "train_rows_available": float(available)}
        )
        mlflow.log_metrics(later)
        mlflow.log_dict(finite({"folds": [fold.record() for fold in folds]}), "evaluation/out_of_time.json")
        # what holds of prices, learned or given
        mlflow.log_dict(finite(_effects(pipeline)), "effects/effects.json")
        mlflow.log_text(market_level(pipeline).to_csv(index=False), "effects/market_level.csv")
        days = learned_days(pipeline)
        if days is not None:
            mlflow.set_tags({"first_day": days.first, "newest_day": days.newest})
        mlflow.log_dict(manifest, "data/manifest.json")
        mlflow.log_artifact(left_out.write(pipeline, training["listing_id"], folder), left_out.FOLDER)
        mlflow.log_text(csv_text(errors), "data/typing_errors.csv")
        mlflow.log_text(csv_text(importance), "importance/importance.csv")
        mlflow.log_artifact(pictures.importance(importance, folder), "importance")
        logged = mlflow.sklearn.log_model(
            pipeline,
            name="model",
            serialization_format="skops",
            skops_trusted_types=TRUSTED_TYPES,
            signature=model_signature(),
            input_example=features_of(clean.head(3)),
            # Named here, because finding them out takes MLflow longer than training.
            pip_requirements=[
                f"{name}=={version(name)}" for name in ("scikit-learn", "skops", "pandas", "numpy")
            ],
        )
        mlflow.set_tags(
            {
                "snapshot_id": manifest["id"],
                "files": ", ".join(entry["file"] for entry in manifest["files"])[:4000],
                "sha256": ", ".join(entry["sha256"][:12] for entry in manifest["files"])[:4000],
                "model_uri": logged.model_uri,
            }
        )
    return {
        "run_id": run.info.run_id,
        "model_uri": logged.model_uri,
        "snapshot_id": manifest["id"],
        "rows_train": len(training),
        "rows_partial": partial,
        "rows_test": rows_test,
        "rows_flagged": int(flagged.sum()),
        "metrics": metrics | later,
    }


def _effects(pipeline: Pipeline) -> dict[str, Any]:
    """The noise and the effects that the model has, as `params.yaml` may hold them."""
    level = pipeline.named_steps["price"].level_
    return {"noise": level.noise, "terms": list(level.terms)}
