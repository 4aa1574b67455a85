"""`make restore`: puts a backup into an empty stack, or in the place of what a stack holds.

What can be wrong is looked for before anything is touched: each file's SHA-256, the key Airflow's part was
encrypted with, room on the disks, and whether the stack holds data.

    python3 stack/restore.py BACKUP [--replace] [--secrets] [--folder FOLDER]

--replace gives up what the stack holds; --secrets puts the backup's secrets in the place of the stack's.
The backup's .env is put beside the stack's own as .env.backup, and what differs is said.
Afterwards `docker compose up --detach --wait` starts the stack.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backup import FERNET_KEY, MANIFEST, SETTINGS, fingerprint_of, sha256_of
from compose import (
    ARTIFACTS,
    DATABASES,
    Stack,
    StackProblem,
    docker,
    engines_folder,
    plain_files,
)
from make_env import REPOSITORY, settings_in

from carprice_contract import formats

NEEDED = (*(f"{name}.dump" for name in DATABASES), "artifacts.tar", "data.tar", "params.yaml", SETTINGS)
REPLACED_VOLUMES = ("postgres", "mlflow", "redis")
"""Redis too: its queue has tasks of the databases that are replaced. Task logs stay."""
SPARE_BYTES = 1 << 30
THIS_MACHINES = re.compile(
    r"COMPOSE_PROJECT_NAME|CARPRICE_(UID|DOCKER_GID|ENGINE_SOCKET|BIND|\w+_(DIR|PORT|ADDRESS))"
)
"""Settings of the machine: those of another machine do not matter here."""


def main(argv: list[str] | None = None) -> int:
    """Restore, print what to do next, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("backup", type=Path, help="folder that `make backup` made")
    parser.add_argument("--replace", action="store_true", help="delete what the stack holds")
    parser.add_argument("--secrets", action="store_true", help="restore the secrets, too")
    parser.add_argument("--folder", type=Path, default=REPOSITORY, help="where .env is")
    arguments = parser.parse_args(argv)
    backup = arguments.backup.resolve()
    try:
        stack = Stack.of(arguments.folder.resolve())
        manifest = check_backup(backup)
        check_stack(stack, backup, manifest, arguments.replace, arguments.secrets)
    except (StackProblem, OSError) as problem:
        _say(f"{problem}")
        _say("nothing was touched.")
        return 1
    try:
        restore(stack, backup, arguments.secrets)
    except (StackProblem, OSError, KeyboardInterrupt) as problem:
        _say(f"{problem or 'interrupted'}")
        _say("the stack is half restored, the backup is whole: repair the cause, then run it with REPLACE=1.")
        return 1
    if url := manifest["data_url"]:
        _say(f"{url} is not part of a backup: it must be as it was at {manifest['made']}.")
    _say("done; 'docker compose up --detach --wait' starts the stack.")
    return 0


