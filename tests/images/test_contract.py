"""The contract package: what the parts of the system agree on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from carprice_contract import landing, variables

SOURCE = Path(__file__).resolve().parents[2] / "images/contract/src"


def test_every_module_is_imported_with_pythons_own_library_alone() -> None:
    modules = [f"carprice_contract.{path.stem}" for path in (SOURCE / "carprice_contract").glob("[!_]*.py")]
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import {', '.join(modules)}"
    assert len(modules) > 4
    # -I -S: neither the environment nor the folder of installed packages is there.
    subprocess.run([sys.executable, "-I", "-S", "-c", program], check=True)


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("a.csv", True),
        ("A.CSV", True),
        ("a.xlsx", True),
        ("a.json", True),
        ("a.jsonl", True),
        ("a.ndjson.GZ", True),
        ("a.csv.gz", True),
        (".a.csv", False),
        (".a.xlsx", False),
        ("a.csv.part", False),
        ("a.txt", False),
        ("a.gz", False),
        ("a.xls", False),
    ],
)
def test_a_name_counts_when_it_ends_like_a_listing_file_and_is_not_hidden(name: str, listed: bool) -> None:
    assert landing.is_listed(name) is listed


@pytest.mark.parametrize(
    ("modified", "changed", "now", "complete"),
    [
        (0, 0, 9.9, False),
        (0, 0, 10, True),
        (0, 5, 5.9, False),
        (0, 5, 6, True),
        (6, 6, 8, False),
        (99, 0, 10, True),
        (3600, 3600, 10, True),
    ],
    ids=[
        "just written",
        "left alone",
        "just renamed",
        "renamed",
        "renamed and written on",
        "modified in the future",
        "written before the clock was set back",
    ],
)
def test_a_renamed_file_is_complete_sooner_than_one_written_in_place(
    modified: float, changed: float, now: float, complete: bool
) -> None:
    times = [round(seconds * 1e9) for seconds in (modified, changed, now)]
    found = landing.is_complete(*times, landing.SETTLE_SECONDS, landing.SETTLE_SECONDS_RENAMED)
    assert found is complete


def test_a_step_gets_every_secret_as_a_value_or_as_a_file_and_nothing_else() -> None:
    for name in variables.SECRET_FILES:
        assert variables.is_private(name)
        assert variables.is_private(variables.file_variable(name))
    assert not variables.is_private("AIRFLOW__CORE__FERNET_KEY")
    assert not variables.is_private("MLFLOW_TRACKING_TOKEN_FILE")
