"""Makes the folder that a worker on another machine needs, besides the images.

    python3 stack/make_worker.py --main ADDRESS --worker ADDRESS FOLDER

The addresses are those at which the two machines reach each other. The folder gets the compose file, the
settings, and the secrets that a worker needs. It must not exist yet.
"""

from __future__ import annotations

import argparse
import base64
import ipaddress
import os
import shutil
import sys
from pathlib import Path

import egress
from make_env import REPOSITORY, SetupProblem, give, settings_in

from carprice_contract import variables

SECRETS = (
    "airflow_database_url",
    "airflow_broker_url",
    "airflow_result_backend",
    "airflow_secret_key",
    *variables.SECRET_FILES.values(),
)
FILES = (
    "params.yaml",
    "stack/airflow/team.env",
    "stack/airflow/healthy.py",
    "stack/forwarder/forward.py",
)
# Both machines must have the same value of these.
SHARED = (
    "CARPRICE_UID",
    "CARPRICE_DATA_URL",
    "CARPRICE_S3_ENDPOINT",
    "CARPRICE_S3_REGION",
    "CARPRICE_AIRFLOW_IMAGE",
    "CARPRICE_TRAINER_IMAGE",
    "CARPRICE_SERVING_IMAGE",
    "CARPRICE_DOCKER_PROXY_IMAGE",
    "CARPRICE_STEP_MEMORY",
    "CARPRICE_STEP_CPUS",
    "CARPRICE_APPROVAL",
    "CARPRICE_SMTP_TO",
    "CARPRICE_SMTP_FROM",
)


def main(argv: list[str] | None = None) -> int:
    """Make the folder, print what to do with it, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--main", required=True, metavar="ADDRESS", help="of this machine, for the worker")
    parser.add_argument("--worker", required=True, metavar="ADDRESS", help="of the worker, for this machine")
    parser.add_argument("--stack", type=Path, default=REPOSITORY, help="where this stack's .env is")
    parser.add_argument("folder", type=Path, help="the folder to make")
    arguments = parser.parse_args(argv)
    try:
        make_worker(arguments.stack.resolve(), arguments.folder, arguments.main, arguments.worker)
    except (SetupProblem, egress.HostProblem, OSError) as problem:
        sys.stderr.write(f"make-worker: {problem}\n")
        return 1
    sys.stderr.write(
        f"make-worker: {arguments.folder} holds secrets: copy it to {arguments.worker} by ssh, then remove "
        "it here.\n"
    )
    return 0


def make_worker(stack: Path, folder: Path, main_address: str, worker_address: str) -> None:
    """Make `folder` for the worker at `worker_address` of the stack whose `.env` is in `stack`.

    Raises `SetupProblem` when that stack can't have a worker elsewhere, or an address can't be used.
    """
    settings = settings_in(stack / ".env")
    if not settings.get("CARPRICE_DATA_URL"):
        raise SetupProblem(
            f"a data root in an object store was expected in {stack / '.env'}, found none, and other "
            "machines see no folder of this one: run 'make env CARPRICE_DATA_URL=s3://bucket/prefix' first."
        )
    for address in (main_address, worker_address):
        _check_address(address)
    if folder.exists():
        raise SetupProblem(f"a folder that does not exist yet was expected, found {folder}: name another.")
    uid, secrets = int(settings["CARPRICE_UID"]), Path(settings["CARPRICE_SECRETS_DIR"])
    hosts = [*egress.hosts_of_steps(settings, secrets), egress.Host("mlflow", 5000, main_address)]
    texts = {name: (secrets / name).read_text() for name in SECRETS}
    # Airflow does not start without a key. Only the API server needs the main machine's.
    texts["airflow_fernet_key"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
    folder.mkdir(parents=True, mode=0o700)
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, folder / name)
    shutil.copy(REPOSITORY / "stack/worker.yml", folder / "docker-compose.yml")
    egress.write(folder / egress.FILE, sorted(hosts), services=())
    (folder / ".secrets").mkdir(mode=0o700)
    give(folder / ".secrets", uid)
    for name, text in texts.items():
        path = folder / ".secrets" / name
        path.touch(mode=0o600)
        path.write_text(text)
        give(path, uid)
    own = {
        "COMPOSE_PROJECT_NAME": f"{settings['COMPOSE_PROJECT_NAME']}-worker",
        "COMPOSE_FILE": f"docker-compose.yml:{egress.FILE}",
        "CARPRICE_MAIN_ADDRESS": main_address,
        "CARPRICE_WORKER_ADDRESS": worker_address,
        "CARPRICE_AIRFLOW_URL": settings.get("CARPRICE_AIRFLOW_URL")
        or f"http://127.0.0.1:{settings.get('CARPRICE_AIRFLOW_PORT') or '8080'}",
        "CARPRICE_REPORTS_URL": settings.get("CARPRICE_REPORTS_URL")
        or f"http://127.0.0.1:{settings.get('CARPRICE_REPORTS_PORT') or '8502'}",
    }
    shared = {name: settings[name] for name in SHARED if settings.get(name)}
    head = "# Made by stack/make_worker.py on the main machine. No secrets here.\n"
    (folder / ".env").write_text(head + "".join(f"{k}={v}\n" for k, v in (own | shared).items()))


def _check_address(address: str) -> None:
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        raise SetupProblem(
            f"an IP address was expected, found {address!r}: ports can't be published on a name."
        ) from None
    if loopback:
        raise SetupProblem(
            f"an address that another machine can reach was expected, found {address}, which is each "
            "machine's own."
        )


if __name__ == "__main__":
    sys.exit(main())
