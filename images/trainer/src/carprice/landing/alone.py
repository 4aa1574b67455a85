"""One process at a time lands a file of a name, in an object store too, which has no locks."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from carprice.errors import UsageProblem
from carprice.landing.content import time_of
from carprice.store import DataRoot
from carprice_contract.data_root import LANDING

FORGOTTEN_SECONDS = 3600
"""The age of a mark whose process must have died: no landing takes that long."""
WAIT_SECONDS = 60.0


@contextmanager
def landing_alone(root: DataRoot, name: str, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
    """Nobody else is in such a block for the written `name` in an object store at the same time.

    Each process writes a mark and then lists the marks of that name. Of two at once at least one sees the
    other, and only who sees none goes on. Meanwhile the earliest mark stays, and the others are taken away
    and written again later. This needs no conditional writes, which some stores take and ignore. It needs a
    list that shows what was written before it, as S3's does. Raises `UsageProblem` after `wait_seconds`.
    """
    if root.is_local:  # there, a file is put under a name that is free, or not at all
        yield
        return
    until = time.monotonic() + wait_seconds
    folder, mark = f"{LANDING}/{name}", ""
    try:
        while True:
            if not mark:
                # Clocks decide who waits, not who is alone.
                mark = f"{time.time_ns():020}-{uuid.uuid4().hex}"
                root.write_text(f"{folder}/{mark}", "")
            others = _others(root.entries(folder), mark)
            if not others:
                break
            if time.monotonic() >= until:
                raise UsageProblem(
                    f"Nobody else was expected to land a file as {name} at this time, found "
                    f"{folder}/{others[0]}; try again later, or delete that object if its process has died."
                )
            if others[0] < mark:
                root.remove(f"{folder}/{mark}")
                mark = ""
            time.sleep(random.uniform(0.1, 0.5))
        yield
    finally:
        if mark:
            root.remove(f"{folder}/{mark}")


def _others(entries: list[dict[str, Any]], mark: str) -> list[str]:
    """The marks besides `mark` that are not forgotten, the earliest first, by the store's clock."""
    marks = {entry["name"].rpartition("/")[2]: time_of(entry) for entry in entries}
    own = marks.pop(mark, None) or datetime.now(UTC)
    return sorted(
        name for name, at in marks.items() if at is None or (own - at).total_seconds() < FORGOTTEN_SECONDS
    )
