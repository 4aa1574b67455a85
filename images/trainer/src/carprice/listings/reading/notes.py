"""The lines of a file that are no rows, collected while it is read."""

from __future__ import annotations

import numpy as np

from carprice.listings.reading.raw_table import Note


class NoteBook:
    """Line numbers by the code of their note."""

    def __init__(self) -> None:
        self._lines: dict[str, list[int]] = {}

    def add(self, code: str, line: int) -> None:
        """Note a line by its 0-based number."""
        self._lines.setdefault(code, []).append(line + 1)

    def notes(self) -> list[Note]:
        """One note for each code."""
        return [
            Note(code, np.array(sorted(lines), dtype=np.int64)) for code, lines in sorted(self._lines.items())
        ]
