"""Files that several processes land under one name at once, on a real server that speaks S3.

rclone's server takes the header of a conditional write and ignores it: these tests show what holds without.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from s3_server import S3Server

from carprice.errors import UsageProblem
from carprice.landing import alone
from carprice.landing.alone import landing_alone
from carprice.landing.land import land
from carprice.store import DataRoot

AT_ONCE = 4
ROUNDS = 3


@pytest.fixture
def store(server: S3Server, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> DataRoot:
    """A data root of this test's own."""
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    return DataRoot(f"s3://cars/{request.node.name[:60]}")


def test_this_server_ignores_conditional_writes(store: DataRoot) -> None:
    for text in (b"first", b"second"):
        with store.writing("raw/a.csv", new=True) as file:
            file.write(text)

    assert store.read_bytes("raw/a.csv") == b"second"


@pytest.mark.parametrize("number", range(ROUNDS))
def test_of_different_files_landed_under_one_name_at_once_one_stays_and_the_others_are_told(
    store: DataRoot, tmp_path: Path, number: int
) -> None:
    said: list[str] = []
    start = threading.Barrier(AT_ONCE)

    def put(content: bytes) -> None:
        path = tmp_path / f"{content.decode()}.csv"
        path.write_bytes(content)
        root = DataRoot(store.location)
        start.wait()
        try:
            land(root, str(path), "listings.csv")
            said.append(content.decode())
        except UsageProblem as problem:
            said.append(str(problem).partition(",")[0])

    threads = [threading.Thread(target=put, args=(f"content-{i}".encode(),)) for i in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    refused = "raw/listings.csv already exists with other content"
    assert Counter(said)[refused] == AT_ONCE - 1, said
    (landed,) = (each for each in said if each != refused)
    assert store.read_bytes("raw/listings.csv").decode() == landed
    assert store.entries("landing/listings.csv") == []


def test_while_another_process_lands_that_name_nothing_is_written(store: DataRoot, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("make\n")
    store.write_text("landing/a.csv/another", "")

    with (
        pytest.raises(UsageProblem, match=r"found landing/a\.csv/another; try again later"),
        landing_alone(store, "a.csv", wait_seconds=0.5),
    ):
        pytest.fail("it is not alone")

    assert land(store, str(tmp_path / "a.csv"), "b.csv")["already"] is None
    assert store.names("landing/a.csv") == ["another"]


def test_a_process_that_waits_lands_when_the_other_is_done(store: DataRoot, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("make\n")
    store.write_text("landing/a.csv/another", "")
    other = threading.Timer(1.0, DataRoot(store.location).remove, ["landing/a.csv/another"])
    other.start()
    begun = time.monotonic()

    landed = land(store, str(tmp_path / "a.csv"))

    assert landed["already"] is None
    assert time.monotonic() - begun >= 1.0


def test_the_mark_of_a_process_that_died_is_forgotten(
    store: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone, "FORGOTTEN_SECONDS", 1)
    store.write_text("landing/a.csv/died", "")
    time.sleep(1.5)

    with landing_alone(store, "a.csv", wait_seconds=0):
        assert len(store.names("landing/a.csv")) == 2
