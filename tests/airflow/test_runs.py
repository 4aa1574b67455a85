"""Whole DAG runs, with a stand-in for the trainer: what runs, what is handed on, what colour the run has."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException

from include.base_step import Outcome
from include.process_step import ProcessStep

pytestmark = pytest.mark.usefixtures("airflow_database")


@pytest.fixture
def run(load_dag: Callable[[str], Any], trainer: Any) -> Callable[..., Any]:
    def run_dag(dag_id: str, **conf: Any) -> Any:
        return Run(load_dag(dag_id).test(run_conf=conf or None))

    return run_dag


class Run:
    def __init__(self, dag_run: Any) -> None:
        from airflow.utils.session import create_session

        self.state = str(dag_run.state)
        with create_session() as session:
            self.tasks = {
                ti.task_id if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]": str(ti.state)
                for ti in dag_run.get_task_instances(session=session)
            }
            self.names = {
                (ti.task_id, ti.map_index): ti.rendered_map_index
                for ti in dag_run.get_task_instances(session=session)
            }
            self.run_id = dag_run.run_id

    def map_name(self, task: str, map_index: int) -> Any:
        """What the UI calls a copy of a mapped task."""
        return self.names[task, map_index]

    def xcom(self, task: str, map_index: int = -1) -> Any:
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            query = XComModel.get_many(
                key="return_value", task_ids=task, run_id=self.run_id, map_indexes=map_index
            )
            row = session.scalars(query).first()
            return None if row is None else json.loads(row.value) if isinstance(row.value, str) else row.value


def last_event_extra(asset: str) -> Any:
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        event = (
            session.query(AssetEvent)
            .join(AssetModel, AssetModel.id == AssetEvent.asset_id)
            .filter(AssetModel.name == asset)
            .order_by(AssetEvent.id.desc())
            .first()
        )
        return event and event.extra


def announce(asset: str, extra: dict[str, Any]) -> None:
    """An event of an asset, as a task that has it as an outlet leaves it."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session

    with create_session() as session:
        known = session.query(AssetModel).filter(AssetModel.name == asset).one()
        session.add(AssetEvent(asset_id=known.id, extra=extra))


def option_reported(trainer: Any, option: str) -> dict[str, str]:
    (arguments,) = trainer.args("send-pipeline-report")
    return dict(json.loads(arguments[arguments.index(option) + 1]))


def states_reported(trainer: Any) -> dict[str, str]:
    return option_reported(trainer, "--state")


def test_ingest_checks_every_claimed_file_and_announces_the_snapshot(run: Any, trainer: Any) -> None:
    done = run("ingest_listings")

    assert done.state == "success"
    assert sorted(trainer.args("check-data-quality")) == [
        ["--file=a.csv", "--sha256", "aa"],
        ["--file=b.csv", "--sha256", "bb"],
    ]
    assert trainer.args("assemble-listings") == [["--sha256", "aa", "bb"]]
    assert done.tasks["send_pipeline_report"] == "skipped"
    assert last_event_extra("listings") == {"snapshot_id": "snap1", "rows_accepted": 7}


def test_each_source_is_collected_by_a_task_of_its_own_and_announced(run: Any, trainer: Any) -> None:
    done = run("collect_listings")

    assert done.state == "success", done.tasks
    assert sorted(trainer.args("collect-listings")) == [
        ["--source", "avito"],
        ["--source", "jsonld", "--start", "https://cars.example/all?page=1"],
    ]
    calls = [call for call in trainer.calls if call["args"][0] == "collect-listings"]
    assert {call["program"] for call in calls} == {"carprice_collector"}
    for call in calls:
        assert call["env"]["CARPRICE_COLLECT_CONTACT"] == "ops@example.ma"
        assert call["env"]["MLFLOW_TRACKING_PASSWORD"] is None, "the collector needs no secret"
        assert call["env"]["CARPRICE_PARAMS"] is None
    assert last_event_extra("collected_listings")["ads"] == 35
    assert done.tasks["send_pipeline_report"] == "skipped"


