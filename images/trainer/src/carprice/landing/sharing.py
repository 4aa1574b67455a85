"""Which claimed files share a step of the check.

Starting a step takes seconds, reading a small file a fraction of one. Few files have a step each, so that
each is red, skipped or green for itself; many small files share steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from carprice.params import LandingParams
from carprice.store import DataRoot
from carprice_contract.data_root import RAW
from carprice_contract.landing import written_name

Claimed = dict[str, str]
"""A claimed file: `file`, its written name, and `sha256`."""

# The size of such a file does not tell how much it holds.
_COMPRESSED = (".gz", ".xlsx")


def steps_of(root: DataRoot, params: LandingParams, claimed: Sequence[Claimed]) -> list[list[Claimed]]:
    """The files that each step checks, in the order of `claimed`."""
    if len(claimed) <= params.files_alone:
        return [[file] for file in claimed]
    sizes = {
        written_name(entry["name"].rsplit("/", 1)[-1]): int(entry["size"] or 0) for entry in root.entries(RAW)
    }
    steps: list[list[Claimed]] = []
    shared: list[Claimed] = []
    room = 0
    for file in claimed:
        size = sizes.get(file["file"])
        if size is None or size > params.bytes_per_step or file["file"].casefold().endswith(_COMPRESSED):
            steps.append([file])
            continue
        if size > room or len(shared) == params.files_per_step:
            shared, room = [], params.bytes_per_step
            steps.append(shared)
        shared.append(file)
        room -= size
    return steps
