"""The landing trigger: what counts as complete, what is announced, and when again."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from s3_server import s3_server

from carprice_contract.data_root import RECEIPT_SUMMARIES
from carprice_contract.formats import FORMAT, SUMMARIES
from carprice_contract.landing import local_fingerprint
from include import landing as landing_module
from include.landing import (
    MOST_HASHED,
    Landing,
    LandingTrigger,
    LocalFolder,
    ObjectStore,
    SettleTimes,
    folder_of,
)
from include.settings import Settings


class Clock:
    """Time that moves when told to; files get their times from the real one."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        import time

        return time.time() + self.ahead


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    (tmp_path / "receipts").mkdir()
    return tmp_path


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def look(root: Path, clock: Clock) -> Callable[[], list[str]]:
    """Looks into raw/, announces what there is, and tells the names."""
    landing = Landing(LocalFolder(str(root)), lambda: (1.0, 10.0), clock.now, clock.now)

    def look_and_announce() -> list[str]:
        files = landing.look()
        landing.mark_announced(files)
        return [file.name for file in files]

    return look_and_announce


def write(root: Path, name: str, content: str = "x") -> None:
    (root / "raw" / name).write_text(content)


def land(root: Path, name: str, content: str = "x") -> None:
    """As `carprice land` does: under a hidden name first, with an older time of last write."""
    part = root / "raw" / f".{name}.part"
    part.write_text(content)
    os.utime(part, (1, 1))
    part.rename(root / "raw" / name)


def receipt(root: Path, content: str, *names: str) -> None:
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    (root / "receipts" / f"{sha256}.json").write_text(json.dumps({"names": names}))


def test_a_renamed_file_is_announced_after_the_short_settle_time(root: Any, clock: Any, look: Any) -> None:
    land(root, "a.csv")

    assert look() == []
    clock.ahead = 1.1
    assert look() == ["a.csv"]
    assert look() == []


def test_a_file_written_in_place_is_announced_only_when_left_alone(root: Any, clock: Any, look: Any) -> None:
    write(root, "a.csv", "1")
    clock.ahead = 9
    assert look() == []

    write(root, "a.csv", "12")
    clock.ahead = 9.5
    assert look() == [], "the second write starts the wait again"
    clock.ahead = 10.5
    assert look() == ["a.csv"]


def test_hidden_files_other_endings_and_folders_are_left_alone(root: Any, clock: Any, look: Any) -> None:
    for name in (".a.csv.part", ".b.csv", "c.txt", "d.csv.zip", "E.CSV", "F.XLSX", "g.json", "h.jsonl.gz"):
        write(root, name)
    (root / "raw/folder.csv").mkdir()
    clock.ahead = 11

    assert sorted(look()) == ["E.CSV", "F.XLSX", "g.json", "h.jsonl.gz"]


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"donn\xe9es.csv", "donn%E9es.csv"),
        (b"two\nlines.csv", "two%0Alines.csv"),
        (b"-rf.csv", "-rf.csv"),
        (b"100% #1?.csv", "100% #1?.csv"),
        (b"a%0Ab.csv", "a%250Ab.csv"),
    ],
)
def test_a_file_of_any_name_is_announced_as_receipts_write_it(
    root: Any, clock: Any, look: Any, name: bytes, written: str
) -> None:
    (root / "raw" / os.fsdecode(name)).write_bytes(name)
    clock.ahead = 11
    assert look() == [written]

    digest = hashlib.sha256(name).hexdigest()
    (root / "receipts" / f"{digest}.json").write_text(json.dumps({"names": [written]}))
    clock.ahead = 500
    assert look() == []


def test_links_that_lead_nowhere_and_pipes_stop_no_other_file(root: Any, clock: Any, look: Any) -> None:
    write(root, "a.csv")
    (root / "raw/loop.csv").symlink_to("loop.csv")
    (root / "raw/gone.csv").symlink_to("nowhere.csv")
    os.mkfifo(root / "raw/pipe.csv")
    clock.ahead = 11

    assert look() == ["a.csv"]


def test_a_burst_is_one_event_that_names_every_file(root: Any, clock: Any, look: Any) -> None:
    names = [f"{n:02}.csv" for n in range(16)]
    for name in names:
        land(root, name, name)
    clock.ahead = 2

    assert look() == names


def test_a_file_with_a_receipt_is_not_announced_after_a_restart(root: Any, clock: Any, look: Any) -> None:
    land(root, "done.csv", "done")
    receipt(root, "done", "done.csv")
    land(root, "pending.csv", "pending")
    clock.ahead = 2

    assert look() == ["pending.csv"]


