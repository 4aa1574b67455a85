"""The command line: every step of the pipeline, and what people do by hand."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from carprice.errors import CarpriceError, DataRefused, NothingToDo, UsageProblem
from carprice.store import DataRoot

# Each command imports what it needs when it runs: a step is a fresh process, and the first one of
# a pipeline should not wait for libraries that only the last one uses.
if TYPE_CHECKING:
    from carprice.lifecycle.registry import Registry
    from carprice.params import Params

log = logging.getLogger("carprice")

DESCRIPTION = """\
Used-car prices in Morocco, from a scraped file to a served price.

A file of listings lands in the data root's raw/ folder; the steps below check it, train a model,
compare it with the one in production and promote it if every gate says yes. Airflow runs each step
in a container of its own; `carprice run FILE` runs all of them here.
"""

EPILOG = """\
environment:
  DATA_DIR              the data root: a folder or an object-store URL (default ./data)
  MLFLOW_TRACKING_URI   an MLflow server (default: a database under the data root)
  CARPRICE_PARAMS_FILE  the settings (default ./params.yaml); CARPRICE_PARAMS holds their text instead
  NAME_FILE             a file with the value of NAME, where that is a password or a key

exit status:
  0 done   2 wrong usage or setting   65 the data was refused   75 a service is away, try again
  99 nothing to do, or a gate said no
