"""A client that is generated from /openapi.json works without hand work."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import REPOSITORY, Api, clean_environment

PYTHON = REPOSITORY / ".venv" / "client" / "bin" / "python"
NAME = "car_prices_client"


@pytest.fixture(scope="module")
def folder(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the generated package."""
    assert PYTHON.exists(), "`make test-setup` makes the environment of the generated client"
    folder = tmp_path_factory.mktemp("client")
    (folder / "openapi.json").write_text(api.get("/openapi.json").text)
    names = f"project_name_override: {NAME}\npackage_name_override: {NAME}\n"
    (folder / "config.yml").write_text(f"post_hooks: []\n{names}")
    options = ["--path", "openapi.json", "--meta", "none", "--config", "config.yml", "--output-path", NAME]
    done = subprocess.run(
        [str(PYTHON), "-m", "openapi_python_client", "generate", *options],
        cwd=folder,
        env=clean_environment(NO_COLOR="1"),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unable to process schema" not in done.stdout + done.stderr
    return folder


def test_every_path_has_a_function(api: Api, folder: Path) -> None:
    functions = [path for path in (folder / NAME / "api").rglob("*.py") if path.name != "__init__.py"]
    operations = [each for path in api.get("/openapi.json").json()["paths"].values() for each in path]
    assert len(functions) == len(operations)


def test_what_it_sends_is_read_and_what_it_reads_has_its_type(api: Api, folder: Path) -> None:
    program = REPOSITORY / "tests" / "client" / "ask.py"
    done = subprocess.run(
        [str(PYTHON), str(program), str(folder), api.address],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
