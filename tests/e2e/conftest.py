"""Fixtures of the end-to-end tests: each demo is a child process with its own ports, data and state."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # the package `demo` is run from the repository

from demo.chromium import chromium
from demo.settings import engine_answers
from postgresql import PostgreSQL, find_server
from running_demo import Demo


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, and give each time for the start of the services it may wait for."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(3600))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """Add the output of the running demos and the ends of their services' logs to the report of a failure."""
    report: Any = yield
    if report.failed:
        for demo in Demo.open:
            report.sections.extend(demo.last_words())
    return report


def require(what: str, is_there: bool, sentence: str) -> None:
    """Skip the test with `sentence` if something is missing; fail it if REQUIRE_<what> is 1."""
    if not is_there:
        (pytest.fail if os.environ.get(f"REQUIRE_{what}") == "1" else pytest.skip)(sentence)


@pytest.fixture(scope="session")
def engine() -> None:
    """A Docker engine that has the images of the steps."""
    require("DOCKER", engine_answers(), "No Docker engine answers; `make docker-engine` installs one.")
    for image in ("carprice-trainer", "carprice-app"):
        found = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
        require("DOCKER", found.returncode == 0, f"There is no image {image}; `make images` builds it.")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """An empty PostgreSQL server, stopped after the tests."""
    programs = find_server()
    require("POSTGRES", programs is not None, "PostgreSQL is not installed (Debian's package `postgresql`).")
    assert programs is not None
    with PostgreSQL(programs) as server:
        yield server


@pytest.fixture(scope="session")
def browser_program() -> str:
    """The path of a real browser."""
    program = chromium()
    require("BROWSER", program is not None, "Chromium is not installed (Debian's `chromium`).")
    return str(program)