"""

SECRETS = (
    "MLFLOW_TRACKING_PASSWORD",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "CARPRICE_SMTP_URL",
    "CARPRICE_WEBHOOK_URL",
    "CARPRICE_ALERT_URLS",
)
"""The variables whose value may be in a file, which NAME_FILE names."""


class _Context:
    """What a command works with, made when it is first asked for."""

    def __init__(self) -> None:
        self.root = DataRoot.from_environment()
        self._registry: Registry | None = None

    @property
    def params(self) -> Params:
        from carprice.params import load_params

        return load_params()

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            from carprice.lifecycle.registry import Registry

            self._registry = Registry(self.root)
        return self._registry


Command = Callable[[argparse.Namespace, _Context], Any]


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    # On a machine that has other work to do, OpenMP threads that wait for one another cost many times
    # what a second thread gains on data of this size; one thread also gives the same numbers everywhere.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Group members may share a data root: what a step writes stays writable for the next one.
    os.umask(0o002)
    command: Command = arguments.command
    context = None
    try:
        _read_secret_files()
        context = _Context()
        result = command(arguments, context)
        _give(arguments, result)
        _worked(arguments, context)
    except CarpriceError as error:
        if isinstance(error, NothingToDo):
            _worked(arguments, context)
        if error.result is not None:
            _give(arguments, error.result)
        print(f"carprice: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except BrokenPipeError:
        return 0
    return 0


def _read_secret_files() -> None:
    """Put what a NAME_FILE names into NAME, where the libraries look; an empty file is no secret.

    In a container whose environment can be seen from outside, secrets are files. Raises `UsageProblem`.
    """
    for name in SECRETS:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            continue
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read().strip()
        except (OSError, UnicodeDecodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else "it is no UTF-8"
            raise UsageProblem(
                f"{name}_FILE must name a file with a secret that can be read, found {path}: {why}; "
                "correct the path, or the owner of the file"
            ) from problem
        if text and os.environ.get(name, "") not in ("", text):
            raise UsageProblem(f"{name} and {name}_FILE are both set, and differ; keep one of them")
        if text:
            os.environ[name] = text


def _worked(arguments: argparse.Namespace, context: _Context | None) -> None:
    """Close the alert that this step failed, if there is one."""
    if getattr(arguments, "is_step", False) and context is not None:
        from carprice.alerts import alerts

        alerts.step_worked(context.root, arguments.name_of_step)


def _give(arguments: argparse.Namespace, result: Any) -> None:
    """Write the result to the file or URL asked for, or print it where none was."""
    target = getattr(arguments, "result", None)
    if target is None:
        printer = getattr(arguments, "printer", None)
        print(printer(result) if printer else json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201
        return
    if "://" in target:  # of a pod, whose own files are gone with it
        folder, _, name = target.rpartition("/")
        DataRoot(folder).write_text(name, json.dumps(result, ensure_ascii=False))
        return
    partial = f"{target}.{uuid.uuid4().hex[:8]}.part"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(result, file, ensure_ascii=False)
    os.replace(partial, target)


# --- the steps of the pipeline


def _claim_files(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.landing import landing

    return landing.claim(context.root, context.params)


def _check_data_quality(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.quality import quality

    with _telling_refusal(context):
        receipt = quality.check_data_quality(context.root, context.params, arguments.file, arguments.sha256)
    alerts.resolve(context.root, f"file_refused:{receipt['sha256']}")  # checked again, under other settings
    return receipt


@contextlib.contextmanager
def _telling_refusal(context: _Context) -> Iterator[None]:
    """Record the alert for a file that is refused in this block; a later step sends it."""
    try:
        yield
    except DataRefused as refused:
        if isinstance(refused.result, dict) and refused.result.get("status") == "refused":
            from carprice.alerts import alerts

            alerts.for_refused_file(context.root, refused.result)
        raise


def _assemble_listings(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.history import snapshots

    return snapshots.assemble(context.root, context.params, arguments.sha256)


def _score_new_listings(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.lifecycle import promotion
    from carprice.monitoring import live_accuracy

    verdict = live_accuracy.score_new_listings(
        context.root, context.params, context.registry, arguments.sha256, arguments.snapshot
    )
    alerts.for_live_error(context.root, context.params, verdict, promotion.in_production(context.registry))
    return verdict


def _train_model(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.lifecycle import training

    return training.train(context.root, context.params, context.registry, arguments.snapshot)


def _evaluate_model(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.lifecycle import evaluation

    return evaluation.evaluate(context.root, context.params, context.registry, arguments.run_id)


def _promote_to_staging(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.lifecycle import promotion

    found = (context.root, context.params, context.registry, arguments.run_id)
    decision = promotion.require_yes(promotion.promote_to_staging(*found))
    asked = promotion.approval_wanted(*found)
    return decision | {"needs_approval": asked is not None, "approval_reason": asked}


def _validate_staging_model(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.lifecycle import promotion

    decision = promotion.validate_staging(context.root, context.params, context.registry, arguments.version)
    return promotion.require_yes(decision)


def _promote_to_production(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.lifecycle import promotion

    promoted = promotion.promote_to_production(context.registry, arguments.version, arguments.approved_by)
    alerts.put_in_production(context.root, promoted["version"])
    return promoted


def _send_pipeline_report(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.reports import reports

    about = reports.RunOfDag(arguments.dag_run, arguments.link, arguments.problems)
    try:
        registry = context.registry
    except CarpriceError:
        # MLflow is away. Without a report, people are told all the same.
        alerts.for_pipeline(context.root, arguments.state, about.problems, about.name, link=about.link)
        alerts.deliver(context.root, alerts.settings_of_alerts())
        raise
    return reports.send_pipeline_report(
        context.root,
        registry,
        arguments.run_id,
        arguments.version,
        arguments.state,
        alerts.settings_of_alerts(),
        about,
    )


def _detect_drift(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.lifecycle import promotion
    from carprice.monitoring import drift

    verdict = drift.detect_drift(context.root, context.params, context.registry, arguments.snapshot)
    alerts.for_drift(context.root, context.params, verdict, promotion.in_production(context.registry))
    return verdict


def _publish_report(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.monitoring import publishing, workspace
    from carprice.reports import report_index

    delivery = alerts.deliver(context.root, alerts.settings_of_alerts())
    publishing.publish(context.root, _history_if_told(context))
    workspace.publish(context.root)
    return {
        "report": arguments.report,
        "index": report_index.INDEX,
        "sent": delivery.sent,
        "undelivered": delivery.undelivered,
    }


def _history_if_told(context: _Context) -> list[dict[str, Any]] | None:
    """The registry's history of production; None where it does not answer, which no page waits for."""
    try:
        return context.registry.history()
    except CarpriceError as error:
        log.warning("%s", error)
        return None


