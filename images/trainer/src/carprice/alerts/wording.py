"""The words of every alert: what happened, the figures, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from carprice.formats import figure, thousands
from carprice.params import Params

MOST_REASONS = 5
MOST_CHANGES = 8
MOST_STEPS = 20


def refused_file(receipt: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and text for a file that was refused as a whole."""
    reasons = receipt["reasons"][:MOST_REASONS]
    lines = [
        receipt["refusal"],
        "",
        f"{thousands(receipt['rows_in'])} rows in, {thousands(receipt['rows_repeated'])} repeated, "
        f"{thousands(receipt['rows_unpriced'])} without a price, "
        f"{thousands(receipt['rows_not_used_cars'])} not a used car, "
        f"{thousands(receipt['rows_refused'])} refused, none accepted.",
        *[f"  {thousands(reason['rows'])} rows: {reason['sentence']}" for reason in reasons],
        "",
        "What to do: show the quality page to whoever delivered the file, and land a corrected copy. "
        "Other files are not affected.",
        f"SHA-256: {receipt['sha256']}",
    ]
    return f"Car prices: the file {receipt['file']} was refused", "\n".join(lines)


def held_file(receipt: Mapping[str, Any]) -> tuple[str, str]:
    """Subject and text for a file that waits until a person releases or rejects it."""
    short = receipt["sha256"][:12]
    lines = [
        f"{receipt['file']} is held, and nothing learns from it:",
        *[f"  {reason['sentence']}" for reason in receipt["hold"]],
        "",
        f"{thousands(receipt['rows_in'])} rows in, {thousands(receipt['rows_accepted'])} wait. "
        "The model in production goes on serving.",
        "",
        "What to do: look at the quality page and at the prices in the file. Typical causes are euros for "
        "dirhams (prices 0.09 times as high), thousands or centimes for dirhams, and a shifted column.",
        f'If the file is right: bin/carprice release {short} --reason "…"',
        f'If it is wrong: bin/carprice reject {short} --reason "…", and land a corrected copy.',
        "In Airflow, the run of release_listings under Required Actions does both.",
        f"SHA-256: {receipt['sha256']}",
    ]
    return f"Car prices: the file {receipt['file']} is held until a person decides", "\n".join(lines)


def failed_step(
    step: str, states: Mapping[str, str], problems: Mapping[str, str], run: str
) -> tuple[str, str]:
    """Subject and text for a step that failed.

    `states` maps all steps of the run to how they ended, `problems` those that failed to their last error.
    `run` names the run; it may be empty.
    """
    also_failed = [name for name, state in states.items() if state == "failed" and name != step]
    problem = problems.get(step)
    not_run = [name for name, state in states.items() if state in ("upstream_failed", "skipped")]
    lines = [
        f"The step {step} failed{f' in {run}' if run else ''}, and so did its retries.",
        f"Its last error: {problem}"
        if problem
        else "It left no error: it was killed, or could not be started.",
        *([f"Failed too: {steps_of(also_failed)}"] if also_failed else []),
        *([f"Not run: {steps_of(not_run)}"] if not_run else []),
        "",
        "What to do: read the log of the red task, repair what it says and clear the task; nothing needs "
        "cleaning up before. The model in production goes on serving.",
        "Further failures of this step send no alert until the step has succeeded again.",
    ]
    return f"Car prices: the pipeline failed at {step}", "\n".join(lines)


def steps_of(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are: one step can run for thousands of files."""
    more = len(names) - MOST_STEPS
    return ", ".join(names[:MOST_STEPS]) + (f" and {thousands(more)} more" if more > 0 else "")


def drifted_market(verdict: Mapping[str, Any], params: Params) -> tuple[str, str]:
    """Subject and text for new listings that are unlike those that the version in production learned.

    `verdict` is the JSON of a drift report.
    """
    version = verdict["production_version"]
    changes = [str(change) for change in verdict.get("changes") or verdict.get("drifted_columns") or []]
    next_version = (
        "its promotion waits for a person in Airflow under Required Actions."
        if params.promotion.approve_after_drift
        else "it is promoted if every gate says yes."
    )
    lines = [
        *_headline(verdict),
        f"The listings of {_file_of(verdict)} are not like those that version {version}, in production, "
        "was trained on. What changed:",
        *[f"  {change}" for change in changes[:MOST_CHANGES]],
        *(
            [f"  and {len(changes) - MOST_CHANGES} more, see the report"]
            if len(changes) > MOST_CHANGES
            else []
        ),
        *_figures(verdict),
        "",
        "What to do: read the report. A new version learns from the new listings by itself; " + next_version,
    ]
    return f"Car prices: the market drifted away from version {version}", "\n".join(lines)


def worse_live_error(verdict: Mapping[str, Any], params: Params) -> tuple[str, str]:
    """Subject and text for a version whose error on new listings is past its limit.

    `verdict` is the JSON of a live accuracy report.
    """
    version = verdict["version"]
    waits = (
        " and waits for a person in Airflow under Required Actions"
        if params.promotion.approve_after_drift
        else ""
    )
    lines = [
        *_headline(verdict),
        f"Version {version}, in production, prices the listings of {_file_of(verdict)} with a larger error "
        "than it was promoted with.",
        *_figures(verdict),
        "",
        "What to do: read the report. If prices moved, the next version learns it from these listings"
        f"{waits}. If the version is at fault, put the one before back: bin/carprice rollback.",
    ]
    return f"Car prices: the live error of version {version} is past its limit", "\n".join(lines)


def nothing_landed(
    receipt: Mapping[str, Any], age_days: float, limit_days: float, folder: str
) -> tuple[str, str]:
    """Subject and text for a `folder` in which no file has landed since that of `receipt`."""
    lines = [
        f"The last file, {receipt['file']}, landed on {receipt['checked_at'][:10]}, {age_days:.0f} days ago; "
        f"one was expected at least every {limit_days:g} days (alerts.nothing_landed_days).",
        "",
        f"What to do: check that the scraper runs and that its files arrive in {folder}. "
        "The model in production goes on serving, and gets older.",
    ]
    return f"Car prices: nothing has landed for {age_days:.0f} days", "\n".join(lines)


def trial() -> tuple[str, str]:
    """Subject and text of the message that `carprice alert --test` sends."""
    text = (
        "This is a test that somebody started with `carprice alert --test`. Nothing is wrong.\n"
        "Alerts about refused files, failed pipelines, drift and live error arrive this way."
    )
    return "Car prices: a test of the alerts", text


def _headline(verdict: Mapping[str, Any]) -> list[str]:
    return [str(verdict["headline"])] if verdict.get("headline") else []


def _file_of(verdict: Mapping[str, Any]) -> str:
    return str(verdict.get("file") or "the newest file")


def _figures(verdict: Mapping[str, Any]) -> list[str]:
    """The numbers of a verdict, one a line: the rows, then each metric beside the promised one."""
    lines = []
    if verdict.get("rows") is not None:
        lines.append(f"Rows: {thousands(verdict['rows'])}")
    promised = verdict.get("promised") or {}
    for name, value in (verdict.get("metrics") or {}).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            limit = promised.get(name) if isinstance(promised, Mapping) else None
            beside = f" (promised {figure(limit)})" if isinstance(limit, int | float) else ""
            lines.append(f"{name}: {figure(value)}{beside}")
    return lines
