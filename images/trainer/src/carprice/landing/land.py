"""Putting a file into `raw/`, where it appears as a whole. Pandas is not imported: landing starts fast."""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from typing import Any

from carprice.errors import UsageProblem
from carprice.landing.alone import landing_alone
from carprice.landing.content import fingerprint, sha256_of
from carprice.landing.receipts import add_name, read_receipt
from carprice.store import DataRoot
from carprice_contract import data_root
from carprice_contract.data_root import RAW
from carprice_contract.landing import endings, is_listed, written_name


def land(root: DataRoot, path: str, name: str | None = None) -> dict[str, Any]:
    """Copy the local file `path` to `raw/`, where it appears as a whole under `name` (default: its own).

    Returns `{"file", "sha256", "bytes", "already"}`; `file` is the written name. `already` is a sentence when
    the same bytes are known under any name, so that nothing more happens; None when the file waits to be
    claimed.
    Raises `UsageProblem` when it can't be read, when files of that name are ignored, or when
    `raw/` holds another content under that name.
    """
    name = name if name is not None else os.path.basename(path)
    if not is_listed(name) or "/" in name or "\\" in name:
        raise UsageProblem(
            f"A file name that ends in {endings()}, and starts with no dot was expected, found {name!r}; "
            "rename the file or give it another name."
        )
    try:
        source = open(path, "rb")  # noqa: SIM115 (closed below; an error here is not an error of the copy)
    except OSError as error:
        raise UsageProblem(
            f"A readable file was expected, found {path}: {error.strerror or error}."
        ) from error
    with source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = source.tell()
        if not root.is_local:  # the key of an object is UTF-8
            name = written_name(name)
        target, file = f"{RAW}/{name}", written_name(name)
        with landing_alone(root, file):
            there = root.exists(target)
            if not there:
                source.seek(0)
                try:
                    with root.writing(target, new=True) as copy:
                        shutil.copyfileobj(source, copy, 1 << 20)
                except FileExistsError:  # another process landed a file of this name in the meantime
                    there = True
        if there and sha256_of(root, target) != digest:
            stem, dot, suffix = file.rpartition(".")
            raise UsageProblem(
                f"{RAW}/{file} already exists with other content, and files there are never changed; "
                f"land this one under another name, for example {stem}-2{dot}{suffix}."
            )
        if not there and root.is_local:
            # A modification time before the change time shows that the file was complete when it appeared.
            modified = math.floor(os.fstat(source.fileno()).st_mtime)
            os.utime(root.path(target), (modified, modified))
    already = f"{file} is in {RAW}/ already and waits to be read" if there else None
    if root.exists(data_root.receipt(digest)):
        receipt = read_receipt(root, digest)
        already = (
            f"the same bytes were {receipt['status']} as {receipt['file']} on {receipt['checked_at'][:10]}"
        )
        add_name(root, digest, file, fingerprint(root, file))
    return {"file": file, "sha256": digest, "bytes": size, "already": already}
