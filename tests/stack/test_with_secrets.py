"""stack/bin/with-secrets: secrets from files into a command's environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).resolve().parents[2] / "stack/bin/with-secrets"
SHOW = ("--", "sh", "-c", 'echo "started with ${PASSWORD-no password} and ${HOOK-no hook}"')


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_gets_the_text_of_each_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a b$c\n")
    (tmp_path / "hook").write_text("https://chat.example/x")

    done = run(f"PASSWORD={tmp_path}/password", f"HOOK={tmp_path}/hook", *SHOW)

    assert done.stdout == "started with a b$c and https://chat.example/x\n"


def test_an_empty_secret_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "password").touch()

    refused = run(f"PASSWORD={tmp_path}/password", *SHOW)

    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{tmp_path}/password for PASSWORD is empty: run 'make env'." in refused.stderr


def test_a_file_that_cannot_be_read_starts_nothing(tmp_path: Path) -> None:
    # A folder, because even root cannot read one as a file.
    for file in (tmp_path, tmp_path / "absent"):
        refused = run(f"PASSWORD={file}", *SHOW)

        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"{file} for PASSWORD can't be read: run 'make env'." in refused.stderr
