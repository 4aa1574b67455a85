"""A person's decision about a held file: it is released, so that the next claim uses it, or rejected."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Literal

from carprice.errors import DataRefused, NothingToDo, UsageProblem
from carprice.landing.receipts import read_receipt
from carprice.landing.summaries import summaries
from carprice.params import QualityParams
from carprice.quality.check import record
from carprice.store import DataRoot
from carprice_contract.data_root import RAW

Action = Literal["release", "reject"]

# What the decision does not change; `checked_at` is the file's place in the order of receipt.
_KEPT = ("names", "fingerprints", "hold", "price_check", "checked_at")
_STATUS = {"release": "accepted", "reject": "refused"}


def decide(
    root: DataRoot, params: QualityParams, action: Action, file: str, by: str, reason: str
) -> dict[str, Any]:
    """Release or reject the held file named `file`: its name in `raw/`, or the beginning of its SHA-256.

    Returns its receipt, which keeps who decided and why, and the reasons why the file was held. The file is
    read again, because its page and its rows are written anew. Raises `UsageProblem` when `file` names no
    single held file or was removed from `raw/`, and `NothingToDo` when the same decision was taken before.
    """
    held = _held(root, action, file.removeprefix(f"{RAW}/"))
    name = held["file"]
    rejection = None
    if action == "reject":
        rejection = DataRefused(
            f"{by} rejected {name}: {reason}", code="rejected", params={"by": by, "reason": reason}
        )
    decided_at = datetime.now(UTC).isoformat(timespec="seconds")
    decision = {"action": action, "by": by, "reason": reason, "at": decided_at}
    kept = {key: held[key] for key in _KEPT if key in held} | {"decision": decision}
    try:
        return record(root, params, name, held["sha256"], None, rejection, kept)
    except FileNotFoundError as error:
        raise UsageProblem(
            f"The held file {name} was expected in {RAW}/, but it was removed. Land the same bytes again, "
            "then decide."
        ) from error


def _held(root: DataRoot, action: Action, file: str) -> dict[str, Any]:
    receipts = summaries(root)
    is_digest = re.fullmatch(r"[0-9a-f]{8,64}", file) is not None
    named = [
        receipt
        for sha, receipt in receipts.items()
        if file in receipt["names"] or (is_digest and sha.startswith(file))
    ]
    held = [receipt for receipt in named if receipt["status"] == "held"]
    if len(held) == 1:
        return read_receipt(root, held[0]["sha256"])
    if not held and any(
        receipt["status"] == _STATUS[action] and receipt.get("decision") for receipt in named
    ):
        raise NothingToDo(f"{file} was {_STATUS[action]} by a person before; nothing was changed.")
    found = f"found that it is {named[0]['status']}" if named else "found none of that name"
    waiting = sorted(
        f"{receipt['file']} ({sha[:12]})" for sha, receipt in receipts.items() if receipt["status"] == "held"
    )
    raise UsageProblem(
        f"The name or the SHA-256 of one held file was expected, {found}: {file}. "
        + (f"Held are: {', '.join(waiting)}." if waiting else "No file is held.")
    )
