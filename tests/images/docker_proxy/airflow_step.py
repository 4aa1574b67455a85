"""A step as Airflow runs it, through the proxy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from running_proxy import MARK, NETWORK, REPOSITORY, RunningProxy

AIRFLOW_PYTHON = REPOSITORY / ".venv/airflow/bin/python"

STEP = """
import json, sys
from collections import defaultdict
from types import SimpleNamespace

from airflow.sdk import Asset
from include.step import step_operator

class TaskInstance:
    dag_id, task_id, map_index, try_number, run_id = "proxy", "check", -1, 1, sys.argv[1]

    def xcom_push(self, key, value):
        print(key, value)

events = defaultdict(lambda: SimpleNamespace(extra=None))
operator = step_operator()(
    python_callable=lambda: sys.argv[2:], task_id="check", outlets=[Asset(name="a", uri="carprice://test/a")]
)
print("RESULT", json.dumps(operator.execute({"ti": TaskInstance(), "outlet_events": events})))
"""


def run_step(
    proxy: RunningProxy, data: Path, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A step as Airflow runs it, by the operator of `airflow/include/container_step.py`."""
    (folder / "params.yaml").write_text("landing: {settle_seconds: 10}\n")
    return subprocess.run(
        [AIRFLOW_PYTHON, "-c", STEP, f"run-{MARK}", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(REPOSITORY / "airflow"),
            "DOCKER_HOST": f"tcp://127.0.0.1:{proxy.port}",
            "CARPRICE_DOCKER_NETWORK": NETWORK,
            "CARPRICE_PARAMS_FILE": str(folder / "params.yaml"),
            "DATA_DIR": str(data),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
