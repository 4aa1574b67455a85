"""Whole runs in one process, on a real MLflow database: gates, promotion, rollback, reports."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, Schema
from systems import FAST, System

from carprice.alerts.record import all_alerts
from carprice.cli.commands import write_result
from carprice.errors import CarpriceError, DataRefused, NothingToDo, UsageProblem
from carprice.history import snapshots
from carprice.history.car_groups import TEST
from carprice.lifecycle import comparison, decisions, evaluation, promotion, training
from carprice.lifecycle.registry import PREVIOUS, PRODUCTION, STAGING, Registry
from carprice.lifecycle.rollback import rollback
from carprice.lifecycle.saved_models import load_folder
from carprice.listings import sample
from carprice.model.features import features_of
from carprice.monitoring import publishing
from carprice.params import Params
from carprice.params_file import parse_params
from carprice.pipeline import run_report, whole_run
from carprice.store import DataRoot
from carprice_contract.data_root import REPORT_INDEX


def trained(system: System, params: Params | None = None) -> str:
    """The run id of a candidate, trained and evaluated on the latest snapshot."""
    params = params or system.params
    run_id = training.train(system.root, params, system.registry, "latest")["run_id"]
    evaluation.evaluate(system.root, params, system.registry, run_id)
    return run_id


def promoted(system: System, run_id: str, params: Params | None = None) -> str:
    """The version of a candidate after passing every gate."""
    params = params or system.params
    version = promotion.promote_to_staging(system.root, params, system.registry, run_id)["version"]
    assert promotion.validate_staging(system.root, params, system.registry, version)["passed"]
    decisions.promote_to_production(system.registry, version, "test")
    return version


LENIENT = parse_params(FAST.replace("confidence: 0.8", "confidence: 0.0, max_slice_loss: 9.0"))


def test_the_first_landed_file_ends_in_production(system: System) -> None:
    assert system.version(PRODUCTION) == "1"
    assert system.report["verdict"] == "promoted"
    assert [entry["version"] for entry in system.registry.history()] == ["1"]
    assert system.report["rows_in"] == 900


def test_a_data_root_opened_beside_another_has_a_registry_of_its_own(system: System) -> None:
    os.makedirs(system.folder / "other")
    other = Registry(DataRoot(str(system.folder / "other")))
    assert other.tracking_uri != system.registry.tracking_uri
    assert other.version_of(PRODUCTION) is None
    assert system.version(PRODUCTION) == "1"


def test_the_same_bytes_again_train_nothing_and_say_so(system: System) -> None:
    known = next((system.folder / "raw").iterdir())
    other = system.folder / "other.csv"
    other.write_bytes(known.read_bytes())
    before = len(system.registry.client.search_runs([system.registry.experiment_id]))
    with pytest.raises(NothingToDo, match=r"other\.csv the bytes of first\.csv"):
        whole_run.run(system.root, system.params, system.registry, str(other))
    assert len(system.registry.client.search_runs([system.registry.experiment_id])) == before


def test_a_candidate_of_a_file_with_many_odd_prices_is_kept_out(tmp_path: Path) -> None:
    table = sample.generate(900, 5)
    amounts = pd.to_numeric(table["Prix"].astype(str).str.replace(r"[^\d]", "", regex=True))
    table["Prix"] = amounts.where(np.arange(len(table)) % 5 > 0, amounts / 10.8).round()
    path = tmp_path / "some_in_euros.csv"
    path.write_bytes(sample.to_csv(table).encode())
    root = DataRoot(str(tmp_path / "data"))
    registry = Registry(root)
    with pytest.raises(promotion.GateSaidNo, match=r"flagged_share must be <= 0\.1, found 0\.[12]"):
        whole_run.run(root, LENIENT, registry, str(path))
    assert registry.version_of(PRODUCTION) is None


def test_a_worse_candidate_is_kept_out_and_the_report_names_gate_value_and_threshold(system: System) -> None:
    worse = parse_params(FAST + "\ntraining: {noise: 20.0}")
    path = system.land("second.csv", 900, 2)
    with pytest.raises(promotion.GateSaidNo, match=r"not_worse_than_production must be >= 0\.8, found"):
        whole_run.run(system.root, worse, system.registry, str(path))
    assert system.version(PRODUCTION) == "1"
    newest = system.root.names("reports/pipeline", ".json")[-1]
    report = system.root.read_json(f"reports/pipeline/{newest}")
    assert report["verdict"] == "kept"
    assert "not_worse_than_production" in report["headline"]
    page = system.root.read_bytes(f"reports/pipeline/{newest.replace('.json', '.html')}").decode()
    gate = next(g for g in report["decisions"][0]["gates"] if g["name"] == "not_worse_than_production")
    assert gate["passed"] is False
    assert f"{gate['value']:.4g}" in page
    rule, window = report["decisions"][0]["compared"]["reasons"]
    assert (rule["code"], window["code"]) == ("learned_newer", "recent_window")
    assert rule["sentence"] in page
    assert window["sentence"] in page


def test_a_candidate_of_the_files_that_production_learned_must_be_better(system: System) -> None:
    decision = promotion.promote_to_staging(
        system.root, system.params, system.registry, trained(system, system.params)
    )
    gate = next(g for g in decision["gates"] if g["name"] == "better_than_production")
    assert not gate["passed"], "an equal model is not better"
    assert decision["compared"]["reasons"][0]["code"] == "learned_nothing_newer"
    assert decision["compared"]["reasons"][0]["params"]["version"] == "1"


def test_a_candidate_is_said_to_have_learned_what_it_learned(system: System) -> None:
    few = parse_params(FAST + "\ntraining: {max_rows: 200}")
    run = system.registry.get_run(trained(system, few))
    listings = training.learned_listings(system.root, run)
    assert len(listings) == run.data.metrics["train_rows"] == 200
    assert run.data.metrics["train_rows_available"] > 200


def test_the_files_of_a_run_are_known_without_its_snapshot_and_its_tags(system: System) -> None:
    run = system.registry.get_run(trained(system))
    files = comparison._files_of(system.root, system.registry, run)
    assert len(files) == 1
    for key, value in {"snapshot_id": "gone", "sha256": ""}.items():
        system.registry.client.set_tag(run.info.run_id, key, value)
    run = system.registry.get_run(run.info.run_id)
    assert comparison._files_of(system.root, system.registry, run) == files


def test_newest_listings_of_one_kind_of_car_keep_no_good_candidate_out(system: System) -> None:
    metrics = system.registry.get_run(trained(system)).data.metrics
    assert metrics["test_unflagged_r2_log"] > 0.75
    one_kind = metrics | {"test_recent_r2_log": -0.003}
    gates = {gate.name: gate for gate in promotion._absolute_gates(one_kind, system.params.promotion)}
    assert gates["r2_log"].passed
    no_idea = one_kind | {"test_unflagged_r2_log": 0.1}
    gates = {gate.name: gate for gate in promotion._absolute_gates(no_idea, system.params.promotion)}
    assert not gates["r2_log"].passed


def test_test_listings_that_production_learned_are_named_as_such(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = system.registry.get_run(trained(system))
    everything = evaluation.Split.of_run(run).of_snapshot(system.root, run.data.tags["snapshot_id"])[0]
    monkeypatch.setattr(evaluation, "_trained_ids", lambda *_: everything["listing_id"])
    with pytest.raises(DataRefused, match="at least 2 test listings that production did not learn were"):
        evaluation.test_listings(system.root, run, run)


def test_rollback_restores_the_previous_version_and_history_tells_both(system: System) -> None:
    version = promoted(system, trained(system, LENIENT), LENIENT)
    assert system.version(PREVIOUS) == "1"
    rollback(system.registry, "someone", "prices looked odd")
    assert system.version(PRODUCTION) == "1"
    assert system.version(PREVIOUS) == version
    columns = ("action", "version", "previous_version", "reason")
    told = [tuple(entry[column] for column in columns) for entry in system.registry.history()]
    assert told == [
        ("promotion", "1", None, "all gates said yes"),
        ("promotion", version, "1", "all gates said yes"),
        ("rollback", "1", version, "prices looked odd"),
    ]


def test_rollback_without_a_previous_version_says_so_and_changes_nothing(system: System) -> None:
    with pytest.raises(NothingToDo, match="alias 'previous'"):
        rollback(system.registry, "someone", "no reason")
    assert system.version(PRODUCTION) == "1"


def versions_in_production(system: System, count: int) -> list[str]:
    """`count` versions, put into production one after the other; the first is there already."""
    run = system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id))
    versions = ["1"]
    for number in range(2, count + 1):
        made = system.registry.register(f"run {number}", run.data.tags["model_uri"])
        versions.append(str(made.version))
        system.registry.put_in_production(versions[-1], "promotion", "test", "better")
    return versions


def test_a_rollback_goes_back_step_by_step_or_to_any_version_that_was_in_production(system: System) -> None:
    first, second, third = versions_in_production(system, 3)
    registry = system.registry
    assert rollback(registry, "someone", "odd prices")["version"] == second
    assert rollback(registry, "someone", "still odd")["version"] == first
    with pytest.raises(NothingToDo, match="before version 1 was expected"):
        rollback(registry, "someone", "still odd")
    for _ in range(2):
        assert rollback(registry, "someone", "it was right", version=third)["version"] == third
    assert system.version(PRODUCTION) == third
    with pytest.raises(UsageProblem, match="these were: 1, 2, 3"):
        rollback(registry, "someone", "a typing error", version="9")
    assert system.version(PRODUCTION) == third
    assert len(registry.history()) == 6


def test_a_rollback_that_the_same_run_repeats_changes_nothing_more(system: System) -> None:
    _, second, _ = versions_in_production(system, 3)
    for _ in range(3):
        assert rollback(system.registry, "someone", "odd", run="manual__1")["version"] == second
    assert system.version(PRODUCTION) == second


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("killed_at", [0, 1, 2])
def test_a_rollback_killed_half_way_ends_the_same_when_tried_again(
    system: System, monkeypatch: pytest.MonkeyPatch, killed_at: int, named: bool
) -> None:
    _, second, third = versions_in_production(system, 3)
    calls = 0

    def killed(name: str) -> Any:
        whole = getattr(system.registry.client, name)

        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > killed_at:
                raise KeyboardInterrupt
            return whole(*arguments, **more)

        return call

    with monkeypatch.context() as patched:
        for name in ("set_registered_model_alias", "set_registered_model_tag"):
            patched.setattr(system.registry.client, name, killed(name))
        with pytest.raises(KeyboardInterrupt):
            rollback(system.registry, "someone", "odd prices", version=second if named else None)
    assert (
        rollback(system.registry, "someone", "odd prices", version=second if named else None)["version"]
        == second
    )
    assert (system.version(PRODUCTION), system.version(PREVIOUS)) == (second, third)
    told = [(entry["action"], entry["version"]) for entry in system.registry.history()]
    assert told[-2:] == [("promotion", third), ("rollback", second)]


@pytest.mark.parametrize("killed_before", ["set_alias", "set_registered_model_tag"])
def test_a_promotion_killed_half_way_ends_the_same_when_tried_again(
    system: System, monkeypatch: pytest.MonkeyPatch, killed_before: str
) -> None:
    run_id = trained(system, LENIENT)
    version = promotion.promote_to_staging(system.root, LENIENT, system.registry, run_id)["version"]
    promotion.validate_staging(system.root, LENIENT, system.registry, version)
    with monkeypatch.context() as patched:
        target = system.registry if killed_before == "set_alias" else system.registry.client
        real = getattr(target, killed_before)

        def killed(*arguments: str) -> None:
            if killed_before == "set_alias" and arguments[0] == PREVIOUS:
                real(*arguments)  # dies between the two aliases
                return
            raise KeyboardInterrupt

        patched.setattr(target, killed_before, killed)
        with pytest.raises(KeyboardInterrupt):
            decisions.promote_to_production(system.registry, version, "test")
    decisions.promote_to_production(system.registry, version, "test")
    assert system.version(PRODUCTION) == version
    assert system.version(PREVIOUS) == "1"
    assert [e["version"] for e in system.registry.history()] == ["1", version]


def test_a_version_without_the_gates_consent_cannot_be_promoted(system: System) -> None:
    run_id = trained(system)
    model_uri = system.registry.get_run(run_id).data.tags["model_uri"]
    version = str(system.registry.register(run_id, model_uri).version)
    with pytest.raises(UsageProblem, match="no decision"):
        decisions.promote_to_production(system.registry, version, "test")


def test_candidate_and_production_are_scored_on_rows_neither_was_trained_on(system: System) -> None:
    production = system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id))
    other_split = parse_params(FAST + "\nevaluation: {split_seed: 7, test_share: 0.3}")
    candidate = system.registry.get_run(trained(system, other_split))
    rows = evaluation.test_listings(system.root, candidate, production)
    for run in (candidate, production):
        theirs, cars = evaluation.Split.of_run(run).of_snapshot(system.root, run.data.tags["snapshot_id"])
        learned = set(theirs["listing_id"][cars["side"] != TEST])
        assert not learned & set(rows["listing_id"])
    assert 0 < len(rows) < len(evaluation.test_listings(system.root, candidate))


def test_the_loaded_model_gives_the_prices_of_the_trained_one(system: System) -> None:
    _, listings = snapshots.load(system.root, "latest")
    _, cars = evaluation.Split(0.2, 0).of_snapshot(system.root, "latest")
    test_rows = (cars["side"] == TEST).to_numpy()
    pipeline_ = training.fit(listings[~test_rows].reset_index(drop=True), system.params)
    loaded = system.registry.load_version(PRODUCTION)
    features = features_of(listings.head(50))
    np.testing.assert_allclose(
        loaded.pipeline.predict(features, return_interval=True),
        pipeline_.predict(features, return_interval=True),
        rtol=1e-9,
    )


def test_training_leaves_all_that_a_reviewer_asks_for_in_mlflow(system: System) -> None:
    run = system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id))
    assert run.data.params["evaluation.split_seed"] == "0"
    assert run.data.tags["snapshot_id"] == snapshots.manifest_of(system.root, "latest")["id"]
    assert {"test_mape", "test_unflagged_mape", "test_rows", "train_rows_flagged"} <= set(run.data.metrics)
    valuers = {"within_10", "within_20", "cod", "prd", "prb"}
    assert {f"test_{rows}_{name}" for rows in ("unflagged", "recent") for name in valuers} <= set(
        run.data.metrics
    )
    found = {
        item.path
        for folder in ("importance", "evaluation", "data", "decisions")
        for item in system.registry.client.list_artifacts(run.info.run_id, folder)
    }
    assert {
        "importance/importance.csv", "importance/importance.png", "evaluation/predicted_against_actual.png",
        "evaluation/residuals.png", "data/manifest.json", "decisions/promote_to_staging-v1.json",
        "decisions/validate_staging_model-v1.json",
    } <= found  # fmt: skip


def test_a_model_made_of_foreign_types_is_not_loaded(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    from carprice.lifecycle import saved_models

    monkeypatch.setattr(saved_models, "TRUSTED_TYPES", [])
    with pytest.raises(CarpriceError, match=r"carprice\.model\.features\.ListingFeatures"):
        system.registry.load_version(PRODUCTION)


def test_a_model_that_was_saved_under_the_names_of_version_0_1_still_prices(
    system: System, tmp_path: Path
) -> None:
    current = system.registry.load_version(PRODUCTION)
    folder = Path(system.registry.download(str(system.version(PRODUCTION)), str(tmp_path)))
    (saved,) = folder.glob("*.skops")
    earlier = tmp_path / "earlier.skops"
    with zipfile.ZipFile(saved) as before, zipfile.ZipFile(earlier, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "schema.json":
                for found, written in (
                    (b"carprice.model.features", b"carprice.features"),
                    (b"carprice.model.kernel_regression", b"carprice.kernel_regression"),
                    (b"carprice.model.price_model", b"carprice.model"),
                ):
                    assert found in content
                    content = content.replace(found, written)
            after.writestr(name, content)
    earlier.replace(saved)
    loaded = load_folder(str(folder), "version 0.1")
    np.testing.assert_allclose(
        loaded.pipeline.predict(current.example), current.pipeline.predict(current.example), rtol=1e-9
    )


def test_too_few_listings_to_train_on_is_a_refusal_with_the_numbers(system: System) -> None:
    strict = parse_params(FAST + "\ntraining: {min_rows: 100000}")
    with pytest.raises(DataRefused, match=r"100000 distinct training listings.*found \d+"):
        training.train(system.root, strict, system.registry, "latest")


def test_a_failed_step_is_reported_as_failed(system: System) -> None:
    result = run_report.send_pipeline_report(
        system.root, system.registry, None, None, {"promote_to_staging": "failed"}
    )
    assert result["verdict"] == "failed"
    assert "promote_to_staging" in result["headline"]


def test_the_report_escapes_what_comes_from_data(system: System) -> None:
    sha = system.root.names("receipts", ".json")[0]
    receipt = system.root.read_json(f"receipts/{sha}")
    system.root.write_json(f"receipts/{sha}", receipt | {"file": "<script>alert(1)</script>.csv"})
    run_id = str(system.registry.version_of(PRODUCTION).run_id)
    result = run_report.send_pipeline_report(system.root, system.registry, run_id, "1", {})
    page = system.root.read_bytes(result["report"]).decode()
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_the_index_lists_every_report(system: System) -> None:
    publishing.publish(system.root)
    page = system.root.read_bytes(REPORT_INDEX).decode()
    for folder in ("pipeline", "quality"):
        for name in system.root.names(f"reports/{folder}", ".html"):
            assert f"{folder}/{name}" in page


def test_staging_is_validated_against_its_signature(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = str(system.registry.version_of(PRODUCTION).run_id)
    system.registry.set_alias(STAGING, "1")
    other = ModelSignature(inputs=Schema([ColSpec("string", "make")]))
    monkeypatch.setattr(promotion, "model_signature", lambda: other)
    decision = promotion.validate_staging(system.root, system.params, system.registry, "1")
    assert not next(g for g in decision["gates"] if g["name"] == "signature_matches")["passed"]
    assert decision["run_id"] == run_id
    assert json.dumps(decision)


def test_prices_that_look_mistyped_are_told_on_the_quality_page_of_their_file(system: System) -> None:
    run = system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id))
    flagged = int(run.data.metrics["train_rows_flagged"] + run.data.metrics["test_rows"])
    flagged -= int(run.data.metrics["test_unflagged_rows"])
    assert flagged > 0, "the sample has a few prices with one zero too many"
    sha = system.root.names("receipts", ".json")[0].removesuffix(".json")
    page = system.root.read_bytes(f"reports/quality/{sha}.html").decode()
    assert f"{flagged} price" in page
    assert "looks like" in page
    told = system.root.read_bytes(f"reports/quality/{sha}-typing-errors.csv").decode()
    assert len(told.splitlines()) == flagged + 1
    evaluation.evaluate(system.root, system.params, system.registry, run.info.run_id)
    assert system.root.read_bytes(f"reports/quality/{sha}.html").decode().count("look mistyped</h2>") == 1


def test_the_model_card_is_an_artifact_and_linked_from_the_report(system: System) -> None:
    run_id = str(system.registry.version_of(PRODUCTION).run_id)
    card = f"reports/models/{run_id}.html"
    assert "price=100k-200k" in system.root.read_bytes(card).decode()
    assert "coefficient of dispersion (COD)" in system.root.read_bytes(card).decode()
    assert "model_card.html" in {a.path for a in system.registry.client.list_artifacts(run_id)}
    newest = system.root.names("reports/pipeline", ".html")[-1]
    assert f"../../{card}" in system.root.read_bytes(f"reports/pipeline/{newest}").decode()


def test_a_run_by_hand_tells_what_is_wrong_with_production_before_it_is_replaced(system: System) -> None:
    strict = parse_params(FAST + "\nlive: {max_mape: 0.001}")
    path = system.land("second.csv", 2500, 2)
    head, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(head + "".join(line for line in lines if "Diesel" in line))
    with contextlib.suppress(NothingToDo):  # whether it is promoted is another question
        whole_run.run(system.root, strict, system.registry, str(path))
    assert {known["cause"] for known in all_alerts(system.root)} >= {"drift:1", "live_error:1"}


def test_what_can_not_be_judged_is_told_and_stops_no_training(system: System) -> None:
    learned = system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id))
    os.remove(system.folder / "snapshots" / learned.data.tags["snapshot_id"] / "manifest.json")
    path = system.land("second.csv", 900, 2)
    with contextlib.suppress(NothingToDo):
        whole_run.run(system.root, LENIENT, system.registry, str(path))
    newest = system.root.names("reports/pipeline", ".json")[-1]
    states = system.root.read_json(f"reports/pipeline/{newest}")["states"]
    assert states["train_model"] == states["evaluate_model"] == "success"
    causes = {known["cause"] for known in all_alerts(system.root)}
    assert causes >= {"pipeline_failed:score_new_listings", "pipeline_failed:detect_drift"}


def test_where_every_test_price_is_flagged_no_record_holds_a_number_that_is_none(
    system: System, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run_id = str(system.registry.version_of(PRODUCTION).run_id)
    monkeypatch.setattr(
        evaluation, "looks_mistyped", lambda _, listings, __: np.ones(len(listings), dtype=bool)
    )
    evaluated = evaluation.evaluate(system.root, system.params, system.registry, run_id)
    write_result(Namespace(result=str(tmp_path / "result.json")), evaluated)
    metrics = strict((tmp_path / "result.json").read_text())["metrics"]
    assert (metrics["test_unflagged_rows"], metrics["test_unflagged_mape"]) == (0, None)
    assert "nan" not in system.root.read_bytes(evaluated["model_card"]).decode().casefold().split()

    decision = promotion.promote_to_staging(system.root, system.params, system.registry, run_id)
    with pytest.raises(promotion.GateSaidNo) as no:
        promotion.require_yes(decision)
    assert "mape must be <= " in str(no.value)
    write_result(Namespace(result=str(tmp_path / "no.json")), no.value.result)
    values = {gate["name"]: gate["value"] for gate in strict((tmp_path / "no.json").read_text())["gates"]}
    assert (values["test_rows"], values["mape"]) == (0, None)
    assert strict(system.registry.version("1").tags["decision.promote_to_staging"])

    report = run_report.send_pipeline_report(system.root, system.registry, run_id, "1", {})
    name = report["report"].removesuffix(".html")
    strict(system.root.read_bytes(f"{name}.json").decode())
    assert "test_rows" in system.root.read_bytes(report["report"]).decode()


def strict(text: str) -> Any:
    """A JSON document as PostgreSQL reads it."""

    def refuse(name: str) -> None:
        raise AssertionError(f"JSON has no {name}")

    return json.loads(text, parse_constant=refuse)
