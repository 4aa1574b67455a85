"""`make backup`: databases, artifacts, data root, params.yaml and .env of a running stack, as one folder.

During the backup the pipeline stands still on every machine with a worker: it waits for the running tasks to
end, and no other task begins. The price API keeps answering. The folder gets its name when it is complete;
`manifest.json` in it has the SHA-256 of each file.

    python3 stack/backup.py [--to FOLDER] [--secrets] [--wait SECONDS] [--folder FOLDER]

With --secrets the backup has the secrets too: whoever has that backup has the logins.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from compose import (
    ARTIFACTS,
    DATABASES,
    Stack,
    StackProblem,
    docker,
    folders_and_files,
    images_of,
    unreadable,
)
from make_env import REPOSITORY

from carprice_contract import formats

MANIFEST = "manifest.json"
SETTINGS = "settings.env"
"""The name of `.env` in a backup."""
FERNET_KEY = "airflow_fernet_key"
BEGIN_TASKS = ("scheduler", "triggerer", "dag-processor")
UNDER_WAY = """
SELECT state, coalesce(nullif(hostname, ''), 'no worker yet'), count(*)
  FROM task_instance WHERE state IN ('queued', 'running', 'restarting') GROUP BY 1, 2 ORDER BY 1, 2
"""
"""Tasks that any worker runs or may take: state, host and number of each."""
SIZE = f"SELECT sum(pg_database_size(datname)) FROM pg_database WHERE datname IN {DATABASES}"  # noqa: S608
# Without the volume's own folder: it is the engine's, and only root could set its mode again.
PACK_ARTIFACTS = f"""
cd {ARTIFACTS}
find . -mindepth 1 -print0 >/tmp/names
exec tar --null --no-recursion --files-from /tmp/names -cf -
"""


def main(argv: list[str] | None = None) -> int:
    """Back up, print the folder, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--to", type=Path, help="folder of the backups (default: backups/ beside .env)")
    parser.add_argument("--secrets", action="store_true", help="add the secrets")
    parser.add_argument("--wait", type=int, default=900, help="seconds for running tasks to end (900)")
    parser.add_argument("--folder", type=Path, default=REPOSITORY, help="where .env is")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = arguments.folder.resolve()
    try:
        stack = Stack.of(folder)
        made = back_up(
            stack, (arguments.to or folder / "backups").resolve(), arguments.secrets, arguments.wait
        )
    except (StackProblem, OSError) as problem:
        _say(str(problem))
        return 1
    except KeyboardInterrupt:
        _say("interrupted, nothing was kept.")
        return 130
    if not arguments.secrets:
        _say(
            f"the secrets are not in it (SECRETS=1 adds them): keep a copy of {stack.secrets} elsewhere, "
            f"because Airflow's database can't be restored without its {FERNET_KEY}."
        )
    _say(f"{made} is complete.")
    sys.stdout.write(f"{made}\n")
    return 0


def back_up(stack: Stack, backups: Path, with_secrets: bool, wait_seconds: int) -> Path:
    """Make a backup in the folder `backups`; returns the backup's own folder.

    Raises `StackProblem` when the stack doesn't run, when a task does not end within `wait_seconds`, and
    when a file changes while it is read.
    """
    if "postgres" not in stack.running():
        raise StackProblem(
            "PostgreSQL must run to be backed up, found it stopped: run 'docker compose up --detach --wait'."
        )
    if backups.is_relative_to(stack.data.resolve()):
        raise StackProblem(
            f"backups must be kept outside {stack.data}, found {backups}: name another with TO=."
        )
    url, params = stack.data_url_and_params()
    if url:
        _say(
            f"{url} is not part of it: keep it by the versioning or replication of its bucket; "
            f"a restore expects the bucket as it is now, at {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
        )
    with unfinished_folder(backups) as folder:
        with pipeline_held(stack, wait_seconds):
            # The databases come first: a file is written before a database names it.
            for database in DATABASES:
                _say(f"dumping the database {database}")
                with (folder / f"{database}.dump").open("xb") as file:
                    words = ("pg_dump", "--format=custom", f"--dbname={database}")
                    stack.compose("exec", "-T", "postgres", *words, stdout=file)
            _say("copying MLflow's artifacts")
            with (folder / "artifacts.tar").open("xb") as file:
                tar = ("--entrypoint", "sh", "mlflow", "-euc", PACK_ARTIFACTS)
                stack.compose("run", "--rm", "--no-deps", "-T", *tar, stdout=file)
            _say(f"copying {stack.data}")
            pack(stack.data, folder / "data.tar")
            shutil.copyfile(params, folder / "params.yaml")
            shutil.copyfile(stack.folder / ".env", folder / SETTINGS)
        if with_secrets:
            pack(stack.secrets, folder / "secrets.tar")
        write_manifest(folder, stack, url)
        made = backups / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        folder.rename(made)
    _sync(backups)
    return made