def check_backup(backup: Path) -> dict[str, Any]:
    """The manifest of a backup whose files are all unchanged. Raises `StackProblem` otherwise."""
    path = backup / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        files = {
            str(name): (str(each["sha256"]), int(each["bytes"])) for name, each in manifest["files"].items()
        }
        found = manifest["format"]
        if found == formats.BACKUP:
            _ = [manifest[key] for key in ("made", "data_url", "database_bytes", FERNET_KEY)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise StackProblem(
            f"{path} must describe the backup, found it missing or unreadable ({type(problem).__name__}): "
            "name a folder that 'make backup' completed, as in FROM=backups/20260131T120000Z."
        ) from problem
    if found != formats.BACKUP:
        raise StackProblem(
            f"{path} must be of format {formats.BACKUP}, found {found}: restore it with the version that "
            f"made it (commit {manifest.get('commit') or 'unknown'})."
        )
    for name in NEEDED:
        if name not in files:
            raise StackProblem(f"{path} must list {name}, found no such entry: take another backup.")
    for name, (sha256, size) in files.items():
        file = backup / name
        if (
            Path(name).name != name
            or not file.is_file()
            or file.stat().st_size != size
            or sha256_of(file) != sha256
        ):
            raise StackProblem(
                f"{file} must have the SHA-256 of the manifest, found it missing or changed: "
                "take another copy of this backup, or another backup."
            )
    return dict(manifest)


def check_stack(
    stack: Stack, backup: Path, manifest: Mapping[str, Any], replace: bool, secrets: bool
) -> None:
    """Raise `StackProblem` when the backup can't or must not be restored into this stack."""
    if secrets and "secrets.tar" not in manifest["files"]:
        raise StackProblem(
            "SECRETS=1 needs a backup that was made with SECRETS=1, found one without secrets: "
            f"copy the backed-up stack's secrets to {stack.secrets} yourself, then leave SECRETS=1 out."
        )
    if not secrets and fingerprint_of(stack.secrets / FERNET_KEY) != manifest[FERNET_KEY]:
        raise StackProblem(
            f"{stack.secrets / FERNET_KEY} must be the key this backup's Airflow was encrypted with, "
            "found another: put the backed-up stack's file in its place, or restore the secrets with "
            "SECRETS=1, if the backup has them."
        )
    if backup.is_relative_to(stack.data.resolve()):
        raise StackProblem(f"{backup} must be outside {stack.data}, which is emptied first: move it.")
    held = [name for name in REPLACED_VOLUMES if name in stack.volumes()]
    files = sum(path.name != ".gitkeep" for path in plain_files(stack.data))
    if (held or files) and not replace:
        found = [f"the volume {name}" for name in held] + (
            [f"{files} files in {stack.data}"] if files else []
        )
        raise StackProblem(
            f"the stack must be empty, found {', '.join(found)}: 'make backup' saves what it holds, then "
            "'make restore' with REPLACE=1 replaces it."
        )
    stack.data.mkdir(parents=True, exist_ok=True)
    check_room(room_needed(stack, manifest, [stack.volumes()[name] for name in held]))


def room_needed(stack: Stack, manifest: Mapping[str, Any], given_up: list[str]) -> Iterator[tuple[Path, int]]:
    """Each place that a restore fills, with the bytes it takes there less those of the volumes `given_up`."""
    sizes = {name: int(each["bytes"]) for name, each in manifest["files"].items()}
    yield stack.data, sizes["data.tar"] - sum(path.stat().st_size for path in plain_files(stack.data))
    if engine := engines_folder():
        gone = volume_bytes(given_up) if given_up else 0
        yield engine, sizes["artifacts.tar"] + int(manifest["database_bytes"]) - gone


def check_room(needed: Iterable[tuple[Path, int]]) -> None:
    """Raise `StackProblem` when a disk has too little room for all the places that are on it."""
    disks: dict[int, list[tuple[Path, int]]] = {}
    for path, size in needed:
        disks.setdefault(path.stat().st_dev, []).append((path, size))
    for places in disks.values():
        wanted = sum(size for _, size in places) + SPARE_BYTES
        if (free := shutil.disk_usage(places[0][0]).free) < wanted:
            raise StackProblem(
                f"the disk of {' and '.join(str(path) for path, _ in places)} must have {wanted >> 20} MiB "
                f"of room, found {free >> 20}: make room on it."
            )


def volume_bytes(volumes: Collection[str]) -> int:
    """The bytes of volumes on the engine's disk, with the three digits that the engine gives."""
    form = "{{range .Volumes}}{{.Name}} {{.Size}}\n{{end}}"
    found = (
        line.split() for line in docker("system", "df", "--verbose", "--format", form).splitlines() if line
    )
    return sum(bytes_in(size) for name, size in found if name in volumes)


def bytes_in(size: str) -> int:
    """The bytes of a size as the engine writes it, such as 63.1MB; 0 when it is no size."""
    units = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    match = re.fullmatch(r"([0-9.]+)([kMGT]?B)", size)
    return int(float(match[1]) * units[match[2]]) if match else 0


def differing_settings(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[str]:
    """The settings of the backed-up stack that this stack lacks or has otherwise, besides the machine's."""
    names = [name for name in sorted(theirs.keys() | ours.keys()) if theirs.get(name) != ours.get(name)]
    found = [name for name in names if not THIS_MACHINES.fullmatch(name)]
    return [f"{name}={theirs[name]}" if name in theirs else f"no {name}" for name in found]


def restore(stack: Stack, backup: Path, secrets: bool) -> None:
    """Replace what the stack holds by the backup. Afterwards only PostgreSQL runs."""
    _say("stopping the stack")
    # Before `down`, which leaves the steps, and the network that they use.
    stack.compose("stop", "--timeout", "60")
    if left := stack.step_containers():
        docker("rm", "--force", "--volumes", *left)
    stack.compose("down", "--timeout", "60")
    volumes = stack.volumes()
    if gone := [volumes[name] for name in REPLACED_VOLUMES if name in volumes]:
        docker("volume", "rm", *gone)
    if secrets:
        unpack(backup / "secrets.tar", stack.secrets, stack.uid)
    _say(f"restoring {stack.data}")
    _empty(stack.data)
    unpack(backup / "data.tar", stack.data, stack.uid)
    _, params = stack.data_url_and_params()
    if not params.exists() or not filecmp.cmp(backup / "params.yaml", params, shallow=False):
        _say(f"restoring {params}; the former one is {params}.replaced")
        if params.exists():
            params.replace(f"{params}.replaced")
        shutil.copyfile(backup / "params.yaml", params)
    beside = stack.folder / ".env.backup"
    shutil.copyfile(backup / SETTINGS, beside)
    if found := differing_settings(settings_in(beside), settings_in(stack.folder / ".env")):
        _say(
            f"{stack.folder / '.env'} is unchanged; the backed-up stack ({beside}) had "
            f"{', '.join(found)}: copy what you want before you start the stack."
        )
    _say("restoring MLflow's artifacts")
    with (backup / "artifacts.tar").open("rb") as file:
        tar = ("--entrypoint", "tar", "mlflow", "-C", ARTIFACTS, "-xf", "-")
        stack.compose("run", "--rm", "--no-deps", "-T", *tar, stdin=file)
    stack.compose("up", "--detach", "--wait", "postgres")
    for database in DATABASES:
        _say(f"restoring the database {database}")
        with (backup / f"{database}.dump").open("rb") as file:
            whose = ("--no-owner", f"--role={database}", f"--dbname={database}")
            words = ("pg_restore", "--exit-on-error", "--single-transaction", *whose)
            stack.compose("exec", "-T", "postgres", *words, stdin=file)


def unpack(tar_file: Path, root: Path, uid: int) -> None:
    """Write what `backup.pack` packed below `root`, as the files of `uid`.

    Raises `StackProblem` for anything but folders and regular files, and for names that lead elsewhere.
    """
    with tarfile.open(tar_file) as tar:
        for member in tar:
            path = root / member.name
            if not (member.isdir() or member.isreg()) or not _is_below(path, root):
                raise StackProblem(
                    f"{tar_file} must hold folders and files below one folder, found {member.name!r}: "
                    "'make backup' did not make it; take another."
                )
            if member.isdir():
                path.mkdir(parents=True, exist_ok=True)
            else:
                source = tar.extractfile(member)
                assert source is not None  # noqa: S101 - a regular file has content
                unfinished = path.with_name(f".{path.name}.restoring")
                with source, unfinished.open("wb") as file:
                    unfinished.chmod(member.mode & 0o777)
                    shutil.copyfileobj(source, file)
                unfinished.replace(path)
                os.utime(path, (member.mtime, member.mtime))
            if os.getuid() == 0:
                os.chown(path, uid, 0)
            path.chmod(member.mode & 0o7777)  # after chown, which removes the set-group bit


def _is_below(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve()) and ".." not in path.parts


def _empty(root: Path) -> None:
    for path in root.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _say(line: str) -> None:
    sys.stderr.write(f"restore: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
