"""The data root: one local folder or object-store URL under which every file of the system lives."""

from __future__ import annotations

import io
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

if TYPE_CHECKING:
    import pandas as pd


class DataRoot:
    """Reads and writes files under one root, named by `/`-separated relative paths.

    Writes are atomic: a reader sees the whole file or none. `location` is a local
    folder or any URL that fsspec opens (`s3://bucket/prefix`).
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self._fs, root = fsspec.core.url_to_fs(location)
        self._root = root.rstrip("/")

    @classmethod
    def from_environment(cls) -> DataRoot:
        """The root named by `DATA_DIR`, or `./data`."""
        return cls(os.environ.get("DATA_DIR") or os.path.abspath("data"))

    @property
    def is_local(self) -> bool:
        """Whether the root is a folder of this machine."""
        return isinstance(self._fs, LocalFileSystem)

    def path(self, name: str) -> str:
        """The full path of `name`, in the file system's own terms."""
        return f"{self._root}/{name}"

    def uri(self, name: str) -> str:
        """A path or URL of `name` that another fsspec user can open."""
        return self.path(name) if self.is_local else str(self._fs.unstrip_protocol(self.path(name)))

    def exists(self, name: str) -> bool:
        """Whether a file or folder `name` exists."""
        return bool(self._fs.exists(self.path(name)))

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted base names of the files directly in `folder` (which need not exist) that end in `suffix`."""
        return sorted(
            entry["name"].rsplit("/", 1)[-1]
            for entry in self.entries(folder)
            if entry["name"].endswith(suffix)
        )

    def entries(self, folder: str) -> list[dict[str, Any]]:
        """fsspec's `info` of each file directly in `folder`: name, size and, where known, times."""
        self._fs.invalidate_cache()
        if not self._fs.isdir(self.path(folder)):
            return []
        return [e for e in self._fs.ls(self.path(folder), detail=True) if e["type"] == "file"]

    def folders(self, folder: str) -> list[str]:
        """Sorted base names of the folders directly in `folder`."""
        if not self._fs.isdir(self.path(folder)):
            return []
        listed = self._fs.ls(self.path(folder), detail=True)
        return sorted(e["name"].rstrip("/").rsplit("/", 1)[-1] for e in listed if e["type"] == "directory")

    def open(self, name: str) -> IO[bytes]:
        """Open `name` for reading bytes. Raises `FileNotFoundError`."""
        return self._fs.open(self.path(name), "rb")  # type: ignore[no-any-return]

    def read_bytes(self, name: str) -> bytes:
        """The whole of `name`. Raises `FileNotFoundError`."""
        with self.open(name) as file:
            return file.read()

    def read_json(self, name: str) -> Any:
        """The JSON document `name`. Raises `FileNotFoundError`."""
        return json.loads(self.read_bytes(name))

    def read_parquet(self, name: str) -> pd.DataFrame:
        """The table `name`. Raises `FileNotFoundError`."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self.read_bytes(name)))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write `name` as a whole or not at all, making its folder where needed."""
        with self.writing(name) as file:
            file.write(content)

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text atomically."""
        self.write_bytes(name, text.encode())

    def write_json(self, name: str, document: Any) -> None:
        """Write a JSON document atomically."""
        self.write_text(name, json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def write_parquet(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as Parquet, atomically."""
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        self.write_bytes(name, buffer.getvalue())

    @contextmanager
    def writing(self, name: str) -> Iterator[IO[bytes]]:
        """A binary file that becomes `name` only when the block ends without an error."""
        path = self.path(name)
        if not self.is_local:  # an object appears when its upload is complete
            buffer = io.BytesIO()
            yield buffer
            self._fs.pipe_file(path, buffer.getvalue())
            return
        folder, _, base = path.rpartition("/")
        os.makedirs(folder, exist_ok=True)
        partial = f"{folder}/.{base}.{uuid.uuid4().hex[:8]}.part"
        try:
            with open(partial, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            if os.path.exists(partial):
                os.unlink(partial)
            raise

    def remove(self, name: str) -> None:
        """Delete the file or folder `name` if it exists."""
        if self.exists(name):
            self._fs.rm(self.path(name), recursive=True)
