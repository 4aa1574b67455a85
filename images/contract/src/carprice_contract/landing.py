"""The landing rules: which names in raw/ count, and when a file is complete.

The landing trigger, which wakes the pipeline up, and the claim, which takes the files, follow the same rules.
"""

SETTLE_SECONDS = 10.0
"""How long a file written in place must have been left alone, unless params.yaml says otherwise."""

SETTLE_SECONDS_RENAMED = 1.0
"""The same for a file that was renamed after its last write."""


def is_listed(name: str) -> bool:
    """Whether a file of this base name counts: it ends in .csv, in any case, and is not hidden."""
    return name.casefold().endswith(".csv") and not name.startswith(".")


def is_complete(
    modified_ns: int, changed_ns: int, now_ns: int, settle_seconds: float, settle_seconds_renamed: float
) -> bool:
    """Whether a local file with these times (ns since the epoch) is no longer being written.

    Writing sets both times alike; renaming, or setting the time as a copy program does at its end,
    moves the change time alone. Such a file is complete after a shorter wait. The wait is counted from
    the change time, which nobody can set: a modification time may lie in the future.
    """
    wait = settle_seconds_renamed if changed_ns > modified_ns else settle_seconds
    return now_ns - changed_ns >= wait * 1e9
