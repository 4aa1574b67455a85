"""The app as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from conftest import REPOSITORY, clean_environment, wait_until
from demo.settings import free_port

# A cold page on a busy machine; what is there is found at once.
MILLISECONDS = 60_000


@dataclass
class RunningApp:
    """A running app."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def running_app(folder: Path, api_address: str, **settings: str) -> Iterator[RunningApp]:
    """A real Streamlit process that asks the API at `api_address`, ended afterwards."""
    port = free_port()
    log = folder / "app.log"
    command = [sys.executable, "-m", "price_app", "--server.port", str(port)]
    environment = clean_environment(
        CARPRICE_APP_API_URL=api_address,
        HOME=str(folder),
        PYTHONPATH=str(REPOSITORY / "images" / "app"),
        **settings,
    )
    with open(log, "ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return requests.get(f"{address}/_stcore/health", timeout=5).ok

        wait_until(up, f"the app is up; its log: {log}")
        yield RunningApp(address, process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
