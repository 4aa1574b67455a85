"""An S3 server on this machine: rclone serves a folder."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

RCLONE = str(Path(sys.executable).with_name("rclone"))


@dataclass(frozen=True)
class S3Server:
    """Its address, its key, and the folder whose subfolders are its buckets."""

    url: str
    key_id: str
    key: str
    folder: Path

    def environment(self) -> dict[str, str]:
        """The environment of a client."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": self.key_id,
            "AWS_SECRET_ACCESS_KEY": self.key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def make_bucket(self, name: str) -> Path:
        """Make a bucket, and return its folder."""
        (self.folder / name).mkdir()
        return self.folder / name


@contextmanager
def s3_server(folder: Path, host: str = "127.0.0.1") -> Iterator[S3Server]:
    """A server on `host`, an address of this machine that no other machine can reach."""
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    key_id, key = "test" + secrets.token_hex(4), secrets.token_urlsafe(24)
    rclone = RCLONE if os.access(RCLONE, os.X_OK) else shutil.which("rclone")
    assert rclone, f"rclone was expected beside {sys.executable}; make test-setup installs it"
    command = [rclone, "serve", "s3", "--addr", f"{host}:{port}", str(folder)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "RCLONE_CONFIG": ""}
    environment |= {"RCLONE_AUTH_KEY": f'"{key_id},{key}"'}
    with (folder.parent / f"{folder.name}.log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        for _ in range(200):
            assert server.poll() is None, Path(log.name).read_text()
            with socket.socket() as probe:
                if probe.connect_ex((host, port)) == 0:
                    break
            time.sleep(0.05)
        yield S3Server(f"http://{host}:{port}", key_id, key, folder)
    finally:
        server.kill()
        server.wait()
