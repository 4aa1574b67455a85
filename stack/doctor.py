"""`make doctor`: checks what keeps a stack from running well, and says how to repair each problem.

    python3 stack/doctor.py [--folder FOLDER]

It prints a line for each check: `ok`, `look` (the check could not be made) or `WRONG`. It changes nothing.
The exit status is 0 when nothing is wrong, otherwise 1. CARPRICE_CLOCK_URL in .env may name a web server
whose clock is right, such as the object store's.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import egress
from compose import (
    COMPOSE_FILE,
    Stack,
    StackProblem,
    docker,
    effective_settings,
    engines_folder,
    images_of,
)
from make_env import ENGINE_SOCKET, REPOSITORY, TO_BE_FILLED

OK, LOOK, WRONG = "ok", "look", "WRONG"
PUBLISHED = re.compile(r'"(\S+):\$\{(CARPRICE_\w+_PORT):-(\d+)\}:\d+"')
"""A port in the compose file: its address, the setting's name, and its default."""
METRICS_PORTS = {"CARPRICE_PROMETHEUS_PORT", "CARPRICE_GRAFANA_PORT"}
"""Published only with the profile `metrics`."""
ROOM_GIB = 2.0
"""More than a training and its reports take, which is some hundred MiB."""
CLOCK_SECONDS = 5.0
UP = "'docker compose up --detach --wait'"


@dataclass(frozen=True)
class Finding:
    """The result of one check: its level, its subject, and a sentence that ends with what to do."""

    level: str
    subject: str
    sentence: str


def main(argv: list[str] | None = None) -> int:
    """Make all checks, print the findings, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=REPOSITORY, help="where .env is")
    wrong = 0
    for finding in examine(parser.parse_args(argv).folder.resolve()):
        wrong += finding.level == WRONG
        sys.stdout.write(f"{finding.level:<6}{finding.subject:<14}{finding.sentence}\n")
        sys.stdout.flush()
    sys.stdout.write(f"doctor: {wrong or 'nothing'} wrong; docs/runbook.md has the likeliest incidents.\n")
    return 1 if wrong else 0


def examine(folder: Path) -> Iterator[Finding]:
    """All checks. Those that need no engine come first; without an engine the rest is left out."""
    settings = effective_settings(folder)
    try:
        stack = Stack.of(folder)
    except StackProblem as problem:
        yield Finding(WRONG, "settings", str(problem))
        stack = None
    if stack:
        yield from _checked("secrets", lambda: wrong_with_secrets(stack), "all are there")
        yield from _checked("socket", lambda: wrong_with_socket(settings), "its group is the proxy's")
        yield from _checked("data root", lambda: wrong_with_disk(stack.data), "its disk has room")
    engine_problem = wrong_with_engine()
    if engine_problem:
        yield Finding(WRONG, "engine", engine_problem)
        yield from _checked("ports", lambda: wrong_with_ports(settings, {}), "free")
        return
    yield Finding(OK, "engine", "answers")
    yield from _checked("engine's disk", wrong_with_engines_disk, "has room")
    yield from _checked(
        "ports", lambda: wrong_with_ports(settings, published()), "free, or the stack's already"
    )
    yield from _checked("clock", lambda: wrong_with_clock(settings), "agrees with what it was compared to")
    yield from _checked(
        "images", lambda: wrong_with_images(settings), "there, and built from the files as they are"
    )
    if stack:
        yield from _checked("services", lambda: wrong_with_services(stack), "as they should be")
        yield from _checked("way out", lambda: wrong_with_way_out(stack), "steps reach the named hosts only")


def _checked(subject: str, check: Callable[[], Iterable[str]], when_well: str) -> Iterator[Finding]:
    """The findings of one check; a check that can't be made is a finding too."""
    try:
        wrong = list(check())
    except (StackProblem, OSError, ValueError) as problem:
        yield Finding(LOOK, subject, f"this could not be checked: {problem}")
        return
    yield from (Finding(WRONG, subject, sentence) for sentence in wrong)
    if not wrong:
        yield Finding(OK, subject, when_well)


def wrong_with_secrets(stack: Stack) -> Iterator[str]:
    """Secrets of the compose files that are missing, empty or readable by anybody but the containers."""
    text = "\n".join(path.read_text() for path in stack.files)
    for name in sorted(set(re.findall(r"\$\{CARPRICE_SECRETS_DIR[^}]*\}/(\w+)", text))):
        path = stack.secrets / name
        if not path.exists() or (not path.stat().st_size and name not in TO_BE_FILLED):
            state = "empty: remove it, then" if path.exists() else "missing:"
            yield (
                f"{path} is {state} put the backed-up file there, or run 'make env' to make a new one and "
                "'docker compose up --detach --force-recreate' to use it."
            )
        elif (path.stat().st_mode & 0o077, path.stat().st_uid) != (0, stack.uid):
            yield (
                f"{path} must be readable by the containers' user alone, found owner {path.stat().st_uid} "
                f"and mode {path.stat().st_mode & 0o777:o}: "
                f"'sudo chown {stack.uid} {path}; sudo chmod 600 {path}'."
            )


