"""The data root: one local folder or object-store URL under which every file of the system lives."""

from __future__ import annotations

import errno
import fcntl
import io
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from carprice import strict_json
from carprice.errors import CarpriceError, NoJson, StoreAway, StoreRefused, UsageProblem
from carprice_contract.formats import FORMAT

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# Other processes write too: what was listed a moment ago is no news, and neither is a connection of old keys.
_NOTHING_REMEMBERED: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
# Enough to get over a lost packet: a step is tried again by whoever started it. In seconds.
_S3: dict[str, Any] = {
    "config_kwargs": {
        "connect_timeout": 5,
        "read_timeout": 10,
        "retries": {"mode": "standard", "total_max_attempts": 2},
    }
}
_KEYS = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


class Discarded(Exception):
    """Raised within `DataRoot.writing` to write nothing after all."""


class DataRoot:
    """Reads and writes files under one root, named by `/`-separated relative paths.

    Writes are atomic: a reader sees the whole file or none. `location` is a local
    folder or any URL that fsspec opens (`s3://bucket/prefix`). Where it is a URL, everything
    here raises `StoreAway` when the object store does not answer, and `StoreRefused` when it
    says that there is no such bucket or that the keys are not good for it.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        if "://" not in location:  # as it stands: fsspec would take `::` in it for a chain of file systems
            self._fs, self._root = LocalFileSystem(), os.path.abspath(location)
            return
        options = _NOTHING_REMEMBERED
        if location.startswith(("s3://", "s3a://")):
            options = options | _S3
            for library in ("botocore", "aiobotocore"):  # they tell of every key that they find
                logging.getLogger(library).setLevel(logging.WARNING)
        try:
            self._fs, root = fsspec.core.url_to_fs(location, **options)
        except (ImportError, ValueError) as error:
            raise UsageProblem(
                f"DATA_DIR must be a folder or a URL that fsspec can open, found {location}: {error}"
            ) from error
        if hasattr(self._fs, "retries"):
            self._fs.retries = 2  # of s3fs itself, around those of botocore
        self._root = root.rstrip("/")

    @classmethod
    def from_environment(cls) -> DataRoot:
        """The root named by `DATA_DIR`, or `./data`."""
        from carprice.settings import settings

        return cls(settings().data_root)

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
        with self._answering():
            return bool(self._fs.exists(self.path(name)))

    def names(self, folder: str, suffix: str = "") -> list[str]:
        """Sorted base names of the files directly in `folder` (which need not exist) that end in `suffix`."""
        return sorted(
            entry["name"].rsplit("/", 1)[-1]
            for entry in self.entries(folder)
            if entry["name"].endswith(suffix)
        )

    def entries(self, folder: str) -> list[dict[str, Any]]:
        """fsspec's `info` of each file directly in `folder`: name, size and, where known, times.

        A symbolic link to a file counts as that file.
        """
        return [e for e in self._listed(folder) if _is_file(e) and not e["name"].endswith("/")]

    def info(self, name: str) -> dict[str, Any]:
        """fsspec's `info` of the file `name`, as in `entries`. Raises `FileNotFoundError`."""
        with self._answering():
            found: dict[str, Any] = self._fs.info(self.path(name))
        return found

    def folders(self, folder: str) -> list[str]:
        """Sorted base names of the folders directly in `folder`."""
        return sorted(
            e["name"].rstrip("/").rsplit("/", 1)[-1] for e in self._listed(folder) if e["type"] == "directory"
        )

    def open(self, name: str) -> IO[bytes]:
        """Open `name` for reading bytes. Raises `FileNotFoundError`."""
        if self.is_local:
            return open(self.path(name), "rb")
        # In one request: an object that is replaced between two would come in two halves.
        return io.BytesIO(self.read_bytes(name))

    def read_bytes(self, name: str) -> bytes:
        """The whole of `name`. Raises `FileNotFoundError`."""
        if self.is_local:
            with self.open(name) as file:
                return file.read()
        with self._answering():
            return bytes(self._fs.cat_file(self.path(name)))

    def read_json(self, name: str) -> Any:
        """The JSON document `name`. Raises `FileNotFoundError`, and `NoJson` where it is broken."""
        try:
            return strict_json.loads(self.read_bytes(name))
        except ValueError as error:
            raise NoJson(
                f"{name} was expected to hold JSON, found something else ({error}); put it back from a "
                "backup, or delete it if the documents say that it is made again"
            ) from error

    def read_record(self, name: str, newest_format: int) -> dict[str, Any]:
        """The JSON object `name`, whose format has a number; without one it is format 1.

        Raises `FileNotFoundError`, and `UsageProblem` when this release does not know the format.
        """
        found: dict[str, Any] = self.read_json(name)
        version = found.get(FORMAT, 1)
        if not isinstance(version, int) or not 1 <= version <= newest_format:
            raise UsageProblem(
                f"{name} was expected to have a format up to {newest_format}, found {FORMAT} {version!r}: "
                "a newer release wrote it; install that release."
            )
        return found

    def read_parquet(self, name: str) -> pd.DataFrame:
        """The table `name`. Raises `FileNotFoundError`."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self.read_bytes(name)))

    def read_table(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        repeated: Callable[[list[str]], list[str]] | None = None,
    ) -> pa.Table:
        """The table `name`, or some of its columns, as Arrow. Raises `FileNotFoundError`.

        `repeated` chooses from the columns of the file those that are given as dictionaries.
        """
        import pyarrow as pa

        return pa.concat_tables(self.table_parts(name, columns, repeated))

    def table_parts(
        self,
        name: str,
        columns: Sequence[str] | None = None,
        repeated: Callable[[list[str]], list[str]] | None = None,
        fetched: bytes | None = None,
    ) -> Iterator[pa.Table]:
        """The table `name` in parts, as it was written: see `read_table`.

        `fetched` are its bytes, where the caller has them already.
        """
        import pyarrow.parquet as pq

        content: str | io.BytesIO = self.path(name)
        if fetched is not None or not self.is_local:
            content = io.BytesIO(self.read_bytes(name) if fetched is None else fetched)
        there = pq.read_schema(content)
        with pq.ParquetFile(content, read_dictionary=repeated(there.names) if repeated else None) as file:
            chosen = None if columns is None else list(columns)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group, chosen)

    def write_table(
        self,
        name: str,
        parts: Iterable[pa.Table],
        repeated: Callable[[list[str]], list[str]] | None = None,
    ) -> None:
        """Write a table in parts (Arrow, at least one) as Parquet, atomically; each can be read alone.

        `repeated` chooses from the columns those that are written as dictionaries, by default all.
        """
        import pyarrow.parquet as pq

        rest = iter(parts)
        first = next(rest)
        with (
            self.writing(name) as file,
            pq.ParquetWriter(
                file,
                first.schema,
                compression="snappy",
                use_dictionary=True if repeated is None else repeated(first.column_names),
                store_schema=False,
            ) as writer,
        ):
            writer.write_table(first, row_group_size=max(len(first), 1))
            for part in rest:
                writer.write_table(part, row_group_size=max(len(part), 1))

    def write_bytes(self, name: str, content: bytes) -> None:
        """Write `name` as a whole or not at all, making its folder where needed."""
        with self.writing(name) as file:
            file.write(content)

    def write_text(self, name: str, text: str) -> None:
        """Write UTF-8 text atomically."""
        self.write_bytes(name, text.encode())

    def write_json(self, name: str, document: Any) -> None:
        """Write a JSON document atomically, with null for each number that is not finite."""
        self.write_text(name, strict_json.dumps(document, indent=2) + "\n")

    def write_parquet(self, name: str, table: pd.DataFrame) -> None:
        """Write a table as Parquet, atomically."""
        buffer = io.BytesIO()
        table.to_parquet(buffer, index=False)
        self.write_bytes(name, buffer.getvalue())

    @contextmanager
    def writing(self, name: str, new: bool = False) -> Iterator[IO[bytes]]:
        """A binary file that becomes `name` only when the block ends without an error.

        Where the block raises `Discarded`, nothing is written and the program continues after it. A file that
        must be `new` replaces none: raises `FileExistsError` where another process was first. An object store
        has to know conditional writes (`If-None-Match`) for that; `carprice.landing.alone` does without.
        """
        path = self.path(name)
        if not self.is_local:  # an object appears when its upload is complete
            buffer = io.BytesIO()
            try:
                yield buffer
            except Discarded:
                return
            with self._answering():
                self._fs.pipe_file(path, buffer.getvalue(), **({"mode": "create"} if new else {}))
            return
        folder, _, base = path.rpartition("/")
        os.makedirs(folder, exist_ok=True)
        partial = f"{folder}/.{base}.{uuid.uuid4().hex[:8]}.part"
        try:
            with open(partial, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if new:
                _link(partial, path)
            else:
                os.replace(partial, path)
        except BaseException as error:
            if os.path.exists(partial):
                os.unlink(partial)
            if not isinstance(error, Discarded):
                raise

    @contextmanager
    def locked(self, name: str, wait: bool = True) -> Iterator[bool]:
        """Hold the lock `name`, an empty file; false if another process holds it and not `wait`.

        The kernel releases the lock of a process that dies. An object store has no locks: there, it is always
        held.
        """
        if not self.is_local:
            yield True
            return
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o664)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)

    def remove(self, name: str) -> None:
        """Delete the file or folder `name` if it exists."""
        with self._answering():
            if self._fs.exists(self.path(name)):
                self._fs.rm(self.path(name), recursive=True)

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        with self._answering():
            try:
                found: list[dict[str, Any]] = self._fs.ls(self.path(folder), detail=True)
            except FileNotFoundError as error:
                if _code(error) == "NoSuchBucket":
                    raise
                return []
        return found

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turns what an object store says, or fails to say, into one sentence."""
        try:
            yield
        except CarpriceError:
            raise
        except Exception as error:
            problem = None if self.is_local else self._problem(error)
            if problem is None:
                raise
            raise problem from error

    def _problem(self, error: Exception) -> StoreAway | StoreRefused | None:
        """What is wrong with the store; None where it only lacks a file, or where we are wrong."""
        if isinstance(error, FileExistsError):
            return None
        kind, said = type(error).__name__, " ".join(str(error).split())[:200]
        if isinstance(error, FileNotFoundError):
            if _code(error) != "NoSuchBucket":
                return None
            bucket = self._root.partition("/")[0]
            return StoreRefused(
                f"The bucket {bucket} of DATA_DIR={self.location} was expected, found none"
                f"{_endpoint()}; make it, or correct DATA_DIR"
            )
        if isinstance(error, PermissionError) or kind in ("NoCredentialsError", "PartialCredentialsError"):
            return StoreRefused(
                f"Keys that may use {self.location} were expected in {_KEYS}, found that they may not"
                f"{_endpoint()} ({said}); correct them, or what they are allowed"
            )
        if kind == "ParamValidationError" or (isinstance(error, ValueError) and "endpoint" in said):
            return StoreRefused(
                "DATA_DIR=s3://bucket/prefix and an AWS_ENDPOINT_URL like https://host:port were expected, "
                f"found DATA_DIR={self.location}{_endpoint()} ({said}); correct them"
            )
        library = type(error).__module__.partition(".")[0]
        if isinstance(error, OSError | TimeoutError) or library in ("botocore", "aiobotocore", "aiohttp"):
            return StoreAway(
                f"An answer of the object store of {self.location} was expected, found {kind}"
                f"{_endpoint()}: {said}; see that it can be reached, the step can then be tried again"
            )
        return None


def _link(partial: str, path: str) -> None:
    """Give the file `partial` the name `path`. Raises `FileExistsError` where there is such a file."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        # a file system without hard links: what is left is to look first
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.replace(partial, path)
    else:
        os.unlink(partial)


def _is_file(entry: dict[str, Any]) -> bool:
    return entry["type"] == "file" or (bool(entry.get("islink")) and os.path.isfile(entry["name"]))


def _code(error: BaseException) -> str:
    """The error code of an S3 answer, as it was before s3fs made one of Python's errors of it."""
    answer = getattr(error.__cause__ or error, "response", None)
    return str(answer["Error"].get("Code", "")) if isinstance(answer, dict) and "Error" in answer else ""


def _endpoint() -> str:
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return f" at {url}" if url else ""
