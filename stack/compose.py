"""A stack on this machine as `make backup`, `make restore` and `make doctor` see it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[1]
DATABASES = ("airflow", "mlflow", "predictions")
ARTIFACTS = "/var/lib/mlflow"
"""Where MLflow's containers have the volume `mlflow`."""
PARAMS = "/etc/carprice/params.yaml"
"""Where the worker has params.yaml."""


class StackProblem(Exception):
    """What was expected of the stack, what was found, and what to do, in one sentence."""


@dataclass(frozen=True)
class Stack:
    """The stack whose `.env` is in `folder`. `settings` are those `docker compose` goes by."""

    folder: Path
    settings: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path) -> Stack:
        """The stack of `folder`; raises `StackProblem` where `make env` has not been run."""
        settings = settings_in(folder / ".env")
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

    def compose(
        self, *arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None
    ) -> str:
        """Run `docker compose` on this stack; returns what it prints unless `stdout` takes that."""
        settings = str(self.folder / ".env")
        quiet = ("--env-file", settings, "--progress", "quiet")
        return docker("compose", *quiet, *arguments, stdin=stdin, stdout=stdout)

    def running(self) -> set[str]:
        """The services that have a container that runs."""
        return set(self.compose("ps", "--services", "--status", "running").split())

    def volumes(self) -> dict[str, str]:
        """The stack's volumes that the engine has: the compose file's name of each, and the engine's."""
        label = "com.docker.compose.volume"
        form = f'{{{{.Label "{label}"}}}} {{{{.Name}}}}'
        ours = f"label=com.docker.compose.project={self.name}"
        lines = docker("volume", "ls", "--filter", ours, "--format", form).splitlines()
        return {short: name for short, _, name in (line.partition(" ") for line in lines)}

    def data_url_and_params(self) -> tuple[str, Path]:
        """The data root's URL where it is in an object store, else "", and the file params.yaml."""
        worker = json.loads(self.compose("config", "--format", "json"))["services"]["worker"]
        where = str(worker["environment"].get("DATA_DIR") or "")
        (params,) = (each["source"] for each in worker["volumes"] if each["target"] == PARAMS)
        return where if "://" in where else "", Path(params)

    def step_containers(self) -> list[str]:
        """The ids of the steps that run now, which the worker has made beside the stack."""
        return docker("ps", "--quiet", "--filter", f"label=carprice.proxy={self.name}").split()


def docker(*arguments: str, stdin: IO[bytes] | None = None, stdout: IO[bytes] | None = None) -> str:
    """What a docker command prints, unless `stdout` takes that.

    Raises `StackProblem` with its last words when it fails.
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
        said = " ".join(done.stderr.decode(errors="replace").split())[-1000:]
        words = " ".join(each for each in arguments if not each.startswith(("--env-file", "/")))
        raise StackProblem(
            f"'docker {words[:120]}' failed: {said or 'without a word'}; 'make doctor' may know more."
        )
    return (done.stdout or b"").decode(errors="replace")


def settings_in(path: Path) -> dict[str, str]:
    """The settings in an env file; the environment's own win, as they do for `docker compose`."""
    try:
        lines = [line.strip() for line in path.read_text().splitlines()]
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    found = {name.strip(): value.strip() for name, _, value in pairs}
    own = {k: v for k, v in os.environ.items() if k.startswith("CARPRICE_") or k == "COMPOSE_PROJECT_NAME"}
    return found | own


def plain_files(root: Path) -> Iterator[Path]:
    """Every regular file below `root`, in the order of their names; links are not followed."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path
