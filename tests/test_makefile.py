"""What the targets of the Makefile do, tried in a copy where that would cost time."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# Stands in for the Python that makes the environment of the tools: the `pip` of that environment puts a `uv`
# beside itself, and that `uv` links an environment's interpreter to the one outside.
PYTHON = r"""#!/bin/sh
case "$1 $2" in
    "-m venv")
        mkdir -p "$3/bin"
        printf '#!/bin/sh\ncp "$FAKES/uv" "$(dirname "$0")"\n' >"$3/bin/pip"
        chmod +x "$3/bin/pip" ;;
esac
"""
UV = r"""#!/bin/sh
echo "$*" >>"$FAKES/calls"
for environment; do :; done
[ "$1" != venv ] || { mkdir -p "$environment/bin"; ln -sf "$FAKES/python" "$environment/bin/python"; }
"""


class Clone:
    """A copy of what `make setup` reads, with an interpreter outside it."""

    def __init__(self, folder: Path) -> None:
        self.tree, self._fakes = folder / "tree", folder / "outside"
        for pattern in (
            "Makefile",
            "*/*requirements.txt",
            "images/*/*requirements.txt",
            "tests/*/requirements.txt",
            "images/*/pyproject.toml",
        ):
            for file in REPOSITORY.glob(pattern):
                copy = self.tree / file.relative_to(REPOSITORY)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
        self._fakes.mkdir()
        self.interpreter = self._fakes / "python"
        for path, script in ((self.interpreter, PYTHON), (self._fakes / "uv", UV)):
            path.write_text(script)
            path.chmod(0o755)
        os.utime(self.interpreter, (1_600_000_000, 1_600_000_000))

    def make(self, *words: str) -> subprocess.CompletedProcess[str]:
        (self._fakes / "calls").unlink(missing_ok=True)
        return subprocess.run(
            ["make", *words],
            cwd=self.tree,
            env={"PATH": os.environ["PATH"], "PYTHON": str(self.interpreter), "FAKES": str(self._fakes)},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        """What `uv` was called with by the last `make`."""
        calls = self._fakes / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


def test_setup_makes_each_environment_and_leaves_the_interpreter_outside_untouched(clone: Clone) -> None:
    done = clone.make("test-setup")

    assert done.returncode == 0, done.stderr
    made = [call.split("/")[-1] for call in clone.calls if call.startswith("venv")]
    assert sorted(made) == ["airflow", "app", "client", "collector", "mlflow", "trainer"]
    assert clone.interpreter.stat().st_mtime == 1_600_000_000


@pytest.mark.parametrize("target", ["setup", "test-setup"])
def test_the_second_setup_does_nothing(clone: Clone, target: str) -> None:
    assert clone.make(target).returncode == 0

    assert clone.make("--question", target).returncode == 0
    again = clone.make(target)

    assert again.stdout == f"make: Nothing to be done for '{target}'.\n"
    assert again.stderr == ""
    assert clone.calls == []


@pytest.mark.parametrize(
    ("changed", "environments"),
    [
        ("airflow/requirements.txt", {"airflow"}),
        ("images/app/requirements.txt", {"app"}),
        ("images/trainer/pyproject.toml", {"app", "trainer"}),
        ("images/contract/pyproject.toml", {"airflow", "app", "trainer"}),
    ],
)
def test_a_changed_requirement_brings_its_environments_up_to_date_and_no_other(
    clone: Clone, changed: str, environments: set[str]
) -> None:
    clone.make("setup")
    later = (clone.tree / ".venv/app/.ready").stat().st_mtime + 1
    os.utime(clone.tree / changed, (later, later))

    clone.make("setup")

    brought = {name for call in clone.calls for name in re.findall(r"-p \.venv/(\w+)", call)}
    assert brought == environments


def test_help_lists_every_target() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, flags=re.MULTILINE))

    listed = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )

    assert set(re.findall(r"^  make (\S+) +\S", listed.stdout, flags=re.MULTILINE)) == targets


def pytest_calls(target: str) -> list[list[str]]:
    """The arguments of each `pytest` that a target runs."""
    command = ["make", "--no-print-directory", "--dry-run", "--always-make", target]
    printed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    calls = [shlex.split(line) for line in printed.splitlines() if "/bin/pytest" in line]
    return [call[[word.endswith("/pytest") for word in call].index(True) + 1 :] for call in calls]


def selected(target: str, marked: str) -> set[Path]:
    """The files of tests of which a target runs those that `-m marked` selects."""
    files: set[Path] = set()
    for call in pytest_calls(target):
        assert not {"-k", "--deselect", "--ignore"} & {word.split("=")[0] for word in call}
        assert call[call.index("-m") + 1] == marked
        for path in (REPOSITORY / word for word in call if word.startswith("tests/")):
            files.update(path.rglob("test_*.py") if path.is_dir() else [path])
    return files


def test_every_test_is_run_by_make_test_or_by_make_test_soak() -> None:
    every = set((REPOSITORY / "tests").rglob("test_*.py"))
    with_soak = {file for file in every if "mark.soak" in file.read_text()} - {Path(__file__)}

    assert len(with_soak) >= 5
    assert selected("test", "not soak") == every
    assert with_soak - selected("test-soak", "soak") == set()
