"""The part of Airflow's REST API that is needed to follow a run."""

from __future__ import annotations

import time
from typing import Any

import requests


class AirflowApi:
    """A client with the admin's login; fetches a new token when the old one is refused."""

    def __init__(self, url: str, user: str, password: str) -> None:
        self._url = url
        self._login = {"username": user, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # two local processes need no proxy between them

    def healthy(self) -> bool:
        """Whether every component reports itself healthy."""
        answer = self._session.get(f"{self._url}/api/v2/monitor/health", timeout=5).json()
        return all(
            answer[part]["status"] == "healthy"
            for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")
        )

    def dags(self) -> list[dict[str, Any]]:
        """All DAGs that Airflow knows."""
        return list(self._get("dags", {"limit": 100})["dags"])

    def import_errors(self) -> list[str]:
        """The errors of DAG files that Airflow could not read."""
        return [str(error["stack_trace"]) for error in self._get("importErrors", {})["import_errors"]]

    def runs_since(self, moment: str) -> list[dict[str, Any]]:
        """Runs of any DAG queued at or after `moment` (ISO 8601), and those not yet ended, oldest first."""
        recent = self._get("dags/~/dagRuns", {"order_by": "-id", "limit": 100})["dag_runs"]
        chosen = [
            run for run in recent if (run["queued_at"] or run["run_after"]) >= moment or run["state"] in OPEN
        ]
        return chosen[::-1]

    def tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """The task instances of a run, mapped ones included."""
        found = self._get(f"dags/{dag_id}/dagRuns/{run_id}/taskInstances", {"limit": 1000})
        return list(found["task_instances"])

    def trigger(self, dag_id: str) -> str:
        """Start a run of a DAG; its id. Raises what `requests` raises."""
        for attempt in range(3):
            if "Authorization" not in self._session.headers:
                self._authenticate()
            answer = self._session.post(
                f"{self._url}/api/v2/dags/{dag_id}/dagRuns", json={"logical_date": None}, timeout=30
            )
            if answer.status_code != 401 or attempt == 2:
                break
            del self._session.headers["Authorization"]
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run of a DAG."""
        return dict(self._get(f"dags/{dag_id}/dagRuns/{run_id}", {}))

    def _get(self, path: str, query: dict[str, Any]) -> Any:
        for attempt in range(3):
            if "Authorization" not in self._session.headers:
                self._authenticate()
            answer = self._session.get(f"{self._url}/api/v2/{path}", params=query, timeout=30)
            if answer.status_code == 401:
                del self._session.headers["Authorization"]
            elif answer.status_code < 500 or attempt == 2:
                break
            time.sleep(1)
        answer.raise_for_status()
        return answer.json()

    def _authenticate(self) -> None:
        answer = self._session.post(f"{self._url}/auth/token", json=self._login, timeout=30)
        answer.raise_for_status()
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


OPEN = ("queued", "running")
