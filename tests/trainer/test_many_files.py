"""What one more file costs does not grow with the files that landed before it: reads are counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carprice.errors import NothingToDo, UsageProblem
from carprice.landing import summaries as short
from carprice.landing.claim import claim
from carprice.landing.content import fingerprint
from carprice.landing.summaries import MOST_UNKEPT, summaries
from carprice.lifecycle import typing_error_page
from carprice.monitoring import publishing
from carprice.params import LandingParams, Params
from carprice.pipeline import run_report
from carprice.reports.index_rows import LISTED
from carprice.store import DataRoot
from carprice_contract.data_root import RECEIPT_SUMMARIES, REPORT_INDEX, snapshot_manifest

AT_ONCE = Params(landing=LandingParams(settle_seconds=0, settle_seconds_renamed=0))
MANY = MOST_UNKEPT + 10


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path / "data"))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file of a data root is read."""
    found: Counter[str] = Counter()
    read_bytes = DataRoot.read_bytes

    def counted(self: DataRoot, name: str) -> bytes:
        found[name] += 1
        return read_bytes(self, name)

    monkeypatch.setattr(DataRoot, "read_bytes", counted)
    return found


def sha_of(number: int) -> str:
    return f"{number:064x}"


def land(root: DataRoot, number: int, **record: Any) -> None:
    """A file that was accepted, as its check leaves it."""
    sha256, name = sha_of(number), f"{number}.csv"
    root.write_text(f"raw/{name}", name)
    receipt(root, number, fingerprints={name: fingerprint(root, name)}, **record)
    root.write_text(f"reports/quality/{sha256}.html", "<p>quality</p>")


def receipt(root: DataRoot, number: int, **record: Any) -> None:
    sha256, name = sha_of(number), f"{number}.csv"
    known = {
        "sha256": sha256, "file": name, "names": [name], "status": "refused", "refusal": "no", "columns": {},
        "checked_at": f"2025-06-01T10:{number // 60 % 60:02d}:{number % 60:02d}+00:00", "rows_in": 9,
        "rows_accepted": 9, "rows_refused": 0, "rows_repeated": 0,
        "quality_page": f"reports/quality/{sha256}.html",
    }  # fmt: skip
    root.write_json(f"receipts/{sha256}.json", known | record)


def receipts_read(reads: Counter[str]) -> int:
    return sum(
        count for name, count in reads.items() if name.startswith("receipts/") and "." not in name[:10]
    )


def test_a_receipt_is_read_once(root: DataRoot, reads: Counter[str]) -> None:
    for number in range(MANY):
        receipt(root, number)
    first = summaries(root)
    assert receipts_read(reads) == MANY
    receipt(root, MANY, rows_accepted=5)
    receipt(root, 3, rows_accepted=7)
    root.remove(f"receipts/{sha_of(4)}.json")
    reads.clear()
    second = summaries(root)
    assert receipts_read(reads) == 2
    assert second[sha_of(MANY)]["rows_accepted"] == 5
    assert second[sha_of(3)]["rows_accepted"] == 7
    assert set(first) - set(second) == {sha_of(4)}


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"format_version": 99}', b'{"format_version": 1}'])
def test_summaries_that_cannot_be_used_are_made_again(root: DataRoot, content: bytes) -> None:
    for number in range(MANY):
        receipt(root, number)
    before = summaries(root)
    root.write_bytes(RECEIPT_SUMMARIES, content)
    assert summaries(root) == before
    assert set(json.loads(root.read_bytes(RECEIPT_SUMMARIES))["receipts"]) == set(before)


def test_a_broken_receipt_is_named_or_left_out(root: DataRoot) -> None:
    receipt(root, 1)
    root.write_text(f"receipts/{sha_of(2)}.json", "{")
    with pytest.raises(Exception, match=sha_of(2)):
        summaries(root)
    assert set(summaries(root, skip_broken=True)) == {sha_of(1)}
    root.write_json(f"receipts/{sha_of(2)}.json", {"format_version": 99, "file": "2.csv"})
    with pytest.raises(UsageProblem, match="newer release"):
        summaries(root)
    assert summaries(root, skip_broken=True)[sha_of(2)]["file"] == "2.csv"