def test_a_site_that_changed_is_told_and_does_not_stop_the_other_one(run: Any, trainer: Any) -> None:
    changed = "carprice: The pages of avito were expected as before, found changed: See https://a.example/1 ."
    trainer.plan(
        collect_listings=[
            {
                "exit": 65,
                "stderr": changed,
                "result": {"run": "avito-1", "findings": [{"code": "page_moved"}]},
            },
            {},
        ]
    )

    done = run("collect_listings")

    assert done.state == "failed"
    ended = sorted(done.tasks[f"collect_listings[{index}]"] for index in (0, 1))
    assert ended == ["failed", "success"]
    assert len(trainer.args("collect-listings")) == 2, "a site that changed is not asked again"
    (told,) = option_reported(trainer, "--problems").values()
    assert told == changed


def test_a_site_that_is_not_to_be_asked_now_is_skipped_without_a_word(run: Any, trainer: Any) -> None:
    trainer.plan(collect_listings={"exit": 99, "no_result": True, "stderr": "avito is left alone."})

    done = run("collect_listings")

    assert done.state == "success"
    assert done.tasks["collect_listings[0]"] == done.tasks["send_pipeline_report"] == "skipped"


def test_a_refused_file_turns_the_run_red_but_does_not_stop_the_good_one(run: Any, trainer: Any) -> None:
    trainer.plan(check_data_quality={"refuse": ["a.csv"]})

    done = run("ingest_listings")

    assert done.tasks["check_data_quality[0]"] == "failed"
    assert len(trainer.args("check-data-quality")) == 2, "a refused file is not tried again"
    assert done.xcom("check_data_quality", 0)["refusal"] == "a.csv has no column Prix."
    assert trainer.args("assemble-listings") == [["--sha256", "bb"]]
    assert done.tasks["assemble_listings"] == "success"
    assert done.state == "failed"
    states = states_reported(trainer)
    assert states["check_data_quality_0"] == "refused", "a finding about the file, no failure of the step"
    assert states["check_data_quality_1"] == "success"
    assert states["assemble_listings"] == "success"


MANY = [{"file": f"{letter}.csv", "sha256": letter * 2} for letter in "abcde"]


def test_small_files_that_share_a_step_are_each_refused_held_or_assembled(run: Any, trainer: Any) -> None:
    trainer.plan(
        claim_files={"result": [MANY, [{"file": "large.csv", "sha256": "ff"}]]},
        check_data_quality={"refuse": ["a.csv", "b.csv"], "hold": ["c.csv"]},
    )

    done = run("ingest_listings")

    shared = [word for file in MANY for word in (f"--file={file['file']}", "--sha256", file["sha256"])]
    assert sorted(trainer.args("check-data-quality")) == [shared, ["--file=large.csv", "--sha256", "ff"]]
    assert done.tasks["check_data_quality[0]"] == "failed"
    assert done.tasks["check_data_quality[1]"] == "success"
    assert trainer.args("assemble-listings") == [["--sha256", "dd", "ee", "ff"]]
    assert [conf["file"] for conf in asked_about()] == ["cc"]
    states = states_reported(trainer)
    checks = {name: state for name, state in states.items() if name.startswith("check_data_quality")}
    assert checks == {
        "check_data_quality_0": "refused",
        "check_data_quality_0_1": "refused",
        "check_data_quality_0_2": "held",
        "check_data_quality_1": "success",
    }
    assert done.map_name("check_data_quality", 0) == "a.csv and 4 more"
    assert done.map_name("check_data_quality", 1) == "large.csv"


def test_a_file_whose_check_crashes_does_not_stop_those_of_its_step(run: Any, trainer: Any) -> None:
    trainer.plan(claim_files={"result": [MANY]}, check_data_quality={"fail": ["a.csv"], "hold": ["c.csv"]})

    done = run("ingest_listings")

    assert done.state == "failed"
    assert len(trainer.args("check-data-quality")) == 2, "a check that failed is tried again"
    assert trainer.args("assemble-listings") == [["--sha256", "bb", "dd", "ee"]]
    assert states_reported(trainer)["check_data_quality_0"] == "failed"
    assert option_reported(trainer, "--problems") == {"check_data_quality_0": "failed: a.csv"}
    assert [conf["file"] for conf in asked_about()] == ["cc"]


