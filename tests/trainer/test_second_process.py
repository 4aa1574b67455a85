"""Work in a second process: the same results as in this one, its errors, and no process left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from carprice.errors import DataRefused, TryAgain
from carprice.landing.content import sha256_of
from carprice.listings.reading import delimited
from carprice.params import Params
from carprice.quality import judging
from carprice.quality.check import check_data_quality
from carprice.quality.second_process import SecondProcess
from carprice.store import DataRoot


def length(text: str) -> int:
    if not text:
        raise DataRefused("nothing", code="empty_file", params={"bytes": 0})
    return len(text)


def unsendable(_: str) -> int:
    error = ValueError("a lock inside")
    error.held = threading.Lock()  # type: ignore[attr-defined]
    raise error


def own_id(_: str) -> int:
    return os.getpid()


def die(_: str) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


_is_ready = SecondProcess.is_ready


def ready(process: SecondProcess[str, int]) -> SecondProcess[str, int]:
    until = time.monotonic() + 60
    while not _is_ready(process):
        assert time.monotonic() < until
        time.sleep(0.02)
    return process


def test_jobs_are_done_in_another_process_which_ends_with_the_block() -> None:
    with SecondProcess(own_id) as process:
        ready(process).begin("")
        other = process.result()
        process.begin("")
        assert process.result() == other != os.getpid()
    assert multiprocessing.active_children() == []


def test_the_error_of_a_job_is_raised_where_its_result_is_taken_and_the_next_one_is_done() -> None:
    with SecondProcess(length) as process:
        ready(process).begin("")
        with pytest.raises(DataRefused) as refused:
            process.result()
        assert refused.value.code == "empty_file"
        process.begin("four")
        assert process.result() == 4


def test_an_error_that_can_not_be_sent_is_told_by_its_words() -> None:
    with SecondProcess(unsendable) as process:
        ready(process).begin("")
        with pytest.raises(RuntimeError, match="a lock inside"):
            process.result()


def test_a_process_that_is_killed_is_told_as_something_to_try_again() -> None:
    with SecondProcess(die) as process:
        ready(process).begin("")
        with pytest.raises(TryAgain, match="exit code -9"):
            process.result()


@pytest.mark.parametrize("good", [True, False])
def test_a_large_file_becomes_the_same_in_one_process_and_in_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, good: bool
) -> None:
    lines = ["Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix\n"]
    for number in range(9_000):
        price = "85000" if number % 7 else "cheap"
        lines.append(
            f"Dacia;Prototype {number % 8_000};2015;{number} km;Diesel;{price if good else 'cheap'}\n"
        )
    monkeypatch.setattr(delimited, "BLOCK_BYTES", 64 << 10)
    begun: list[int] = []
    begin = SecondProcess.begin
    monkeypatch.setattr(SecondProcess, "begin", lambda self, job: (begun.append(1), begin(self, job))[1])
    monkeypatch.setattr(SecondProcess, "is_ready", lambda self: bool(ready(self)))
    monkeypatch.setattr(judging, "cpu_count", lambda: 2)
    found = []
    for alone in (1_000, 1):
        monkeypatch.setattr(judging, "_PARSED_ALONE", alone)
        root = DataRoot(str(tmp_path / str(alone)))
        root.write_bytes("raw/cars.csv", "".join(lines).encode())
        sha256 = sha256_of(root, "raw/cars.csv")
        try:
            receipt = check_data_quality(root, Params(), "cars.csv", sha256)
        except DataRefused as refused:
            receipt = refused.result or {}
        for time_of_check in ("checked_at", "written_at", "fingerprints"):
            receipt.pop(time_of_check, None)
        files = {name: root.read_bytes(f"quarantine/{sha256}.csv") for name in root.names("quarantine")[:1]}
        listings = root.read_parquet(f"listings/{sha256}.parquet") if good else pd.DataFrame()
        found.append((receipt, files, listings))
        assert bool(begun) == (alone == 1)
    (receipt, files, listings), (again, files_again, listings_again) = found
    assert receipt == again
    assert files == files_again
    pd.testing.assert_frame_equal(listings, listings_again)
