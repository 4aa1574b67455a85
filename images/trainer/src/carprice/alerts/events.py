"""What happens in the pipeline, and which alert it opens or resolves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from carprice.alerts import wording
from carprice.alerts.record import Alert, exists, open_alert, resolve, resolve_other_versions
from carprice.landing.summaries import summaries
from carprice.params import AlertParams, Params
from carprice.store import DataRoot
from carprice_contract.data_root import RAW
from carprice_contract.steps import StepName


def file_refused(root: DataRoot, receipt: Mapping[str, Any]) -> None:
    """A file was refused as a whole: one alert for its content."""
    subject, text = wording.refused_file(receipt)
    cause = _refusal(receipt["sha256"])
    open_alert(root, Alert(cause, "file_refused", subject, text, receipt["quality_page"]))


def file_accepted(root: DataRoot, sha256: str) -> None:
    """A file was accepted; it may have been refused or held before, under other settings."""
    resolve(root, _refusal(sha256))
    resolve(root, _hold(sha256))


def file_held(root: DataRoot, receipt: Mapping[str, Any]) -> None:
    """A file waits until a person releases or rejects it: one alert for its content."""
    subject, text = wording.held_file(receipt)
    open_alert(root, Alert(_hold(receipt["sha256"]), "file_held", subject, text, receipt["quality_page"]))


def held_file_decided(root: DataRoot, sha256: str) -> None:
    """A person released or rejected a held file."""
    resolve(root, _hold(sha256))


def steps_ended(
    root: DataRoot,
    states: Mapping[str, str],
    problems: Mapping[str, str] | None = None,
    run: str = "",
    report: str | None = None,
    link: str | None = None,
) -> None:
    """Steps of a run ended: an alert for each that failed, and none any more for those that succeeded.

    `states` maps steps to how they ended. `problems` holds the last error of each step that failed, `run`
    names the run, and `link` opens it.
    """
    for step, state in states.items():
        if state == "success":
            step_succeeded(root, step)
    failed: dict[str, str] = {}
    for step, state in states.items():
        if state == "failed":
            failed.setdefault(_failure(step), step)
    for cause, step in failed.items():
        subject, text = wording.failed_step(step, states, problems or {}, run)
        if _is_step(step):
            open_alert(root, Alert(cause, "pipeline_failed", subject, text, report, link))
        else:
            # nothing tells when such a task succeeds again, so each run has a cause of its own
            of_run = f"{cause}:{run}"
            open_alert(root, Alert(of_run, "pipeline_failed", subject, text, report, link, ends="told"))


def step_succeeded(root: DataRoot, step: str) -> None:
    """A step succeeded: its earlier failure is history."""
    resolve(root, _failure(step))


def run_reported(
    root: DataRoot, cause: str, headline: str, text: str, report: str, link: str | None = None
) -> None:
    """A run ended without a failure: its report is sent once for its `cause`."""
    open_alert(root, Alert(f"report:{cause}", "report", f"Car prices: {headline}", text, report, link))


def drift_judged(
    root: DataRoot, params: Params, verdict: Mapping[str, Any], in_production: str | None
) -> None:
    """New listings were compared with those that a version learned.

    `verdict` is the JSON of the drift report. `in_production` is the version that is in production now,
    which may have replaced the one that was judged. The verdict "too little data" changes nothing.
    """
    subject, text = wording.drifted_market(verdict, params)
    alert = Alert(f"drift:{verdict['production_version']}", "drift", subject, text, verdict.get("report"))
    drifted = {"drifted": True, "stable": False}.get(str(verdict.get("verdict")))
    _version_judged(root, alert, drifted, in_production)


def live_error_judged(
    root: DataRoot, params: Params, verdict: Mapping[str, Any], in_production: str | None
) -> None:
    """The error of a version on new listings was compared with the promised one.

    `verdict` is the JSON of the live accuracy report; for `in_production` see `drift_judged`.
    """
    subject, text = wording.worse_live_error(verdict, params)
    alert = Alert(f"live_error:{verdict['version']}", "live_error", subject, text, verdict.get("report"))
    worse = {"worse": True, "as promised": False}.get(str(verdict.get("verdict")))
    _version_judged(root, alert, worse, in_production)


def version_in_production(root: DataRoot, version: str) -> None:
    """`version` is in production: drift and live error of the other versions are history."""
    resolve_other_versions(root, version)


def freshness_checked(root: DataRoot, params: AlertParams) -> dict[str, Any]:
    """Open an alert if nothing has landed for `alerts.nothing_landed_days`; returns the newest file's age.

    A data root in which no file has landed yet is new, and not late.
    """
    newest: dict[str, Any] | None = None
    for receipt in summaries(root).values():
        if newest is None or receipt["checked_at"] > newest["checked_at"]:
            newest = receipt
    if newest is None:
        return {"file": None, "landed_at": None, "age_days": None, "stale": False}
    age = datetime.now(UTC) - datetime.fromisoformat(newest["checked_at"])
    age_days = age.total_seconds() / 86400
    stale = age_days > params.nothing_landed_days
    if stale:
        subject, text = wording.nothing_landed(newest, age_days, params.nothing_landed_days, root.uri(RAW))
        open_alert(root, Alert("nothing_landed", "nothing_landed", subject, text))
    else:
        resolve(root, "nothing_landed")
    return {
        "file": newest["file"],
        "landed_at": newest["checked_at"],
        "age_days": round(age_days, 2),
        "stale": stale,
    }


def _version_judged(root: DataRoot, alert: Alert, wrong: bool | None, in_production: str | None) -> None:
    """Open or resolve the alert about a version; `wrong` is None where there is too little data to say.

    An alert about a version that has been replaced meanwhile is opened once, with a note of what replaced
    it, and never again. Nothing is judged while no version is in production.
    """
    if in_production is None:
        return
    replaced = alert.cause.split(":")[1] != in_production
    if wrong and not (replaced and exists(root, alert.cause)):
        open_alert(root, alert)
    elif wrong is False:
        resolve(root, alert.cause)
    resolve_other_versions(root, in_production)


def _refusal(sha256: str) -> str:
    return f"file_refused:{sha256}"


def _hold(sha256: str) -> str:
    return f"file_held:{sha256}"


def _failure(step: str) -> str:
    """The cause of a failed step. All copies of a mapped step share it, and `-` counts as `_`."""
    return f"pipeline_failed:{_name_of(step)}"


def _is_step(step: str) -> bool:
    """Whether a task of Airflow is a step, which closes its own alert when it succeeds."""
    return _name_of(step).replace("_", "-") in {name.value for name in StepName}


def _name_of(step: str) -> str:
    return re.sub(r"(_[0-9]+)+$", "", step.replace("-", "_"))
