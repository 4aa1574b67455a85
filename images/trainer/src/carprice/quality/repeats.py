"""Which rows of a file repeat an earlier one, also where the file is too large to be held in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

Hashes = npt.NDArray[np.uint64]
Lines = npt.NDArray[np.int64]

# of a run: merging needs several times the memory of what it merges
_MOST_IN_RUN = 1 << 20


class SeenRows:
    """The rows of a file seen so far, as a hash of 64 bits and a line each.

    Two different rows of a million have the same hash with a probability of 3 in 100 million.
    """

    def __init__(self) -> None:
        # Sorted runs of hashes with their lines. A run is merged with the one before it when that is no
        # longer than itself: so there are few runs, and each hash is moved few times.
        self._runs: list[tuple[Hashes, npt.NDArray[np.uint32]]] = []

    def first_lines(self, rows: pd.DataFrame, lines: Lines) -> Lines:
        """Add rows; the line of the earlier row that each of them equals, 0 where it is new, shape (rows,).

        `rows` (n columns of text) are compared in all columns, `lines` are where they begin.
        """
        hashes = row_hashes(rows)
        found = np.zeros(len(hashes), dtype=np.int64)
        order = np.argsort(hashes)  # places that lie side by side are found sooner
        ordered = hashes[order]
        for known, known_lines in self._runs:
            place = np.minimum(np.searchsorted(known, ordered), len(known) - 1)
            same = known[place] == ordered
            found[order[same]] = known_lines[place[same]]
        codes = pd.factorize(hashes)[0]
        first = np.unique(codes, return_index=True)[1][codes] if len(codes) else codes
        inside = (found == 0) & (first != np.arange(len(codes)))
        found[inside] = lines[first[inside]]
        self._add(hashes[found == 0], lines[found == 0])
        return found

    def _add(self, hashes: Hashes, lines: Lines) -> None:
        if not len(hashes):
            return
        places = lines.astype(np.uint32)
        while self._runs and len(self._runs[-1][0]) <= len(hashes) < _MOST_IN_RUN:
            before, before_lines = self._runs.pop()
            hashes, places = np.concatenate([before, hashes]), np.concatenate([before_lines, places])
        order = np.argsort(hashes)
        self._runs.append((hashes[order], places[order]))


def row_hashes(rows: pd.DataFrame) -> Hashes:
    """A hash of 64 bits of each row, shape (rows,). Equal rows have equal hashes in every process."""
    hashes = np.full(len(rows), 0x345678, dtype=np.uint64)
    for place, column in enumerate(rows.columns):
        codes, values = pd.factorize(rows[column])
        ours = text_hashes(values)[codes] if len(values) else hashes
        # the mixing of Python's own hash of a tuple: multiply, then add, so that the order of columns counts
        hashes = (hashes ^ ours) * np.uint64(0x9E3779B97F4A7C15 + 2 * place)
        hashes ^= hashes >> np.uint64(29)
    return hashes


def text_hashes(values: object) -> Hashes:
    """A hash of 64 bits of each text, shape (n,)."""
    texts = np.asarray(values, dtype=object)
    hashes: Hashes = pd.util.hash_array(texts, categorize=False)
    return hashes
