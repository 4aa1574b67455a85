"""What people are told without asking: one message per cause, however often its step is tried again.

An alert is a JSON record under `alerts/`, named by the hash of its cause. The step that sees a cause
records it, which takes no time; a later step that nothing waits for sends what was recorded. A channel
that is away keeps the alert pending, with the reason in the record, until a later step gets it through.
A cause that is gone is resolved, and alerts again when it comes back. What only happened, and is not
there until something changes, is closed once everybody was told: `told`, and never told again.

On a local data root locks see to it that no two processes send the same alert. An object store has
none: two steps that send in the same second may both do so.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from carprice.alerts import notifications
from carprice.alerts.notifications import Message
from carprice.errors import UsageProblem
from carprice.params import AlertParams, Params
from carprice.reports.report_records import documents
from carprice.store import DataRoot
from carprice_contract.data_root import RAW, RECEIPTS

log = logging.getLogger(__name__)

FOLDER = "alerts"

Kind = Literal["drift", "live_error", "file_refused", "pipeline_failed", "nothing_landed", "report"]
ONCE = ("file_refused", "report")
"""The kinds that only happen."""


@dataclass(frozen=True)
class Alert:
    """Something a person has to know: what happened (`subject`), the figures and what to do (`text`).

    `cause` is what makes two alerts the same one. `report` is a page under the data root, `link` an
    address that a browser opens.
    """

    cause: str
    kind: Kind
    subject: str
    text: str
    report: str | None = None
    link: str | None = None


@dataclass(frozen=True)
class Delivery:
    """How sending went: the channels that took everything, and why the others did not, by channel."""

    sent: list[str]
    undelivered: dict[str, str]


# --- the record


def record(root: DataRoot, alert: Alert) -> bool:
    """Note that `alert`'s cause is there; whether it is news. A known one is only counted.

    Who is to be told is decided now: the channels configured at this moment. Never fails the step
    that calls it.
    """
    name, now = _name(alert.cause), _now()
    with _never_failing("record an alert"), _locked(root, ".records"):
        known = _read(root, name)
        if known is not None and known["state"] in ("open", "told") and not known.get("ends"):
            root.write_json(name, known | {"last_at": now, "count": known["count"] + 1})
            log.info("known since %s, not told again: %s", known["first_at"], alert.subject)
            return False
        fresh = asdict(alert) | {
            "state": "open",
            "first_at": now,
            "last_at": now,
            "resolved_at": None,
            "count": 1,
            "channels": [channel.name for channel in notifications.channels()],
            "delivered": {},
            "errors": {},
            "ends": None,
        }
        root.write_json(name, fresh)
        log.log(logging.INFO if alert.kind == "report" else logging.WARNING, "alert: %s", alert.subject)
        return True
    return False


def resolve(root: DataRoot, cause: str) -> bool:
    """Note that a cause is gone; whether it was there. The next time it alerts again."""
    name = _name(cause)
    with _never_failing("resolve an alert"):
        if not root.exists(name):  # nearly always: spare the lock
            return False
        with _locked(root, ".records"):
            known = _read(root, name)
            if known is None or known["state"] == "resolved":
                return False
            root.write_json(name, known | {"state": "resolved", "resolved_at": _now()})
            log.info("resolved: %s", known["subject"])
            return True
    return False


def put_in_production(root: DataRoot, version: str) -> None:
    """Note that `version` is in production: what was wrong with any other is history.

    Who has yet to be told of it is told all the same, and that the version was replaced.
    """
    with _never_failing("close the alerts of other versions"):
        for known in records(root):
            about_a_version = known["kind"] in ("drift", "live_error")
            if about_a_version and known["state"] == "open" and known["cause"].split(":")[1] != version:
                _supersede(root, known["cause"], version)


def _supersede(root: DataRoot, cause: str, version: str) -> None:
    name = _name(cause)
    with _locked(root, ".records"):
        known = _read(root, name)
        if known is None or known["state"] != "open" or known.get("ends"):
            return
        text = f"{known['text']}\n\nSince then version {version} has taken its place in production."
        root.write_json(name, _closed(known | {"ends": "resolved", "text": text}))
        log.info("version %s is in production, history is: %s", version, known["subject"])


def records(root: DataRoot) -> list[dict[str, Any]]:
    """Every alert there was, the newest first."""
    names = [name for name in root.names(FOLDER, ".json") if re.fullmatch(r"[0-9a-f]{64}\.json", name)]
    found = documents(root, FOLDER, [name.removesuffix(".json") for name in names]).values()
    return sorted(found, key=lambda known: str(known["first_at"]), reverse=True)


# --- sending


def deliver(root: DataRoot, params: AlertParams) -> Delivery:
    """Send every open alert to the channels that have not taken it yet, and close what that ends.

    Takes at most `alerts.send_seconds`, whatever the other side does, and never raises.
    """
    delivery = Delivery([], {})
    with _never_failing("send alerts"), contextlib.ExitStack() as held:
        configured = [channel.name for channel in notifications.channels()]
        mine = []
        for known in records(root):
            if not _has_work(known, configured):
                continue
            name = _name(known["cause"])
            # Whoever holds it is sending this alert right now.
            if held.enter_context(_locked(root, f".{name.rpartition('/')[2]}", wait=False)):
                again = _read(root, name)
                if again is not None and _has_work(again, configured):
                    mine.append(again | {"channels": _asked(again, configured)})
        mine.sort(key=lambda known: str(known["first_at"]))
        messages = [_message(root, known) for known in mine]
        owed = {
            channel: [i for i, known in enumerate(mine) if channel in _awaited(known)]
            for channel in configured
        }
        queues = {channel: [messages[i] for i in owed[channel]] for channel in configured}
        outcomes = notifications.send(queues, params.send_seconds)
        for i, known in enumerate(mine):
            results = {c: outcomes[c][owed[c].index(i)] for c in configured if i in owed[c]}
            _note_delivery(root, known, results)
        for channel, outcome in outcomes.items():
            problem = next((p for p in outcome if p is not None), None)
            if problem is None:
                delivery.sent.append(channel)
            else:
                delivery.undelivered[channel] = problem
    return delivery


def send_test(params: AlertParams) -> dict[str, str | None]:
    """Send a test through every configured channel: None where it was taken, otherwise why not."""
    message = Message(
        "Car prices: a test of the alerts",
        "This is a test that somebody asked for with `carprice alert --test`. Nothing is wrong.\n"
        "Alerts about refused files, failed pipelines, drift and live error come this way.",
    )
    names = [channel.name for channel in notifications.channels()]
    if not names:
        raise UsageProblem(
            f"a channel for alerts was expected, found none; set {notifications.SETTINGS} (docs/settings.md)"
        )
    outcomes = notifications.send({name: [message] for name in names}, params.send_seconds)
    return {name: outcome[0] for name, outcome in outcomes.items()}


# --- what is told


def for_refused_file(root: DataRoot, receipt: Mapping[str, Any]) -> None:
    """A file was refused as a whole: told once for its content."""
    reasons = [f"  {times:,} rows: {reason}" for reason, times in list(receipt["reasons"].items())[:5]]
    lines = [
        receipt["refusal"],
        "",
        f"{receipt['rows_in']:,} rows in, {receipt['rows_repeated']:,} repeated, "
        f"{receipt['rows_refused']:,} refused, none accepted.",
        *reasons,
        "",
        "What to do: show the quality page to whoever delivered the file, and land a corrected copy. "
        "Other files are not affected.",
        f"SHA-256: {receipt['sha256']}",
    ]
    subject = f"Car prices: the file {receipt['file']} was refused"
    cause = f"file_refused:{receipt['sha256']}"
    record(root, Alert(cause, "file_refused", subject, "\n".join(lines), receipt["quality_page"]))


def for_pipeline(
    root: DataRoot,
    states: Mapping[str, str],
    problems: Mapping[str, str] | None = None,
    where: str = "",
    report: str | None = None,
    link: str | None = None,
) -> None:
    """A run ended: the first step that failed is told, the steps that worked are not failing any more.

    `states` maps steps to how they ended; `problems` holds the last words of those that failed,
    `where` names the run, `link` opens it.
    """
    for step, state in states.items():
        if state == "success":
            step_worked(root, step)
    failed = [step for step, state in states.items() if state == "failed"]
    if not failed:
        return
    step, why = failed[0], (problems or {}).get(failed[0])
    kept = [s for s, state in states.items() if state in ("upstream_failed", "skipped")]
    lines = [
        f"The step {step} failed{f' in {where}' if where else ''}, its retries included.",
        f"Its last words: {why}" if why else "It left no word: it was killed, or could not be started.",
        *([f"Failed too: {', '.join(failed[1:])}"] if failed[1:] else []),
        *([f"Not run: {', '.join(kept)}"] if kept else []),
        "",
        "What to do: read the log of the red task, repair what it says and clear the task; nothing needs "
        "cleaning up before. What is in production goes on serving.",
        "Further failures of this step are not told until it has worked again.",
    ]
    subject = f"Car prices: the pipeline failed at {step}"
    record(root, Alert(_failure(step), "pipeline_failed", subject, "\n".join(lines), report, link))


def step_worked(root: DataRoot, step: str) -> None:
    """A step ended well: that it failed is history."""
    resolve(root, _failure(step))


def for_report(
    root: DataRoot, cause: str, headline: str, text: str, report: str, link: str | None = None
) -> None:
    """A run ended well: its report is told once for its `cause`."""
    record(root, Alert(f"report:{cause}", "report", f"Car prices: {headline}", text, report, link))


def for_drift(root: DataRoot, params: Params, verdict: Mapping[str, Any], in_production: str | None) -> None:
    """Tell that the market has moved away from what production learned, or that it has not any more.

    `verdict` is the JSON of a drift report, `in_production` the version that is there now, which may have
    replaced the one judged. "too little data" changes nothing.
    """
    version = verdict["production_version"]
    changes = [str(change) for change in verdict.get("changes") or verdict.get("drifted_columns") or []]
    lines = [
        *([str(verdict["headline"])] if verdict.get("headline") else []),
        f"The listings of {verdict.get('file') or 'the newest file'} are not like those that version "
        f"{version}, in production, was trained on. What changed:",
        *[f"  {change}" for change in changes[:8]],
        *([f"  and {len(changes) - 8} more, see the report"] if len(changes) > 8 else []),
        *_figures(verdict),
        "",
        "What to do: read the report. A new version learns from the new listings by itself"
        + (
            "; its promotion waits for a person in Airflow under Required Actions."
            if params.promotion.approve_after_drift
            else " and is promoted if every gate says yes."
        ),
    ]
    subject = f"Car prices: the market drifted away from version {version}"
    _tell_verdict(root, "drift", version, in_production, verdict, ("drifted", "stable"), subject, lines)


def for_live_error(
    root: DataRoot, params: Params, verdict: Mapping[str, Any], in_production: str | None
) -> None:
    """Tell that production's error on new listings is past what was promised, or back within it.

    `in_production` is the version that is there now, which may have replaced the one judged.
    """
    version = verdict["version"]
    lines = [
        *([str(verdict["headline"])] if verdict.get("headline") else []),
        f"Version {version}, in production, prices the listings of "
        f"{verdict.get('file') or 'the newest file'} worse than it promised.",
        *_figures(verdict),
        "",
        "What to do: read the report. If prices moved, the next version learns it from these listings"
        + (
            " and waits for a person in Airflow under Required Actions."
            if params.promotion.approve_after_drift
            else "."
        )
        + " If the version is at fault, put the previous one back: bin/carprice rollback.",
    ]
    subject = f"Car prices: the live error of version {version} is past its limit"
    words = ("worse", "as promised")
    _tell_verdict(root, "live_error", version, in_production, verdict, words, subject, lines)


def for_freshness(root: DataRoot, params: AlertParams) -> dict[str, Any]:
    """Tell when nothing has landed for `alerts.nothing_landed_days`; the newest file and its age.

    A root into which nothing ever landed is a new one, not a silent one.
    """
    newest: dict[str, Any] | None = None
    for name in root.names(RECEIPTS, ".json"):
        receipt = root.read_json(f"{RECEIPTS}/{name}")
        if newest is None or receipt["checked_at"] > newest["checked_at"]:
            newest = receipt
    if newest is None:
        return {"file": None, "landed_at": None, "age_days": None, "stale": False}
    age = (datetime.now(UTC) - datetime.fromisoformat(newest["checked_at"])).total_seconds() / 86400
    stale = age > params.nothing_landed_days
    if not stale:
        resolve(root, "nothing_landed")
    else:
        lines = [
            f"The last file, {newest['file']}, landed on {newest['checked_at'][:10]}, {age:.0f} days ago; "
            f"one was expected at least every {params.nothing_landed_days:g} days "
            "(alerts.nothing_landed_days).",
            "",
            f"What to do: see that the scraper runs and that its files arrive in {root.uri(RAW)}. "
            "The model in production goes on serving, and grows old.",
        ]
        subject = f"Car prices: nothing has landed for {age:.0f} days"
        record(root, Alert("nothing_landed", "nothing_landed", subject, "\n".join(lines)))
    return {
        "file": newest["file"],
        "landed_at": newest["checked_at"],
        "age_days": round(age, 2),
        "stale": stale,
    }


def _tell_verdict(
    root: DataRoot,
    kind: Literal["drift", "live_error"],
    version: str,
    in_production: str | None,
    verdict: Mapping[str, Any],
    words: tuple[str, str],
    subject: str,
    lines: Sequence[str],
) -> None:
    """Record or resolve what was found about `version`: `words` are the verdicts that do so, in this order.

    Of a version that was replaced meanwhile it is told once, with what took its place, and never again.
    """
    if in_production is None:
        return
    cause, replaced = f"{kind}:{version}", version != in_production
    if verdict.get("verdict") == words[0] and not (replaced and root.exists(_name(cause))):
        record(root, Alert(cause, kind, subject, "\n".join(lines), verdict.get("report")))
    elif verdict.get("verdict") == words[1]:
        resolve(root, cause)
    put_in_production(root, in_production)


def _figures(verdict: Mapping[str, Any]) -> list[str]:
    """The numbers of a verdict, as lines: rows, then what was found beside what was promised."""
    lines = []
    if verdict.get("rows") is not None:
        lines.append(f"Rows: {verdict['rows']:,}")
    promised = verdict.get("promised") or {}
    for name, value in (verdict.get("metrics") or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            said = promised.get(name) if isinstance(promised, Mapping) else None
            beside = f" (promised {said:.4g})" if isinstance(said, int | float) else ""
            lines.append(f"{name}: {value:.4g}{beside}")
    return lines


def _message(root: DataRoot, known: Mapping[str, Any]) -> Message:
    """What is sent of a record: its text, then where the report and the run are found."""
    text, page = str(known["text"]), None
    report = known["report"]
    if report:
        with contextlib.suppress(FileNotFoundError):
            page = root.read_bytes(report)
        text += f"\n\nReport: {root.uri(report)}"
        base = os.environ.get("CARPRICE_REPORTS_URL", "").rstrip("/")
        if base:
            text += f"\n{base}/{report.removeprefix('reports/')}"
    if known["link"]:
        text += f"\nRun: {known['link']}"
    if known["count"] > 1:
        text += f"\nSeen {known['count']} times since {known['first_at']}."
    return Message(str(known["subject"]), text, page)


def _note_delivery(root: DataRoot, sent: Mapping[str, Any], results: Mapping[str, str | None]) -> None:
    name, now = _name(sent["cause"]), _now()
    with _locked(root, ".records"):
        known = _read(root, name)
        if known is None or known["first_at"] != sent["first_at"]:
            return  # resolved and open again meanwhile: this is another alert
        channels, problems = sent["channels"], known["errors"] | dict(results)
        noted = {
            "channels": channels,
            "delivered": known["delivered"]
            | {channel: now for channel, problem in results.items() if problem is None},
            "errors": {c: p for c, p in problems.items() if p is not None and c in channels},
        }
        root.write_json(name, _closed(known | noted))


def _asked(known: Mapping[str, Any], configured: list[str]) -> list[str]:
    """The channels that are to take an alert: not those that are configured no more.

    Where none is left and none took it, all that are configured now are asked instead: somebody must
    learn it. Where nothing is configured, as in somebody's own shell, all stays as it was.
    """
    channels: list[str] = known["channels"]
    if not configured or not channels:
        return channels
    return [c for c in channels if c in configured or c in known["delivered"]] or configured


def _has_work(known: Mapping[str, Any], configured: list[str]) -> bool:
    """Whether an alert waits to be sent or closed, or waits for a channel that is no more."""
    if known["state"] != "open":
        return False
    updated = {**known, "channels": _asked(known, configured)}
    waits = bool(set(_awaited(updated)) & set(configured))
    return waits or updated["channels"] != known["channels"] or _closed(updated)["state"] != "open"


def _closed(known: dict[str, Any]) -> dict[str, Any]:
    """`known`, closed if it is one that ends once everybody was told, and everybody was."""
    ends = "told" if known["kind"] in ONCE else known.get("ends")
    if known["state"] != "open" or not ends or _awaited(known):
        return known
    return known | {"state": ends, "resolved_at": _now()}


def _awaited(known: Mapping[str, Any]) -> list[str]:
    """The channels that have yet to take an alert."""
    return [channel for channel in known["channels"] if channel not in known["delivered"]]


def _failure(step: str) -> str:
    """The cause of a failed step; a mapped step's copies are one, written with - or _ alike."""
    return f"pipeline_failed:{re.sub(r'_[0-9]+$', '', step.replace('-', '_'))}"


def _name(cause: str) -> str:
    return f"{FOLDER}/{hashlib.sha256(cause.encode()).hexdigest()}.json"


def _read(root: DataRoot, name: str) -> dict[str, Any] | None:
    try:
        known: dict[str, Any] = root.read_json(name)
    except FileNotFoundError:
        return None
    return known


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


@contextmanager
def _never_failing(doing: str) -> Iterator[None]:
    """A step must not fail because the record of alerts can't be kept."""
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        log.error("can't %s: %s: %s", doing, type(error).__name__, error)


@contextmanager
def _locked(root: DataRoot, name: str, wait: bool = True) -> Iterator[bool]:
    """Hold the lock `name` for the block; false where somebody holds it and `wait` is false.

    The kernel frees it when its holder dies. Always held where the root is an object store.
    """
    if not root.is_local:
        yield True
        return
    os.makedirs(root.path(FOLDER), exist_ok=True)
    handle = os.open(root.path(f"{FOLDER}/{name}.lock"), os.O_RDWR | os.O_CREAT, 0o664)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
