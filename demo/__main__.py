"""`make demo`: starts everything, lands a file, follows it into production and keeps serving."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from datetime import datetime
from pathlib import Path

from carprice.errors import CarpriceError
from carprice.landing.land import land
from carprice.lifecycle.registry import Registry
from carprice.listings import sample
from carprice.params_file import load_params
from carprice.store import DataRoot
from carprice_contract import data_root
from carprice_contract.steps import ExitCode
from demo import collecting, follow, services
from demo.airflow_api import AirflowApi
from demo.replica import past
from demo.settings import REPOSITORY, DemoProblem, Settings
from demo.summary import summary
from demo.supervisor import Supervisor

SAMPLE_ROWS = 3000


def main() -> int:
    """Run the demo; returns the exit status."""
    # SIGINT too: a script's shell makes a process that it starts with & ignore it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    os.umask(0o002)  # a container's user shares the data root by its group
    os.environ.setdefault("CARPRICE_PARAMS_FILE", str(REPOSITORY / "params.yaml"))
    try:
        load_params()
        return _demo(Settings.from_environment())
    except (DemoProblem, CarpriceError) as problem:
        _say(f"demo: {problem}")
        return getattr(problem, "exit_code", 1)
    except KeyboardInterrupt:
        return 130


def _demo(settings: Settings) -> int:
    _prepare(settings)
    api = AirflowApi(settings.airflow_url, services.USER, services.secret(settings.state, "admin-password"))
    with contextlib.ExitStack() as ending:
        if settings.runtime == "docker":
            ending.callback(
                services.remove_step_containers, settings
            )  # after Airflow has stopped, so that no new one starts
        site = ending.enter_context(collecting.market_site()) if settings.collect else None
        if site is not None:
            os.environ.update(collecting.environment(site))
        supervisor = ending.enter_context(Supervisor(settings.state / "logs"))
        ending.callback(_ignore_interrupts)  # a second Ctrl-C must not leave services running
        _say("starting MLflow, Airflow, the API, the app and Evidently")
        services.start_all(settings, supervisor, api, _say)
        os.environ["MLFLOW_TRACKING_URI"] = settings.mlflow_url
        root = DataRoot(str(settings.data))
        if site is not None:
            sha256 = collecting.collect_days(api, root, site, _say, settings.timeout_seconds)
        else:
            sha256 = _land_and_follow(settings, api, root)
        lines, in_production = summary(root, Registry(root), sha256)
        print("\n" + "\n".join(lines + _addresses(settings)), flush=True)  # noqa: T201
        refused = root.read_json(data_root.receipt(sha256))["status"] == "refused"
        if not settings.once:
            print("\nCtrl-C stops everything.", flush=True)  # noqa: T201
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
        _say("stopping")
    if refused:
        return ExitCode.REFUSED
    return 0 if in_production else 1


def _prepare(settings: Settings) -> None:
    services.make_folders(settings)
    if settings.runtime == "docker":
        _say("each step runs in a container of its own (a Docker engine answers)")
    else:
        _say("PROCESS MODE: steps run as child processes of Airflow, not in containers (no engine is used)")


def _land_and_follow(settings: Settings, api: AirflowApi, root: DataRoot) -> str:
    since = follow.now()
    if settings.past:
        name, sha256, is_new = _land_past(root)
    else:
        name, sha256, is_new = _land(settings, root)
    _say(f"{'landed' if is_new else 'already landed:'} {name}")
    follow.follow(api, root, sha256 if is_new else None, since, _say, settings.timeout_seconds)
    return sha256


def _land(settings: Settings, root: DataRoot) -> tuple[str, str, bool]:
    if settings.file is not None:
        landed = land(root, str(settings.file))
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "synthetic_listings.csv"
            sample.write_sample(str(path), SAMPLE_ROWS, seed=0)
            landed = land(root, str(path))
    is_new = not root.exists(data_root.receipt(landed["sha256"]))
    return landed["file"], landed["sha256"], is_new


def _land_past(root: DataRoot) -> tuple[str, str, bool]:
    """Land a file of each past week; what is said of the last one, which has the cars of today."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in past.files(past.market()):
            path = Path(folder) / name
            path.write_text(text)
            landed = land(root, str(path))
    is_new = not root.exists(data_root.receipt(landed["sha256"]))
    return landed["file"], landed["sha256"], is_new


def _addresses(settings: Settings) -> list[str]:
    root = DataRoot(str(settings.data))
    return [
        "",
        f"App       {settings.app_url}",
        f"API       {settings.api_url}/docs",
        f"Airflow   {settings.airflow_url}   user {services.USER}, password {_password(settings)}",
        f"MLflow    {settings.mlflow_url}",
        f"Reports   {root.uri(data_root.REPORT_INDEX)}",
        f"History   {settings.evidently_url}   of drift, live error and refused rows",
        f"Land more: bin/carprice land FILE, or move a finished .csv into {root.uri(data_root.RAW)}",
    ]


def _password(settings: Settings) -> str:
    shown = settings.state / "secrets" / "shown"
    if shown.exists():
        return f"as shown at the first start (also in {settings.state / 'secrets' / 'admin-password'})"
    shown.touch(mode=0o600)
    return services.secret(settings.state, "admin-password")


def _say(line: str) -> None:
    print(f"{datetime.now():%H:%M:%S}  {line}", flush=True)  # noqa: T201


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _ignore_interrupts() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
