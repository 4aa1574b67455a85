"""`main`: parses the command line, runs one command, and turns its outcome into an exit status."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import sys

from carprice.cli import alerting, data, model, monitoring
from carprice.cli.commands import Commands, write_result
from carprice.cli.secret_files import read_secret_files
from carprice.errors import CarpriceError, NothingToDo
from carprice.pipeline.context import Context
from carprice_contract.steps import ExitCode

DESCRIPTION = """\
Used-car prices in Morocco, from a scraped file to a served price.

A file of listings lands in the data root's raw/ folder. The steps below check it, train a model,
compare it with the one in production and promote it if every gate says yes. Airflow runs each step
in a container of its own; `carprice run FILE` runs all of them here. `bin/carprice collect` reads
listings from a site; it has an environment of its own (docs/collecting.md).
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

_DISK_FULL = (
    "Space on the disk was expected, found none left while {} wrote. What it wrote before is whole; free "
    "some space on the disk of the data root and of temporary files, and run it again."
)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    # On a machine that has other work to do, OpenMP threads that wait for one another cost many times
    # what a second thread gains on data of this size. One thread also gives the same numbers everywhere.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Group members may share a data root: the next one must be able to write what a step wrote.
    os.umask(0o002)
    try:
        return _run(arguments)
    except BrokenPipeError:  # whoever reads what is printed has seen enough
        return 0


def parser() -> argparse.ArgumentParser:
    """The command line of `carprice`."""
    made = argparse.ArgumentParser(
        prog="carprice",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = Commands(made.add_subparsers(title="commands", metavar="COMMAND", required=True))
    for group in (data, model, monitoring, alerting):
        group.add_commands(commands)
    return made


def _run(arguments: argparse.Namespace) -> int:
    context = None
    try:
        read_secret_files()
        context = Context()
        write_result(arguments, arguments.run(arguments, context))
        _close_alert_of_step(arguments, context)
    except CarpriceError as error:
        if isinstance(error, NothingToDo):
            _close_alert_of_step(arguments, context)
        if error.result is not None:
            write_result(arguments, error.result)
        print(f"carprice: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except Exception as error:
        if not _disk_is_full(error):
            raise
        print(f"carprice: {_DISK_FULL.format(arguments.command_name)}", file=sys.stderr)  # noqa: T201
        return ExitCode.TRY_AGAIN
    return 0


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that there is no space left; SQLite has words of its own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "database or disk is full" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def _close_alert_of_step(arguments: argparse.Namespace, context: Context | None) -> None:
    """A step that ends well closes the alert that it failed, if there is one."""
    if arguments.is_step and context is not None:
        from carprice.alerts import events

        events.step_succeeded(context.root, arguments.command_name)
