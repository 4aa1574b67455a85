"""The disk of the data root is full in the middle of a write.

The step says so in one sentence and asks to be tried again; nothing is half written; with room again the same
step ends as it would have. Each step meets several sizes of the room that is left, so that different writes
of it find the disk full.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from systems import System

from carprice.cli import main
from carprice.listings import sample
from carprice.reports.state import read_state
from carprice.store import DataRoot
from carprice_contract.steps import ExitCode

# Bytes that are left; a page of this disk has 4 KiB.
ROOMS = [0, 4_096, 12_288, 32_768, 131_072, 524_288, 2_097_152]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty folder on a disk of its own, of 96 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        (pytest.fail if os.environ.get("REQUIRE_DOCKER") == "1" else pytest.skip)(
            f"A small disk was expected, which takes root: {done.stderr.decode()}"
        )
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def nearly_full(disk: Path, room: int) -> Iterator[None]:
    """Leave so many bytes while the block runs."""
    filler = disk / ".filler"
    with filler.open("wb") as file:
        found = os.statvfs(disk)
        os.posix_fallocate(file.fileno(), 0, max(found.f_bavail * found.f_frsize - room, 1))
    try:
        yield
    finally:
        filler.unlink()


def files_of(disk: Path) -> set[str]:
    """The files below the folder, without those that only a lock needs."""
    found = {str(path.relative_to(disk)) for path in disk.rglob("*") if path.is_file()}
    return {name for name in found if not name.endswith(".lock") and name != ".filler"}


class Steps:
    """Steps on a data root whose disk fills up, run again when there is room."""

    def __init__(
        self, disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._disk, self._capsys = disk, capsys
        self.refused: dict[str, int] = {}
        self._result = disk.parent / "result.json"
        monkeypatch.setenv("DATA_DIR", str(disk))

    def run(self, *arguments: str) -> Any:
        """Run a step with each room, then with enough; its result."""
        for room in ROOMS:
            before = files_of(self._disk)
            with nearly_full(self._disk, room):
                status = self._once(arguments)
            said = self._capsys.readouterr().err
            assert status in (ExitCode.DONE, ExitCode.TRY_AGAIN), (arguments, room, said[-3000:])
            left = files_of(self._disk) - before
            assert not [name for name in left if name.endswith(".part")], (arguments, room)
            if status == ExitCode.DONE:
                break
            self.refused[arguments[0]] = self.refused.get(arguments[0], 0) + 1
            last = said.strip().splitlines()[-1]
            assert last.startswith("carprice: Space on the disk was expected"), (
                arguments,
                room,
                said[-3000:],
            )
        else:
            assert self._once(arguments) == ExitCode.DONE, self._capsys.readouterr().err[-3000:]
        return json.loads(self._result.read_text())

    def _once(self, arguments: tuple[str, ...]) -> int:
        try:
            return main([*arguments, "--result", str(self._result)])
        except SystemExit as end:
            return int(end.code or 0)


@pytest.fixture
def steps(disk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Steps:
    return Steps(disk, monkeypatch, capsys)


def data_steps(steps: Steps, disk: Path, file: Path) -> str:
    """Land a file and take it into a snapshot; the snapshot's id."""
    (disk / "raw").mkdir(exist_ok=True)
    shutil.copy(file, disk / "raw" / file.name)
    os.utime(disk / "raw" / file.name, (1, 1))
    DataRoot(str(disk))
    sha256 = sample_sha(file)
    steps.run("check-data-quality", "--file", file.name, "--sha256", sha256)
    return str(steps.run("assemble-listings", "--sha256", sha256)["snapshot_id"])


def sample_sha(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_becomes_the_same_snapshot_though_the_disk_fills_up(
    steps: Steps, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "listings.csv"
    sample.write_sample(str(file), 900, 1)
    found = data_steps(steps, disk, file)
    assert steps.refused["check-data-quality"] >= 3
    assert steps.refused["assemble-listings"] >= 3

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    monkeypatch.setenv("DATA_DIR", str(undisturbed))
    (undisturbed / "raw").mkdir()
    shutil.copy(file, undisturbed / "raw" / file.name)
    result = ("--result", str(tmp_path / "other.json"))
    assert main(["check-data-quality", "--file", file.name, "--sha256", sample_sha(file), *result]) == 0
    assert main(["assemble-listings", "--sha256", sample_sha(file), *result]) == 0
    assert json.loads((tmp_path / "other.json").read_text())["snapshot_id"] == found
    assert files_of(disk) == files_of(undisturbed)


@pytest.mark.soak
def test_a_model_goes_into_production_once_though_the_disk_fills_up_in_every_step(
    system: System, steps: Steps, disk: Path, tmp_path: Path
) -> None:
    shutil.copytree(system.folder, disk, dirs_exist_ok=True)
    root = DataRoot(str(disk))
    file = tmp_path / "more.csv"
    sample.write_sample(str(file), 900, 2)

    snapshot = data_steps(steps, disk, file)
    steps.run("score-new-listings", "--snapshot", snapshot)
    steps.run("detect-drift", "--snapshot", snapshot)
    run = steps.run("train-model", "--snapshot", snapshot)["run_id"]
    steps.run("evaluate-model", "--run-id", run)
    version = str(steps.run("promote-to-staging", "--run-id", run)["version"])
    steps.run("validate-staging-model", "--version", version)
    steps.run("promote-to-production", "--version", version)
    steps.run("send-pipeline-report", "--run-id", run, "--version", version)

    assert len(steps.refused) >= 6, steps.refused
    state = read_state(root)
    assert state.production_version == version
    assert [entry["version"] for entry in state.history] == ["1", version]
    assert state.pipeline["version"] == version
