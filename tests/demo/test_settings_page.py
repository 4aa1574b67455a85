"""docs/settings.md is what the settings classes say, and the classes have every variable that is read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from carprice.settings import Settings
from carprice_settings import variables

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_page_of_settings_is_what_make_docs_writes() -> None:
    command = [sys.executable, REPOSITORY / "docs" / "write_settings.py", "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_variable_that_carprice_reads_is_one_of_its_settings() -> None:
    sources = (REPOSITORY / "images/trainer/src/carprice").rglob("*.py")
    names = {name for path in sources for name in re.findall(r"CARPRICE_[A-Z_]*[A-Z]", path.read_text())}
    assert {"CARPRICE_PARAMS", "CARPRICE_SMTP_URL"} <= names
    assert names - set(variables(Settings)) - {"CARPRICE_STEP_MEMORY"} == set()