def wrong_with_socket(settings: Mapping[str, str]) -> Iterator[str]:
    """The wrong group for the proxy, which then may not use the engine of this machine."""
    socket_file = Path(settings.get("CARPRICE_ENGINE_SOCKET") or ENGINE_SOCKET)
    group = settings.get("CARPRICE_DOCKER_GID")
    if socket_file.exists() and group != (found := str(socket_file.stat().st_gid)):
        yield (
            f"CARPRICE_DOCKER_GID in .env must be {found}, the group of {socket_file}, found {group}: "
            f"change it, then {UP}."
        )


def wrong_with_disk(path: Path, do: str = "move old backups and data/quarantine elsewhere") -> Iterator[str]:
    """Too little room on the disk of `path`."""
    while not path.exists():
        path = path.parent
    if (free := shutil.disk_usage(path).free / (1 << 30)) < ROOM_GIB:
        yield f"{path} must have {ROOM_GIB:.0f} GiB of room, found {free:.1f}: {do}, or make the disk larger."


def wrong_with_engines_disk() -> Iterator[str]:
    """Too little room for images and volumes, where the engine is on this machine."""
    if root := engines_folder():
        yield from wrong_with_disk(
            root, "'docker system df' shows what takes it, 'docker image prune' frees replaced images"
        )


def wrong_with_engine() -> str:
    """Why the engine or Compose can't run the stack; "" when they can."""
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.APIVersion}}"],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except FileNotFoundError:
        return "there is no docker client: 'make docker-engine' installs one on Debian."
    except subprocess.TimeoutExpired:
        return "the engine accepted the call but did not answer within 30 s: 'sudo systemctl restart docker'."
    if done.returncode != 0 and "permission denied" in done.stderr.lower():
        return "you may not use its socket: 'sudo usermod -aG docker $USER', then log in again."
    if done.returncode != 0:
        message = " ".join(done.stderr.split())[:200]
        return f"no engine answers ({message}): 'sudo systemctl start docker', or 'make docker-engine'."
    try:
        docker("compose", "version")
    except StackProblem:
        return "'docker compose' does not answer: 'make compose-plugin' installs it from Debian's packages."
    return ""


