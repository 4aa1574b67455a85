"""What a container may be: the body of `POST /containers/create`.

An allow-list. A key that is not in it is refused whatever its value: an empty list is not always
the default (`MaskedPaths: []` lays all of /proc open), and the engine's JSON decoder, unlike this
one, takes `privileged` for `Privileged`. What is allowed is written anew for the engine, so it
reads what was checked here and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial

from docker_proxy.refusal import Json, Refusal, quoted
from docker_proxy.settings import Settings

PROXY_LABEL = "carprice.proxy"
"""The label of every container the proxy had made; its value is CARPRICE_PROXY_ID."""

STEP_LABELS = (
    "carprice.data",
    "carprice.dag",
    "carprice.run",
    "carprice.task",
    "carprice.map_index",
    "carprice.try",
)

STEP_VARIABLES = frozenset(
    {
        "DATA_DIR",
        "HOME",
        "MLFLOW_TRACKING_URI",
        "CARPRICE_PARAMS",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
    }
)
"""What a step may be told. PATH, PYTHONPATH or LD_PRELOAD would make `carprice` another program."""

SECRETS = "/run/secrets"
"""Where a step finds its secrets, as Compose has it for the services."""

SECRET_FILES: Mapping[str, str] = {
    "MLFLOW_TRACKING_PASSWORD_FILE": "mlflow_password",
    "AWS_ACCESS_KEY_ID_FILE": "store_key_id",
    "AWS_SECRET_ACCESS_KEY_FILE": "store_key",
    "CARPRICE_SMTP_URL_FILE": "smtp_url",
    "CARPRICE_WEBHOOK_URL_FILE": "webhook_url",
    "CARPRICE_ALERT_URLS_FILE": "alert_urls",
}
"""The variables that name a secret's file, each with the one file it may name.

A step with the variable gets the file: the proxy mounts it, from the folder in its own settings.
"""

STEP_VARIABLE_PREFIXES = ("CARPRICE_SMTP_", "CARPRICE_WEBHOOK_", "CARPRICE_ALERT_", "CARPRICE_REPORTS_")

SCRATCH = "/tmp"  # noqa: S108 - the container's own
"""Where a step may write besides the data root. A volume: a tmpfs is gone before its result is read."""

RESULT_PATH = f"{SCRATCH}/result.json"

HARDENING: Mapping[str, Json] = {
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "ReadonlyRootfs": True,
}
"""What every step's HostConfig has: added where it is left out, refused where it is anything else."""

_USER = re.compile(r"[1-9][0-9]{0,8}(:(0|[1-9][0-9]{0,8}))?")
_MIN_MEMORY = 6 * 1024**2
_CPU_PERIOD = (1_000, 1_000_000)
_CPU_SHARES = (2, 1024)

Check = Callable[[str, Json], None]
"""Raises `Refusal` when the value at this place of the body is not allowed."""


