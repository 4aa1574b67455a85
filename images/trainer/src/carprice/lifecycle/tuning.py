"""Search the model's hyperparameters on the training rows, and say whether a change is worth it.

Source of the search: Bergstra, Bardenet, Bengio and Kégl, Algorithms for Hyper-Parameter Optimization
(2011), as Optuna has it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupKFold

from carprice.errors import DataRefused, UsageProblem
from carprice.history import snapshots
from carprice.history.seen import dated
from carprice.lifecycle.evaluation import Split
from carprice.lifecycle.registry import Registry
from carprice.lifecycle.training import listings_to_learn
from carprice.lifecycle.tuning_factors import FACTORS, ROUNDS, deviation_factor, matters, weight_factor
from carprice.model.features import (
    COLUMNS,
    ListingFeatures,
    features_of,
    partial_of,
)
from carprice.model.metrics import regression_metrics
from carprice.model.plain_values import EXTRA_CATEGORIES, Floats
from carprice.model.price_model import build_pipeline, flagged_in_training
from carprice.params import KernelTerm, Params, TrainingParams
from carprice.store import DataRoot

if TYPE_CHECKING:
    import optuna

log = logging.getLogger(__name__)

# A seller who posts a car again gets a new id and may change its price or fill in one field more; these
# stay. Mileage is a bracket, so some different cars share them too: they move to the other side
# together, which makes the held-out rows a little harder to price and never easier.
SAME_CAR = ["make", "model", "model_year", "mileage_km_min", "mileage_km_max"]


@dataclass(frozen=True)
class Fold:
    """Training rows and held-out rows that share no car: matrices of `ListingFeatures`, prices in MAD."""

    rows: Floats
    price_mad: Floats
    held_out_rows: Floats
    held_out_price_mad: Floats


def tune(
    root: DataRoot,
    params: Params,
    registry: Registry,
    snapshot_id: str,
    trials: int,
    folds: int,
    seed: int,
    rows: int | None = None,
    timeout_seconds: float | None = None,
) -> dict[str, Any]:
    """Search on the snapshot's training rows; returns what was found, the settings as YAML text included.

    The first trial is the current settings. `rows` draws that many training rows; no trial starts after
    `timeout_seconds`. Every trial is a child run of one parent run in MLflow. Changes no file.

    Raises `UsageProblem` for a number that makes no sense and `DataRefused` when the snapshot holds too
    few listings.
    """
    import mlflow

    for option, value, least in (
        ("trials", trials, 1),
        ("folds", folds, 2),
        ("seed", seed, 0),
        ("rows", rows, 1),
    ):
        if value is not None and value < least:
            raise UsageProblem(f"--{option} must be an integer >= {least}, found {value}; give another")
    if timeout_seconds is not None and timeout_seconds <= 0:
        raise UsageProblem(f"--timeout must be seconds > 0, found {timeout_seconds:g}; give another")
    manifest = snapshots.manifest_of(root, snapshot_id)
    chosen = Split(params.evaluation.test_share, params.evaluation.split_seed)
    training, _ = listings_to_learn(root, manifest, chosen, params.training)
    training = dated(manifest, training)
    if rows is not None and rows < len(training):
        training = training.sample(rows, random_state=seed).sort_index()
    training = training.reset_index(drop=True)
    if len(training) < params.training.min_rows:
        raise DataRefused(
            f"at least {params.training.min_rows} distinct training listings were expected "
            f"(training.min_rows), found {len(training)} of snapshot {manifest['id']}; "
            f"land more listings, or give --rows a larger number"
        )
    log.info("snapshot %s: finding prices that look mistyped in %d listings", manifest["id"], len(training))
    flagged = _looks_mistyped(training)
    split = folds_of(training, flagged, folds, seed)

    tags = {"kind": "tuning", "snapshot_id": manifest["id"]}
    with registry.run(name=f"tune-{manifest['id']}") as run:
        log.info("logging to MLflow run %s", run.info.run_id)
        mlflow.set_tags(tags)
        mlflow.log_params(
            {"trials": trials, "folds": folds, "seed": seed, "rows": len(training)}
            | {"rows_flagged": int(flagged.sum()), "timeout_seconds": timeout_seconds}
        )
        mlflow.log_dict(params.model_dump(), "params.yaml")

        def logged(number: int, settings: TrainingParams, searched: dict[str, float]) -> list[float]:
            with mlflow.start_run(
                experiment_id=registry.experiment_id, run_name=f"trial-{number}", nested=True, tags=tags
            ):
                mlflow.log_params({f"searched.{name}": value for name, value in searched.items()})
                mlflow.log_params(
                    {
                        f"training.{name}": getattr(settings, name)
                        for name in ("noise", "nu", "rounds", "extra_sd")
                    }
                )
                scores = []
                for index, fold in enumerate(split):
                    started = time.monotonic()
                    scores.append(error_of(settings, fold))
                    mlflow.log_metric("cv_mape_of_fold", scores[-1], step=index)
                    if number == index == 0:
                        _announce(time.monotonic() - started, trials, folds, timeout_seconds)
                mlflow.log_metrics({"cv_mape": float(np.mean(scores)), "cv_mape_spread": _deviation(scores)})
                return scores

        found = search(
            params.training, logged, trials, seed, timeout_seconds, _has_extra(split[0]), _has_days(split[0])
        )
        mlflow.log_metrics(
            {name: found[name] for name in ("current_mape", "best_mape", "difference", "standard_error")}
        )
        mlflow.set_tags({"advice": found["advice"], "recommended": str(found["recommended"]).lower()})
        mlflow.log_text(found["training_yaml"], "training.yaml")
    return {
        "run_id": run.info.run_id,
        "snapshot_id": manifest["id"],
        "rows": len(training),
        "rows_flagged": int(flagged.sum()),
        "folds": folds,
        "seed": seed,
        **found,
    }


def folds_of(training: pd.DataFrame, flagged: npt.NDArray[np.bool_], folds: int, seed: int) -> list[Fold]:
    """Divide the training listings (canonical columns, n rows) so that no car is on both sides.

    Rows that are `flagged`, of shape (n,), are trained on, where the model has to find them by itself,
    and never scored. Nor are listings without mileage or fuel: settings are judged on complete ones. Raises
    `DataRefused` when there are too few different cars for the folds.
    """
    features = features_of(training)
    price = training["price_mad"].to_numpy(dtype=np.float64)
    car = features.groupby(SAME_CAR, dropna=False, sort=False).ngroup().to_numpy()
    if car.max() + 1 < 2 * folds:
        raise DataRefused(
            f"at least {2 * folds} different cars were expected, two for each fold, found {car.max() + 1}; "
            f"land more listings, or ask for fewer folds"
        )
    scoreable = ~flagged & (partial_of(training) == 0)
    divided = []
    for inside, outside in GroupKFold(folds, shuffle=True, random_state=seed).split(features, groups=car):
        scored = outside[scoreable[outside]]
        # What the features learn depends on the rows alone: once per fold, not once per trial.
        learned = ListingFeatures()
        matrix = learned.fit_transform(features.iloc[inside])
        divided.append(Fold(matrix, price[inside], learned.transform(features.iloc[scored]), price[scored]))
    return divided


def error_of(settings: TrainingParams, fold: Fold) -> float:
    """The mean absolute percentage error, as a share, on the fold's held-out rows."""
    model = build_pipeline(settings).named_steps["price"].fit(fold.rows, fold.price_mad)
    return regression_metrics(fold.held_out_price_mad, model.predict(fold.held_out_rows))["mape"]


