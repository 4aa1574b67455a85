"""The landing trigger: tells Airflow that a complete file waits in raw/.

An event only wakes `ingest_listings` up; its first step claims every waiting file. So a needless event
costs one look at raw/, and a lost event costs a minute: the trigger announces a file without a receipt
again, first after `REMIND_SECONDS`, then less and less often. While other announced files get receipts, it
stays at `REMIND_SECONDS`: more files than one run claims wait for the next run, and not for half an hour.
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

from carprice_contract.data_root import RAW, RECEIPT_SUMMARIES, RECEIPTS, receipt
from carprice_contract.formats import FORMAT, SUMMARIES
from carprice_contract.landing import (
    SETTLE_SECONDS,
    SETTLE_SECONDS_RENAMED,
    is_complete,
    is_listed,
    local_fingerprint,
    name_in_raw,
    object_fingerprint,
    written_name,
)
from include.settings import Settings, settings

REMIND_SECONDS = 60.0
LONGEST_REMIND_SECONDS = 1800.0
# An event tells people what landed; ten thousand names would only swell the database.
MOST_NAMED = 100
# Where more files are to be looked up, the summaries of the receipts are read, which tell of most of them.
MOST_HASHED = 20


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
        """Look into raw/ again and again; a look that fails is logged, and the next one follows."""
        here = settings()
        landing = Landing(folder_of(self.data_dir or here.data_root), SettleTimes(here).current)
        last_problem = None
        while True:
            waiting: list[WaitingFile] = []
            try:
                waiting = await asyncio.to_thread(landing.look)
                last_problem = None
            except Exception as problem:  # noqa: BLE001 - whatever the file system does, keep watching
                if repr(problem) != last_problem:  # twice a second is too often to log it
                    last_problem = repr(problem)
                    self.log.warning("Can't look into raw/, and tries again: %s", last_problem)
            if waiting:
                named = [{"file": file.name, "bytes": file.size} for file in waiting[:MOST_NAMED]]
                yield TriggerEvent({"files": named, "waiting": len(waiting)})
                # The triggerer has taken the event only when it asks for the next one.
                landing.mark_announced(waiting)
            await asyncio.sleep(self.poll_seconds or here.landing_poll_seconds)


@dataclass(frozen=True)
class WaitingFile:
    """A file in raw/. `name` is its written name; `fingerprint`, that of receipts, changes with its content.

    `modified_ns` and `changed_ns` are its times in ns since the epoch. In an object store a file is complete
    when it appears, and both are None.
    """

    name: str
    size: int
    fingerprint: str
    modified_ns: int | None = None
    changed_ns: int | None = None


class Folder(Protocol):
    """What the landing needs to know of a data root."""

    def files(self) -> Iterator[WaitingFile]:
        """The CSV files in raw/ that may be looked at. Raises `OSError`."""

    def sha256(self, name: str) -> str:
        """The digest of raw/`name`. Raises `OSError`."""

    def receipt(self, sha256: str) -> dict[str, Any] | None:
        """The receipt of the file with these bytes; None without one."""

    def summaries(self) -> Any:
        """The document `RECEIPT_SUMMARIES`. Raises `OSError` or `ValueError` where there is none."""

    def receipts(self) -> set[str]:
        """The names of the files in receipts/. Raises `OSError`."""


@dataclass
class _Announced:
    fingerprint: str
    due: float | None
    """When to announce it again (monotonic seconds); None: never, it has a receipt."""
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
        self._goes_on = False
        """Whether, at the last look, a file that was announced before had got its receipt."""

    def look(self) -> list[WaitingFile]:
        """The complete files to announce now, by name. Raises `OSError` when raw/ can't be listed."""
        settle_seconds_renamed, settle_seconds = self._settle_times()
        now_ns = int(self._now() * 1e9)
        waiting, unknown = [], []
        present = set()
        for file in self._folder.files():
            present.add(file.name)
            if file.modified_ns is not None and file.changed_ns is not None:
                times = (file.modified_ns, file.changed_ns, now_ns)
                if not is_complete(*times, settle_seconds, settle_seconds_renamed):
                    continue
            before = self._announced.get(file.name)
            if (
                before
                and before.fingerprint == file.fingerprint
                and (before.due is None or self._clock() < before.due)
            ):
                continue
            unknown.append(file)
        # after a restart that is every file: hashing all of them takes minutes
        known = self._with_receipt() if len(unknown) > MOST_HASHED else set()
        self._goes_on = False
        for file in unknown:
            if (file.name, file.fingerprint) in known or self._has_receipt(file):
                self._goes_on |= file.name in self._announced
                self._announced[file.name] = _Announced(file.fingerprint, due=None)
            else:
                waiting.append(file)
        for name in self._announced.keys() - present:
            del self._announced[name]
        return sorted(waiting, key=lambda file: file.name)

    def mark_announced(self, files: list[WaitingFile]) -> None:
        """Leave these out until their reminder is due."""
        for file in files:
            before = self._announced.get(file.name)
            again = before is not None and before.fingerprint == file.fingerprint and before.due is not None
            again = again and not self._goes_on
            delay = min(before.delay * 2, LONGEST_REMIND_SECONDS) if before and again else REMIND_SECONDS
            self._announced[file.name] = _Announced(file.fingerprint, self._clock() + delay, delay)

    def _with_receipt(self) -> set[tuple[str, str]]:
        """The names and fingerprints of files that have a receipt, as far as the summaries tell."""
        try:
            document, there = self._folder.summaries(), self._folder.receipts()
            if document[FORMAT] != SUMMARIES:
                return set()
            return {
                (str(name), str(fingerprint))
                for sha256, entry in document["receipts"].items()
                if f"{sha256}.json" in there
                for name, fingerprint in entry["summary"].get("fingerprints", {}).items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return set()

    def _has_receipt(self, file: WaitingFile) -> bool:
        """Whether a receipt has these bytes under this name (the claim adds a new name to it)."""
        try:
            found = self._folder.receipt(self._folder.sha256(file.name))
        except (OSError, ValueError):
            return False  # the claim reads it again and says what is wrong
        return found is not None and file.name in found.get("names", [])


class SettleTimes:
    """The settle times of params.yaml, read again when the file changes."""

    def __init__(self, settings: Settings) -> None:
        self._file = settings.params_file
        self._read: tuple[int, tuple[float, float]] = (0, (SETTLE_SECONDS_RENAMED, SETTLE_SECONDS))

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
            pass  # a step says what is wrong with params.yaml; the trigger goes on with the last values
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
            entries = os.scandir(f"{self._root}/{RAW}")
        except FileNotFoundError:
            return
        with entries:
            for entry in entries:
                if not is_listed(entry.name):
                    continue
                try:
                    if not entry.is_file():
                        continue
                    seen = entry.stat()
                except OSError:  # removed since it was listed, or a link that leads nowhere
                    continue
                yield WaitingFile(
                    name=written_name(entry.name),
                    size=seen.st_size,
                    fingerprint=local_fingerprint(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns),
                    modified_ns=seen.st_mtime_ns,
                    changed_ns=seen.st_ctime_ns,
                )

    def sha256(self, name: str) -> str:
        """See `Folder`."""
        with open(f"{self._root}/{RAW}/{name_in_raw(name)}", "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def receipt(self, sha256: str) -> dict[str, Any] | None:
        """See `Folder`. Raises `ValueError` when it is no JSON."""
        try:
            with open(f"{self._root}/{receipt(sha256)}", "rb") as file:
                return dict(json.load(file))
        except FileNotFoundError:
            return None

    def summaries(self) -> Any:
        """See `Folder`."""
        with open(f"{self._root}/{RECEIPT_SUMMARIES}", "rb") as file:
            return json.load(file)

    def receipts(self) -> set[str]:
        """See `Folder`."""
        return set(os.listdir(f"{self._root}/{RECEIPTS}"))


class ObjectStore:
    """A data root behind a URL that fsspec opens."""

    def __init__(self, url: str) -> None:
        # Without caches: every look must see what others have written since the last one.
        self._fs, self._root = fsspec.core.url_to_fs(url, use_listings_cache=False, skip_instance_cache=True)
        self._root = self._root.rstrip("/")

    def files(self) -> Iterator[WaitingFile]:
        """See `Folder`; none where raw/ does not exist yet. Raises `FileNotFoundError` without a bucket."""
        try:
            entries = self._fs.ls(f"{self._root}/{RAW}", detail=True)
        except FileNotFoundError as problem:
            answer = getattr(problem.__cause__, "response", None) or {}
            if answer.get("Error", {}).get("Code") == "NoSuchBucket":
                raise
            return
        for entry in entries:
            name = entry["name"].rsplit("/", 1)[-1]
            if entry["type"] == "file" and is_listed(name):
                yield WaitingFile(written_name(name), int(entry["size"] or 0), object_fingerprint(entry))

    def sha256(self, name: str) -> str:
        """See `Folder`."""
        with self._fs.open(f"{self._root}/{RAW}/{name_in_raw(name)}", "rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
        return digest.hexdigest()

    def receipt(self, sha256: str) -> dict[str, Any] | None:
        """See `Folder`. Raises `ValueError` when it is no JSON."""
        try:
            with self._fs.open(f"{self._root}/{receipt(sha256)}", "rb") as file:
                return dict(json.load(file))
        except FileNotFoundError:
            return None

    def summaries(self) -> Any:
        """See `Folder`."""
        return json.loads(self._fs.cat_file(f"{self._root}/{RECEIPT_SUMMARIES}"))

    def receipts(self) -> set[str]:
        """See `Folder`."""
        entries = self._fs.ls(f"{self._root}/{RECEIPTS}", detail=False)
        return {str(name).rsplit("/", 1)[-1] for name in entries}
