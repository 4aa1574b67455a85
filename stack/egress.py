"""The hosts that steps reach outside the stack, and the services that lead there.

The network of the steps is internal. For each host there is a service `egress-N`, which has the name of that
host in this network, and passes its ports on to the service `egress`. Only `egress` has a way out, and it
connects to these hosts alone. So a step finds a mail server under its own name, and finds no other host. They
are two services, because one with the host's name would take itself for the host.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

FILE = "egress.json"
"""The compose file that `write` makes, beside `.env`."""
MORE_HOSTS = "CARPRICE_STEP_HOSTS"
PORTS = {
    "smtp": 25, "smtp+starttls": 587, "smtps": 465, "http": 80, "https": 443,
    # Those of Apprise whose address names the host.
    "json": 80, "jsons": 443, "xml": 80, "xmls": 443, "form": 80, "forms": 443,
}  # fmt: skip
"""The port of each scheme whose address names no port."""
STORE_READERS = ("triggerer", "api", "reports")
"""The services besides steps that open an object store."""
_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9])?)*")
_TAKEN = ("mlflow", "localhost")
_FIRST_PORT = 10001
_TWO_NAMES = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class HostProblem(Exception):
    """A host that steps can't be led to, in one sentence."""


@dataclass(frozen=True, order=True)
class Host:
    """A port of a host that steps reach. `address` is its IP address where no DNS server knows the name."""

    name: str
    port: int
    address: str = ""


def hosts_of_steps(settings: Mapping[str, str], secrets: Path) -> list[Host]:
    """The hosts that the settings in `.env` and the channels in the folder `secrets` name.

    Raises `HostProblem`, which shows no more of a secret than its host.
    """
    more = [_host_named(text) for text in re.split(r"[,\s]+", settings.get(MORE_HOSTS, "")) if text]
    addresses = {host.name: host.address for host in more if host.address}
    found = [*more, *_store_hosts(settings)]
    for file in ("smtp_url", "webhook_url"):
        if url := _text(secrets / file):
            found.append(_host_of(url, file))
    found += [_host_of(url, "alert_urls") for url in _alert_urls(secrets) if _scheme(url) in PORTS]
    return sorted({_checked(Host(host.name, host.port, addresses.get(host.name, ""))) for host in found})


def unknown_channels(secrets: Path) -> list[str]:
    """The schemes of the addresses for Apprise that do not name their host."""
    return sorted({_scheme(url) for url in _alert_urls(secrets)} - PORTS.keys())


def write(path: Path, hosts: Iterable[Host], services: Iterable[str] = STORE_READERS) -> None:
    """Write the compose file for `hosts`; `services` of the stack need the addresses of names too."""
    unfinished = path.with_suffix(".new")
    unfinished.write_text(json.dumps(overlay(list(hosts), services), indent=1) + "\n")
    os.replace(unfinished, path)


def overlay(hosts: list[Host], services: Iterable[str] = STORE_READERS) -> dict[str, Any]:
    """What the compose file for `hosts` says; without hosts it adds nothing to the stack."""
    if not hosts:
        return {"services": {}}
    within = {host: port for port, host in enumerate(hosts, _FIRST_PORT)}
    addresses = {host.name: host.address for host in hosts if host.address}
    out = [f"{port}={host.name}:{host.port}" for host, port in within.items()]
    made: dict[str, Any] = {"egress": _forwarder(out, {"egress": {}, "outside": {}})}
    made["egress"]["extra_hosts"] = addresses
    for number, (name, ports) in enumerate(groupby(hosts, lambda host: host.name), 1):
        ways = [f"{host.port}=egress:{within[host]}" for host in ports]
        made[f"egress-{number}"] = _forwarder(ways, {"egress": {}, "steps": {"aliases": [name]}})
    made["worker"] = {"depends_on": {name: {"condition": "service_healthy"} for name in made}}
    if addresses:
        made |= {service: {"extra_hosts": addresses} for service in services}
    return {"services": made, "networks": {"egress": {"internal": True}, "outside": {}}}


def _forwarder(ways: list[str], networks: dict[str, Any]) -> dict[str, Any]:
    return {
        # It has Python and is on every machine with steps.
        "image": "${CARPRICE_DOCKER_PROXY_IMAGE:-carprice-docker-proxy:latest}",
        "entrypoint": ["python3", "/opt/forwarder/forward.py"],
        "command": ways,
        "user": "${CARPRICE_UID}:0",
        "read_only": True,
        "init": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        # Mail servers listen on ports that only root could use otherwise.
        "sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
        "pids_limit": 64,
        "restart": "unless-stopped",
        "tmpfs": ["/tmp:size=1m,mode=1777"],  # noqa: S108 - in the container
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "volumes": ["./stack/forwarder:/opt/forwarder:ro"],
        "networks": networks,
        "healthcheck": {
            "test": ["CMD", "python3", "/opt/forwarder/forward.py", "check"],
            "interval": "15s", "timeout": "10s", "retries": 4, "start_period": "20s",
        },
        "mem_limit": "96m",
        "cpus": 1,
    }  # fmt: skip


def _store_hosts(settings: Mapping[str, str]) -> Iterator[Host]:
    """The hosts of the object store, as botocore names them.

    With an endpoint, the bucket is in the path. At Amazon it is in the name, unless TLS or DNS forbid that.
    """
    if not (url := settings.get("CARPRICE_DATA_URL")):
        return
    if endpoint := settings.get("CARPRICE_S3_ENDPOINT"):
        yield _host_of(endpoint, "CARPRICE_S3_ENDPOINT")
        return
    region = settings.get("CARPRICE_S3_REGION") or "us-east-1"
    bucket = urlsplit(url).netloc
    service = "s3" if region == "us-east-1" else f"s3.{region}"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    in_name = _TWO_NAMES.fullmatch(bucket) and "." not in bucket
    yield Host(f"{bucket}.{service}.{suffix}" if in_name else f"{service}.{suffix}", 443)


def _host_of(url: str, where: str) -> Host:
    try:
        parts = urlsplit(url)
        name, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme.lower(), 0)
    except ValueError:  # of another port; its text has the port
        name, port = "", 0
    if not name or not port:
        raise HostProblem(
            f"{where} must be an address with the name of a host, found another text: correct it."
        )
    return Host(name, port)


def _host_named(text: str) -> Host:
    named, _, address = text.partition("=")
    name, _, port = named.rpartition(":")
    try:
        if address:
            ipaddress.ip_address(address)
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number < 65536:
        raise HostProblem(
            f"{MORE_HOSTS} must list hosts like mail.example:587 or mail.lan:25=10.0.0.5, found {text!r}."
        )
    return Host(name.lower(), number, address)


def _checked(host: Host) -> Host:
    try:
        ipaddress.ip_address(host.name)
    except ValueError:
        pass
    else:
        raise HostProblem(
            f"steps reach hosts outside by name only, found the address {host.name}: choose a name, set "
            f"{MORE_HOSTS}=name:{host.port}={host.name} in .env, and use the name instead of the address."
        )
    if host.name in _TAKEN or not _NAME.fullmatch(host.name):
        raise HostProblem(
            f"a host that steps reach must have a DNS name of its own, found {host.name!r}: name another."
        )
    return host


def _alert_urls(secrets: Path) -> list[str]:
    # Parted as carprice.alerts.channels does.
    parts = re.split(r"\s+|,+(?=[A-Za-z][\w+.-]*://)", _text(secrets / "alert_urls"))
    return [url for url in (part.strip(",") for part in parts) if url]


def _scheme(url: str) -> str:
    return url.partition("://")[0].lower() if "://" in url else "an address without a scheme"


def _text(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
