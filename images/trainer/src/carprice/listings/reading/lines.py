"""The lines of a text file in blocks, and what each line holds, found for many lines at once."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.listings.reading.sources import ByteStream

BLOCK_BYTES = 8 << 20
LONGEST_LINE = 32 << 20

Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.int64]

_LINE_FEED, _RETURN, _QUOTE = 10, 13, 34
_FEW_DIGITS = 2
# the first four bytes of such lines, in lower case
_TOTALS = (
    "tota", "sous", "gran", "somm", "sum;", "sum,", 'sum"', "sum\t", "sum|", "moye", "aver", "mean", "medi",
    "méd", "nomb", "coun", "ال", "مج",
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """Some complete lines of a file in UTF-8; `first_line` is the 0-based number of the first one.

    `last` tells that no line follows.
    """

    content: bytes
    first_line: int
    last: bool

    @cached_property
    def _bytes(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.content, dtype=np.uint8)

    @cached_property
    def _bounds(self) -> tuple[Places, Places]:
        """Where each line begins, and where its text ends (before its line end)."""
        data = self._bytes
        if b"\r" not in self.content:
            ends = np.flatnonzero(data == _LINE_FEED)
            after = ends + 1
        else:
            ends = np.flatnonzero((data == _LINE_FEED) | (data == _RETURN))
            follows = np.append(ends[1:] == ends[:-1] + 1, False)
            # of a return and the line feed after it the line ends once, before the return
            double = (data[ends] == _RETURN) & follows
            double[:-1] &= data[ends[1:]] == _LINE_FEED
            second = np.append(False, double[:-1])
            after = ends + 1 + double
            ends, after = ends[~second], after[~second]
        starts = np.append(0, after)
        if starts[-1] == len(data):
            starts = starts[:-1]
        else:
            ends = np.append(ends, len(data))
        return starts, ends

    @property
    def starts(self) -> Places:
        """Where each line begins in `content`, shape (lines,)."""
        return self._bounds[0]

    @property
    def ends(self) -> Places:
        """Where the text of each line ends, before its line end, shape (lines,)."""
        return self._bounds[1]

    def __len__(self) -> int:
        return len(self.starts)

    def line(self, number: int) -> str:
        """The text of a line, without its line end."""
        return self.content[self.starts[number] : self.ends[number]].decode("utf-8", "replace")

    def line_end(self, number: int) -> str:
        """How a line ends."""
        after = self.starts[number + 1] if number + 1 < len(self) else len(self.content)
        return self.content[self.ends[number] : after].decode("ascii")

    def count(self, byte: int) -> Places:
        """How often a byte stands in each line, shape (lines,)."""
        return self._counts(np.flatnonzero(self._bytes == byte))

    def _counts(self, places: Places) -> Places:
        counts: Places = np.searchsorted(places, self.ends) - np.searchsorted(places, self.starts)
        return counts

    @cached_property
    def has_nul(self) -> Mask:
        """Which lines hold a NUL byte, shape (lines,)."""
        return self.count(0) > 0 if b"\0" in self.content else np.zeros(len(self), dtype=bool)

    @cached_property
    def has_quote(self) -> Mask:
        """Which lines hold a quotation mark, shape (lines,)."""
        return self.count(_QUOTE) > 0 if b'"' in self.content else np.zeros(len(self), dtype=bool)

    @cached_property
    def has_few_digits(self) -> Mask:
        """Which lines have at most two digits; a few very long lines may be among them, shape (lines,)."""
        if not len(self):
            return np.zeros(0, dtype=bool)
        digit = (self._bytes - np.uint8(48)) < 10
        # modulo 256, which is many times faster
        counts = np.add.reduceat(digit.view(np.uint8), self.starts, dtype=np.uint8)
        few: Mask = counts <= _FEW_DIGITS
        return few

    @cached_property
    def may_be_total(self) -> Mask:
        """Which lines begin like one that sums up others, shape (lines,)."""
        data = np.append(self._bytes, np.zeros(5, dtype=np.uint8))
        starts = self.starts + (data[self.starts] == _QUOTE)
        keys = np.zeros(len(starts), dtype=np.uint32)
        for place in range(4):
            keys = keys << np.uint32(8) | (data[starts + place] | np.uint8(32))
        known = [int.from_bytes(bytes(byte | 32 for byte in word.encode()[:4]), "big") for word in _TOTALS]
        found: Mask = np.isin(keys, np.array(known, dtype=np.uint32))
        return found

    def values(self, delimiter: str) -> Places:
        """How many values each line has if its quotation marks are in order, else -1, shape (lines,).

        They are in order when each pair encloses exactly one value and none stands within a value. A line
        break within a value is not.
        """
        data = self._bytes
        separates = data == ord(delimiter)
        if not self.has_quote.any():
            return self._counts(np.flatnonzero(separates)) + 1
        quote = data == _QUOTE
        wrong = self.count(_QUOTE) % 2 == 1
        for line in np.flatnonzero(wrong):
            quote[self.starts[line] : self.ends[line]] = False
        # Now each line has pairs of marks only. Up to and with an opening one, their number is odd.
        inside = np.bitwise_xor.accumulate(quote.view(np.uint8)).view(bool)
        beside = separates | (data == _LINE_FEED) | (data == _RETURN)
        fits_before = np.append(True, beside[:-1])
        fits_after = np.append(beside[1:], True)
        stray = np.flatnonzero(quote & ~np.where(inside, fits_before, fits_after))
        wrong[np.searchsorted(self.starts, stray, side="right") - 1] = True
        values = self._counts(np.flatnonzero(separates & ~inside)) + 1
        values[wrong] = -1
        return values


def blocks(stream: ByteStream, encoding: str | None = None, size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The content of a stream in blocks of about `size` bytes that end where a line ends.

    `encoding` is that of the stream, where it is recoded to UTF-8. Raises `DataRefused` for a line that is
    too long to be one.
    """
    recode = codecs.getincrementaldecoder(encoding)("replace") if encoding else None
    left = b""
    while read := stream.read(size):
        if recode is not None:
            read = recode.decode(read).encode()
        content = left + read
        # a return at the very end may be followed by its line feed
        end = max(content.rfind(b"\n"), content.rfind(b"\r", 0, len(content) - 1)) + 1
        left = content[end:]
        if end:
            yield content[:end]
        elif len(left) > LONGEST_LINE:
            raise DataRefused(
                f"A line of the file is longer than {thousands(LONGEST_LINE)} bytes: text with line ends was "
                "expected; export the listings as CSV and land that file",
                code="too_long_line",
                params={"most": LONGEST_LINE},
            )
    if recode is not None:
        left += recode.decode(b"", final=True).encode()
    if left:
        yield left
