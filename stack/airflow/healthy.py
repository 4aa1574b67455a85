"""Whether a component is healthy: `healthy.py api-server|scheduler|dag_processor|triggerer|worker`.

Exits 0 when it is, otherwise 1 with a sentence. It replaces `airflow jobs check`, which takes seconds of a
core each time. It asks the API server about the heartbeats of the components, and the worker through the
broker.
"""

from __future__ import annotations

import json
import socket
import sys
import urllib.request
from pathlib import Path

HEALTH = "http://{host}:8080/api/v2/monitor/health"
BROKER_URL_FILE = Path("/run/secrets/airflow_broker_url")
SECONDS = 8


def main(component: str) -> int:
    """Check, print what is wrong, and return the exit status."""
    try:
        problem = worker_problem() if component == "worker" else component_problem(component)
    except Exception as error:  # noqa: BLE001 - whatever it is, the component may be unhealthy
        problem = f"{type(error).__name__}: {error}"
    if problem:
        sys.stderr.write(f"{component}: {problem}\n")
    return 1 if problem else 0


def component_problem(component: str) -> str:
    """What the API server reports as wrong with `component`; "" when it is healthy."""
    here = component == "api-server"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(HEALTH.format(host="127.0.0.1" if here else "api-server"), timeout=SECONDS) as answer:
        health = json.load(answer)
    status = health["metadatabase" if here else component]["status"]
    return "" if status == "healthy" else f"the API server reports it as {status}"


def worker_problem() -> str:
    """What is wrong with the worker in this container; "" when it is healthy."""
    from celery import Celery

    me = f"celery@{socket.gethostname()}"
    app = Celery(broker=BROKER_URL_FILE.read_text().strip())
    answers = app.control.inspect([me], timeout=SECONDS).ping()
    return "" if answers and me in answers else "it does not answer through the broker"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
