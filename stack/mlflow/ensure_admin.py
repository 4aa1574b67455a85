"""Makes the MLflow user `admin` for people, with the password in /run/secrets/admin_password.

The server itself starts with the user `pipeline` alone, which the steps log in as: their password is in the
environment of their containers, and must open nothing but MLflow.
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
PIPELINE, PERSON = "pipeline", "admin"


def main() -> int:
    """Make the user, or give it the file's password; returns the exit status."""
    password = (SECRETS / "admin_password").read_text().strip()
    status, answer = call("POST", "create", {"username": PERSON, "password": password})
    if status == 400 and answer.get("error_code") == "RESOURCE_ALREADY_EXISTS":
        status, answer = call("PATCH", "update-password", {"username": PERSON, "password": password})
    if status == 200:
        status, answer = call("PATCH", "update-admin", {"username": PERSON, "is_admin": True})
    if status != 200:
        sys.stderr.write(f"ensure-admin: MLflow answered {status}: {answer.get('message', answer)}\n")
        return 1
    sys.stderr.write(f"ensure-admin: the user {PERSON} is an administrator of MLflow.\n")
    return 0


def call(method: str, path: str, body: dict[str, object]) -> tuple[int, dict[str, object]]:
    """Status and body of the answer to a call made as `pipeline`."""
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