@contextlib.contextmanager
def unfinished_folder(backups: Path) -> Iterator[Path]:
    """A folder to fill, readable by its owner alone; it is removed afterwards unless it was renamed."""
    backups.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (backups / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackProblem(f"another backup into {backups} is being made: wait for it.") from None
        folder = backups / ".unfinished"
        shutil.rmtree(folder, ignore_errors=True)  # of a backup that was killed
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def pipeline_held(stack: Stack, wait_seconds: int) -> Iterator[None]:
    """Inside, no task runs on any machine: running tasks have ended, and later ones wait."""
    stopped: list[str] = []

    def stop(service: str) -> None:
        if containers := stack.compose("ps", "--quiet", "--status", "running", service).split():
            stopped.extend(containers)
            docker("stop", "--time", "60", *containers)

    until = time.monotonic() + wait_seconds
    try:
        _say("waiting for the tasks of the pipeline to end; the price API keeps answering")
        for service in BEGIN_TASKS:
            stop(service)
        # Before the worker here is stopped, because any worker may take a queued task.
        while tasks := stack.sql("airflow", UNDER_WAY):
            if time.monotonic() > until:
                found = ", ".join("{2} {0} ({1})".format(*row.split("|")) for row in tasks)
                raise StackProblem(
                    f"no task may run during a backup, here or on another machine, found {found} after "
                    f"{wait_seconds} s: let them end, start the worker there, or mark them "
                    "failed in Airflow; then run 'make backup' again."
                )
            time.sleep(1)
        stop("worker")
        while left := stack.step_containers():
            if time.monotonic() > until:
                raise StackProblem(
                    f"no step may run during a backup, found {len(left)} after {wait_seconds} s: "
                    "let them end ('docker ps'), then run 'make backup' again."
                )
            time.sleep(1)
        yield
    finally:
        if stopped:
            # An interrupted stop goes on in the engine, and would stop what is started before it ends.
            docker("stop", "--time", "60", *stopped)
            # Not by Compose, which would first start what they depend on, migrations included.
            docker("start", *stopped)
            _say("the pipeline goes on")


def pack(root: Path, into: Path) -> None:
    """Write the folders and regular files below `root` into the new tar file `into`.

    Leaves out a file that is removed meanwhile. Raises `StackProblem` when a file can't be read or changes.
    """
    with tarfile.open(into, "x", format=tarfile.PAX_FORMAT) as tar:
        found = list(folders_and_files(root))
        for folder, _ in found[1:]:
            with contextlib.suppress(FileNotFoundError):
                tar.add(folder, str(folder.relative_to(root)), recursive=False)
        for path in (path for _, files in found for path in files):
            try:
                before = path.stat()
                tar.add(path, str(path.relative_to(root)), recursive=False)
                after = path.stat()
            except FileNotFoundError:
                continue
            except PermissionError as problem:
                raise unreadable(path) from problem
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise StackProblem(
                    f"{path} must not change while it is copied, found that it did: end what writes "
                    "it, then run 'make backup' again."
                )


def write_manifest(folder: Path, stack: Stack, data_url: str) -> None:
    """Write the manifest: what the backup is, and the SHA-256 of each file. All is on disk when this returns.

    `data_url` is the URL of a data root that is not part of the backup, or "".
    """
    files = {}
    for path in sorted(folder.iterdir()):
        path.chmod(0o600)
        files[path.name] = {"sha256": sha256_of(path), "bytes": path.stat().st_size}
        _sync(path)
    manifest = {
        "format": formats.BACKUP,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "stack": stack.name,
        "data_url": data_url,
        "commit": commit(),
        "images": {name: image_id(image) for name, image in images_of(stack.settings).items()},
        # The size on disk; a dump takes a fraction of it.
        "database_bytes": int(stack.sql("postgres", SIZE)[0]),
        # Shows whether a stack has the same key without giving the key away: the key is 256 random bits.
        FERNET_KEY: fingerprint_of(stack.secrets / FERNET_KEY),
        "files": files,
    }
    path = folder / MANIFEST
    with path.open("x") as file:
        json.dump(manifest, file, indent=2)
        file.write("\n")
    path.chmod(0o600)
    _sync(path)
    _sync(folder)


def commit() -> str:
    """The commit of the repository; "" outside a clone."""
    try:
        command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def image_id(image: str) -> str:
    """The id of an image; "" when the engine no longer has it."""
    try:
        return docker("image", "inspect", "--format", "{{.Id}}", image).strip()
    except StackProblem:
        return ""


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint_of(secret: Path) -> str:
    """A hash that is equal for two copies of the same random secret."""
    try:
        return hashlib.sha256(b"carprice backup\n" + secret.read_bytes()).hexdigest()
    except OSError as problem:
        raise StackProblem(
            f"{secret} must be readable, found it is not ({problem.strerror}): run 'make env'."
        ) from problem


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _say(line: str) -> None:
    sys.stderr.write(f"backup: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
