"""The landing rules: which names in raw/ count, and when a file is complete.

The landing trigger, which wakes the pipeline up, and the claim, which takes the files, follow the same rules.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

SETTLE_SECONDS = 10.0
"""How long a file written in place must have been left alone, unless params.yaml says otherwise."""

SETTLE_SECONDS_RENAMED = 1.0
"""The same for a file that was renamed after its last write."""


ENDINGS = (".csv", ".xlsx", ".json", ".jsonl", ".ndjson")
"""How the names of listing files end, in any case; `.gz` may follow. The content tells the format."""


def is_listed(name: str) -> bool:
    """Whether a file of this base name counts: it has one of `ENDINGS` and is not hidden."""
    return name.casefold().removesuffix(".gz").endswith(ENDINGS) and not name.startswith(".")


def endings() -> str:
    """The endings in words, for messages."""
    return f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, each with or without .gz"


def written_name(name: str) -> str:
    """The name of a file in raw/ as receipts, messages and arguments write it: text that every program takes.

    Bytes that are no UTF-8 and characters that break or turn a line are written as `%` and two hexadecimal
    digits for each byte; so is a `%` that would otherwise look like that. Different names stay different.
    """
    return _UNWRITABLE.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape")), name
    )


def name_in_raw(written: str) -> str:
    """The name that the file has in raw/; `written` is what `written_name` made of it."""
    return unquote(written, "utf-8", "surrogateescape")


# Control characters, marks of the writing direction, line and paragraph separators, and what Python makes of
# bytes that are no UTF-8.
_UNWRITABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\udc80-\udcff]|%(?=[0-9A-Fa-f]{2})"
)


def local_fingerprint(size: int, modified_ns: int, changed_ns: int) -> str:
    """A text that changes whenever the content of a local file with these times may have changed."""
    return f"{size}-{modified_ns}-{changed_ns}"


def object_fingerprint(entry: Mapping[str, Any]) -> str:
    """The same for an object, from its entry in a listing of fsspec or from what fsspec tells of it alone."""
    version = next((entry[key] for key in _VERSION_KEYS if key in entry), "")
    # stores differ between the two: quotation marks around an ETag, a moment or its seconds
    moment = version.timestamp() if isinstance(version, datetime) else version
    text = f"{moment:.6f}" if isinstance(moment, float) else str(moment).strip('"')
    return f"{entry.get('size')}-{text}"


# what object stores call the version of an object
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")


def is_complete(
    modified_ns: int, changed_ns: int, now_ns: int, settle_seconds: float, settle_seconds_renamed: float
) -> bool:
    """Whether a local file with these times (ns since the epoch) is no longer being written.

    Writing sets both times alike; renaming, or setting the time as a copy program does at its end,
    moves the change time alone. Such a file is complete after a shorter wait. The wait is counted from
    the change time, which nobody can set: a modification time may lie in the future. A change time in the
    future is from before the clock was set back: what is written now has the time of now.
    """
    wait = settle_seconds_renamed if changed_ns > modified_ns else settle_seconds
    return abs(now_ns - changed_ns) >= wait * 1e9
