"""Live accuracy: production scored on listings it has not seen, before any model trains on them."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from systems import System
from test_drift import landed

from carprice.errors import NothingToDo, UsageProblem
from carprice.history import snapshots
from carprice.history.car_groups import TEST
from carprice.lifecycle import training
from carprice.lifecycle.evaluation import Split
from carprice.lifecycle.recent import newest_drawn, window
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.model.features import features_of, partial_of
from carprice.monitoring import live_accuracy
from carprice.monitoring.accuracy import AS_PROMISED, TOO_LITTLE, WORSE, Scored, assess
from carprice.params import LiveParams, Params
from carprice.pipeline import whole_run
from carprice.store import DataRoot

PARAMS = LiveParams()


def scored(system: System, *shas: str) -> dict[str, Any]:
    return live_accuracy.score_new_listings(system.root, system.params, system.registry, shas)


def test_the_numbers_equal_a_computation_by_hand(system: System) -> None:
    sha = landed(system, 900, 2)
    report = scored(system, sha)

    production = system.registry.version_of(PRODUCTION)
    model = system.registry.load(f"models:/CarPricePredictor/{production.version}")
    learned = system.registry.get_run(str(production.run_id)).data.tags["snapshot_id"]
    manifest = json.loads((system.folder / "snapshots" / learned / "manifest.json").read_text())
    known = set()
    for entry in manifest["files"]:
        known |= set(pd.read_parquet(system.folder / "listings" / f"{entry['sha256']}.parquet")["listing_id"])
    table = pd.read_parquet(system.folder / "listings" / f"{sha}.parquet")
    new = table.drop_duplicates("listing_id", keep="last")
    new = new[~new["listing_id"].isin(known)]
    rows_new, new = len(new), new[partial_of(new) == 0]
    asked = new["price_mad"].to_numpy(dtype=float)
    price, low, high = model.predict(features_of(new), return_interval=True).T
    rows = model.named_steps["features"].transform(features_of(new))
    odd = np.abs(np.log(asked / price)) > model.named_steps["price"].reach(rows)

    assert (report["rows"], report["rows_flagged"]) == (rows_new, int(odd.sum()))
    assert report["rows_partial"] == rows_new - len(new)
    for figures, chosen in ((report["metrics"], ~odd), (report["metrics_all"], np.ones(len(odd), bool))):
        error = np.abs(price - asked)[chosen] / asked[chosen]
        inside = ((low <= asked) & (asked <= high))[chosen]
        assert figures["rows"] == chosen.sum()
        assert figures["mape"] == pytest.approx(np.mean(error), rel=1e-12)
        assert figures["median_ape"] == pytest.approx(np.median(error), rel=1e-12)
        assert figures["interval_coverage"] == pytest.approx(inside.mean(), rel=1e-12)
        assert figures["bias_log"] == pytest.approx(np.median(np.log(asked / price)[chosen]), rel=1e-9)


def test_a_landed_file_has_its_report_before_the_training_it_triggers(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = system.land("second.csv", 900, 2)
    there: list[int] = []
    real = training.train

    def train(root: DataRoot, params: Params, registry: Registry, snapshot_id: str) -> dict[str, Any]:
        there.append(len(root.names("reports/live", ".json")))
        return real(root, params, registry, snapshot_id)

    monkeypatch.setattr(training, "train", train)
    with contextlib.suppress(NothingToDo):  # whether it is promoted is another question
        whole_run.run(system.root, system.params, system.registry, str(path))
    assert there == [1]


def test_no_listing_of_the_productions_snapshot_is_scored(system: System) -> None:
    _, known = snapshots.load(system.root, "latest")
    split = Split.of_run(system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id)))
    _, cars = split.of_snapshot(system.root, "latest")
    assert (cars["side"] == TEST).any(), "its test rows are no news either"
    sha = landed(system, 300, 2, lambda table: pd.concat([table.head(80), known], ignore_index=True))
    report = scored(system, sha)
    assert (report["rows"], report["rows_repeated"]) == (80, len(known))


def test_doing_it_again_replaces_the_report_and_its_figures(system: System) -> None:
    sha = landed(system, 300, 2)
    first, again = scored(system, sha), scored(system, sha)
    assert first["report"] == again["report"]
    assert len(system.root.names("reports/live", ".json")) == 1
    run_id = str(system.registry.version_of(PRODUCTION).run_id)
    assert len(system.registry.client.get_metric_history(run_id, "live_mape")) == 1
    tags = system.registry.version("1").tags
    assert tags["live.verdict"] == first["verdict"]
    assert float(tags["live.mape"]) == pytest.approx(first["metrics"]["mape"], abs=1e-4)
    record = system.root.read_json(first["report"].replace(".html", ".json"))
    assert json.dumps(record, allow_nan=False)


def test_without_names_the_files_that_production_has_not_learned_are_scored(system: System) -> None:
    shas = [landed(system, 200, seed, name=f"new{seed}.csv") for seed in (2, 3)]
    assert [entry["sha256"] for entry in scored(system)["files"]] == shas


def test_a_snapshot_that_is_named_is_scored_and_not_the_latest(system: System) -> None:
    sha = landed(system, 200, 2)
    snapshot = snapshots.manifest_of(system.root, "latest")["id"]
    landed(system, 200, 3, name="later.csv")
    report = live_accuracy.score_new_listings(
        system.root, system.params, system.registry, snapshot_id=snapshot
    )
    assert [entry["sha256"] for entry in report["files"]] == [sha]


def test_nothing_new_is_nothing_to_do(system: System) -> None:
    with pytest.raises(NothingToDo):
        scored(system)


def test_the_error_names_a_file_that_was_not_accepted(system: System) -> None:
    with pytest.raises(UsageProblem, match="abc; run assemble-listings first"):
        scored(system, "abc")


def test_dearer_listings_make_the_model_worse_than_promised_and_the_page_says_why(system: System) -> None:
    sha = landed(system, 900, 2, lambda table: table.assign(price_mad=table["price_mad"] * 1.25))
    report = scored(system, sha)
    assert report["verdict"] == WORSE
    page = system.root.read_bytes(report["report"]).decode()
    assert "Worse." in page
    assert "surely above" in page


def test_new_listings_are_compared_with_the_recent_window_of_a_version_that_has_one() -> None:
    old, new = "a" * 64, "b" * 64
    manifest = {
        "files": [
            {"sha256": old, "received_at": "2025-01-01T00:00:00+00:00"},
            {"sha256": new, "received_at": "2026-01-01T00:00:00+00:00"},
        ]
    }
    tested = made_up(300)
    flagged = np.arange(300) % 10 == 0
    listings = pd.DataFrame(
        {
            "source_sha256": [old] * 200 + [new] * 100,
            "scraped_at": pd.Series(pd.NaT, index=range(300), dtype="datetime64[us, UTC]"),
        }
    )
    tested = replace(tested, listings=listings, flagged=flagged)

    def run(metrics: dict[str, float]) -> Any:
        params = {"evaluation.recent_rows": "50"}
        return SimpleNamespace(data=SimpleNamespace(metrics=metrics, params=params))

    recent = live_accuracy.promised_by(run({"test_recent_mape": 0.1}), manifest, tested)
    assert (recent.listings["source_sha256"] == new).all()
    # the typing errors of the window count too, because their share is compared
    assert (len(recent.asking_mad), recent.flagged.sum()) == (100, 10)
    np.testing.assert_array_equal(recent.asking_mad, tested.asking_mad[200:])
    earlier = live_accuracy.promised_by(run({"test_mape": 0.1}), manifest, tested)
    assert len(earlier.asking_mad) == 300


@pytest.mark.parametrize("most", [40, 99, 100, 300])
def test_of_many_test_listings_the_newest_are_read_and_of_those_of_one_day_some_are_drawn(most: int) -> None:
    days = np.random.default_rng(3).permutation(np.repeat(np.arange(10), 20))
    seen = pd.Series(pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(days, unit="D"))
    chosen = newest_drawn(seen, most)
    assert chosen.sum() == min(most, len(seen))
    assert chosen[(seen > seen[chosen].min()).to_numpy()].all()
    flagged = np.random.default_rng(4).random(len(seen)) < 0.1
    of_all = window(seen, flagged, most // 2)
    found = window(seen[chosen].reset_index(drop=True), flagged[chosen], most // 2)
    assert found.sum() == (of_all & chosen).sum()


def made_up(rows: int, bias: float = 0.0, odd: float = 0.0, seed: int = 0) -> Scored:
    """Prices around a prediction of 100,000 MAD, spread by 10 %."""
    random = np.random.default_rng(seed)
    predicted = np.full(rows, 1e5)
    asked = predicted * np.exp(random.normal(bias, 0.1, rows))
    flagged = np.arange(rows) < odd * rows
    wide = 1.645 * 0.1
    ends = predicted * np.exp(-wide), predicted * np.exp(wide)
    return Scored(pd.DataFrame(index=range(rows)), asked, predicted, *ends, flagged)


def test_as_good_a_model_is_as_promised() -> None:
    assert assess(made_up(3000), made_up(1000, seed=1), PARAMS).verdict == AS_PROMISED


def test_few_listings_are_too_little_data() -> None:
    assert assess(made_up(40), made_up(1000, seed=1), PARAMS).verdict == TOO_LITTLE


def test_a_figure_that_may_lie_on_either_side_of_its_limit_is_no_verdict() -> None:
    found = assess(made_up(60, bias=0.045), made_up(1000, seed=1), PARAMS)
    bias = next(c for c in found.checks if c.name == "distance of asking from predicted prices")
    assert bias.low < bias.limit < bias.high
    assert found.verdict == TOO_LITTLE


@pytest.mark.parametrize("bias", [-0.08, 0.08])
def test_a_bias_either_way_is_worse(bias: float) -> None:
    found = assess(made_up(1000, bias), made_up(1000, seed=1), PARAMS)
    assert found.verdict == WORSE
    verdicts = {check.name: check.verdict for check in found.checks}
    assert verdicts["distance of asking from predicted prices"] == WORSE


def test_a_model_that_is_all_wrong_does_not_hide_behind_prices_that_look_mistyped() -> None:
    found = assess(made_up(1000, odd=0.4), made_up(1000, seed=1), PARAMS)
    assert {c.name for c in found.checks if c.verdict == WORSE} == {"prices that look mistyped"}
    everything = made_up(1000)
    hidden = replace(everything, flagged=np.ones(1000, dtype=bool))
    assert assess(hidden, made_up(1000, seed=1), PARAMS).verdict != AS_PROMISED
