"""No tracked file holds a secret. `.secrets.baseline` lists the hashes of texts that only look like one."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
BASELINE = ".secrets.baseline"


def found_in(files: list[str], folder: Path) -> dict[str, Any]:
    """What detect-secrets finds beyond the baseline, by file."""
    # A copy, because the hook writes moved lines into its baseline.
    baseline = shutil.copy(REPOSITORY / BASELINE, folder)
    hook = [sys.executable, "-m", "detect_secrets.pre_commit_hook", "--no-verify", "--json"]
    done = subprocess.run(
        [*hook, "--baseline", baseline, *files], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1, 3), done.stderr
    return dict(json.loads(done.stdout)["results"]) if done.returncode == 1 else {}


def test_no_tracked_file_holds_a_secret(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    files = [name for name in listed.split("\0") if name not in ("", BASELINE)]

    assert len(files) > 100
    assert found_in(files, tmp_path) == {}


def test_a_secret_that_is_put_into_a_file_is_found(tmp_path: Path) -> None:
    file = tmp_path / "settings.env"
    file.write_text(f'MLFLOW_TRACKING_PASSWORD="{secrets.token_hex(24)}"\n')

    assert set(found_in([str(file)], tmp_path)) == {str(file)}
