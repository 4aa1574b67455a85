"""Follow a landed file through the DAGs, with a line for each step that begins or ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import requests

from carprice.store import DataRoot
from carprice_contract.data_root import receipt
from demo.airflow_api import OPEN, AirflowApi
from demo.settings import DemoProblem

# The DAGs from a landed file to the listings on offer, in order, each with the task that starts the next one.
CHAIN = {
    "ingest_listings": "assemble_listings",
    "train_car_price": "evaluate_model",
    "promote_car_price": "promote_to_production",
    "rate_listings": None,
    "monitor_drift": None,
}


def follow(
    api: AirflowApi,
    root: DataRoot,
    sha256: str | None,
    since: str,
    say: Callable[[str], None],
    seconds: float,
) -> None:
    """Print progress until every run that was open, or that the file with `sha256` started, has ended.

    `sha256` is None when nothing new landed. Raises `DemoProblem` when that takes longer than `seconds`.
    """
    deadline = time.monotonic() + seconds
    shown: dict[tuple[str, str, str, int], str] = {}
    quiet_since = None
    while time.monotonic() < deadline:
        try:
            runs = [run for run in api.runs_since(since) if run["dag_id"] in CHAIN]
            states = {}
            for run in runs:
                tasks = api.tasks(run["dag_id"], run["dag_run_id"])
                states[run["dag_id"], run["dag_run_id"]] = (run, tasks)
                _show(run, tasks, shown, say)
        except (requests.RequestException, KeyError):
            time.sleep(1)  # the server restarts
            continue
        has_receipt = sha256 is None or root.exists(receipt(sha256))
        if has_receipt and not _more_to_come(states):
            # A run that has just ended may start the next one in a moment.
            quiet_since = quiet_since or time.monotonic()
            if time.monotonic() - quiet_since > (3 if runs else 6):
                return
        else:
            quiet_since = None
        time.sleep(0.5)
    raise DemoProblem(
        f"the pipeline was expected to end within {seconds:.0f} s (DEMO_TIMEOUT), found it still running; "
        f"look at the runs in the Airflow UI"
    )


def follow_run(api: AirflowApi, dag_id: str, run_id: str, say: Callable[[str], None], seconds: float) -> str:
    """Print progress until a run has ended; its state. Raises `DemoProblem` after `seconds`."""
    deadline = time.monotonic() + seconds
    shown: dict[tuple[str, str, str, int], str] = {}
    while time.monotonic() < deadline:
        try:
            run = api.run(dag_id, run_id)
            _show(run, api.tasks(dag_id, run_id), shown, say)
        except (requests.RequestException, KeyError):
            time.sleep(1)  # the server restarts
            continue
        if run["state"] not in OPEN:
            return str(run["state"])
        time.sleep(0.5)
    raise DemoProblem(
        f"the run of {dag_id} was expected to end within {seconds:.0f} s (DEMO_TIMEOUT), found it still "
        "running; look at it in the Airflow UI"
    )


def now() -> str:
    """The present time as Airflow writes times."""
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _more_to_come(states: dict[Any, tuple[dict[str, Any], list[dict[str, Any]]]]) -> bool:
    if any(run["state"] in OPEN for run, _ in states.values()):
        return True
    chain = list(CHAIN)
    for run, tasks in states.values():
        hands_over = CHAIN[run["dag_id"]]
        ended = {task["task_id"]: task["state"] for task in tasks}
        if hands_over and ended.get(hands_over) == "success":
            follower = chain[chain.index(run["dag_id"]) + 1]
            begun = [other for other, _ in states.values() if other["dag_id"] == follower]
            if not any((other["queued_at"] or "") >= (run["start_date"] or "") for other in begun):
                return True
    return False


def _show(
    run: dict[str, Any],
    tasks: list[dict[str, Any]],
    shown: dict[tuple[str, str, str, int], str],
    say: Callable[[str], None],
) -> None:
    for task in sorted(tasks, key=lambda task: task["start_date"] or "9"):
        key = (run["dag_id"], run["dag_run_id"], task["task_id"], task["map_index"])
        state = task["state"] or "waiting"
        if state == shown.get(key) or state in ("waiting", "queued", "scheduled"):
            continue
        shown[key] = state
        name = task["task_id"] + (f"[{task['map_index']}]" if task["map_index"] >= 0 else "")
        took = f"  {task['duration']:.1f} s" if task["duration"] and state != "running" else ""
        say(f"{run['dag_id']:<18} {name:<26} {state}{took}")
