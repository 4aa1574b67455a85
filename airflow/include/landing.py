"""The landing trigger: tells Airflow that a complete file is waiting in raw/.

An event only wakes `ingest_listings` up; its first step claims whatever is pending. So an event too
many costs a look and an event lost costs a minute: a file that still has no receipt is announced
again, first after `REMIND_SECONDS`, then ever less often.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import fsspec
import yaml
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from include.settings import Settings, settings

REMIND_SECONDS = 60.0
LONGEST_REMIND_SECONDS = 1800.0


class LandingTrigger(BaseEventTrigger):
    """Fires one event for each look into raw/ that finds complete files not yet announced.

    Arguments left out are the settings of the process it runs in, so that moving the data folder
    does not make another trigger of it (Airflow tells triggers apart by their arguments).
    """

    def __init__(self, data_dir: str | None = None, poll_seconds: float | None = None) -> None:
        super().__init__()
        self.data_dir = data_dir
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments Airflow makes an equal trigger of."""
        return (
            "include.landing.LandingTrigger",
            {"data_dir": self.data_dir, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look into raw/ for ever; a look that fails is logged and the next one tries again."""
        here = settings()
        landing = Landing(folder_of(self.data_dir or here.data_root), SettleTimes(here).current)
        last_problem = None
        while True:
            waiting: list[WaitingFile] = []
            try:
                waiting = await asyncio.to_thread(landing.look)
                last_problem = None
            except Exception as problem:  # noqa: BLE001 - whatever the file system is up to, keep watching
                if repr(problem) != last_problem:  # twice a second is too often to say it
                    last_problem = repr(problem)
                    self.log.warning("Can't look into raw/, trying on: %s", last_problem)
            if waiting:
                yield TriggerEvent({"files": [{"file": f.name, "bytes": f.size} for f in waiting]})
                # Only now, back from the triggerer, has the event been taken.
                landing.mark_announced(waiting)
            await asyncio.sleep(self.poll_seconds or here.landing_poll_seconds)


@dataclass(frozen=True)
class WaitingFile:
    """A file in raw/. `version` changes with its content; times are seconds since the epoch.

    `changed_at` is the last change of anything, `renamed` whether that came after the last write;
    in an object store, where a file appears when it is complete, `changed_at` is None.
    """

    name: str
    size: int
    version: str
    changed_at: float | None = None
    renamed: bool = False


class Folder(Protocol):
    """What the landing needs to know of a data root."""

    def files(self) -> Iterator[WaitingFile]:
        """The CSV files in raw/ that may be looked at. Raises `OSError`."""

    def sha256(self, name: str) -> str:
        """The digest of raw/`name`. Raises `OSError`."""

    def receipt(self, sha256: str) -> dict[str, Any] | None:
        """The receipt of the file with these bytes, if it has been dealt with."""


@dataclass
class _Announced:
    version: str
    due: float | None
    """When to announce it again (monotonic seconds); None: it has been dealt with."""
    delay: float = REMIND_SECONDS


class Landing:
    """Tells which complete files of raw/ wait to be announced; one look at a time."""

    def __init__(
        self,
        folder: Folder,
        settle_times: Callable[[], tuple[float, float]],
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._settle_times = settle_times
        self._now = now
        self._clock = clock
        self._announced: dict[str, _Announced] = {}

    def look(self) -> list[WaitingFile]:
        """The complete files to announce now, by name. Raises `OSError` when raw/ can't be listed."""
        settle_renamed, settle_written = self._settle_times()
        waiting = []
        present = set()
        for file in self._folder.files():
            present.add(file.name)
            if file.changed_at is not None:
                settle = settle_renamed if file.renamed else settle_written
                if not self._now() - file.changed_at >= settle:
                    continue
            before = self._announced.get(file.name)
            if (
                before
                and before.version == file.version
                and (before.due is None or self._clock() < before.due)
            ):
                continue
            if self._dealt_with(file):
                self._announced[file.name] = _Announced(file.version, due=None)
            else:
                waiting.append(file)
        for name in self._announced.keys() - present:
            del self._announced[name]
        return sorted(waiting, key=lambda file: file.name)

    def mark_announced(self, files: list[WaitingFile]) -> None:
        """Say no more of these until their reminder is due."""
        for file in files:
            before = self._announced.get(file.name)
            again = before is not None and before.version == file.version and before.due is not None
            delay = min(before.delay * 2, LONGEST_REMIND_SECONDS) if before and again else REMIND_SECONDS
            self._announced[file.name] = _Announced(file.version, self._clock() + delay, delay)

    def _dealt_with(self, file: WaitingFile) -> bool:
        """Whether a receipt knows these bytes under this name (a new name is worth a note in it)."""
        try:
            receipt = self._folder.receipt(self._folder.sha256(file.name))
        except (OSError, ValueError):
            return False  # the claim reads it again and says what is wrong
        return receipt is not None and file.name in receipt.get("names", [])


class SettleTimes:
    """The settle times of params.yaml, read again when the file changes."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.params_file
        self._read: tuple[int, tuple[float, float]] = (0, (1.0, 10.0))

    def current(self) -> tuple[float, float]:
        """Seconds a renamed file, and a file written in place, must have been left alone."""
        try:
            changed = os.stat(self._file).st_mtime_ns
            if changed != self._read[0]:
                with open(self._file, encoding="utf-8") as file:
                    landing = (yaml.safe_load(file) or {}).get("landing", {})
                renamed, written = self._read[1]
                self._read = (
                    changed,
                    (
                        float(landing.get("settle_seconds_renamed", renamed)),
                        float(landing.get("settle_seconds", written)),
                    ),
                )
        except (OSError, ValueError, TypeError, AttributeError, yaml.YAMLError):
            pass  # a step says what is wrong with params.yaml; landing goes on with what it knew
        return self._read[1]


def folder_of(data_root: str) -> Folder:
    """The data root as the landing sees it."""
    return ObjectStore(data_root) if "://" in data_root else LocalFolder(data_root)


class LocalFolder:
    """A data root in a folder."""

    def __init__(self, root: str) -> None:
        self._root = root

    def files(self) -> Iterator[WaitingFile]:
        """See `Folder`; none where raw/ does not exist yet."""
        try:
            entries = os.scandir(f"{self._root}/raw")
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if not is_landing_name(entry.name):
                    continue
                try:
                    if not entry.is_file():
                        continue
                    seen = entry.stat()
                except FileNotFoundError:  # taken away since it was listed
                    continue
                yield WaitingFile(
                    name=entry.name,
                    size=seen.st_size,
                    version=f"{seen.st_size}-{seen.st_mtime_ns}-{seen.st_ino}",
                    changed_at=seen.st_ctime,  # a write moves it too, and nobody can set it
                    renamed=seen.st_ctime_ns > seen.st_mtime_ns,
                )

    def sha256(self, name: str) -> str:
        """See `Folder`."""
        with open(f"{self._root}/raw/{name}", "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def receipt(self, sha256: str) -> dict[str, Any] | None:
        """See `Folder`. Raises `ValueError` when it is no JSON."""
        try:
            with open(f"{self._root}/receipts/{sha256}.json", "rb") as file:
                return dict(json.load(file))
        except FileNotFoundError:
            return None


class ObjectStore:
    """A data root behind a URL that fsspec opens."""

    def __init__(self, url: str) -> None:
        # Every look must see what others have written since the last one.
        self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        self._root = self._root.rstrip("/")

    def files(self) -> Iterator[WaitingFile]:
        """See `Folder`; none where raw/ does not exist yet. Raises `FileNotFoundError` without a bucket."""
        try:
            entries = self._fs.ls(f"{self._root}/raw", detail=True)
        except FileNotFoundError as problem:
            answer = getattr(problem.__cause__, "response", None) or {}
            if answer.get("Error", {}).get("Code") == "NoSuchBucket":
                raise
            return
        for entry in entries:
            name = entry["name"].rsplit("/", 1)[-1]
            if entry["type"] == "file" and is_landing_name(name):
                stamps = (entry.get(key) for key in ("ETag", "LastModified", "mtime", "created"))
                yield WaitingFile(name, int(entry["size"] or 0), "-".join(map(str, (entry["size"], *stamps))))

    def sha256(self, name: str) -> str:
        """See `Folder`."""
        with self._fs.open(f"{self._root}/raw/{name}", "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def receipt(self, sha256: str) -> dict[str, Any] | None:
        """See `Folder`. Raises `ValueError` when it is no JSON."""
        try:
            with self._fs.open(f"{self._root}/receipts/{sha256}.json", "rb") as file:
                return dict(json.load(file))
        except FileNotFoundError:
            return None


def is_landing_name(name: str) -> bool:
    """Whether a file of this name counts: it ends in .csv, in any case, and is not hidden."""
    return not name.startswith(".") and name.lower().endswith(".csv")
