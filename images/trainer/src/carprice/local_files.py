"""The files that a person names on the command line: read whole, written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from carprice.errors import UsageProblem


def read(path: str) -> bytes:
    """The content of the file at `path`. Raises `UsageProblem` when it can't be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UsageProblem(
            f"A readable file was expected, found {path}: {error.strerror or error}."
        ) from error


def require_readable(path: str) -> None:
    """Raises `UsageProblem` when the file at `path` can't be read."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise UsageProblem(
            f"A readable file was expected, found {path}: {error.strerror or error}."
        ) from error


def require_place_for(path: str, option: str) -> None:
    """Raises `UsageProblem` when no file can be written at `path`, which the user gave as `option`."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise UsageProblem(
            f"{option}: a folder for {os.path.basename(path)!r} was expected at {folder!r}, found none; "
            "make the folder or name another one."
        )
    if os.path.isdir(path):
        raise UsageProblem(
            f"{option}: a file name was expected, found the folder {path!r}; name a file in it."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageProblem(
            f"{option}: a folder that may be written to was expected, found {folder!r}, which may not; "
            "name another one."
        )


@contextmanager
def writing(path: str) -> Iterator[TextIO]:
    """A UTF-8 text file that becomes `path` only when the block ends without an error."""
    partial = f"{path}.{uuid.uuid4().hex[:8]}.part"
    try:
        with open(partial, "x", encoding="utf-8", newline="") as file:
            yield file
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise
