"""import-linter refuses an import that goes up the layers, with a sentence that names it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def lint_imports(first_on_path: Path) -> subprocess.CompletedProcess[str]:
    folders = [
        first_on_path,
        *(
            REPOSITORY / name
            for name in ("airflow", "images/app", "images/docker-proxy", "images/collector/src")
        ),
    ]
    return subprocess.run(
        [
            Path(sys.executable).with_name("lint-imports"),
            "--config",
            REPOSITORY / "pyproject.toml",
            "--no-cache",
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, folders)), "COLUMNS": "200"},
        cwd=first_on_path,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_module_that_imports_a_layer_above_it_fails_the_linter(tmp_path: Path) -> None:
    shutil.copytree(
        REPOSITORY / "images/trainer/src/carprice",
        tmp_path / "carprice",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    assert lint_imports(tmp_path).returncode == 0
    with (tmp_path / "carprice/store.py").open("a") as module:
        module.write("\nfrom carprice.lifecycle import registry\n")
    found = lint_imports(tmp_path)
    assert found.returncode != 0
    assert "carprice.store is not allowed to import carprice.lifecycle" in found.stdout
