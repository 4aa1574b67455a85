"""Commands about a model: training, evaluation, promotion, rollback, prices of a file, tuning."""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from carprice.cli.commands import Commands
from carprice.pipeline import market_steps, model_steps
from carprice.pipeline.context import Context


def add_commands(commands: Commands) -> None:
    """Add this module's commands."""
    added = commands.by_hand("predict", _predict, "price every row of FILE with the registered model")
    added.add_argument("file", metavar="FILE", help="a CSV file in any raw layout, with or without prices")
    added.add_argument("-o", "--output", metavar="OUT", required=True, help="the CSV file to write")
    added.add_argument("--alias", default="production", help="which version prices (default production)")
    added.add_argument(
        "--asked-on",
        type=_day,
        metavar="DAY",
        help="the day that prices are asked for, of rows without a column asked_on (default today)",
    )

    added = commands.by_hand("history", _history, "show which version was in production when", _history_table)
    added.add_argument("--result", metavar="FILE", help="write JSON there instead of a table")

    added = commands.by_hand(
        "tune", _tune, "search better settings of the model, on the training rows alone", _params_section
    )
    added.add_argument("--snapshot", default="latest", help="its id (default latest)")
    added.add_argument(
        "--trials", type=int, default=20, help="settings to try (default 20), the current ones first"
    )
    added.add_argument("--folds", type=int, default=3, help="parts that are held out in turn (default 3)")
    added.add_argument("--rows", type=int, help="draw this many training rows (default: all of them)")
    added.add_argument("--timeout", type=float, metavar="SECONDS", help="start no trial after this long")
    added.add_argument("--seed", type=int, default=0, help="the same seed finds the same (default 0)")
    added.add_argument(
        "--result", metavar="FILE", help="write JSON there instead of the section for params.yaml"
    )

    added = commands.step("train-model", _train_model, "train a candidate on a snapshot")
    added.add_argument("--snapshot", default="latest", help="its id (default latest)")

    added = commands.step("evaluate-model", _evaluate_model, "score a candidate on rows never trained on")
    added.add_argument("--run-id", required=True)

    added = commands.step(
        "promote-to-staging", _promote_to_staging, "register a candidate, gate it on its figures"
    )
    added.add_argument("--run-id", required=True)

    added = commands.step(
        "validate-staging-model", _validate_staging_model, "load staging as the app does, gate it"
    )
    added.add_argument("--version", required=True)

    added = commands.step(
        "promote-to-production", _promote_to_production, "make a validated version production"
    )
    added.add_argument("--version", required=True)
    added.add_argument("--approved-by", default="gates", help="who said yes (default: the gates)")

    added = commands.step("rate-listings", _rate_listings, "rate the listings on offer with production")
    added.add_argument("--snapshot", default="latest", help="its id (default latest)")

    added = commands.step("rollback", _rollback, "put an earlier version back into production")
    added.add_argument("--version", help="which one (default: the one before that in production)")
    added.add_argument("--by", default=os.environ.get("USER") or "unknown", help="who decided it")
    added.add_argument("--reason", default="rolled back by hand", help="why, for the history")
    added.add_argument(
        "--run",
        dest="asking_run",
        help="the run that asks; asked again by the same run, nothing more changes",
    )

    added = commands.step("send-pipeline-report", _send_pipeline_report, "write and send the report of a run")
    added.add_argument("--run-id")
    added.add_argument("--version")
    added.add_argument("--state", type=_words_by_step, default={}, help="JSON object: step to how it ended")
    added.add_argument(
        "--problems", type=_words_by_step, default={}, help="JSON object: step to its last words"
    )
    added.add_argument("--dag-run", default="", help="the name of the run, for people")
    added.add_argument("--link", help="the address of the run")


def _predict(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.lifecycle import prediction

    return prediction.predict_file(
        context.registry, arguments.file, arguments.output, arguments.alias, arguments.asked_on
    )


def _history(arguments: argparse.Namespace, context: Context) -> Any:
    return context.registry.history()


def _history_table(entries: list[dict[str, Any]]) -> str:
    if not entries:
        return "No model has been in production yet."
    row = "{at:<26} {action:<10} {version:>7} {previous_version:>8}  {by:<16} {reason}"
    head = row.format(
        at="since (UTC)",
        action="action",
        version="version",
        previous_version="before",
        by="by",
        reason="reason",
    )
    return "\n".join(
        [head] + [row.format(**{k: "-" if v is None else v for k, v in entry.items()}) for entry in entries]
    )


def _tune(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.lifecycle import tuning

    return tuning.tune(
        context.root,
        context.params,
        context.registry,
        arguments.snapshot,
        arguments.trials,
        arguments.folds,
        arguments.seed,
        arguments.rows,
        arguments.timeout,
    )


def _params_section(found: dict[str, Any]) -> str:
    return str(found["training_yaml"]).rstrip("\n")


def _train_model(arguments: argparse.Namespace, context: Context) -> Any:
    return model_steps.train_model(context, arguments.snapshot)


def _evaluate_model(arguments: argparse.Namespace, context: Context) -> Any:
    return model_steps.evaluate_model(context, arguments.run_id)


def _promote_to_staging(arguments: argparse.Namespace, context: Context) -> Any:
    return model_steps.promote_to_staging(context, arguments.run_id)


def _validate_staging_model(arguments: argparse.Namespace, context: Context) -> Any:
    return model_steps.validate_staging_model(context, arguments.version)


def _promote_to_production(arguments: argparse.Namespace, context: Context) -> Any:
    return model_steps.promote_to_production(context, arguments.version, arguments.approved_by)


def _rate_listings(arguments: argparse.Namespace, context: Context) -> Any:
    return market_steps.rate_listings(context, arguments.snapshot)


def _rollback(arguments: argparse.Namespace, context: Context) -> Any:
    return model_steps.rollback(
        context, arguments.by, arguments.reason, arguments.version, arguments.asking_run
    )


def _send_pipeline_report(arguments: argparse.Namespace, context: Context) -> Any:
    return model_steps.send_pipeline_report(
        context,
        arguments.run_id,
        arguments.version,
        arguments.state,
        arguments.problems,
        arguments.dag_run,
        arguments.link,
    )


def _day(text: str) -> str:
    from carprice.listings.asked_days import read_asked_on

    try:
        day = read_asked_on(text)
    except ValueError:
        day = None
    if day is None:
        raise argparse.ArgumentTypeError(f"a day such as 2026-05-04 was expected, found {text!r}")
    return day


def _words_by_step(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(
            f"a JSON object of step: state was expected, found {text!r}"
        ) from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(f"a JSON object of step: state was expected, found {text!r}")
    return {str(step): str(words) for step, words in found.items()}
