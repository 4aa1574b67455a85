"""A stack on this machine, for `make backup`, `make restore` and `make doctor`."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from make_env import REPOSITORY, settings_in

from carprice_contract.containers import PROXY_LABEL

COMPOSE_FILE = "docker-compose.yml"
DATABASES = ("airflow", "mlflow", "predictions")
ARTIFACTS = "/var/lib/mlflow"
"""Where MLflow's containers mount the volume `mlflow`."""
PARAMS = "/etc/carprice/params.yaml"
"""Where the worker has params.yaml."""
IMAGES = {
    "TRAINER": "trainer", "AIRFLOW": "airflow", "SERVING": "app", "MLFLOW": "mlflow",
    "DOCKER_PROXY": "docker-proxy", "POSTGRES": "postgres", "REDIS": "redis",
}  # fmt: skip
"""The part of each setting's name, with the name of the image for `images/build`."""


class StackProblem(Exception):
    """A sentence: what was expected of the stack, what was found, and what to do."""


@dataclass(frozen=True)
class Stack:
    """The stack whose `.env` is in `folder`. `settings` are those that `docker compose` uses."""

    folder: Path
    settings: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path) -> Stack:
        """The stack of `folder`. Raises `StackProblem` before `make env` was run."""
        settings = effective_settings(folder)
        needed = ("COMPOSE_PROJECT_NAME", "CARPRICE_UID", "CARPRICE_HOST_DATA_DIR", "CARPRICE_SECRETS_DIR")
        if missing := [name for name in needed if not settings.get(name)]:
            raise StackProblem(f"{folder / '.env'} must name {', '.join(missing)}: run 'make env' first.")
        return cls(folder, settings)

    @property
    def name(self) -> str:
        """The project's name, which begins the names of its volumes."""
        return self.settings["COMPOSE_PROJECT_NAME"]

    @property
    def uid(self) -> int:
        """The user of all its containers."""
        return int(self.settings["CARPRICE_UID"])

    @property
    def data(self) -> Path:
        """The data root on this machine."""
        return Path(self.settings["CARPRICE_HOST_DATA_DIR"])

    @property
    def secrets(self) -> Path:
        """The folder of the secrets."""
        return Path(self.settings["CARPRICE_SECRETS_DIR"])

    @property
    def files(self) -> list[Path]:
        """The compose files it is made of."""
        named = self.settings.get("COMPOSE_FILE") or COMPOSE_FILE
        return [REPOSITORY / name for name in named.split(":")]

    def compose(
        self, *arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> str:
        """Run `docker compose` on this stack; returns what it prints unless `stdout` takes that."""
        settings = str(self.folder / ".env")
        quiet = ("--env-file", settings, "--progress", "quiet")
        return docker("compose", *quiet, *arguments, stdin=stdin, stdout=stdout)

    def sql(self, database: str, query: str) -> list[str]:
        """The rows a query gives in the PostgreSQL that runs, columns parted by `|`."""
        psql = (
            "psql",
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            f"--dbname={database}",
            "--command",
            query,
        )
        return self.compose("exec", "-T", "postgres", *psql).splitlines()

    def running(self) -> set[str]:
        """The services with a running container."""
        return set(self.compose("ps", "--services", "--status", "running").split())

    def volumes(self) -> dict[str, str]:
        """The stack's volumes that the engine has: the compose file's name of each, and the engine's."""
        label = "com.docker.compose.volume"
        form = f'{{{{.Label "{label}"}}}} {{{{.Name}}}}'
        ours = f"label=com.docker.compose.project={self.name}"
        lines = docker("volume", "ls", "--filter", ours, "--format", form).splitlines()
        return {short: name for short, _, name in (line.partition(" ") for line in lines)}

    def data_url_and_params(self) -> tuple[str, Path]:
        """The data root's URL ("" when it is a folder), and the file params.yaml."""
        worker = json.loads(self.compose("config", "--format", "json"))["services"]["worker"]
        where = str(worker["environment"].get("DATA_DIR") or "")
        (params,) = (each["source"] for each in worker["volumes"] if each["target"] == PARAMS)
        return where if "://" in where else "", Path(params)

    def step_containers(self) -> list[str]:
        """The ids of the running step containers, which Compose does not know."""
        return docker("ps", "--quiet", "--filter", f"label={PROXY_LABEL}={self.name}").split()


def docker(*arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> str:
    """What a docker command prints, unless `stdout` takes that.

    Raises `StackProblem` with the end of its error output when it fails.
    """
    try:
        done = subprocess.run(
            ["docker", *arguments],
            cwd=REPOSITORY,  # where Compose finds its files, an override included
            stdin=stdin or subprocess.DEVNULL,
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
    except OSError as problem:
        raise StackProblem(f"docker can't be run ({problem.strerror}): run 'make doctor'.") from problem
    if done.returncode != 0:
        message = " ".join(done.stderr.decode(errors="replace").split())[-1000:]
        words = " ".join(each for each in arguments if not each.startswith(("--env-file", "/")))
        raise StackProblem(
            f"'docker {words[:120]}' failed: {message or 'it gave no reason'}; 'make doctor' may know why."
        )
    return (done.stdout or b"").decode(errors="replace")


def effective_settings(folder: Path) -> dict[str, str]:
    """The settings in the `.env` of `folder`; the environment's own win, as they do for `docker compose`."""
    ours = ("CARPRICE_", "COMPOSE_PROJECT_NAME", "COMPOSE_FILE")
    own = {name: value for name, value in os.environ.items() if name.startswith(ours)}
    return settings_in(folder / ".env") | own


def images_of(settings: Mapping[str, str]) -> dict[str, str]:
    """The image of each of `IMAGES`."""
    return {
        name: settings.get(f"CARPRICE_{part}_IMAGE") or f"carprice-{name}:latest"
        for part, name in IMAGES.items()
    }


def engines_folder() -> Path | None:
    """The folder of the engine's images and volumes; None when the engine is on another machine."""
    root = Path(docker("info", "--format", "{{.DockerRootDir}}").strip())
    return root if root.exists() else None


def folders_and_files(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """`root` and every folder below it with its regular files, in the order of names; links are not followed.

    Leaves out what is removed meanwhile. Raises `StackProblem` when a folder can't be read.
    """

    def refuse(problem: OSError) -> None:
        if not isinstance(problem, FileNotFoundError):
            raise unreadable(problem.filename) from problem

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders.sort()
        files = []
        for path in (Path(folder, name) for name in sorted(names)):
            try:
                if stat.S_ISREG(path.lstat().st_mode):
                    files.append(path)
            except OSError as problem:
                refuse(problem)
        yield Path(folder), files


def plain_files(root: Path) -> Iterator[Path]:
    """Every regular file below `root`; raises as `folders_and_files` does."""
    for _, files in folders_and_files(root):
        yield from files


def unreadable(path: Path | str) -> StackProblem:
    """The problem of a file or folder that this user can't read."""
    return StackProblem(
        f"{path} must be readable, found it is not: run this as the user of the containers "
        "(CARPRICE_UID in .env) or as root."
    )