class ContainerPolicy:
    """Checks what a container shall be against the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._top: dict[str, Check] = {
            "Image": partial(_one_of, settings.images),
            "User": self._user,
            # Another program, or a shell, could be anything at all.
            "Entrypoint": partial(_exactly, ["carprice"]),
            "Cmd": _words,
            "Env": self._variables,
            "Labels": self._labels,
            "HostConfig": self._host_config,
            "Tty": partial(_exactly, False),
            "OpenStdin": partial(_exactly, False),
            "StdinOnce": partial(_exactly, False),
            "AttachStdin": partial(_exactly, False),
            "AttachStdout": _boolean,
            "AttachStderr": _boolean,
            "NetworkDisabled": partial(_exactly, False),
        }
        self._host: dict[str, Check] = {
            "NetworkMode": partial(_exactly, settings.network),
            "Memory": partial(_integer, _MIN_MEMORY, settings.memory_bytes),
            # As much as Memory, which means no swap on top of it.
            "MemorySwap": partial(_integer, _MIN_MEMORY, settings.memory_bytes),
            "CpuPeriod": partial(_integer, *_CPU_PERIOD),
            "CpuQuota": partial(_integer, 1_000, int(settings.step_cpus * _CPU_PERIOD[1])),
            "CpuShares": partial(_integer, *_CPU_SHARES),
            "PidsLimit": partial(_integer, 1, settings.step_pids),
            "Mounts": self._mounts,
            **{key: partial(_exactly, value) for key, value in HARDENING.items()},
        }

    def checked(self, body: bytes) -> bytes:
        """The body to send to the engine for a container asked for with `body`. Raises `Refusal`."""
        wanted = _parsed(body)
        _object("", wanted, self._top, required=("Image", "User", "Entrypoint", "Labels", "HostConfig"))
        host = {**wanted["HostConfig"], **HARDENING}
        mounts = host.get("Mounts") or []
        if all(mount["Target"] != SCRATCH for mount in mounts):
            mounts = [*mounts, {"Target": SCRATCH, "Type": "volume"}]
        mounts = [*mounts, *self._secret_mounts(wanted.get("Env", []))]
        labels = {**wanted["Labels"], PROXY_LABEL: self._settings.system}
        return json.dumps({**wanted, "Labels": labels, "HostConfig": {**host, "Mounts": mounts}}).encode()

    def _host_config(self, where: str, value: Json) -> None:
        required = ("NetworkMode", "Memory", "MemorySwap", "CpuPeriod", "CpuQuota", "PidsLimit")
        _object(where, value, self._host, required)
        if value["MemorySwap"] != value["Memory"]:
            raise _refused(f"{where}.MemorySwap", value["MemorySwap"], f"be Memory, {value['Memory']}")
        most = int(self._settings.step_cpus * value["CpuPeriod"])
        if value["CpuQuota"] > most:
            allowed = f"be at most {most} in a CpuPeriod of {value['CpuPeriod']} (CARPRICE_STEP_CPUS)"
            raise _refused(f"{where}.CpuQuota", value["CpuQuota"], allowed)

    def _user(self, where: str, value: Json) -> None:
        if self._settings.step_user:
            _exactly(self._settings.step_user, where, value)
        if not isinstance(value, str) or not _USER.fullmatch(value):
            # A name is the image's to resolve, so it may well be root.
            raise _refused(where, value, "be uid:gid in numbers with a uid above 0")

    def _variables(self, where: str, value: Json) -> None:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise Refusal(f"{where} must be a list of NAME=value.")
        for entry in value:
            name, mark, text = entry.partition("=")
            # Never the value, which may be a password.
            if name in SECRET_FILES:
                file = f"{SECRETS}/{SECRET_FILES[name]}"
                if not self._settings.step_secrets_dir:
                    raise Refusal(
                        f"{where} may not have {quoted(name)}, found it: leave it out, or name the folder of "
                        "the steps' secrets in CARPRICE_PROXY_STEP_SECRETS_DIR."
                    )
                if text != file:
                    raise Refusal(f"{where} must have {quoted(name)} as {quoted(file)}, found another value.")
            elif not mark or not (name in STEP_VARIABLES or name.startswith(STEP_VARIABLE_PREFIXES)):
                raise Refusal(
                    f"{where} may have what a step is told only, found {quoted(name)}: leave it out."
                )

    def _secret_mounts(self, variables: list[str]) -> list[dict[str, Json]]:
        """The mounts of the secrets that checked `variables` name, each a single file, read-only."""
        names = {entry.partition("=")[0] for entry in variables}
        folder = self._settings.step_secrets_dir
        return [
            {"Target": f"{SECRETS}/{file}", "Source": f"{folder}/{file}", "Type": "bind", "ReadOnly": True}
            for name, file in SECRET_FILES.items()
            if name in names
        ]

    def _labels(self, where: str, value: Json) -> None:
        _object(where, value, dict.fromkeys(STEP_LABELS, _text), required=STEP_LABELS)
        _exactly(self._settings.data_root, f"{where}.carprice.data", value["carprice.data"])

    def _mounts(self, where: str, value: Json) -> None:
        if not isinstance(value, list):
            raise _refused(where, value, "be a list")
        keys: dict[str, Check] = {"Target": _text, "Source": _source, "Type": _text, "ReadOnly": _boolean}
        targets = []
        for number, mount in enumerate(value):
            here = f"{where}[{number}]"
            _object(here, mount, keys, required=("Target", "Type"))
            targets.append(mount["Target"])
            if mount["Target"] == SCRATCH:
                _exactly("volume", f"{here}.Type", mount["Type"])
                if mount.get("Source"):
                    raise _refused(f"{here}.Source", mount["Source"], f"be left out at {SCRATCH}")
                _exactly(False, f"{here}.ReadOnly", mount.get("ReadOnly", False))
            else:
                self._data_mount(here, mount)
        if len(targets) != len(set(targets)):
            raise _refused(where, targets, "have each Target once")

    def _data_mount(self, where: str, mount: dict[str, Json]) -> None:
        settings = self._settings
        if not settings.data_is_local:
            raise _refused(where, mount, f"be left out: the data root is {settings.data_root}")
        # The root itself and no folder in it: a step can put a symbolic link there, which the
        # engine, as root, would follow to anywhere on its host.
        _exactly("bind" if settings.data_source.startswith("/") else "volume", f"{where}.Type", mount["Type"])
        _exactly(settings.data_source, f"{where}.Source", mount.get("Source"))
        _exactly(settings.data_root, f"{where}.Target", mount["Target"])


def _parsed(body: bytes) -> Json:
    """`body` as JSON that every decoder reads alike."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("The container's description must be UTF-8, found other bytes.") from None
    try:
        wanted = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_constant)
        json.dumps(wanted, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refusal(
            "The container's description has half a surrogate pair, which is no character."
        ) from None
    except (ValueError, RecursionError) as problem:
        raise Refusal(f"The container's description must be JSON: {problem}.") from None
    return wanted


def _distinct(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        values = " and ".join(_quoted_unless_secret(twice, value) for name, value in pairs if name == twice)
        raise Refusal(f"The key {quoted(twice)} may be there once, found {values}.")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def _object(where: str, value: Json, checks: Mapping[str, Check], required: tuple[str, ...]) -> None:
    """An object with keys from `checks` only, `required` among them, each value as its check wants it."""
    if not isinstance(value, dict):
        raise _refused(where or "The container's description", value, "be an object")
    prefix = f"{where}." if where else ""
    for key in value:
        if key not in checks:
            raise Refusal(
                f"A step's container may not have {prefix}{key}, "
                f"found {_quoted_unless_secret(key, value[key])}: leave it out."
            )
    for key in required:
        if key not in value:
            raise Refusal(f"A step's container must have {prefix}{key}, found none.")
    for key, found in value.items():
        checks[key](f"{prefix}{key}", found)


def _quoted_unless_secret(key: str, value: Json) -> str:
    # The steps' passwords are among the variables, and a refusal is logged.
    return "variables" if key.casefold() == "env" else quoted(value)


def _refused(where: str, value: Json, must: str) -> Refusal:
    return Refusal(f"{where} must {must}, found {quoted(value)}.")


def _exactly(expected: Json, where: str, value: Json) -> None:
    # As JSON, because in Python 0 == False.
    if json.dumps(value) != json.dumps(expected):
        raise _refused(where, value, f"be {quoted(expected)}")


def _one_of(allowed: tuple[str, ...], where: str, value: Json) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise _refused(where, value, f"be {' or '.join(map(quoted, allowed))}")


def _boolean(where: str, value: Json) -> None:
    if not isinstance(value, bool):
        raise _refused(where, value, "be true or false")


def _integer(least: int, most: int, where: str, value: Json) -> None:
    if type(value) is not int or not least <= value <= most:
        raise _refused(where, value, f"be a whole number from {least} to {most}")


def _text(where: str, value: Json) -> None:
    if not isinstance(value, str):
        raise _refused(where, value, "be text")


def _words(where: str, value: Json) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _refused(where, value, "be a list of words")


def _source(where: str, value: Json) -> None:
    if value is not None:
        _text(where, value)
