"""`make doctor`, run on a folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def doctor(folder: Path, **environment: str) -> tuple[int, list[str]]:
    """The exit status of the doctor, and its lines that report a fault."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CARPRICE_")}
    done = subprocess.run(
        [sys.executable, REPOSITORY / "stack/doctor.py", "--folder", folder],
        env=own | {"no_proxy": "127.0.0.1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.returncode, [line[6:] for line in done.stdout.splitlines() if line.startswith("WRONG")]