def _check_freshness(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.monitoring import publishing, workspace

    found = alerts.for_freshness(context.root, context.params.alerts)
    delivery = alerts.deliver(context.root, context.params.alerts)
    publishing.publish(context.root)
    # Refused files and first ones, which no drift report brings there.
    workspace.publish(context.root)
    result = found | {"sent": delivery.sent, "undelivered": delivery.undelivered}
    if not found["stale"] and not delivery.sent and not delivery.undelivered:
        landed = f"{found['file']} landed {found['age_days']:.0f} days ago" if found["file"] else "a new root"
        raise NothingToDo(f"nothing to tell anybody: {landed}, and no alert waits to be sent", result=result)
    return result


# --- what people do by hand


def _sample(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.listings import sample

    sample.write_sample(arguments.output, arguments.rows, arguments.seed)
    return {"file": arguments.output, "rows": arguments.rows, "seed": arguments.seed}


def _land(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.landing import landing

    return landing.land(context.root, arguments.file, arguments.name)


def _run(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.lifecycle import pipeline

    try:
        with _telling_refusal(context):
            return pipeline.run(context.root, context.params, context.registry, arguments.file)
    except DataRefused:
        alerts.deliver(context.root, context.params.alerts)
        raise


def _alert(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts

    params = alerts.settings_of_alerts()
    if arguments.test:
        outcome = alerts.send_test(params)
        if any(problem is not None for problem in outcome.values()):
            raise CarpriceError(
                "every channel was expected to take the test, found one that did not; "
                f"correct its variable (docs/settings.md)\n{_outcome_lines(outcome)}"
            )
        return {"lines": _outcome_lines(outcome)}
    if arguments.run_failed:
        run, step, why = arguments.run_failed
        problems = {step: why} if why else {}
        alerts.for_pipeline(context.root, {step: "failed"}, problems, run, link=arguments.link)
    if arguments.resolve and not alerts.resolve(context.root, arguments.resolve):
        raise UsageProblem(
            f"the cause of an open alert was expected, found {arguments.resolve!r}; "
            "`carprice alert --list` shows them"
        )
    if arguments.run_failed or arguments.deliver:
        delivery = alerts.deliver(context.root, params)
        problems = dict.fromkeys(delivery.sent) | delivery.undelivered
        lines = _outcome_lines(problems) or "nothing waits to be sent"
        return {"lines": lines, "sent": delivery.sent, "undelivered": delivery.undelivered}
    found = alerts.records(context.root)
    return {"lines": _alert_lines(found), "alerts": found}


def _outcome_lines(outcome: Mapping[str, str | None]) -> str:
    return "\n".join(f"{channel}: {problem or 'ok'}" for channel, problem in outcome.items())


def _alert_lines(found: list[dict[str, Any]]) -> str:
    if not found:
        return "There has been no alert yet."
    lines = []
    for known in found:
        waiting = [channel for channel in known["channels"] if channel not in known["delivered"]]
        told = f"not told yet by {', '.join(waiting)}" if waiting and known["state"] == "open" else "told"
        if not known["channels"]:
            told = "no channel was configured"
        lines.append(
            f"{known['first_at'][:19]}  {known['state']:<8}  {known['count']:>3} x  {known['subject']}\n"
            f"    {known['cause']}; {told}"
        )
        lines += [f"    {channel}: {known['errors'].get(channel, 'not tried yet')}" for channel in waiting]
    return "\n".join(lines)


def _rollback(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.alerts import alerts
    from carprice.lifecycle import promotion
    from carprice.monitoring import publishing

    entry = promotion.rollback(context.registry, arguments.by, arguments.reason)
    alerts.put_in_production(context.root, entry["version"])
    publishing.publish(context.root, context.registry.history())
    return entry


def _history(arguments: argparse.Namespace, context: _Context) -> Any:
    return context.registry.history()


def _predict(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.lifecycle import prediction

    return prediction.predict_file(context.registry, arguments.file, arguments.output, arguments.alias)


def _evidently_ui(arguments: argparse.Namespace, context: _Context) -> Any:
    from carprice.monitoring import workspace

    workspace.serve(context.root, arguments.host, arguments.port)
    return {"workspace": workspace.FOLDER}


def _tune(arguments: argparse.Namespace, context: _Context) -> Any:
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


def _tuned_section(found: dict[str, Any]) -> str:
    return str(found["training_yaml"]).rstrip("\n")


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


def _states(text: str) -> dict[str, str]:
    try:
        states = json.loads(text)
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(
            f"a JSON object of step: state was expected, found {text!r}"
        ) from error
    if not isinstance(states, dict):
        raise argparse.ArgumentTypeError(f"a JSON object of step: state was expected, found {text!r}")
    return {str(step): str(state) for step, state in states.items()}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="carprice",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command, help: str, is_step: bool = False) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        added.set_defaults(command=command, is_step=is_step, name_of_step=name)
        if is_step:
            added.add_argument(
                "--result", metavar="FILE", help="file or URL where the JSON result goes (default: printed)"
            )
        return added

    by_hand = add("run", _run, "run every step on FILE in this process, from landing to the report")
    by_hand.add_argument("file", metavar="FILE", help="a CSV file of scraped listings")
    by_hand = add("land", _land, "put FILE into raw/, complete or not at all, where the pipeline finds it")
    by_hand.add_argument("file", metavar="FILE")
    by_hand.add_argument("--name", help="its name in raw/ (default: its own)")
    by_hand = add("predict", _predict, "price every row of FILE with the registered model")
    by_hand.add_argument("file", metavar="FILE", help="a CSV file in any raw layout, with or without prices")
    by_hand.add_argument("-o", "--output", metavar="OUT", required=True, help="the CSV file to write")
    by_hand.add_argument("--alias", default="production", help="which version prices (default production)")
    by_hand = add("history", _history, "show who was in production when")
    by_hand.set_defaults(printer=_history_table)
    by_hand.add_argument("--result", metavar="FILE", help="write JSON there instead of a table")
    by_hand = add("rollback", _rollback, "put the previous version back into production", is_step=True)
    by_hand.add_argument("--by", default=os.environ.get("USER") or "unknown", help="who decided it")
    by_hand.add_argument("--reason", default="rolled back by hand", help="why, for the history")
    by_hand = add("alert", _alert, "show the alerts, send those that wait, or try the channels")
    by_hand.set_defaults(printer=lambda found: str(found["lines"]))
    action = by_hand.add_mutually_exclusive_group()
    action.add_argument("--list", action="store_true", help="show every alert, the newest first (default)")
    action.add_argument("--test", action="store_true", help="send a test through every configured channel")
    action.add_argument("--deliver", action="store_true", help="send what could not be sent before")
    action.add_argument("--resolve", metavar="CAUSE", help="note that a cause is gone")
    action.add_argument(
        "--run-failed",
        nargs=3,
        metavar=("RUN", "STEP", "WHY"),
        help="tell that a step failed, where its run could not (Airflow does)",
    )
    by_hand.add_argument("--link", help="with --run-failed: the address of the run")
    by_hand.add_argument("--result", metavar="FILE", help="write JSON there instead of lines")
    by_hand = add("sample", _sample, "write seeded synthetic listings in the scraper's layout")
    by_hand.add_argument("-o", "--output", metavar="OUT", default="synthetic_listings.csv")
    by_hand.add_argument("--rows", type=int, default=3000, help="rows, repeated ones included (default 3000)")
    by_hand.add_argument("--seed", type=int, default=0, help="the same seed gives the same file (default 0)")
    by_hand = add("evidently-ui", _evidently_ui, "show the history of drift and live error in a browser")
    by_hand.add_argument("--host", default="127.0.0.1", help="where it listens (default 127.0.0.1)")
    by_hand.add_argument("--port", type=int, default=8002, help="the port (default 8002)")
    by_hand = add("tune", _tune, "search better settings of the model, on the training rows alone")
    by_hand.set_defaults(printer=_tuned_section)
    by_hand.add_argument("--snapshot", default="latest", help="its id (default latest)")
    by_hand.add_argument(
        "--trials", type=int, default=20, help="settings to try (default 20), the current ones first"
    )
    by_hand.add_argument("--folds", type=int, default=3, help="parts that are held out in turn (default 3)")
    by_hand.add_argument("--rows", type=int, help="draw this many training rows (default: all of them)")
    by_hand.add_argument("--timeout", type=float, metavar="SECONDS", help="start no trial after this long")
    by_hand.add_argument("--seed", type=int, default=0, help="the same seed finds the same (default 0)")
    by_hand.add_argument(
        "--result", metavar="FILE", help="write JSON there instead of the section for params.yaml"
    )

    step = add(
        "claim-files", _claim_files, "step: list the landed files that nothing was done with yet", True
    )
    step = add(
        "check-data-quality", _check_data_quality, "step: accept, quarantine or refuse one landed file", True
    )
    step.add_argument("--file", required=True, help="its name in raw/")
    step.add_argument("--sha256", required=True, help="what its bytes must hash to")
    step = add(
        "assemble-listings", _assemble_listings, "step: make a snapshot of all accepted listings", True
    )
    step.add_argument("--sha256", nargs="+", required=True, help="the files just checked")
    step = add(
        "score-new-listings", _score_new_listings, "step: score production on listings it has not seen", True
    )
    step.add_argument(
        "--sha256", nargs="+", default=[], help="their files (default: all that production has not learned)"
    )
    step.add_argument("--snapshot", default="latest", help="the snapshot they are in (default latest)")
    step = add("train-model", _train_model, "step: train a candidate on a snapshot", True)
    step.add_argument("--snapshot", default="latest", help="its id (default latest)")
    step = add("evaluate-model", _evaluate_model, "step: score a candidate on rows never trained on", True)
    step.add_argument("--run-id", required=True)
    step = add(
        "promote-to-staging", _promote_to_staging, "step: register a candidate, gate it on its figures", True
    )
    step.add_argument("--run-id", required=True)
    step = add(
        "validate-staging-model", _validate_staging_model, "step: load staging as the app will, gate it", True
    )
    step.add_argument("--version", required=True)
    step = add(
        "promote-to-production", _promote_to_production, "step: make a validated version production", True
    )
    step.add_argument("--version", required=True)
    step.add_argument("--approved-by", default="gates", help="who said yes (default: the gates)")
    step = add(
        "send-pipeline-report", _send_pipeline_report, "step: write and send the report of a run", True
    )
    step.add_argument("--run-id")
    step.add_argument("--version")
    step.add_argument("--state", type=_states, default={}, help="JSON object: step to how it ended")
    step.add_argument("--problems", type=_states, default={}, help="JSON object: step to its last words")
    step.add_argument("--dag-run", default="", help="the name of the run, for people")
    step.add_argument("--link", help="the address of the run")
    step = add(
        "detect-drift", _detect_drift, "step: compare the newest listings with what production learned", True
    )
    step.add_argument("--snapshot", default="latest", help="its id (default latest)")
    step = add(
        "check-freshness",
        _check_freshness,
        "step: alert when nothing has landed for long, send what waits",
        True,
    )
    step = add("publish-report", _publish_report, "step: put a report into the index of reports", True)
    step.add_argument("--report", required=True, help="its path under the data root")
    return parser
