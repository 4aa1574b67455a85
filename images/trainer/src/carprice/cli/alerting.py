"""The command `alert`: show alerts, send those that wait, try the channels."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from carprice.cli.commands import Commands
from carprice.errors import CarpriceError, UsageProblem
from carprice.pipeline.context import Context


def add_commands(commands: Commands) -> None:
    """Add this module's command."""
    added = commands.by_hand(
        "alert",
        _alert,
        "show the alerts, send those that wait, or try the channels",
        lambda result: str(result["lines"]),
    )
    action = added.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="show every alert, the newest first (default)")
    action.add_argument("--test", action="store_true", help="send a test through every configured channel")
    action.add_argument("--deliver", action="store_true", help="send what could not be sent before")
    action.add_argument("--resolve", metavar="CAUSE", help="note that a cause is gone")
    action.add_argument(
        "--run-failed",
        nargs=3,
        metavar=("RUN", "STEP", "WHY"),
        help="report that a step failed, where its run could not (Airflow does)",
    )
    added.add_argument("--link", help="with --run-failed: the address of the run")
    added.add_argument("--result", metavar="FILE", help="write JSON there instead of lines")


def _alert(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.alerts import events, record
    from carprice.alerts.delivery import deliver, send_test

    params = context.alert_params
    if arguments.test:
        return _try_channels(send_test(params))
    if arguments.run_failed:
        run, step, why = arguments.run_failed
        problems = {step: why} if why else {}
        events.steps_ended(context.root, {step: "failed"}, problems, run, link=arguments.link)
    if arguments.resolve and not record.resolve(context.root, arguments.resolve):
        raise UsageProblem(
            f"the cause of an open alert was expected, found {arguments.resolve!r}; "
            "`carprice alert --list` shows them"
        )
    if arguments.run_failed or arguments.deliver:
        delivery = deliver(context.root, params, at_once=arguments.deliver)
        lines = _lines_of_channels(dict.fromkeys(delivery.sent) | delivery.undelivered)
        return {
            "lines": lines or "no alert waits to be sent",
            "sent": delivery.sent,
            "undelivered": delivery.undelivered,
        }
    found = record.all_alerts(context.root)
    return {"lines": _lines_of_alerts(found), "alerts": found}


def _try_channels(outcome: Mapping[str, str | None]) -> dict[str, Any]:
    lines = _lines_of_channels(outcome)
    if any(problem is not None for problem in outcome.values()):
        raise CarpriceError(
            "every channel was expected to take the test, found one that did not; "
            f"correct its variable (docs/settings.md)\n{lines}"
        )
    return {"lines": lines}


def _lines_of_channels(outcome: Mapping[str, str | None]) -> str:
    return "\n".join(f"{channel}: {problem or 'ok'}" for channel, problem in outcome.items())


def _lines_of_alerts(found: list[dict[str, Any]]) -> str:
    if not found:
        return "There has been no alert yet."
    lines = []
    for alert in found:
        waiting = [channel for channel in alert["channels"] if channel not in alert["delivered"]]
        delivery = "sent"
        if not alert["channels"]:
            delivery = "no channel was configured"
        elif waiting and alert["state"] == "open":
            delivery = f"not sent yet by {', '.join(waiting)}"
        lines.append(
            f"{alert['first_at'][:19]}  {alert['state']:<8}  {alert['count']:>3} x  {alert['subject']}\n"
            f"    {alert['cause']}; {delivery}"
        )
        for channel in waiting:
            tries = alert.get("attempts", {}).get(channel, {}).get("count", 0)
            times = f" ({tries} tries)" if tries > 1 else ""
            lines.append(f"    {channel}: {alert['errors'].get(channel, 'not tried yet')}{times}")
    return "\n".join(lines)