def search(
    current: TrainingParams,
    score: Callable[[int, TrainingParams, dict[str, float]], list[float]],
    trials: int,
    seed: int,
    timeout_seconds: float | None = None,
    with_extra: bool = True,
    with_market: bool = False,
) -> dict[str, Any]:
    """Search around the current settings; the first trial is those themselves.

    `score(number, settings, searched)` gives the error of each fold, the same folds each time.
    Returns `trials` (done), `best_trial`, the mean error over the folds (`current_mape`, `best_mape`) with
    its standard deviation (`current_spread`, `best_spread`), the paired `difference` with its
    `standard_error`, whether a change is `recommended`, that in words (`advice`) and the `training` section
    of the best trial as YAML text (`training_yaml`).
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    terms = [*current.terms, *(current.market_terms if with_market else ())]
    factors = {name: limits for name, limits in FACTORS.items() if matters(name, terms, with_extra)}
    rounds = sorted({*ROUNDS, current.rounds})
    scores: list[list[float]] = []
    tried: list[TrainingParams] = []
    started = time.monotonic()

    def objective(trial: optuna.Trial) -> float:
        searched: dict[str, float] = {
            name: trial.suggest_float(name, low, high, log=True) for name, (low, high) in factors.items()
        }
        searched["rounds"] = trial.suggest_categorical("rounds", rounds)
        settings = scaled(current, searched)
        scores.append(score(trial.number, settings, searched))
        tried.append(settings)
        means = [float(np.mean(s)) for s in scores]
        log.info(
            "trial %d of %d: mean error %.3f %% (current settings %.3f %%, best %.3f %%), %.0f s to go",
            len(means),
            trials,
            100 * means[-1],
            100 * means[0],
            100 * min(means),
            (time.monotonic() - started) / len(means) * (trials - len(means)),
        )
        return means[-1]

    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(2, min(10, trials // 4)))
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial(dict.fromkeys(factors, 1.0) | {"rounds": current.rounds})
    study.optimize(objective, n_trials=trials, timeout=timeout_seconds)

    best = study.best_trial.number
    gain = np.subtract(scores[0], scores[best])
    difference, error = float(gain.mean()), _deviation(gain) / len(gain) ** 0.5
    found = {
        "trials": len(scores),
        "best_trial": best,
        "current_mape": float(np.mean(scores[0])),
        "current_spread": _deviation(scores[0]),
        "best_mape": float(np.mean(scores[best])),
        "best_spread": _deviation(scores[best]),
        "difference": difference,
        "standard_error": error,
        "recommended": difference > error,
    }
    found["advice"] = _advice(found, len(gain))
    found["training_yaml"] = as_yaml(tried[best], found["advice"])
    return found


def scaled(current: TrainingParams, searched: dict[str, float]) -> TrainingParams:
    """The settings with each factor of `searched` applied (a missing one is 1), and its `rounds`.

    Numbers are rounded to three digits, as they stand in the text to paste: that is what was scored.
    """

    def term(old: KernelTerm) -> dict[str, Any]:
        near = {
            column: _times(weight, searched.get(weight_factor(column), 1.0))
            for column, weight in old.near.items()
        }
        return {
            "sd": _times(old.sd, searched.get(deviation_factor(old), 1.0)),
            "same": list(old.same),
            "near": near,
        }

    changed = {
        name: _times(getattr(current, name), searched.get(name, 1.0)) for name in ("noise", "nu", "extra_sd")
    }
    return TrainingParams.model_validate(
        current.model_dump()
        | changed
        | {
            "rounds": int(searched.get("rounds", current.rounds)),
            "terms": [term(old) for old in current.terms],
            "market_terms": [term(old) for old in current.market_terms],
        }
    )


def as_yaml(settings: TrainingParams, heading: str) -> str:
    """The `training` section for `params.yaml`, each setting under what it means."""
    import yaml

    lines = [f"# {heading}", "training:"]
    for name, field in TrainingParams.model_fields.items():
        lines.append(f"  # {field.description}")
        value = settings.model_dump()[name]
        if isinstance(value, list):
            lines.append(f"  {name}:")
            lines += [
                "    - " + yaml.safe_dump(v, default_flow_style=True, sort_keys=False, width=10_000).strip()
                for v in value
            ]
        else:
            lines.append(f"  {name}: " + yaml.safe_dump(value).removesuffix("...\n").strip())
    return "\n".join(lines) + "\n"


def _looks_mistyped(training: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which of the n training prices are not scored, of shape (n,).

    Under the default settings, whatever is searched or set: settings that called more prices mistyped
    would otherwise look better than they are.
    """
    pipeline = build_pipeline(TrainingParams())
    pipeline.fit(features_of(training), training["price_mad"].to_numpy(dtype=np.float64))
    return flagged_in_training(pipeline)


