"""Running the collector as its command line does, in a process of its own that has imported everything."""

from __future__ import annotations

import csv
import importlib
import json
import logging
import multiprocessing
import os
import sys
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

from demo.replica.server import FIRST_PAGES, Replica
from scrapy.settings import default_settings

# Imported here once: a fork has them, and importing takes longer than most runs.
import carprice_collector.collecting
import carprice_collector.delivery
from carprice_collector.__main__ import main

_ = carprice_collector.collecting, carprice_collector.delivery
for _name in (
    "scrapy.core.engine",
    "scrapy.core.downloader.handlers.http11",
    "scrapy.core.scheduler",
    *(
        path.rpartition(".")[0]
        for setting in ("DOWNLOADER_MIDDLEWARES_BASE", "SPIDER_MIDDLEWARES_BASE", "EXTENSIONS_BASE")
        for path in getattr(default_settings, setting)
    ),
):
    importlib.import_module(_name)


@dataclass(frozen=True)
class Ended:
    """How a run ended."""

    status: int | None
    result: Any
    said: str


@dataclass
class Operator:
    """Somebody who runs the collector on one data root."""

    folder: Path
    environment: dict[str, str]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def start(self, *arguments: str, **environment: str) -> ForkProcess:
        """Start a run; `environment` is by the names of the settings without their prefix."""
        (self.folder / "result.json").unlink(missing_ok=True)
        process = multiprocessing.get_context("fork").Process(
            target=self._run, args=(arguments, environment), daemon=True
        )
        process.start()
        return process

    def collect(self, replica: Replica, *arguments: str, source: str = "avito", **environment: str) -> Ended:
        """Run the collector on the replica, from the first page of the source, and wait for its end."""
        if "--start" not in arguments and "--sitemap" not in arguments:
            arguments = ("--start", replica.address + FIRST_PAGES[source], *arguments)
        return self.ended(self.start("--source", source, *arguments, **environment))

    def ended(self, process: ForkProcess) -> Ended:
        process.join(300)
        result = self.folder / "result.json"
        return Ended(
            process.exitcode,
            json.loads(result.read_text()) if result.exists() else None,
            (self.folder / "said").read_text(),
        )

    def landed(self) -> list[dict[str, str]]:
        """The rows of every file in raw/."""
        return [row for file in self.files() for row in csv.DictReader(file.open(encoding="utf-8"))]

    def files(self) -> list[Path]:
        return sorted((self.data / "raw").glob("*"))

    def written(self) -> str:
        """Everything that the collector wrote anywhere, as text."""
        files = [file for file in self.folder.rglob("*") if file.is_file()]
        return "\n".join(file.read_bytes().decode("utf-8", "ignore") for file in files)

    def _run(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        os.environ.update(self.environment | {"DATA_DIR": str(self.data)})
        os.environ.update({f"CARPRICE_COLLECT_{name.upper()}": value for name, value in environment.items()})
        with (self.folder / "said").open("w") as said:
            sys.stderr = sys.stdout = said
            logging.getLogger().handlers.clear()
            status = main([*arguments, "--result", str(self.folder / "result.json")])
            said.flush()
        os._exit(status)
