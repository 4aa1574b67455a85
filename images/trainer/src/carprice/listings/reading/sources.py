"""The bytes of a file, read from the beginning as often as needed, unpacked on the way."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import BinaryIO, Protocol

from carprice.errors import DataRefused
from carprice.formats import thousands

MOST_UNPACKED_BYTES = 4 << 30
"""The most bytes that an archive may unpack to."""

_GZIP = b"\x1f\x8b"
_MOST_NESTED_ARCHIVES = 2


class ByteStream(Protocol):
    """Bytes that are read in order."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, at most `size`."""


class Readable(Protocol):
    """Something that can be read from its beginning as often as needed; `name` is what messages call it."""

    name: str

    def open(self) -> AbstractContextManager[ByteStream]:
        """The bytes from their beginning."""

    def head(self, size: int) -> bytes:
        """The first bytes, at most `size`."""


class Source:
    """A file by its bytes or its path; `name` is what messages call it.

    A gzip archive is read as the file that it holds.
    """

    def __init__(
        self,
        source: bytes | str | os.PathLike[str],
        name: str,
        most_unpacked_bytes: int | None = None,
    ) -> None:
        self._source = source
        self._most = MOST_UNPACKED_BYTES if most_unpacked_bytes is None else most_unpacked_bytes
        self.name = name
        self._archives = 0
        while self._archives < _MOST_NESTED_ARCHIVES and self.head(2) == _GZIP:
            self._archives += 1

    @property
    def packed(self) -> bool:
        """Whether the file is an archive."""
        return self._archives > 0

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The unpacked bytes from their beginning. Raises `DataRefused` for a damaged or large archive."""
        opened: list[BinaryIO] = []
        stream: BinaryIO = (
            io.BytesIO(self._source) if isinstance(self._source, bytes) else open(self._source, "rb")  # noqa: SIM115
        )
        opened.append(stream)
        try:
            for _ in range(self._archives):
                stream = _Unpacked(gzip.GzipFile(fileobj=stream), self.name, self._most)
                opened.append(stream)
            yield stream
        finally:
            for each in reversed(opened):
                each.close()

    def head(self, size: int) -> bytes:
        """The first bytes, at most `size`."""
        with self.open() as stream:
            return stream.read(size)

    def read(self, most: int | None = None) -> bytes:
        """All bytes. Raises `DataRefused` when there are more than `most`."""
        with self.open() as stream:
            content = stream.read() if most is None else stream.read(most + 1)
        if most is not None and len(content) > most:
            raise too_large(self.name, most)
        return content


def too_large(name: str, most: int) -> DataRefused:
    """The refusal of a file that holds more bytes than are read."""
    return DataRefused(
        f"{name} holds too much: at most {thousands(most)} bytes were expected, found more; "
        "split the listings into several files and land those",
        code="too_large_file",
        params={"most": most},
    )


class _Unpacked(io.BytesIO):
    """The content of an archive, unpacked while it is read."""

    def __init__(self, archive: gzip.GzipFile, name: str, most: int) -> None:
        super().__init__()
        self._archive = archive
        self._name = name
        self._most = most
        self._left = most

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes, at most `size`."""
        size = self._left + 1 if size is None or size < 0 else size
        try:
            content = self._archive.read(min(size, self._left + 1))
        except (EOFError, OSError, zlib.error) as error:
            raise DataRefused(
                f"{self._name} is a damaged gzip archive: a whole one was expected, but unpacking failed "
                f"({error}); pack the listings again and land the new file",
                code="damaged_archive",
                params={},
            ) from error
        self._left -= len(content)
        if self._left < 0:
            raise too_large(self._name, self._most)
        return content

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()
        super().close()