def test_a_held_file_skips_its_check_is_told_and_does_not_stop_the_good_one(run: Any, trainer: Any) -> None:
    trainer.plan(check_data_quality={"hold": ["a.csv"]})

    done = run("ingest_listings")

    assert done.state == "success"
    assert done.tasks["check_data_quality[0]"] == "skipped"
    assert trainer.args("assemble-listings") == [["--sha256", "bb"]]
    assert states_reported(trainer)["check_data_quality_0"] == "held"
    (conf,) = asked_about()
    assert conf == {
        "file": "aa",
        "decision": "ask",
        "held": "a.csv is held: the prices are 0.09 times the model's.",
    }


def asked_about() -> list[dict[str, Any]]:
    """What the runs of `release_listings` were started with that wait for the scheduler; they are removed."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session

    with create_session() as session:
        waiting = session.query(DagRun).filter(DagRun.dag_id == "release_listings", DagRun.state == "queued")
        runs = waiting.all()
        found = [dict(run.conf) for run in runs]
        for run in runs:
            session.delete(run)
    return found


def test_while_all_files_are_held_nothing_is_assembled_and_people_are_told(run: Any, trainer: Any) -> None:
    trainer.plan(check_data_quality={"hold": ["a.csv", "b.csv"]})

    done = run("ingest_listings")

    assert done.state == "success"
    assert trainer.args("assemble-listings") == []
    assert set(states_reported(trainer).values()) >= {"held"}
    assert {conf["file"] for conf in asked_about()} == {"aa", "bb"}


@pytest.mark.parametrize(("decision", "other"), [("release", "reject"), ("reject", "release")])
def test_a_person_releases_or_rejects_a_held_file(run: Any, trainer: Any, decision: str, other: str) -> None:
    done = run("release_listings", file="-odd name.csv", decision=decision, reason="- looked at it")

    assert done.state == "success"
    assert (done.tasks[decision], done.tasks[other]) == ("success", "skipped")
    assert trainer.args(decision) == [["raw/-odd name.csv", "--by=dag_test", "--reason=- looked at it"]]
    assert trainer.args(other) == []
    if decision == "release":
        assert last_event_extra("raw_listings") == {"status": "accepted"}


def test_a_check_that_crashed_is_told_apart_from_a_refused_file(run: Any, trainer: Any) -> None:
    trainer.plan(check_data_quality={"exit": 1, "no_result": True, "stderr": "No space left on device."})

    done = run("ingest_listings")

    assert done.state == "failed"
    assert states_reported(trainer)["check_data_quality_0"] == "failed"
    assert option_reported(trainer, "--problems") == {
        "check_data_quality_0": "No space left on device.",
        "check_data_quality_1": "No space left on device.",
    }


def test_nothing_to_claim_skips_the_whole_run_and_looks_how_long_that_has_been_so(
    run: Any, trainer: Any
) -> None:
    trainer.plan(
        claim_files={"exit": 99, "no_result": True}, check_freshness={"exit": 99, "stderr": "All is fresh."}
    )

    done = run("ingest_listings")

    assert done.state == "success"
    assert {state for task, state in done.tasks.items() if task != "no_step_failed"} == {"skipped"}
    assert [call["args"][0] for call in trainer.calls] == ["claim-files", "check-freshness"]


def test_a_claim_that_fails_is_reported(run: Any, trainer: Any) -> None:
    trainer.plan(claim_files={"exit": 1, "no_result": True, "stderr": "Permission denied."})

    done = run("ingest_listings")

    assert done.state == "failed"
    assert states_reported(trainer)["claim_files"] == "failed"
    assert option_reported(trainer, "--problems") == {"claim_files": "Permission denied."}
    assert trainer.args("alert") == [], "the report tells it"


def test_training_takes_the_newest_announced_snapshot_and_announces_a_candidate(
    run: Any, trainer: Any
) -> None:
    trainer.plan(assemble_listings={"result": {"snapshot_id": "snap9"}})
    run("ingest_listings")

    done = run("train_car_price")

    assert done.state == "success"
    assert trainer.args("train-model") == [["--snapshot", "snap9"]]
    assert trainer.args("evaluate-model") == [["--run-id", "run1"]]
    assert done.tasks["send_pipeline_report"] == "skipped"
    assert last_event_extra("candidate_model")["run_id"] == "run1"


def test_production_is_scored_on_new_listings_before_anything_trains_on_them(run: Any, trainer: Any) -> None:
    run("train_car_price")

    called = [call["args"][0] for call in trainer.calls]
    assert called.index("score-new-listings") < called.index("train-model")


@pytest.mark.parametrize("status", [0, 99, 65])
def test_a_snapshot_announced_while_production_is_scored_is_not_learned_unscored(
    run: Any, trainer: Any, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    real = ProcessStep.run_step

    def run_step(self: ProcessStep, arguments: list[str], context: Any) -> Outcome:
        outcome = real(self, arguments, context)
        if arguments[0] == "score-new-listings":
            announce("listings", {"snapshot_id": "later"})
        return outcome

    monkeypatch.setattr(ProcessStep, "run_step", run_step)
    announce("listings", {"snapshot_id": "first"})
    trainer.plan(score_new_listings={"exit": status})

    run("train_car_price")
    assert last_event_extra("listings") == {"snapshot_id": "later"}
    run("train_car_price")

    assert trainer.args("score-new-listings") == [["--snapshot", "first"], ["--snapshot", "later"]]
    assert trainer.args("train-model") == [["--snapshot", "first"], ["--snapshot", "later"]]


@pytest.mark.parametrize(("status", "state"), [(99, "success"), (65, "failed")])
def test_a_score_that_cannot_be_had_stops_no_training(
    run: Any, trainer: Any, status: int, state: str
) -> None:
    trainer.plan(score_new_listings={"exit": status, "no_result": True, "stderr": "Nothing to score."})

    done = run("train_car_price")

    assert done.state == state
    assert done.tasks["evaluate_model"] == "success"
    assert last_event_extra("candidate_model")["run_id"] == "run1"


def test_a_step_that_asks_to_be_tried_again_is_tried_again(run: Any, trainer: Any) -> None:
    away = {"exit": 75, "stderr": "MLflow is away."}
    trainer.plan(train_model=[away, away, away, {}])

    done = run("train_car_price")

    assert done.state == "success"
    assert len(trainer.args("train-model")) == 4


def test_a_step_that_fails_for_another_reason_is_tried_less_often(run: Any, trainer: Any) -> None:
    trainer.plan(train_model={"exit": 1, "no_result": True, "stderr": "KeyError: 'km'"})

    done = run("train_car_price")

    assert done.state == "failed"
    assert len(trainer.args("train-model")) == 2


@pytest.mark.parametrize("scored", [0, 99])
def test_a_failed_training_is_reported_and_the_run_is_red(run: Any, trainer: Any, scored: int) -> None:
    trainer.plan(
        score_new_listings={"exit": scored},
        train_model={"exit": 65, "no_result": True, "stderr": "Too few listings."},
    )

    done = run("train_car_price")

    assert done.state == "failed"
    assert len(trainer.args("train-model")) == 1
    assert done.tasks["evaluate_model"] == "upstream_failed"
    assert states_reported(trainer)["train_model"] == "failed"


def test_a_passed_candidate_goes_into_production_and_is_reported(run: Any, trainer: Any) -> None:
    done = run("promote_car_price", run_id="r42")

    assert done.state == "success"
    assert trainer.args("promote-to-staging") == [["--run-id", "r42"]]
    assert trainer.args("validate-staging-model") == [["--version", "3"]]
    assert trainer.args("promote-to-production") == [["--version", "3"]]
    assert trainer.args("send-pipeline-report")[0][:2] == ["--run-id", "r42"]
    assert list(states_reported(trainer)) == [
        "promote_to_staging",
        "validate_staging_model",
        "approve",
        "promote_to_production",
    ]
    assert states_reported(trainer)["approve"] == "skipped"
    assert last_event_extra("production_model") == {"version": "3", "previous_version": None}


def test_without_a_run_id_the_newest_candidate_is_promoted(run: Any, trainer: Any) -> None:
    trainer.plan(evaluate_model={"result": {"run_id": "newest"}})
    run("train_car_price")

    run("promote_car_price")

    assert trainer.args("promote-to-staging") == [["--run-id", "newest"]]


def test_a_gate_that_says_no_skips_the_rest_and_is_reported_in_a_green_run(run: Any, trainer: Any) -> None:
    gates = [{"name": "mape", "value": 0.4, "threshold": 0.25, "passed": False}]
    verdict = {"version": "3", "passed": False, "gates": gates}
    trainer.plan(promote_to_staging={"exit": 99, "result": verdict, "stderr": "Gate mape said no."})

    done = run("promote_car_price", run_id="r42")

    assert done.state == "success"
    assert done.xcom("promote_to_staging")["gates"] == gates
    assert done.tasks["promote_to_production"] == "skipped"
    assert done.tasks["send_pipeline_report"] == "success"
    assert not trainer.args("promote-to-production")


def test_a_failed_promotion_is_reported_and_the_run_is_red(run: Any, trainer: Any) -> None:
    trainer.plan(validate_staging_model={"exit": 1, "stderr": "boom"})

    done = run("promote_car_price", run_id="r42")

    assert done.state == "failed"
    assert done.tasks["send_pipeline_report"] == "success"
    states = states_reported(trainer)
    assert list(states.items())[1:] == [
        ("validate_staging_model", "failed"),
        ("approve", "skipped"),
        ("promote_to_production", "upstream_failed"),
    ]
    assert option_reported(trainer, "--problems") == {"validate_staging_model": "boom"}


def test_a_staging_model_that_the_gates_refuse_is_not_promoted(run: Any, trainer: Any) -> None:
    verdict = {"version": "3", "passed": False, "gates": []}
    trainer.plan(validate_staging_model={"exit": 99, "result": verdict, "stderr": "Gate said no."})

    done = run("promote_car_price", run_id="r42")

    assert done.state == "success"
    assert done.tasks["promote_to_staging"] == "success"
    assert done.tasks["approve"] == done.tasks["promote_to_production"] == "skipped"
    assert not trainer.args("promote-to-production")


@pytest.fixture
def answer() -> Iterator[Callable[..., None]]:
    """Answers, as a person does under Required Actions, what waits for one."""
    threads: list[threading.Thread] = []

    def respond(option: str, params: dict[str, str] | None = None) -> None:
        thread = threading.Thread(target=answer_when_asked, args=(option, params or {}), daemon=True)
        thread.start()
        threads.append(thread)

    yield respond
    for thread in threads:
        thread.join(30)


def answer_when_asked(option: str, params: dict[str, str]) -> None:
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    person = SimpleNamespace(get_id=lambda: "42", get_name=lambda: "Amina")
    for _ in range(240):
        with create_session() as session:
            waiting = session.query(TaskInstance).filter(TaskInstance.state == "awaiting_input").first()
            if waiting is not None:
                payload = UpdateHITLDetailPayload(chosen_options=[option], params_input=params)
                update_hitl_detail(
                    waiting.dag_id,
                    waiting.run_id,
                    waiting.task_id,
                    payload,
                    person,
                    session,  # type: ignore[arg-type]
                )
                return
        time.sleep(0.25)


@pytest.mark.parametrize(
    ("option", "step", "other"), [("Release", "release", "reject"), ("Reject", "reject", "release")]
)
def test_a_person_answers_about_a_held_file(
    run: Any, trainer: Any, answer: Any, option: str, step: str, other: str
) -> None:
    answer(option, {"why": "- I looked at it"})

    done = run("release_listings", file="aa", held="a.csv is held.")

    assert done.state == "success"
    assert (done.tasks["decide"], done.tasks[step], done.tasks[other]) == ("success", "success", "skipped")
    assert trainer.args(step) == [["raw/aa", "--by=Amina", "--reason=- I looked at it"]]
    assert trainer.args(other) == []


OFF = {
    "version": "3",
    "passed": True,
    "gates": [],
    "needs_approval": True,
    "approval_reason": "version 2 is in production and the market drifted away from it",
}


def test_after_drift_a_person_approves_the_promotion(run: Any, trainer: Any, answer: Any) -> None:
    trainer.plan(promote_to_staging={"result": OFF})
    answer("Approve")

    done = run("promote_car_price", run_id="r42")

    assert done.state == "success"
    assert done.tasks["approve"] == "success"
    assert trainer.args("promote-to-production") == [["--version", "3", "--approved-by", "Amina"]]


def test_after_drift_a_person_can_keep_a_model_out(run: Any, trainer: Any, answer: Any) -> None:
    trainer.plan(promote_to_staging={"result": OFF})
    answer("Reject")

    done = run("promote_car_price", run_id="r42")

    assert done.state == "success"
    assert done.tasks["promote_to_production"] == "skipped"
    assert not trainer.args("promote-to-production")
    assert states_reported(trainer)["promote_to_production"] == "skipped"


def test_a_report_that_can_not_be_sent_is_told_by_the_failed_run(run: Any, trainer: Any) -> None:
    trainer.plan(send_pipeline_report={"exit": 75, "no_result": True, "stderr": "MLflow is away."})

    done = run("promote_car_price", run_id="r42")

    assert done.state == "failed"
    (arguments,) = trainer.args("alert")
    assert arguments[:4] == [
        "--run-failed",
        f"promote_car_price, run {done.run_id}",
        "send_pipeline_report",
        "the report of the run could not be sent",
    ]
    assert f"/dags/promote_car_price/runs/{quote(done.run_id)}" in arguments[-1]


BOOM = {"exit": 1, "no_result": True, "stderr": "boom"}
NOTHING_TO_CLAIM = {"exit": 99, "no_result": True}


@pytest.mark.parametrize(
    ("dag_id", "failing"),
    [
        ("ingest_listings", {"claim_files"}),
        ("ingest_listings", {"check_data_quality"}),
        ("ingest_listings", {"assemble_listings"}),
        ("ingest_listings", {"held_files"}),
        ("ingest_listings", {"ask_about_held_files"}),
        ("ingest_listings", {"check_freshness"}),
        ("ingest_listings", {"check_data_quality", "held_files"}),
        ("ingest_listings", {"assemble_listings", "held_files"}),
        ("ingest_listings", {"assemble_listings", "ask_about_held_files"}),
        ("collect_listings", {"collect_listings"}),
        ("train_car_price", {"score_new_listings"}),
        ("train_car_price", {"train_model"}),
        ("train_car_price", {"evaluate_model"}),
        ("train_car_price", {"score_new_listings", "train_model"}),
        ("train_car_price", {"score_new_listings", "evaluate_model"}),
        ("promote_car_price", {"promote_to_staging"}),
        ("promote_car_price", {"validate_staging_model"}),
        ("promote_car_price", {"approve"}),
        ("promote_car_price", {"promote_to_production"}),
        ("monitor_drift", {"detect_drift"}),
        ("monitor_drift", {"publish_report"}),
        ("release_listings", {"decide"}),
        ("release_listings", {"release"}),
        ("release_listings", {"reject"}),
        ("rate_listings", {"rate_listings"}),
        ("rollback", {"rollback"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "+".join(sorted(value)),
)
def test_one_report_names_every_task_that_is_red(
    load_dag: Any, trainer: Any, monkeypatch: pytest.MonkeyPatch, dag_id: str, failing: set[str]
) -> None:
    """Each task of each DAG fails in turn, and each pair of tasks that can both be red."""
    dag = load_dag(dag_id)
    plan: dict[str, Any] = dict.fromkeys(failing, BOOM)
    if "check_freshness" in failing:
        plan["claim_files"] = NOTHING_TO_CLAIM
    if "ask_about_held_files" in failing:
        plan["check_data_quality"] = {"hold": ["a.csv"]}
        monkeypatch.setattr(TriggerDagRunOperator, "execute", boom)
    if "approve" in failing:
        plan["promote_to_staging"] = {"result": OFF}
    for name in failing & {"held_files", "approve", "decide"}:
        monkeypatch.setattr(dag.get_task(name), "execute", lambda context: boom(None, context))
    trainer.plan(**plan)
    conf = {
        "promote_car_price": {"run_id": "r42"},
        "rollback": {"reason": "looks wrong"},
        "release_listings": {"file": "aa", "decision": "reject" if "reject" in failing else "release"},
    }.get(dag_id)
    if "decide" in failing:
        conf = {"file": "aa"}

    done = Run(dag.test(run_conf=conf))

    assert done.state == "failed"
    red = {name.partition("[")[0] for name, state in done.tasks.items() if state == "failed"}
    assert red == failing
    told = {name for name, state in states_reported(trainer).items() if state == "failed"}
    assert {name.rstrip("0123456789").rstrip("_") for name in told} == failing
    assert not trainer.args("alert")


def boom(self: Any, context: Any) -> None:
    raise AirflowFailException("boom")


@pytest.mark.parametrize(
    ("dag_id", "plan", "failed"),
    [
        ("monitor_drift", "detect_drift", "detect_drift"),
        ("monitor_drift", "publish_report", "publish_report"),
        ("rate_listings", "rate_listings", "rate_listings"),
        ("rollback", "rollback", "rollback"),
        ("train_car_price", "evaluate_model", "evaluate_model"),
    ],
)
def test_a_failure_in_any_dag_is_told_with_its_last_words(
    run: Any, trainer: Any, dag_id: str, plan: str, failed: str
) -> None:
    trainer.plan(**{plan: {"exit": 1, "no_result": True, "stderr": "boom"}})

    done = run(dag_id, **({"reason": "looks wrong"} if dag_id == "rollback" else {}))

    assert done.state == "failed"
    assert states_reported(trainer)[failed] == "failed"
    assert option_reported(trainer, "--problems") == {failed: "boom"}
    assert not trainer.args("alert")


def test_drift_is_measured_in_the_background_and_published(run: Any, trainer: Any) -> None:
    done = run("monitor_drift")

    assert done.state == "success"
    background = min(os.nice(0) + 5, 19)  # the kernel knows no priority beyond 19
    assert [call["nice"] for call in trainer.calls] == [background, background]
    assert trainer.args("publish-report") == [["--report", "reports/drift/x.html"]]
    assert last_event_extra("drift_report") == {"report": "reports/drift/x.html"}


def test_the_newest_listings_are_rated_in_the_background_and_the_market_is_announced(
    run: Any, trainer: Any
) -> None:
    done = run("rate_listings")

    assert done.state == "success"
    assert trainer.args("rate-listings") == [["--snapshot", "latest"]]
    assert trainer.calls[0]["nice"] == min(os.nice(0) + 5, 19)
    assert last_event_extra("market") == {"id": "market1", "on_offer": 7}


def test_without_a_version_in_production_nothing_is_rated_and_nobody_is_told(run: Any, trainer: Any) -> None:
    trainer.plan(rate_listings={"exit": 99, "stderr": "no version is in production"})

    done = run("rate_listings")

    assert done.state == "success"
    assert done.tasks["rate_listings"] == "skipped"
    assert not trainer.args("send-pipeline-report")


def test_a_rollback_names_its_target(run: Any, trainer: Any) -> None:
    done = run("rollback", reason="prices look wrong", version="3")

    assert done.state == "success"
    assert trainer.args("rollback")[0][-1] == "--version=3"


def test_rollback_hands_the_reason_on(run: Any, trainer: Any) -> None:
    done = run("rollback", reason="prices look wrong")

    assert done.state == "success"
    asked = ["--by=dag_test", "--reason=prices look wrong", f"--run={done.run_id}"]
    assert trainer.args("rollback") == [asked]
    assert last_event_extra("production_model") == {"version": "2"}
