"""How a command is declared: its name, its help, its arguments and the function that runs it."""

from __future__ import annotations

import argparse
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from carprice import strict_json
from carprice.pipeline.context import Context
from carprice.store import DataRoot

Run = Callable[[argparse.Namespace, Context], Any]
"""Runs a command with its parsed arguments; returns the result, which JSON can hold."""


@dataclass
class Commands:
    """The commands of one parser."""

    parsers: argparse._SubParsersAction[argparse.ArgumentParser]

    def step(self, name: str, run: Run, help: str) -> argparse.ArgumentParser:
        """Add a step of the pipeline: its result goes to `--result`, and an alert about it is closed."""
        added = self.by_hand(name, run, f"step: {help}")
        added.set_defaults(is_step=True)
        added.add_argument(
            "--result", metavar="FILE", help="file or URL where the JSON result goes (default: printed)"
        )
        return added

    def by_hand(
        self, name: str, run: Run, help: str, printed: Callable[[Any], str] | None = None
    ) -> argparse.ArgumentParser:
        """Add a command for people. `printed` makes text of the result (default: JSON)."""
        added = self.parsers.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        added.set_defaults(run=run, command_name=name, is_step=False, printed=printed, result=None)
        return added


def write_result(arguments: argparse.Namespace, result: Any) -> None:
    """Write the result to the file or URL that `--result` names, or print it where none is named."""
    target = arguments.result
    if target is None:
        print(arguments.printed(result) if arguments.printed else strict_json.dumps(result, indent=2))  # noqa: T201
    elif "://" in target:
        # The files of a pod are gone with it, so its result goes to the object store.
        folder, _, name = target.rpartition("/")
        DataRoot(folder).write_text(name, strict_json.dumps(result))
    else:
        partial = f"{target}.{uuid.uuid4().hex[:8]}.part"
        with open(partial, "w", encoding="utf-8") as file:
            file.write(strict_json.dumps(result))
        os.replace(partial, target)
