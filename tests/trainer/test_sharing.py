"""Many small files share steps of the check; each is still checked for itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carprice import cli
from carprice.alerts.record import all_alerts
from carprice.errors import DataRefused, NothingToDo, TryAgain
from carprice.landing.sharing import steps_of
from carprice.landing.summaries import summaries
from carprice.listings import sample
from carprice.params import LandingParams, Params
from carprice.pipeline import checking, ingestion
from carprice.pipeline.context import Context
from carprice.store import DataRoot

SHARED = LandingParams(
    settle_seconds=0, settle_seconds_renamed=0, files_alone=2, files_per_step=3, bytes_per_step=1000
)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(DataRoot(str(tmp_path / "data")), Params(landing=SHARED))


@pytest.fixture
def land(context: Context, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    def land(name: str, seed: int, content: bytes | None = None) -> tuple[str, str]:
        if content is None:
            sample.write_sample(str(tmp_path / "one.csv"), 90, seed)
            content = (tmp_path / "one.csv").read_bytes()
        context.root.write_bytes(f"raw/{name}", content)
        return name, hashlib.sha256(content).hexdigest()

    return land


def named(*names: str) -> list[dict[str, str]]:
    return [{"file": name, "sha256": name} for name in names]


def steps(context: Context, **sizes: int) -> list[list[str]]:
    """The files of each step; `__` in a name stands for a dot."""
    files = {name.replace("__", "."): size for name, size in sizes.items()}
    for name, size in files.items():
        context.root.write_bytes(f"raw/{name}", b"x" * size)
    found = steps_of(context.root, SHARED, named(*files))
    return [[file["file"] for file in step] for step in found]


def test_few_files_have_a_step_each(context: Context) -> None:
    assert steps(context, a__csv=1, b__csv=1) == [["a.csv"], ["b.csv"]]


def test_many_small_files_share_steps(context: Context) -> None:
    assert steps(context, a__csv=1, b__csv=1, c__csv=1, d__csv=1) == [["a.csv", "b.csv", "c.csv"], ["d.csv"]]


def test_files_share_a_step_up_to_so_many_bytes(context: Context) -> None:
    assert steps(context, a__csv=600, b__csv=300, c__csv=200) == [["a.csv", "b.csv"], ["c.csv"]]


def test_a_large_file_and_a_compressed_one_have_a_step_of_their_own(context: Context) -> None:
    found = steps(context, a__csv=10, b__csv__gz=10, c__csv=1001, d__XLSX=10, e__csv=10)
    assert found == [["a.csv", "e.csv"], ["b.csv.gz"], ["c.csv"], ["d.XLSX"]]


def test_a_file_that_is_gone_has_a_step_of_its_own(context: Context) -> None:
    context.root.write_bytes("raw/a.csv", b"x")
    assert steps_of(context.root, SHARED, named("a.csv", "b.csv", "c.csv"))[1:] == [
        named("b.csv"),
        named("c.csv"),
    ]


def test_names_that_are_no_utf_8_are_found(context: Context) -> None:
    context.root.write_bytes("raw/donn\udce9es.csv", b"x")
    context.root.write_bytes("raw/a.csv", b"x")
    context.root.write_bytes("raw/b.csv", b"x")
    claimed = named("a.csv", "b.csv", "donn%E9es.csv")
    assert steps_of(context.root, SHARED, claimed) == [claimed]


def test_files_of_one_step_are_each_accepted_refused_or_left_for_the_next_claim(
    context: Context, land: Callable[..., tuple[str, str]]
) -> None:
    good = [land(f"good-{seed}.csv", seed) for seed in (1, 2)]
    bad = land("bad.csv", 0, b"no column of ours\n1\n")
    changed = ("good-1.csv", "0" * 64)
    gone = ("gone.csv", "1" * 64)

    with pytest.raises(DataRefused, match=r"^2 of 5 files were refused: ") as refused:
        checking.check_files(context, [good[0], bad, changed, gone, good[1]])

    found = {file["file"]: file["status"] for file in refused.value.result}
    assert found == {
        "good-1.csv": "accepted", "bad.csv": "refused", "gone.csv": "refused", "good-2.csv": "accepted",
    }  # fmt: skip
    assert [file["file"] for file in refused.value.result][-1] == "good-2.csv", "in the order of the files"
    assert [alert["kind"] for alert in all_alerts(context.root)] == ["file_refused"]
    shas = [file["sha256"] for file in refused.value.result if file["status"] == "accepted"]
    assert sorted(shas) == sorted(sha for _, sha in good)
    assert ingestion.assemble_listings(context, shas)["listings_total"] > 0


def test_a_check_that_crashes_does_not_stop_the_others_and_a_further_try_ends_well(
    context: Context, land: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [land(f"{seed}.csv", seed) for seed in range(4)]
    real = checking.check_data_quality

    def breaks(context: Context, file: str, *rest: Any) -> Any:
        if file == "2.csv":
            raise RuntimeError("No space left on device.")
        return real(context, file, *rest)

    monkeypatch.setattr(checking, "check_data_quality", breaks)
    with pytest.raises(checking.SomeFailed, match=r"1 of 4 files could not be checked: 2.csv: No space"):
        checking.check_files(context, files)
    assert len(summaries(context.root)) == 3
    monkeypatch.setattr(checking, "check_data_quality", real)

    assert {file["status"] for file in checking.check_files(context, files)} == {"accepted"}


def test_while_the_store_is_away_the_step_is_tried_again_with_what_it_has_found(
    context: Context, land: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [land(f"{seed}.csv", seed) for seed in range(3)]
    real, calls = checking.check_data_quality, []

    def away(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise TryAgain("The object store does not answer.")
        return real(*arguments)

    monkeypatch.setattr(checking, "check_data_quality", away)
    with pytest.raises(TryAgain) as tried:
        checking.check_files(context, files)

    assert len(calls) == 2
    assert [file["status"] for file in tried.value.result] == ["accepted"]


def test_a_step_of_files_that_have_all_changed_has_nothing_to_do(
    context: Context, land: Callable[..., tuple[str, str]]
) -> None:
    land("a.csv", 1)
    land("b.csv", 2)
    with pytest.raises(NothingToDo, match="All 2 files changed") as nothing:
        checking.check_files(context, [("a.csv", "0" * 64), ("b.csv", "1" * 64)])
    assert nothing.value.result == []


def test_the_production_model_is_asked_for_once(
    context: Context, land: Callable[..., tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(checking, "production_prices", lambda context: asked.append(1) or "no model")
    checking.check_files(context, [land(f"{seed}.csv", seed) for seed in range(3)])
    assert asked == [1]


def test_the_commands_hand_the_files_of_a_step_from_one_to_the_other(
    context: Context,
    land: Callable[..., tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for seed in range(3):
        land(f"-{seed}.csv", seed)
    monkeypatch.setenv("DATA_DIR", context.root.location)
    settings = "{settle_seconds: 0, settle_seconds_renamed: 0, files_alone: 2}"
    monkeypatch.setenv("CARPRICE_PARAMS", f"landing: {settings}")
    result = tmp_path / "result.json"

    assert cli.main(["claim-files", "--result", str(result)]) == 0
    (claimed,) = json.loads(result.read_text())
    files = [word for file in claimed for word in (f"--file={file['file']}", "--sha256", file["sha256"])]
    assert cli.main(["check-data-quality", *files, "--result", str(result)]) == 0
    assert [file["status"] for file in json.loads(result.read_text())] == ["accepted"] * 3
    assert cli.main(["check-data-quality", *files[:-2]]) == 2
