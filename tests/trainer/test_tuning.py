"""The search for hyperparameters: honest, repeatable, told to MLflow, and it changes nothing by itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from carprice import cli
from carprice.errors import DataRefused, UsageProblem
from carprice.history import snapshots
from carprice.history.splitting import is_test
from carprice.lifecycle import tuning
from carprice.lifecycle.registry import Registry
from carprice.listings import reading, sample, tables
from carprice.params import KernelTerm, Params, TrainingParams
from carprice.params_file import parse_params
from carprice.store import DataRoot

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMS = Params()
Tune = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 300, 3)
    raw = reading.read_raw(path.read_bytes())
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    good = parsed.listings[parsed.problems.isna()]
    return good.drop_duplicates("listing_id", keep="last").reset_index(drop=True)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with a tracking database, which takes seconds to make, and nothing in it."""
    folder = tmp_path_factory.mktemp("empty")
    Registry(DataRoot(str(folder)))
    return folder


@pytest.fixture
def root(empty: Path, tmp_path: Path) -> DataRoot:
    shutil.copytree(empty, tmp_path, dirs_exist_ok=True)
    return DataRoot(str(tmp_path))


@pytest.fixture
def registry(root: DataRoot) -> Registry:
    return Registry(root)


def snapshot_of(table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every snapshot holds the listings of the table."""
    received = {"sha256": "0" * 64, "received_at": "2026-01-01T00:00:00+00:00"}
    manifest = {"id": "0123456789ab", "files": [received]}
    monkeypatch.setattr(snapshots, "manifest_of", lambda *_: manifest)
    monkeypatch.setattr(snapshots, "load", lambda *_: (manifest, table))
    monkeypatch.setattr(snapshots, "rows", lambda _, __, chosen: table[chosen].reset_index(drop=True))


@pytest.fixture
def tune(root: DataRoot, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Tune:
    def small(table: pd.DataFrame, **options: Any) -> dict[str, Any]:
        snapshot_of(table, monkeypatch)
        wanted = {"trials": 3, "folds": 2, "seed": 0} | options
        return tuning.tune(root, PARAMS, registry, "latest", **wanted)

    return small


def findings(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "run_id"}


def fold_scores(*trials: list[float]) -> Callable[..., list[float]]:
    """A stand-in for fitting: the errors that each trial has in each fold."""
    return lambda number, *_: trials[number]


def test_what_the_test_rows_say_makes_no_difference(tune: Tune, listings: pd.DataFrame) -> None:
    in_test = is_test(listings["listing_id"], PARAMS.evaluation.test_share, PARAMS.evaluation.split_seed)
    assert in_test.sum() > 20
    poisoned = listings.copy()
    poisoned.loc[in_test, "price_mad"] *= 1000
    poisoned.loc[in_test, ["make", "model", "model_year"]] = ["Zorglub", "One", 1950]
    expected = findings(tune(listings))
    assert findings(tune(poisoned)) == expected
    assert findings(tune(listings[~in_test])) == expected


def test_what_the_training_rows_say_makes_a_difference(tune: Tune, listings: pd.DataFrame) -> None:
    other = listings.assign(price_mad=listings["price_mad"].to_numpy()[::-1])
    assert tune(other, trials=1)["current_mape"] != tune(listings, trials=1)["current_mape"]


def test_the_same_seed_finds_the_same_and_another_tries_others(tune: Tune, listings: pd.DataFrame) -> None:
    first, again = tune(listings, rows=150), tune(listings, rows=150)
    assert findings(again) == findings(first)
    assert first["rows"] == 150
    assert tune(listings, rows=150, seed=1)["current_mape"] != first["current_mape"]


def test_each_trial_is_a_child_run_of_one_parent(
    tune: Tune, listings: pd.DataFrame, registry: Registry
) -> None:
    result = tune(listings)
    runs = {run.info.run_id: run for run in registry.client.search_runs([registry.experiment_id])}
    parent = runs.pop(result["run_id"])
    assert parent.info.run_name == "tune-0123456789ab"
    assert parent.data.tags["kind"] == "tuning"
    assert parent.data.metrics["best_mape"] == result["best_mape"]
    assert {run.info.run_name for run in runs.values()} == {"trial-0", "trial-1", "trial-2"}
    for run in runs.values():
        assert run.data.tags["mlflow.parentRunId"] == result["run_id"]
        assert run.data.tags["kind"] == "tuning"
        assert run.info.status == "FINISHED"
        folds = registry.client.get_metric_history(run.info.run_id, "cv_mape_of_fold")
        assert run.data.metrics["cv_mape"] == pytest.approx(np.mean([fold.value for fold in folds]))
    first = next(run for run in runs.values() if run.info.run_name == "trial-0")
    assert first.data.metrics["cv_mape"] == result["current_mape"]
    assert first.data.params["training.noise"] == str(PARAMS.training.noise)


def test_the_section_to_paste_is_accepted_and_is_the_artifact(
    tune: Tune, listings: pd.DataFrame, registry: Registry, tmp_path: Path
) -> None:
    result = tune(listings)
    assert isinstance(parse_params(result["training_yaml"]), Params)
    logged = registry.client.download_artifacts(result["run_id"], "training.yaml", str(tmp_path))
    assert Path(logged).read_text() == result["training_yaml"]


def test_the_command_prints_the_section_and_leaves_the_settings_file_alone(
    root: DataRoot,
    listings: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "params.yaml"
    file.write_bytes((REPOSITORY / "params.yaml").read_bytes())
    file.chmod(0o444)
    before = file.stat()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", root.location)
    monkeypatch.delenv("CARPRICE_PARAMS_FILE", raising=False)
    snapshot_of(listings, monkeypatch)
    assert cli.main(["tune", "--trials", "2", "--folds", "2", "--rows", "120"]) == 0
    assert isinstance(parse_params(capsys.readouterr().out), Params)
    assert file.read_bytes() == (REPOSITORY / "params.yaml").read_bytes()
    assert file.stat().st_mtime_ns == before.st_mtime_ns


def test_every_trial_and_the_time_it_takes_are_told(
    tune: Tune, listings: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    tune(listings)
    told = [record.getMessage() for record in caplog.records]
    assert sum("a fold takes about" in line for line in told) == 1
    assert [line.split(":")[0] for line in told if line.startswith("trial ")] == [
        f"trial {i} of 3" for i in (1, 2, 3)
    ]


def test_no_car_is_on_both_sides_of_a_fold_and_none_mistyped_is_scored(listings: pd.DataFrame) -> None:
    reposted = listings.assign(listing_id=listings["listing_id"] + "-again", gearbox=None)
    twice = pd.concat([listings, reposted], ignore_index=True)
    twice["price_mad"] = np.arange(len(twice)) + 10_000.0  # tells which row is where
    cars = pd.Series(
        list(twice[tuning.SAME_CAR].astype(str).itertuples(index=False)), index=twice["price_mad"]
    )
    flagged = np.arange(len(twice)) % 10 == 0
    split = tuning.folds_of(twice, flagged, 3, seed=0)
    for fold in split:
        assert not set(cars[fold.price_mad]) & set(cars[fold.held_out_price_mad])
    scored = np.concatenate([fold.held_out_price_mad for fold in split])
    np.testing.assert_array_equal(np.sort(scored), twice["price_mad"][~flagged])


def test_the_first_trial_is_the_current_settings_to_the_digit() -> None:
    current = TrainingParams(noise=0.12345678, nu=3.98765, terms=[KernelTerm(sd=0.123456, same=[], near={})])
    tried: list[TrainingParams] = []

    def score(number: int, settings: TrainingParams, searched: dict[str, float]) -> list[float]:
        tried.append(settings)
        return [0.1, 0.1]

    tuning.search(current, score, 3, 0)
    assert tried[0] == current
    assert tried[1] != current


def test_only_what_the_settings_have_is_searched() -> None:
    current = TrainingParams(terms=[KernelTerm(sd=0.4, same=["make"], near={"fuel": 0.1})])
    searched: list[set[str]] = []

    def score(number: int, settings: TrainingParams, factors: dict[str, float]) -> list[float]:
        searched.append(set(factors))
        return [0.1, 0.1]

    tuning.search(current, score, 1, 0, with_extra=False)
    assert searched == [{"noise", "nu", "rounds", "sd_of_makes", "weights_of_categories"}]


def test_a_group_of_terms_is_scaled_together_and_the_rest_stays() -> None:
    current = TrainingParams()
    changed = tuning.scaled(current, {"sd_of_models": 2.0, "weights_of_numbers": 0.5})
    for old, new in zip(current.terms, changed.terms, strict=True):
        assert new.sd == pytest.approx(old.sd * (2 if "model" in old.same else 1))
        for column, weight in old.near.items():
            factor = 0.5 if column in ("year", "km", "power") else 1
            assert new.near[column] == pytest.approx(weight * factor)
    assert changed.spread_terms == current.spread_terms
    assert changed.noise == current.noise


def test_a_change_is_recommended_only_beyond_its_standard_error() -> None:
    current = [0.100, 0.110, 0.120]
    clear = tuning.search(TrainingParams(), fold_scores(current, [0.098, 0.108, 0.1179]), 2, 0)
    assert clear["recommended"]
    assert clear["advice"].startswith("A change is recommended")
    assert clear["difference"] == pytest.approx(0.00203, abs=1e-5)
    lucky = tuning.search(TrainingParams(), fold_scores(current, [0.080, 0.115, 0.125]), 2, 0)
    assert lucky["best_mape"] < lucky["current_mape"]
    assert not lucky["recommended"]
    assert "may be chance" in lucky["advice"]
    none = tuning.search(TrainingParams(), fold_scores(current, [0.2, 0.2, 0.2]), 2, 0)
    assert not none["recommended"]
    assert none["best_mape"] == none["current_mape"]
    assert parse_params(none["training_yaml"]).training == TrainingParams()


def test_no_trial_starts_after_the_time_is_up() -> None:
    found = tuning.search(TrainingParams(), lambda *_: [0.1, 0.1], 1000, 0, timeout_seconds=0.05)
    assert 1 <= found["trials"] < 1000


@pytest.mark.parametrize(
    "option",
    [{"trials": 0}, {"folds": 1}, {"seed": -1}, {"rows": 0}, {"timeout_seconds": 0.0}],
    ids=lambda option: next(iter(option)),
)
def test_a_number_that_makes_no_sense_is_refused(
    option: dict[str, Any], tune: Tune, listings: pd.DataFrame
) -> None:
    with pytest.raises(UsageProblem, match=next(iter(option)).split("_")[0]):
        tune(listings, **option)


def test_too_few_listings_are_refused(tune: Tune, listings: pd.DataFrame) -> None:
    with pytest.raises(DataRefused, match="distinct training listings"):
        tune(listings.head(20))
    with pytest.raises(DataRefused, match="different cars"):
        tune(listings, folds=200)
