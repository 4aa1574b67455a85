"""Which encoding a file is written in, also where its lines are written in two."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from functools import lru_cache

BYTE_ENCODINGS = ("cp1252", "latin-1", "iso8859-15", "cp850", "mac-roman", "cp437", "cp1256")
"""The encodings of one byte per character that are recognised, the likeliest first."""

HEAD_BYTES = 4 << 10
"""How many bytes of a file's beginning `wide_encoding` needs."""

_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_LEAST_ZERO_SHARE, _MOST_OTHER_ZERO_SHARE = 0.3, 0.01
_MOST_PIECES = 5_000
_LONGEST_PIECE = 200
_SEQUENCE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_HIGH = re.compile(rb"[\x80-\xff]")
_PIECE = re.compile(rb"[^;,|\t\r\n\"]*[\x80-\xff][^;,|\t\r\n\"]*")

# How well a character fits French text, roughly by its frequency in advertisements.
_FITTING = {
    **dict.fromkeys("é", 4.0),
    **dict.fromkeys("èàêçô", 3.0),
    **dict.fromkeys("âîïëûœ", 2.0),
    **dict.fromkeys("ùüöäñáíóú", 1.0),
    **dict.fromkeys("ÉÈÀÊÇÔÎÂœŒ", 1.5),
    **dict.fromkeys("’«»°–€•…²³½\xa0", 1.0),
    "\ufffd": -5.0,
}
_NOT_TEXT = -4.0
_UNUSUAL = -1.0


def wide_encoding(head: bytes) -> str | None:
    """The name of UTF-16 or UTF-32 if a file that begins with `head` is written in it, else None.

    UTF-16 without a byte order mark is told by the NUL bytes of its Latin letters, digits and separators.
    """
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    pairs = len(head) // 2
    first, second = head[0::2].count(0), head[1::2].count(0)
    least, most = _LEAST_ZERO_SHARE * pairs, _MOST_OTHER_ZERO_SHARE * pairs
    if second > least and first <= most:
        return "utf-16-le"
    if first > least and second <= most:
        return "utf-16-be"
    return None


class EncodingSurvey:
    """Looks at all lines of a file and tells in which encoding its bytes that are not UTF-8 are."""

    def __init__(self) -> None:
        self.utf8_lines = False
        """Whether a line with other than ASCII characters is UTF-8."""
        self.byte_lines = False
        """Whether a line is not UTF-8."""
        self._pieces: set[bytes] = set()

    def add(self, block: bytes) -> None:
        """Look at some complete lines."""
        if block.isascii():
            return
        try:
            block.decode("utf-8")
        except UnicodeDecodeError:
            self._add_lines(block)
        else:
            self.utf8_lines = True

    def _add_lines(self, block: bytes) -> None:
        if not _SEQUENCE.search(block):
            self.byte_lines = True
            self._keep(block)
            return
        for line in block.splitlines():
            if line.isascii():
                continue
            if _is_utf8(line):
                self.utf8_lines = True
            else:
                self.byte_lines = True
                self._keep(line)

    def _keep(self, text: bytes) -> None:
        if len(self._pieces) < _MOST_PIECES:
            found = _PIECE.findall(text)
            self._pieces.update(piece[:_LONGEST_PIECE] for piece in found[: 10 * _MOST_PIECES])

    def decoder(self) -> Decoder:
        """The decoder of the file's lines."""
        if not self.byte_lines:
            return Decoder(None, True)
        pieces = list(self._pieces)[:_MOST_PIECES]
        if self.utf8_lines:
            # what is valid UTF-8 within such lines says nothing about the other bytes
            pieces = [_SEQUENCE.sub(b"", piece) for piece in pieces]
        return Decoder(byte_encoding_of(pieces), self.utf8_lines)


class Decoder:
    """Decodes the lines of one file: as UTF-8 where they are, otherwise as `byte_encoding`.

    Where the file has lines in UTF-8 (`utf8_lines`), a line that is UTF-8 but for some bytes is decoded as
    that, and only these bytes as `byte_encoding`.
    """

    def __init__(self, byte_encoding: str | None, utf8_lines: bool) -> None:
        self._byte_encoding = byte_encoding
        self._utf8_lines = utf8_lines

    @property
    def name(self) -> str:
        """What people call the encoding of the file."""
        if self._byte_encoding is None:
            return "utf-8"
        return f"utf-8 and {self._byte_encoding}" if self._utf8_lines else self._byte_encoding

    def as_utf8(self, block: bytes) -> bytes:
        """Some complete lines in UTF-8."""
        if block.isascii():
            return block
        if self._byte_encoding is None:
            return block if _is_utf8(block) else block.decode("utf-8", "replace").encode()
        if not self._utf8_lines:
            return _decoded(block, self._byte_encoding).encode()
        if _is_utf8(block):
            return block
        return b"".join(map(self._line_as_utf8, block.splitlines(keepends=True)))

    def _line_as_utf8(self, line: bytes) -> bytes:
        assert self._byte_encoding is not None  # noqa: S101 (for mypy: only called then)
        if line.isascii() or _is_utf8(line):
            return line
        if not _SEQUENCE.search(line):
            return _decoded(line, self._byte_encoding).encode()
        parts, end = [], 0
        for sequence in _SEQUENCE.finditer(line):
            parts += [_decoded(line[end : sequence.start()], self._byte_encoding).encode(), sequence[0]]
            end = sequence.end()
        return b"".join([*parts, _decoded(line[end:], self._byte_encoding).encode()])


def byte_encoding_of(pieces: Iterable[bytes]) -> str:
    """The encoding in which some pieces of French or Arabic text make most sense."""
    pieces = [piece for piece in pieces if _HIGH.search(piece)]
    return max(BYTE_ENCODINGS, key=lambda encoding: sum(_sense(_decoded(p, encoding)) for p in pieces))


def _decoded(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return content.decode(encoding, "replace")


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _sense(text: str) -> float:
    """How much a text looks like French or Arabic, the sum over its other than ASCII characters."""
    text = _decoded_once(text)
    total = 0.0
    before = " "
    for place, char in enumerate(text):
        if not char.isascii():
            after = text[place + 1] if place + 1 < len(text) else " "
            total += _fit(before, char, after)
        before = char
    return total


@lru_cache(maxsize=4_096)
def _fit(before: str, char: str, after: str) -> float:
    if "\u0620" <= char <= "\u06ff":
        return 2.0 if any("\u0600" <= beside <= "\u06ff" for beside in (before, after)) else _NOT_TEXT
    if not char.isalpha():
        inside_a_word = before.isalpha() and after.isalpha()
        fit = _FITTING.get(char, _NOT_TEXT)
        return fit if char == "’" or not inside_a_word else _NOT_TEXT
    fit = _FITTING.get(char, _UNUSUAL)
    if char.isupper() and (before.islower() or (after.islower() and before.isupper())):
        return _NOT_TEXT
    if char.islower() and before.isupper() and before.isascii() and after.isupper():
        return _NOT_TEXT
    alone = not before.isalpha() and not after.isalpha()
    return _UNUSUAL if alone and char not in "àÀ" and fit > 0 else fit


@lru_cache(maxsize=8_192)
def _decoded_once(text: str) -> str:
    import ftfy  # slow to load; UTF-8 files do without it

    return ftfy.fix_encoding(text)
