"""Which content a file in `raw/` has."""

from __future__ import annotations

import datetime
import hashlib
import math
import os
from collections.abc import Mapping
from typing import Any

from carprice.errors import UsageProblem
from carprice.store import DataRoot
from carprice_contract.data_root import RAW
from carprice_contract.landing import local_fingerprint, name_in_raw, object_fingerprint

# what object stores call the time of an object
_TIME_KEYS = ("LastModified", "last_modified", "updated", "mtime", "created")


def raw_file(name: str) -> str:
    """The file of `raw/` whose written name is `name`, as a name in the data root.

    Raises `UsageProblem` for a name that leads out of `raw/`.
    """
    found = name_in_raw(name)
    if "/" in found:
        raise UsageProblem(f"The name of a file in {RAW}/ was expected, found {name!r}; give its name alone.")
    return f"{RAW}/{found}"


def sha256_of(root: DataRoot, name: str) -> str:
    """The SHA-256 of the content of `name`, in hexadecimal. Raises `FileNotFoundError`."""
    digest = hashlib.sha256()
    with root.open(name) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(root: DataRoot, name: str, entry: Mapping[str, Any] | None = None) -> str:
    """A text that changes whenever the content of the file of `raw/` called `name` may have changed.

    It is cheap, so a file with a known fingerprint is not read again. `entry` is the object's entry in the
    listing of `raw/`, where the caller has it. Raises `FileNotFoundError`.
    """
    if root.is_local:
        status = os.stat(root.path(raw_file(name)))
        return local_fingerprint(status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return object_fingerprint(entry or root.info(raw_file(name)))


def written_at(root: DataRoot, name: str) -> datetime.datetime | None:
    """When the file of `raw/` called `name` was last written (UTC), None where its store does not tell.

    It is the same whenever the file is read. Raises `FileNotFoundError`.
    """
    if root.is_local:
        return local_time(root.path(raw_file(name)))
    return time_of(root.info(raw_file(name)))


def time_of(entry: Mapping[str, Any]) -> datetime.datetime | None:
    """When the object of an entry was last written (UTC), None where its store does not tell."""
    written = next((entry[key] for key in _TIME_KEYS if key in entry), None)
    if isinstance(written, str):
        written = datetime.datetime.fromisoformat(written)
    if isinstance(written, int | float):
        written = datetime.datetime.fromtimestamp(written, datetime.UTC)
    return written if isinstance(written, datetime.datetime) and written.tzinfo is not None else None


def local_time(path: str) -> datetime.datetime:
    """When a local file was last written (UTC), in whole seconds: landing keeps no parts of one."""
    return datetime.datetime.fromtimestamp(math.floor(os.stat(path).st_mtime), datetime.UTC)
