"""Files that land are claimed once, when they are complete, and none is lost."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from carprice.errors import DataRefused, NothingToDo, UsageProblem
from carprice.history import assembling, snapshots
from carprice.landing.claim import claim
from carprice.landing.content import sha256_of
from carprice.landing.land import land
from carprice.landing.receipts import add_name, read_receipt
from carprice.listings import sample
from carprice.params import LandingParams, Params
from carprice.quality.check import check_data_quality
from carprice.store import DataRoot
from carprice_contract.landing import name_in_raw, written_name

AT_ONCE = Params(landing=LandingParams(settle_seconds=0, settle_seconds_renamed=0))
SLOW = Params(landing=LandingParams(settle_seconds=60, settle_seconds_renamed=60))


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    (tmp_path / "data" / "raw").mkdir(parents=True)
    return DataRoot(str(tmp_path / "data"))


@pytest.fixture
def listings(tmp_path: Path) -> Path:
    path = tmp_path / "synthetic.csv"
    sample.write_sample(str(path), 120, 1)
    return path


def claimed(root: DataRoot, params: Params = AT_ONCE) -> list[str]:
    try:
        return [entry["file"] for entry in claim(root, params)]
    except NothingToDo:
        return []


def test_a_landed_file_is_claimed_until_it_has_a_receipt(root: DataRoot, listings: Path) -> None:
    landed = land(root, str(listings))
    assert landed["already"] is None
    assert claim(root, AT_ONCE) == [{"file": "synthetic.csv", "sha256": landed["sha256"]}]
    assert claimed(root) == ["synthetic.csv"]
    check_data_quality(root, AT_ONCE, "synthetic.csv", landed["sha256"])
    assembling.assemble(root, AT_ONCE, [landed["sha256"]])
    assert claimed(root) == []


def test_nothing_to_claim_is_an_empty_list_and_nothing_to_do(root: DataRoot) -> None:
    with pytest.raises(NothingToDo, match="found none") as nothing:
        claim(root, AT_ONCE)
    assert nothing.value.result == []


def test_a_refused_file_is_not_claimed_again(root: DataRoot) -> None:
    (Path(root.location) / "raw" / "empty.csv").touch()
    [entry] = claim(root, AT_ONCE)
    with pytest.raises(DataRefused):
        check_data_quality(root, AT_ONCE, entry["file"], entry["sha256"])
    assert claimed(root) == []


def test_only_listing_files_that_are_not_hidden_are_looked_at(root: DataRoot) -> None:
    for name in (
        ".partial.csv",
        ".x.csv.part",
        "notes.txt",
        "table.xls",
        ".t.xlsx",
        "A.CSV",
        "b.csv",
        "c.jsonl.gz",
    ):
        (Path(root.location) / "raw" / name).write_text(name)
    (Path(root.location) / "raw" / "folder.csv").mkdir()
    assert claimed(root) == ["A.CSV", "b.csv", "c.jsonl.gz"]


# As on disk, and as receipts, messages and arguments write it.
ODD_NAMES = {
    b"donn\xe9es.csv": "donn%E9es.csv",
    b"two\nlines.csv": "two%0Alines.csv",
    b"-rf.csv": "-rf.csv",
    b"100% #1?.csv": "100% #1?.csv",
    b"a%0Ab.csv": "a%250Ab.csv",
    "\u202egnp.csv".encode(): "%E2%80%AEgnp.csv",
    "été $(id) 'x\".csv".encode(): "été $(id) 'x\".csv",
}


def test_names_are_written_as_text_that_leads_back_to_the_file() -> None:
    for name, written in ODD_NAMES.items():
        assert written_name(os.fsdecode(name)) == written
        assert os.fsencode(name_in_raw(written)) == name
        written.encode()


def test_files_of_any_name_are_claimed_checked_and_done(root: DataRoot, tmp_path: Path) -> None:
    raw = os.fsencode(f"{root.location}/raw/")
    for number, name in enumerate(ODD_NAMES):
        sample.write_sample(str(tmp_path / "one.csv"), 90, number)
        os.rename(tmp_path / "one.csv", raw + name)
    claims = claim(root, AT_ONCE)
    assert sorted(entry["file"] for entry in claims) == sorted(ODD_NAMES.values())
    for entry in json.loads(json.dumps(claims)):
        check_data_quality(root, AT_ONCE, entry["file"], entry["sha256"])
    assembling.assemble(root, AT_ONCE, [entry["sha256"] for entry in claims])
    assert claimed(root) == []
    assert sorted(os.listdir(raw)) == sorted(ODD_NAMES)


def test_a_file_whose_name_is_no_utf_8_can_be_landed_and_told(root: DataRoot, listings: Path) -> None:
    odd = os.fsdecode(b"donn\xe9es.csv")
    landed = land(root, str(listings), odd)
    assert landed["file"] == "donn%E9es.csv"
    assert os.listdir(os.fsencode(f"{root.location}/raw")) == [b"donn\xe9es.csv"]
    assert claim(root, AT_ONCE) == [{"file": "donn%E9es.csv", "sha256": landed["sha256"]}]
    store = DataRoot("memory://carprice-odd-name")
    land(store, str(listings), odd)
    assert len(claimed(store)) == 1


def test_links_that_lead_nowhere_and_pipes_stop_no_other_file(root: DataRoot, listings: Path) -> None:
    raw = Path(root.location) / "raw"
    (raw / "loop.csv").symlink_to("loop.csv")
    (raw / "gone.csv").symlink_to("nowhere.csv")
    (raw / "link.csv").symlink_to(listings)
    os.mkfifo(raw / "pipe.csv")
    (raw / "folder.csv").mkdir()
    assert claimed(root) == ["link.csv"]


def test_a_claim_takes_as_many_files_as_one_run_can_and_the_next_one_the_rest(root: DataRoot) -> None:
    three = Params(landing=LandingParams(settle_seconds=0, settle_seconds_renamed=0, most_files=3))
    for name in "abcde":
        (Path(root.location) / "raw" / f"{name}.csv").write_text(name)
    first = claim(root, three)
    assert [entry["file"] for entry in first] == ["a.csv", "b.csv", "c.csv"]
    for entry in first:
        with pytest.raises(DataRefused):
            check_data_quality(root, three, entry["file"], entry["sha256"])
    assert claimed(root, three) == ["d.csv", "e.csv"]


@pytest.mark.parametrize("folder", ["a b", "a#b", "a?b=c", "100%41", "a;b::c", "[x]*"])
def test_a_data_root_may_have_any_name(
    tmp_path: Path, listings: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / folder))
    root = DataRoot.from_environment()
    landed = land(root, str(listings))
    check_data_quality(root, AT_ONCE, "synthetic.csv", landed["sha256"])
    assert assembling.assemble(root, AT_ONCE, [landed["sha256"]])["rows_accepted"] > 90
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder, "synthetic.csv"])
    assert (tmp_path / folder / "raw" / "synthetic.csv").exists()


def test_the_same_bytes_under_two_names_are_claimed_once_and_the_receipt_learns_the_other(
    root: DataRoot, listings: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    landed = land(root, str(listings), "a.csv")
    land(root, str(listings), "b.csv")
    assert claimed(root) == ["a.csv"]
    check_data_quality(root, AT_ONCE, "a.csv", landed["sha256"])
    assembling.assemble(root, AT_ONCE, [landed["sha256"]])
    assert claimed(root) == []
    assert "b.csv holds the same bytes as a.csv, already accepted: nothing to do" in caplog.text
    assert root.read_json(f"receipts/{landed['sha256']}.json")["names"] == ["a.csv", "b.csv"]
    caplog.clear()
    assert claimed(root) == []
    assert "same bytes" not in caplog.text


def test_landing_known_bytes_again_says_so_and_leaves_nothing_to_do(root: DataRoot, listings: Path) -> None:
    landed = land(root, str(listings))
    assert "waits to be read" in land(root, str(listings))["already"]
    check_data_quality(root, AT_ONCE, "synthetic.csv", landed["sha256"])
    assert "the same bytes were accepted as synthetic.csv" in land(root, str(listings))["already"]
    assert "the same bytes were accepted as synthetic.csv" in land(root, str(listings), "x.csv")["already"]
    assert root.read_json(f"receipts/{landed['sha256']}.json")["names"] == ["synthetic.csv", "x.csv"]


def test_another_content_under_a_name_that_is_taken_is_refused(root: DataRoot, listings: Path) -> None:
    land(root, str(listings))
    sample.write_sample(str(listings), 120, 2)
    with pytest.raises(UsageProblem, match=r"already exists with other content.*synthetic-2\.csv"):
        land(root, str(listings))


@pytest.mark.parametrize("name", ["x.txt", ".x.csv", "a/b.csv", "csv"])
def test_a_name_that_would_not_be_looked_at_is_refused(root: DataRoot, listings: Path, name: str) -> None:
    with pytest.raises(UsageProblem, match=r"ends in \.csv"):
        land(root, str(listings), name)


def test_a_path_that_can_not_be_read_is_named(root: DataRoot, tmp_path: Path) -> None:
    with pytest.raises(UsageProblem, match=r"gone\.csv"):
        land(root, str(tmp_path / "gone.csv"))
    with pytest.raises(UsageProblem, match="directory"):
        land(root, str(tmp_path), "folder.csv")


def test_landing_leaves_no_partial_file_and_a_change_time_after_the_modification(
    root: DataRoot, listings: Path
) -> None:
    land(root, str(listings))
    raw = Path(root.location) / "raw"
    assert [p.name for p in raw.iterdir()] == ["synthetic.csv"]
    status = (raw / "synthetic.csv").stat()
    assert status.st_ctime_ns > status.st_mtime_ns
    assert (raw / "synthetic.csv").read_bytes() == listings.read_bytes()


def test_a_file_that_was_just_written_is_not_claimed(root: DataRoot, listings: Path) -> None:
    land(root, str(listings))
    assert claimed(root, SLOW) == []


def test_a_known_name_with_a_new_content_of_the_same_size_is_claimed(root: DataRoot, listings: Path) -> None:
    landed = land(root, str(listings), "a.csv")
    check_data_quality(root, AT_ONCE, "a.csv", landed["sha256"])
    assembling.assemble(root, AT_ONCE, [landed["sha256"]])
    path = Path(root.location) / "raw" / "a.csv"
    before = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert claimed(root) == ["a.csv"]


def test_a_file_that_can_not_be_read_does_not_keep_the_others_from_being_claimed(
    root: DataRoot, listings: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    land(root, str(listings), "a.csv")
    land(root, str(listings), "b.csv")
    real = sha256_of

    def denied(root: DataRoot, name: str) -> str:
        if name == "raw/a.csv":
            raise PermissionError(13, "Permission denied")
        return real(root, name)

    monkeypatch.setattr("carprice.landing.claim.sha256_of", denied)
    assert claimed(root) == ["b.csv"]
    assert "a.csv can't be read (Permission denied)" in caplog.text


def test_a_file_that_was_accepted_but_never_assembled_is_claimed_again_after_a_while(
    root: DataRoot, listings: Path
) -> None:
    sha = land(root, str(listings))["sha256"]
    receipt = check_data_quality(root, AT_ONCE, "synthetic.csv", sha)
    assert claimed(root) == []
    receipt["checked_at"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    root.write_json(f"receipts/{sha}.json", receipt)
    assert claimed(root) == ["synthetic.csv"]
    assert check_data_quality(root, AT_ONCE, "synthetic.csv", sha) == receipt
    assembling.assemble(root, AT_ONCE, [sha])
    assert claimed(root) == []


def test_claiming_starts_without_the_libraries_that_only_later_steps_need() -> None:
    code = (
        "import sys, carprice.landing.claim, carprice.landing.land, carprice.params_file, carprice.store;"
        "print(sorted({'pandas', 'numpy', 'pandera', 'mlflow', 'sklearn'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_object_store_serves_as_data_root_too(listings: Path) -> None:
    store = DataRoot("memory://carprice-landing")
    sha = land(store, str(listings))["sha256"]
    assert claimed(store, SLOW) == ["synthetic.csv"]  # an object appears as a whole
    check_data_quality(store, AT_ONCE, "synthetic.csv", sha)
    assembling.assemble(store, AT_ONCE, [sha])
    assert claimed(store) == []
    assert len(snapshots.load(store, "latest")[1]) > 90


def test_an_object_that_changes_while_it_is_read_is_claimed_next_time_with_its_new_content(
    listings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = DataRoot("memory://carprice-changing"), tmp_path / "other.csv"
    sample.write_sample(str(other), 150, 2)
    land(store, str(listings), "a.csv")

    def read_and_replaced(root: DataRoot, name: str) -> str:
        found = sha256_of(root, name)
        root.write_bytes(name, other.read_bytes())
        return found

    with monkeypatch.context() as patched:
        patched.setattr("carprice.landing.claim.sha256_of", read_and_replaced)
        assert claimed(store) == []
    assert claim(store, AT_ONCE) == [{"file": "a.csv", "sha256": sha256_of(store, "raw/a.csv")}]


@pytest.mark.parametrize("kind", ["folder", "object store"])
def test_of_two_files_landed_under_one_name_at_once_the_first_stays(
    root: DataRoot, listings: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = root if kind == "folder" else DataRoot("memory://carprice-two-at-once")
    land(where, str(listings), "a.csv")
    first = where.read_bytes("raw/a.csv")
    other = tmp_path / "other.csv"
    sample.write_sample(str(other), 150, 2)
    monkeypatch.setattr(DataRoot, "exists", lambda *_: False)  # as it was when the second began
    with pytest.raises(UsageProblem, match="already exists with other content"):
        land(where, str(other), "a.csv")
    assert "waits to be read" in land(where, str(listings), "a.csv")["already"]
    assert where.read_bytes("raw/a.csv") == first
    assert where.names("raw") == ["a.csv"]


def test_a_decision_about_a_file_that_falls_while_a_claim_reads_is_kept(
    root: DataRoot, listings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = land(root, str(listings), "a.csv")["sha256"]
    check_data_quality(root, AT_ONCE, "a.csv", sha256)
    Path(root.path("raw/b.csv")).write_bytes(listings.read_bytes())

    def read_and_decided(root: DataRoot, name: str) -> str:
        receipt = read_receipt(root, sha256) | {"status": "refused"}
        root.write_json(f"receipts/{sha256}.json", receipt)
        return sha256_of(root, name)

    monkeypatch.setattr("carprice.landing.claim.sha256_of", read_and_decided)
    claimed(root)
    receipt = read_receipt(root, sha256)
    assert (receipt["status"], receipt["names"]) == ("refused", ["a.csv", "b.csv"])


@pytest.mark.parametrize("name", ["../receipts/a.csv", "..%2Freceipts%2Fa.csv", "/etc/a.csv"])
def test_a_name_that_leads_out_of_raw_is_not_read(root: DataRoot, name: str) -> None:
    with pytest.raises(UsageProblem, match="give its name alone"):
        check_data_quality(root, AT_ONCE, name, "0" * 64)


def test_names_that_are_found_at_the_same_time_are_all_kept(root: DataRoot, listings: Path) -> None:
    sha256 = land(root, str(listings), "a.csv")["sha256"]
    check_data_quality(root, AT_ONCE, "a.csv", sha256)
    names = [f"{number}.csv" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: add_name(root, sha256, name, f"of {name}"), names))
    receipt = read_receipt(root, sha256)
    assert set(receipt["names"]) == {"a.csv", *names}
    assert set(receipt["fingerprints"]) == {"a.csv", *names}