def test_a_claim_after_many_files_reads_neither_them_nor_their_receipts(
    root: DataRoot, reads: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(MANY):
        land(root, number)
    with pytest.raises(NothingToDo):
        claim(root, AT_ONCE)
    root.write_text("raw/one-more.csv", "one more")
    opened: list[str] = []
    monkeypatch.setattr("carprice.landing.claim.sha256_of", lambda _, name: opened.append(name) or "5" * 64)
    reads.clear()
    assert [entry["file"] for entry in claim(root, AT_ONCE)] == ["one-more.csv"]
    assert opened == ["raw/one-more.csv"]
    assert receipts_read(reads) == 0


def test_the_index_of_very_many_reports_stays_small(root: DataRoot) -> None:
    text = "a sentence of some length about what was found in this report, " * 3
    for number in range(LISTED + 20):
        receipt(root, number, file=f"a-long-name-of-a-file-of-some-site-{number:06d}.csv", refusal=text)
        root.write_text(f"reports/quality/{sha_of(number)}.html", "")
        for kind in ("pipeline", "live", "drift"):
            stem = f"reports/{kind}/20250101T{number:06d}Z-{'b' * 12}"
            root.write_text(f"{stem}.html", "")
            root.write_json(f"{stem}.json", {"headline": text, "verdict": "stable", "file": "a.csv"})
        root.write_text(f"reports/models/{number:032x}.html", "")
    publishing.publish(root)
    page = root.read_bytes(REPORT_INDEX)
    assert page.count(b"<tr data-kind") == 5 * LISTED
    assert len(page) < 2_000_000


def test_a_pipeline_report_has_the_receipts_of_the_newest_files_alone(
    root: DataRoot, reads: Counter[str]
) -> None:
    files = []
    for number in range(run_report.MOST_FILES + 5):
        receipt(root, number)
        files.append({"sha256": sha_of(number), "file": f"{number}.csv", "rows": 9})
    root.write_json(snapshot_manifest("abc"), {"format_version": 3, "id": "abc", "files": files})
    found = run_report._files(root, "abc")
    assert [entry["sha256"] for entry in found["files"]] == [entry["sha256"] for entry in files[5:]]
    assert found["files_total"] == len(files)
    assert receipts_read(reads) == run_report.MOST_FILES


def findings(*rows: tuple[int, str, float, float]) -> pd.DataFrame:
    """Prices that look mistyped, given as (number of the file, id, price, expected price)."""
    table = pd.DataFrame(rows, columns=["number", "listing_id", "price_mad", "expected_mad"])
    said = {"url": None, "make": "Kia", "model": "Rio", "model_year": 2015.0, "suggestion": ""}
    table = table.assign(source_sha256=table["number"].map(sha_of), **said).drop(columns="number")
    return table.astype({"price_mad": float, "expected_mad": float})


def test_only_pages_on_which_other_prices_look_mistyped_are_written_again(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    shas = [sha_of(number) for number in range(20)]
    for sha in shas:
        root.write_text(f"reports/quality/{sha}.html", "<p>quality</p>")

    def pages_written(found: pd.DataFrame) -> set[str]:
        written = set()
        write_text = DataRoot.write_text

        def watched(self: DataRoot, name: str, text: str) -> None:
            written.add(name)
            write_text(self, name, text)

        with monkeypatch.context() as patched:
            patched.setattr(DataRoot, "write_text", watched)
            typing_error_page.publish(root, found, shas, "run")
        return {name.rsplit("/", 1)[-1].removesuffix(".html") for name in written if name.endswith(".html")}

    assert pages_written(findings((1, "x", 5e6, 5e4), (2, "y", 3e6, 4e4))) == {sha_of(1), sha_of(2)}
    # the model's own figures change with each training
    assert pages_written(findings((1, "x", 5e6, 5.1e4), (2, "y", 3e6, 4e4))) == set()
    assert pages_written(findings((2, "y", 3e6, 4e4), (3, "z", 3e6, 4e4))) == {sha_of(3)}
    # a page that was made again has no list
    root.write_text(f"reports/quality/{sha_of(2)}.html", "<p>quality</p>")
    assert pages_written(findings((2, "y", 3e6, 4e4), (3, "z", 3e6, 4e4))) == {sha_of(2)}
    assert "mistyped" in root.read_bytes(f"reports/quality/{sha_of(2)}.html").decode()


def test_summaries_of_an_object_store_are_read_from_one_object(reads: Counter[str]) -> None:
    root = DataRoot("memory://many-files/data")
    for number in range(MANY):
        receipt(root, number)
    summaries(root)
    reads.clear()
    assert len(short.summaries(root)) == MANY
    assert set(reads) == {RECEIPT_SUMMARIES}