def wrong_with_ports(settings: Mapping[str, str], published: Mapping[int, tuple[str, str]]) -> Iterator[str]:
    """Ports that another program or container uses; `published`: container and project of each port."""
    for address, variable, default in PUBLISHED.findall((REPOSITORY / COMPOSE_FILE).read_text()):
        if variable in METRICS_PORTS:
            continue
        bind = settings.get("CARPRICE_BIND") or "127.0.0.1" if address.startswith("$") else address
        port = int(settings.get(variable) or default)
        container, project = published.get(port, ("", ""))
        if container and project == settings.get("COMPOSE_PROJECT_NAME"):
            continue
        with socket.socket(socket.AF_INET6 if ":" in bind else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((bind, port))
            except OSError as problem:
                who = f"the container {container}" if container else f"see 'sudo ss -ltnp sport = :{port}'"
                yield (
                    f"{bind}:{port} can't be had ({problem.strerror}; {who}): end what uses it, or "
                    f"choose another with {variable} in .env."
                )


def published() -> dict[int, tuple[str, str]]:
    """The published ports of all containers: name and compose project of each."""
    form = '{{.Names}}\t{{.Label "com.docker.compose.project"}}\t{{.Ports}}'
    rows = (line.split("\t") for line in docker("ps", "--format", form).splitlines())
    return {
        int(port): (name, project) for name, project, ports in rows for port in re.findall(r":(\d+)->", ports)
    }


def wrong_with_clock(settings: Mapping[str, str]) -> Iterator[str]:
    """A clock that differs from this machine's: the engine's, which the containers use, or a web server's.

    Raises `ValueError` when there is nothing else to compare with and nothing sets this machine's clock.
    """
    do = "set the clocks by NTP ('sudo timedatectl set-ntp true')"
    off = off_by(lambda: docker("info", "--format", "{{.SystemTime}}").strip())
    if abs(off) > CLOCK_SECONDS:
        yield f"the engine's clock is {off:+.0f} s off this machine's: {do}."
    if url := settings.get("CARPRICE_CLOCK_URL"):
        off = off_by(lambda: date_of(url))
        if abs(off) > CLOCK_SECONDS:
            yield f"the clock of {url} is {off:+.0f} s off this machine's: {do}."
    elif shutil.which("timedatectl"):
        command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
        if answer != "yes":
            raise ValueError(
                f"nothing sets this machine's clock: {do}, or name a CARPRICE_CLOCK_URL in .env."
            )


def off_by(read_clock: Callable[[], str]) -> float:
    """The seconds by which a clock, read as an ISO 8601 time, is ahead of this machine's clock."""
    before = time.time()
    answer = read_clock()
    after = time.time()
    # The engine gives nanoseconds; datetime reads the first six digits.
    theirs = datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", answer)).timestamp()
    return min(theirs - before, 0.0) + max(theirs - after, 0.0)


def date_of(url: str) -> str:
    """The time, ISO 8601, in a web server's answer, whatever its status."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the person who runs the doctor names the address
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            date = answer.headers["Date"]
    except urllib.error.HTTPError as refusal:
        date = refusal.headers["Date"]
    if not date:
        raise ValueError(f"{url} must answer with its time, found no Date header: name another web server.")
    return parsedate_to_datetime(date).isoformat()


def wrong_with_images(settings: Mapping[str, str]) -> Iterator[str]:
    """Images that are missing, or were built here from other files than the present ones."""
    wanted = images_of(settings)
    built = {}
    for name, image in wanted.items():
        label = '{{index .Config.Labels "carprice.inputs"}}'
        try:
            built[name] = docker("image", "inspect", "--format", label, image).strip()
        except StackProblem:
            yield f"the engine has no {image}: 'make images' builds it, or 'docker compose pull' gets it."
    # An image of a registry was built from another tree, on another base: there is nothing to compare.
    here = [name for name in built if wanted[name].startswith(f"carprice-{name}:")]
    if not here:
        return
    command = ["env", "SHOW_INPUTS=1", str(REPOSITORY / "images/build"), *here]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip())
    for line in done.stdout.splitlines():
        name, inputs = line.split()
        if inputs != built[name]:
            yield f"{wanted[name]} is not of the files as they are now: 'images/build {name}', then {UP}."


def wrong_with_services(stack: Stack) -> Iterator[str]:
    """Services that are stopped, unhealthy or of a replaced image, and jobs that failed."""
    found = stack.compose("ps", "--all", "--quiet").split()
    described: list[dict[str, Any]] = json.loads(docker("inspect", *found)) if found else []
    if not described:
        raise ValueError(f"no service is started: {UP} starts them.")
    # A service may have several containers, such as two workers.
    containers: dict[str, list[dict[str, Any]]] = {}
    for each in described:
        containers.setdefault(each["Config"]["Labels"]["com.docker.compose.service"], []).append(each)
    for service in sorted(stack.compose("config", "--services").split()):
        if service not in containers:
            yield f"{service} has no container: {UP} makes one."
        for container in containers.get(service, []):
            yield from wrong_with_container(service, container)


def wrong_with_way_out(stack: Stack) -> Iterator[str]:
    """A network of steps that leads anywhere, and hosts of channels that steps are not led to."""
    network = f"{stack.name}-steps"
    if docker("network", "inspect", "--format", "{{.Internal}}", network).strip() != "true":
        yield (
            f"{network} must be internal, or steps reach any host, found it is not: 'make stack-down', then "
            f"{UP}."
        )
    try:
        wanted = egress.overlay(egress.hosts_of_steps(stack.settings, stack.secrets))
    except egress.HostProblem as problem:
        yield f"{problem} Then 'make stack'."
        return
    path = stack.folder / egress.FILE
    if wanted != (json.loads(path.read_text()) if path.exists() else egress.overlay([])):
        yield f"{path} does not lead to the hosts that the channels and the object store name: 'make stack'."


def wrong_with_container(service: str, container: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with a service's container, as `docker inspect` describes it."""
    number = container["Config"]["Labels"]["com.docker.compose.container-number"]
    name = service if number == "1" else f"{service} {number}"
    logs = f"'docker compose logs --tail 50 {service}'"
    state = container["State"]
    ended_well = service.endswith("-init") and state["Status"] == "exited" and not state["ExitCode"]
    health = state.get("Health", {}).get("Status", "healthy")
    image = container["Config"]["Image"]
    if state["OOMKilled"]:
        limit = container["HostConfig"]["Memory"] >> 20
        yield f"{name} needed more than its {limit} MiB: raise mem_limit in docker-compose.yml, then {UP}."
    elif not ended_well and state["Status"] != "running":
        status = f"{state['Status']} with status {state['ExitCode']}"
        yield f"{name} is {status}: {logs} says why, then {UP}."
    elif not ended_well and health != "healthy":
        yield f"{name} is {health}: {logs} says why, then 'docker compose restart {service}'."
    elif container["Image"] != docker("image", "inspect", "--format", "{{.Id}}", image).strip():
        yield f"{name} runs an older {image} than the engine has: {UP} replaces the container."


if __name__ == "__main__":
    sys.exit(main())
