"""Which content a file in `raw/` has."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from carprice.store import DataRoot
from carprice_contract.data_root import RAW
from carprice_contract.landing import name_in_raw

# what object stores call the version of an object
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")


def raw_file(name: str) -> str:
    """The file of `raw/` whose written name is `name`, as a name in the data root."""
    return f"{RAW}/{name_in_raw(name)}"


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
        return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    if entry is None:
        entry = next(
            (e for e in root.entries(RAW) if e["name"].rsplit("/", 1)[-1] == name_in_raw(name)), None
        )
    if entry is None:
        raise FileNotFoundError(name)
    return f"{entry.get('size')}-{next((entry[key] for key in _VERSION_KEYS if key in entry), '')}"
