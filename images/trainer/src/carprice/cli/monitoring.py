"""Commands about a version in production: live error, drift, freshness, reports."""

from __future__ import annotations

import argparse
from typing import Any

from carprice.cli.commands import Commands
from carprice.pipeline import watching
from carprice.pipeline.context import Context


def add_commands(commands: Commands) -> None:
    """Add this module's commands."""
    added = commands.by_hand(
        "evidently-ui", _evidently_ui, "show the history of drift and live error in a browser"
    )
    added.add_argument("--host", default="127.0.0.1", help="where it listens (default 127.0.0.1)")
    added.add_argument("--port", type=int, default=8002, help="the port (default 8002)")

    added = commands.step(
        "score-new-listings", _score_new_listings, "score production on listings it was not trained on"
    )
    added.add_argument(
        "--sha256", nargs="+", default=[], help="their files (default: all that production has not learned)"
    )
    added.add_argument("--snapshot", default="latest", help="the snapshot they are in (default latest)")

    added = commands.step(
        "detect-drift", _detect_drift, "compare the newest listings with what production learned"
    )
    added.add_argument("--snapshot", default="latest", help="its id (default latest)")

    commands.step(
        "check-freshness", _check_freshness, "alert when nothing has landed for long, send waiting alerts"
    )

    added = commands.step("publish-report", _publish_report, "put a report into the index of reports")
    added.add_argument("--report", required=True, help="its path under the data root")


def _evidently_ui(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.monitoring import workspace

    workspace.serve(context.root, arguments.host, arguments.port)
    return {"workspace": workspace.FOLDER}


def _score_new_listings(arguments: argparse.Namespace, context: Context) -> Any:
    return watching.score_new_listings(context, arguments.sha256, arguments.snapshot)


def _detect_drift(arguments: argparse.Namespace, context: Context) -> Any:
    return watching.detect_drift(context, arguments.snapshot)


def _check_freshness(arguments: argparse.Namespace, context: Context) -> Any:
    return watching.check_freshness(context)


def _publish_report(arguments: argparse.Namespace, context: Context) -> Any:
    return watching.publish_report(context, arguments.report)
