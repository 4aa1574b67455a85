"""The data root: whole files or none."""

from __future__ import annotations

from pathlib import Path

import pytest

from carprice.store import DataRoot


def half_written(root: DataRoot) -> None:
    with root.writing("a/b.txt") as file:
        file.write(b"half")
        raise RuntimeError("the writer died")


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_a_file_appears_as_a_whole_or_not_at_all(tmp_path: Path, scheme: str) -> None:
    root = DataRoot(f"{scheme}{tmp_path}")
    with pytest.raises(RuntimeError):
        half_written(root)
    assert root.names("a") == []
    root.write_text("a/b.txt", "whole")
    assert root.read_bytes("a/b.txt") == b"whole"


def test_a_reader_sees_the_old_content_until_the_new_one_is_complete(tmp_path: Path) -> None:
    root = DataRoot(str(tmp_path))
    root.write_text("a/b.txt", "old")
    with root.writing("a/b.txt") as file:
        file.write(b"new")
        assert root.read_bytes("a/b.txt") == b"old"
    assert root.read_bytes("a/b.txt") == b"new"