def _has_extra(fold: Fold) -> bool:
    """Whether the listings tell equipment, city or the like, without which `extra_sd` is idle."""
    return bool(fold.rows[:, [COLUMNS.index(column) for column in EXTRA_CATEGORIES]].max() > 0)


def _has_days(fold: Fold) -> bool:
    """Whether the listings are of several days, without which there is no market level to learn."""
    return bool(np.ptp(fold.rows[:, COLUMNS.index("month")]) > 0)


def _times(value: float, factor: float) -> float:
    return value if factor == 1 else float(f"{value * factor:.3g}")


def _deviation(values: list[float] | Floats) -> float:
    return float(np.std(values, ddof=1))


def _announce(fold_seconds: float, trials: int, folds: int, timeout_seconds: float | None) -> None:
    """Say how long it will take, once that can be known."""
    whole = fold_seconds * trials * folds
    log.info(
        "a fold takes about %.1f s: %d trials of %d folds about %s%s",
        fold_seconds,
        trials,
        folds,
        f"{whole:.0f} s" if whole < 120 else f"{whole / 60:.0f} minutes",
        "" if timeout_seconds is None else f", none started after {timeout_seconds:g} s",
    )


def _advice(found: dict[str, Any], folds: int) -> str:
    """What the figures say, in one sentence."""
    if found["best_trial"] == 0:
        return (
            f"Keep the current settings: none of {found['trials'] - 1} others had a smaller mean error than "
            f"their {found['current_mape']:.3%}."
        )
    figures = (
        f"the best of {found['trials']} trials has a mean error of {found['best_mape']:.3%}, the current "
        f"settings {found['current_mape']:.3%}; over {folds} folds the difference is "
        f"{found['difference']:.3%} with a standard error of {found['standard_error']:.3%}"
    )
    if found["recommended"]:
        return f"A change is recommended: {figures} (the best of many is flattered by having been chosen)."
    return f"Keep the current settings: {figures}, so it may be chance."
