"""Checks of a running system that hold in both runtimes and on both databases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from running_demo import Demo

BURST = 16
# The one task without a step of its own: the scheduler decides its state.
NO_STEP = "no_step_failed"

# With this much noise the model learns nothing from the differences between cars.
WORSE_TRAINING = {"noise": 20.0}


def every_step_shows_its_result(demo: Demo) -> None:
    """Each executed step has an XCom result, and each asset event carries one as `extra`."""
    results = {}
    for task in demo.tasks():
        if task["state"] == "success" and task["task_id"] != NO_STEP:
            results[task["dag_run_id"], task["task_id"]] = demo.api.result(task)
    executed = {task_id for _, task_id in results}

    assert all(result is not None for result in results.values()), results
    assert executed >= {
        "claim_files", "check_data_quality", "assemble_listings", "train_model", "evaluate_model",
        "promote_to_staging", "validate_staging_model", "promote_to_production", "send_pipeline_report",
        "detect_drift", "publish_report",
    }  # fmt: skip
    emitted = {
        "listings": "assemble_listings",
        "candidate_model": "evaluate_model",
        "production_model": "promote_to_production",
        "drift_report": "publish_report",
    }
    events = demo.api.asset_events()
    for asset, step in emitted.items():
        ours = [event for event in events if event["name"] == asset]
        assert ours, f"no event of {asset}"
        for event in ours:
            assert event["source_task_id"] == step
            assert event["extra"] == results[event["source_run_id"], step]
    landed = [event for event in events if event["name"] == "raw_listings"]
    assert landed
    assert all(files_of(event) for event in landed)


def files_of(event: dict[str, Any]) -> list[str]:
    """The files that an event of `raw_listings` announces."""
    extra = event["extra"].get("payload", event["extra"])
    return [file["file"] for file in extra["files"]]


def burst_is_ingested_once(demo: Demo, first_seed: int, kill: bool) -> None:
    """16 files land at once: each is accepted once, checked once and in the snapshot once.

    With `kill`, in the middle of it the triggerer, a running step and the scheduler are killed (-9).
    """
    files = [demo.synthetic(f"burst_{first_seed + i}.csv", 80, first_seed + i) for i in range(BURST)]
    half = BURST // 2 if kill else BURST
    shas = [demo.land(file) for file in files[:half]]
    if kill:
        demo.kill_service("triggerer")
        shas += [demo.land(file) for file in files[half:]]
        demo.kill_step("check-data-quality")
        demo.wait_for(lambda: len(set(shas) & set(demo.receipts())) >= 3, "three of the files have receipts")
        demo.kill_service("scheduler")
    receipts = demo.wait_for_receipts(*shas)
    demo.wait_for_report(*shas)

    assert len(set(shas)) == BURST
    assert {receipt["status"] for receipt in receipts} == {"accepted"}
    listed = Counter(file["sha256"] for file in demo.latest_manifest()["files"])
    assert {sha: listed[sha] for sha in shas} == dict.fromkeys(shas, 1)
    checks = [task for task in demo.tasks("ingest_listings") if task["task_id"] == "check_data_quality"]
    checked = Counter(demo.api.result(task)["sha256"] for task in checks if task["state"] == "success")
    assert {sha: checked[sha] for sha in shas} == dict.fromkeys(shas, 1)
    if kill:
        assert any(task["try_number"] > 1 for task in checks), "the killed step was not tried again"


def worse_candidate_stays_out(demo: Demo, file: Path) -> None:
    """An edit of params.yaml takes effect on the next run; the worse model it makes is not promoted."""
    production = demo.production_version()
    demo.edit_params(training=WORSE_TRAINING, promotion={"max_mape": 0.05, "production_confidence": 1.0})
    try:
        report = demo.wait_for_report(demo.land(file))
    finally:
        demo.edit_params()

    logged = demo.registry.get_run(report["run_id"]).data.params
    for name, value in WORSE_TRAINING.items():
        assert logged[f"training.{name}"] == str(value)
    assert demo.production_version() == production == report["production_version"]
    assert report["version"] != production
    assert report["verdict"] == "kept"
    gates = {gate["name"]: gate for decision in report["decisions"] for gate in decision["gates"]}
    for name, threshold in (("mape", 0.05), ("not_worse_than_production", 1.0)):
        assert gates[name]["threshold"] == threshold
        assert gates[name]["passed"] is False
        assert f"{name} {gates[name]['value']:.4g} (must be" in report["headline"]
    assert gates["mape"]["value"] > 0.05
    assert gates["not_worse_than_production"]["value"] < 1.0

    run = demo.api.runs("promote_car_price")[-1]
    states = {task["task_id"]: task["state"] for task in demo.api.tasks(run["dag_id"], run["dag_run_id"])}
    assert run["state"] == "success"
    assert states == {
        "promote_to_staging": "skipped",
        "validate_staging_model": "skipped",
        "approve": "skipped",
        "promote_to_production": "skipped",
        "send_pipeline_report": "success",
        NO_STEP: "success",
    }
