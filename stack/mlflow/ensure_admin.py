"""Makes MLflow's users: `admin` for people and `serving` for the price API, with passwords from /run/secrets.

The server itself starts with one user, `pipeline`, for the steps. It is an administrator, because the steps
register and promote models; its password is for MLflow only. `serving` may do what every login may: read, and
change nothing that others made.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

SERVER = "http://mlflow:5000/api/2.0/mlflow/users/"
SECRETS = Path("/run/secrets")
PIPELINE = "pipeline"
USERS = {"admin": ("admin_password", True), "serving": ("mlflow_serving_password", False)}
"""Each user's secret, and whether it is an administrator."""


def main() -> int:
    """Make the users, or set their passwords to those of the files; returns the exit status."""
    for user, (secret, is_admin) in USERS.items():
        status, answer = ensure(user, (SECRETS / secret).read_text().strip(), is_admin)
        if status != 200:
            sys.stderr.write(
                f"ensure-admin: MLflow answered {status} about {user}: {answer.get('message', answer)}\n"
            )
            return 1
        kind = "an administrator" if is_admin else "a reader"
        sys.stderr.write(f"ensure-admin: the user {user} is {kind} of MLflow.\n")
    return 0


def ensure(user: str, password: str, is_admin: bool) -> tuple[int, dict[str, object]]:
    """Make `user`, or set its password; returns status and body of the last answer, 200 on success."""
    status, answer = call("POST", "create", {"username": user, "password": password})
    if status == 400 and answer.get("error_code") == "RESOURCE_ALREADY_EXISTS":
        status, answer = call("PATCH", "update-password", {"username": user, "password": password})
    if status == 200:
        status, answer = call("PATCH", "update-admin", {"username": user, "is_admin": is_admin})
    return status, answer


def call(method: str, path: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    """The status and body of the answer to a call by the user `pipeline`."""
    login = f"{PIPELINE}:{(SECRETS / 'mlflow_password').read_text().strip()}"
    request = urllib.request.Request(  # noqa: S310 - the address is above
        SERVER + path, json.dumps(body).encode(), method=method
    )
    request.add_header("Content-Type", "application/json")
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as refusal:
        text = refusal.read().decode(errors="replace")
        try:
            return refusal.code, json.loads(text)
        except ValueError:
            return refusal.code, {"message": text[:300]}


if __name__ == "__main__":
    sys.exit(main())
