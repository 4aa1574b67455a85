"""Bringing a run's ads into the data root: landed as a file, or held where somebody looks at them first."""

from __future__ import annotations

import csv
import hashlib
import os
import re
import uuid
from datetime import datetime, timedelta
from typing import Any

from carprice.errors import UsageProblem
from carprice.landing.land import land
from carprice.store import DataRoot
from carprice_collector.ads import COLUMNS
from carprice_collector.journal import Journal
from carprice_contract.data_root import COLLECTED

_HELD = f"{COLLECTED}/held"


def write_csv(journal: Journal, path: str) -> None:
    """Write the ads to the local file `path`, which appears as a whole. The same run gives the same bytes."""
    partial = f"{path}.{uuid.uuid4().hex[:8]}.part"
    with open(partial, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(journal.rows())
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def deliver(root: DataRoot, path: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """Land the file and return its manifest, which is written first: a file in raw/ always has one."""
    name = f"{manifest['run']}.csv"
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = manifest | {"file": name, "sha256": digest}
    root.write_json(f"{COLLECTED}/{manifest['run']}.json", manifest)
    land(root, path, name)
    return manifest


def hold(root: DataRoot, path: str, manifest: dict[str, Any]) -> None:
    """Keep the file and its manifest where nothing learns from them."""
    with open(path, "rb") as file:
        root.write_bytes(f"{_HELD}/{manifest['run']}.csv", file.read())
    root.write_json(f"{_HELD}/{manifest['run']}.json", manifest)


def held(root: DataRoot) -> list[dict[str, Any]]:
    """The manifests of held runs, by their names."""
    return [root.read_json(f"{_HELD}/{name}") for name in root.names(_HELD, ".json")]


def release(root: DataRoot, run: str, folder: str) -> dict[str, Any]:
    """Land a held run, because somebody found that the site is right. Raises `UsageProblem`."""
    manifest = _held_run(root, run)
    path = f"{folder}/{run}.csv"
    os.makedirs(folder, exist_ok=True)
    with open(path, "wb") as file:
        file.write(root.read_bytes(f"{_HELD}/{run}.csv"))
    landed = deliver(root, path, manifest | {"released": True})
    os.unlink(path)
    discard(root, run)
    return landed


def discard(root: DataRoot, run: str) -> None:
    """Delete a held run. Raises `UsageProblem`."""
    _held_run(root, run)
    root.remove(f"{_HELD}/{run}.csv")
    root.remove(f"{_HELD}/{run}.json")


def earlier_runs(root: DataRoot, source: str, scope: dict[str, Any]) -> list[dict[str, Any]]:
    """The manifests of landed runs of a source with the same scope, oldest first; the newest ten."""
    prefix = f"{_run_prefix(source)}-"
    names = [name for name in root.names(COLLECTED, ".json") if name.startswith(prefix)]
    found = (root.read_json(f"{COLLECTED}/{name}") for name in reversed(names))
    same: list[dict[str, Any]] = []
    for manifest in found:
        if manifest["scope"] == scope:
            same.append(manifest)
        if len(same) == 10:
            break
    return same[::-1]


def new_run(root: DataRoot, source: str, now: datetime) -> str:
    """A name that no run of a source has yet: the source and the second, or the next one that is free."""
    while True:
        name = f"{_run_prefix(source)}-{now:%Y%m%dT%H%M%SZ}"
        if not any(root.exists(f"{folder}/{name}.json") for folder in (COLLECTED, _HELD)):
            return name
        now += timedelta(seconds=1)


def _run_prefix(source: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "_", source.lower())


def _held_run(root: DataRoot, run: str) -> dict[str, Any]:
    names = [name.removesuffix(".json") for name in root.names(_HELD, ".json")]
    if run not in names:
        raise UsageProblem(
            f"The name of a held run was expected, found {run!r}; held are {', '.join(names) or 'none'}."
        )
    manifest: dict[str, Any] = root.read_json(f"{_HELD}/{run}.json")
    return manifest