def test_known_bytes_under_a_new_name_are_announced(root: Any, clock: Any, look: Any) -> None:
    land(root, "again.csv", "same")
    receipt(root, "same", "first.csv")
    clock.ahead = 2

    assert look() == ["again.csv"]


def test_a_file_without_a_receipt_is_announced_again_ever_less_often(
    root: Any, clock: Any, look: Any
) -> None:
    land(root, "a.csv")
    seen = []
    for second in range(2, 400):
        clock.ahead = second
        if look():
            seen.append(second)

    assert seen[0] == 2
    assert [round(b - a, -1) for a, b in pairwise(seen)] == [60, 120]


def test_while_others_get_their_receipts_those_that_wait_are_announced_every_minute(
    root: Any, clock: Any, look: Any
) -> None:
    for number in range(9):
        land(root, f"{number}.csv", str(number))
    seen = []
    for second in range(2, 400):
        clock.ahead = second
        waiting = look()
        if waiting:
            seen.append(second)
            name = waiting[0]  # one of them is checked before the next look
            receipt(root, name.removesuffix(".csv"), name)

    assert {round(b - a, -1) for a, b in pairwise(seen)} == {60}


def summarised(root: Path, *numbers: int) -> None:
    """The summaries of the receipts, as a claim leaves them."""
    receipts = {}
    for number in numbers:
        name = f"{number}.csv"
        seen = (root / "raw" / name).stat()
        fingerprint = local_fingerprint(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
        receipts[hashlib.sha256(str(number).encode()).hexdigest()] = {
            "version": "1",
            "summary": {"fingerprints": {name: fingerprint}},
        }
    document = {FORMAT: SUMMARIES, "receipts": receipts}
    (root / RECEIPT_SUMMARIES).write_text(json.dumps(document))


def test_a_restart_reads_no_file_that_the_summaries_know(
    root: Any, clock: Any, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(MOST_HASHED + 5)
    for number in numbers:
        land(root, f"{number}.csv", str(number))
        receipt(root, str(number), f"{number}.csv")
    summarised(root, *numbers)
    land(root, "new.csv", "new")
    # neither a file whose receipt is gone nor one that was written again is taken for done
    (root / "receipts" / f"{hashlib.sha256(b'3').hexdigest()}.json").unlink()
    land(root, "4.csv", "other")
    clock.ahead = 2
    hashed = []
    sha256 = LocalFolder.sha256
    monkeypatch.setattr(
        LocalFolder, "sha256", lambda self, name: (hashed.append(name), sha256(self, name))[1]
    )

    assert look() == ["3.csv", "4.csv", "new.csv"]
    assert sorted(hashed) == ["3.csv", "4.csv", "new.csv"]


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"format_version": 99}'])
def test_summaries_that_cannot_be_used_hide_no_file(root: Any, clock: Any, look: Any, content: str) -> None:
    for number in range(MOST_HASHED + 5):
        land(root, f"{number}.csv", str(number))
    receipt(root, "0", "0.csv")
    (root / RECEIPT_SUMMARIES).write_text(content)
    clock.ahead = 2

    assert len(look()) == MOST_HASHED + 4


def test_a_reminder_ends_with_the_receipt(root: Any, clock: Any, look: Any) -> None:
    land(root, "a.csv", "x")
    clock.ahead = 2
    look()
    receipt(root, "x", "a.csv")
    clock.ahead = 500

    assert look() == []


def test_other_content_under_an_old_name_is_announced(root: Any, clock: Any, look: Any) -> None:
    land(root, "a.csv", "old")
    receipt(root, "old", "a.csv")
    clock.ahead = 2
    look()
    land(root, "a.csv", "new content")
    clock.ahead = 4

    assert look() == ["a.csv"]


def test_a_broken_receipt_does_not_hide_the_file(root: Any, clock: Any, look: Any) -> None:
    land(root, "a.csv", "x")
    (root / "receipts" / f"{hashlib.sha256(b'x').hexdigest()}.json").write_text("{")
    clock.ahead = 2

    assert look() == ["a.csv"]


def test_a_missing_raw_folder_is_no_error(tmp_path: Path) -> None:
    assert Landing(LocalFolder(str(tmp_path)), lambda: (1, 10)).look() == []
    assert Landing(ObjectStore("memory://nowhere"), lambda: (1, 10)).look() == []


def test_an_object_store_announces_an_object_as_soon_as_it_is_there() -> None:
    folder = folder_of("memory://bucket/prefix")
    assert isinstance(folder, ObjectStore)
    folder._fs.pipe("/bucket/prefix/raw/a.csv", b"x")
    folder._fs.pipe("/bucket/prefix/raw/.b.csv.part", b"x")
    landing = Landing(folder, lambda: (1, 10))

    files = landing.look()
    assert [file.name for file in files] == ["a.csv"]
    landing.mark_announced(files)
    assert landing.look() == []

    digest = hashlib.sha256(b"x").hexdigest()
    folder._fs.pipe(f"/bucket/prefix/receipts/{digest}.json", b'{"names": ["a.csv"]}')
    assert Landing(folder, lambda: (1, 10)).look() == []


def test_files_in_an_object_store_are_announced_until_they_have_a_receipt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets").mkdir()
    with s3_server(tmp_path / "buckets") as server:
        server.make_bucket("cars")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store, _ = fsspec.core.url_to_fs("s3://cars", skip_instance_cache=True)
        landing = Landing(folder_of("s3://cars/data"), lambda: (1, 10))

        def look() -> list[str]:
            files = landing.look()
            landing.mark_announced(files)
            return [file.name for file in files]

        assert look() == []
        store.pipe("cars/data/raw/a.csv", b"a")
        assert look() == ["a.csv"]
        store.pipe("cars/data/raw/b.csv", b"b")
        assert look() == ["b.csv"]
        assert look() == []
        store.pipe("cars/data/raw/b.csv", b"other content")
        assert look() == ["b.csv"]
        digest = hashlib.sha256(b"a").hexdigest()
        store.pipe(f"cars/data/receipts/{digest}.json", b'{"names": ["a.csv"]}')
        files = Landing(folder_of("s3://cars/data"), lambda: (1, 10)).look()
        assert [file.name for file in files] == ["b.csv"]

        with pytest.raises(FileNotFoundError, match="bucket"):
            Landing(folder_of("s3://no-such-bucket/data"), lambda: (1, 10)).look()
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        with pytest.raises(PermissionError):
            Landing(folder_of("s3://cars/data"), lambda: (1, 10)).look()


def test_settle_times_follow_the_params_file(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    times = SettleTimes(Settings(params_file=str(params)))
    assert times.current() == (1.0, 10.0)

    params.write_text("landing: {settle_seconds: 3, settle_seconds_renamed: 0.5}")
    assert times.current() == (0.5, 3.0)
    params.write_text("landing: [broken")
    os.utime(params, (1, 1))
    assert times.current() == (0.5, 3.0)


async def first_event(trigger: LandingTrigger) -> Any:
    async for event in trigger.run():
        return event
    return None


def test_the_trigger_fires_with_the_names_and_sizes_of_the_files(root: Path) -> None:
    land(root, "a.csv", "12345")

    event = asyncio.run(asyncio.wait_for(first_event(LandingTrigger(str(root), 0.05)), timeout=10))

    assert event.payload == {"files": [{"file": "a.csv", "bytes": 5}], "waiting": 1}


def test_an_event_of_ten_thousand_files_names_some_of_them_and_counts_all(root: Path) -> None:
    for number in range(10_000):
        land(root, f"{number:05}.csv", str(number))
    time.sleep(1.1)  # until the last one is complete

    event = asyncio.run(asyncio.wait_for(first_event(LandingTrigger(str(root), 0.05)), timeout=60))

    assert event.payload["waiting"] == 10_000
    assert len(event.payload["files"]) == 100


def test_the_trigger_outlives_a_file_system_in_trouble(root: Path, monkeypatch: Any) -> None:
    land(root, "a.csv")
    troubles = iter([OSError(116, "Stale file handle"), PermissionError("no")])
    honest = LocalFolder.files

    def files(self: LocalFolder) -> Any:
        for trouble in troubles:
            raise trouble
        return honest(self)

    monkeypatch.setattr(landing_module.LocalFolder, "files", files)

    event = asyncio.run(asyncio.wait_for(first_event(LandingTrigger(str(root), 0.05)), timeout=10))

    assert event.payload["files"][0]["file"] == "a.csv"


def test_an_event_nobody_took_is_fired_again(root: Path) -> None:
    """The triggerer was killed between the look and the event: its successor starts over."""
    land(root, "a.csv")
    for _ in range(2):
        event = asyncio.run(asyncio.wait_for(first_event(LandingTrigger(str(root), 0.05)), timeout=10))
        assert event.payload["files"][0]["file"] == "a.csv"


def test_equal_triggers_serialize_equally_and_airflow_finds_the_class_again() -> None:
    from airflow._shared.module_loading import import_string

    path, arguments = LandingTrigger().serialize()

    assert (path, arguments) == LandingTrigger().serialize()
    assert import_string(path)(**arguments).serialize() == (path, arguments)
