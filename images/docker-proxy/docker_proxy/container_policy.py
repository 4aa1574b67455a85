"""What a container may be: the body of `POST /containers/create`.

An allow-list. A key that is not in it is refused whatever its value: an empty list is not always the
default (`MaskedPaths: []` opens all of /proc), and the engine's JSON decoder, unlike this one, takes
`privileged` for `Privileged`. The proxy writes the body anew for the engine, so the engine reads exactly
what was checked here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial

from carprice_contract.containers import (
    COLLECTOR_PROGRAM,
    DATA_LABEL,
    PROGRAM,
    PROXY_LABEL,
    SCRATCH,
    STEP_LABELS,
)
from carprice_contract.variables import (
    PARAMS,
    PINNED_VARIABLES,
    PRIVATE_VARIABLES,
    SECRET_FILE_VARIABLES,
    SECRET_FILES,
    file_variable,
)
from docker_proxy.refusal import Json, Refusal, quoted
from docker_proxy.settings import Settings
from docker_proxy.step_arguments import check_collection, check_step
from docker_proxy.strict_json import (
    Check,
    check_boolean,
    check_equal,
    check_integer,
    check_list_of_texts,
    check_object,
    check_one_of,
    check_text,
    check_text_or_null,
    parse,
    wrong_value,
)

# The others of a step's private variables say where secrets go.
_SECRETS = frozenset(SECRET_FILES) | PRIVATE_VARIABLES - frozenset(PINNED_VARIABLES)

HARDENING: Mapping[str, Json] = {
    "CapDrop": ["ALL"],
    "SecurityOpt": ["no-new-privileges"],
    "ReadonlyRootfs": True,
    # Nothing answers there. The engine would otherwise ask its own name servers, on an internal network too.
    "Dns": ["127.0.0.1"],
}
"""What every step's HostConfig has: added where it is missing, refused where it is anything else."""

_USER = re.compile(r"[1-9][0-9]{0,8}(:(0|[1-9][0-9]{0,8}))?")
_MIN_MEMORY_BYTES = 6 * 1024**2
_CPU_PERIOD_MICROSECONDS = (1_000, 1_000_000)
_MIN_CPU_QUOTA_MICROSECONDS = 1_000
_CPU_SHARES = (2, 1024)


class ContainerPolicy:
    """Checks a container's description against the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        longest_period = _CPU_PERIOD_MICROSECONDS[1]
        most_cpu_quota = int(settings.step_cpus * longest_period)
        self._container: dict[str, Check] = {
            "Image": partial(check_one_of, settings.images),
            "User": self._check_user,
            # Another program, or a shell, could do anything.
            "Entrypoint": partial(check_equal, [PROGRAM]),
            "Cmd": check_step,
            "Env": self._check_variables,
            "Labels": self._check_labels,
            "HostConfig": partial(self._check_host_config, settings.network),
            "Tty": partial(check_equal, False),
            "OpenStdin": partial(check_equal, False),
            "StdinOnce": partial(check_equal, False),
            "AttachStdin": partial(check_equal, False),
            "AttachStdout": check_boolean,
            "AttachStderr": check_boolean,
            "NetworkDisabled": partial(check_equal, False),
        }
        self._host_config: dict[str, Check] = {
            "NetworkMode": check_text,
            "Memory": partial(check_integer, _MIN_MEMORY_BYTES, settings.memory_bytes),
            # The same as Memory, which means: no swap in addition to it.
            "MemorySwap": partial(check_integer, _MIN_MEMORY_BYTES, settings.memory_bytes),
            "CpuPeriod": partial(check_integer, *_CPU_PERIOD_MICROSECONDS),
            "CpuQuota": partial(check_integer, _MIN_CPU_QUOTA_MICROSECONDS, most_cpu_quota),
            "CpuShares": partial(check_integer, *_CPU_SHARES),
            "PidsLimit": partial(check_integer, 1, settings.step_pids),
            "Mounts": self._check_mounts,
            **{key: partial(check_equal, value) for key, value in HARDENING.items()},
        }
        # The collector reaches the sites instead of MLflow, and gets no secret.
        self._collector = self._container | {
            "Image": partial(check_equal, settings.collector_image),
            "Entrypoint": partial(check_equal, [COLLECTOR_PROGRAM]),
            "Cmd": partial(check_collection, settings.collected),
            "Env": self._check_collector_variables,
            "HostConfig": partial(self._check_host_config, settings.collector_network),
        }

    def body_for_engine(self, body: bytes) -> bytes:
        """The body that the engine gets for the client's `body`. Raises `Refusal`."""
        container = parse(body)
        required = ("Image", "User", "Entrypoint", "Cmd", "Labels", "HostConfig")
        check_object(
            "", container, self._collector if self._collects(container) else self._container, required
        )
        host_config = {**container["HostConfig"], **HARDENING}
        mounts = host_config.get("Mounts") or []
        if all(mount["Target"] != SCRATCH for mount in mounts):
            mounts = [*mounts, {"Target": SCRATCH, "Type": "volume"}]
        mounts = [*mounts, *self._secret_mounts(container.get("Env", []))]
        labels = {**container["Labels"], PROXY_LABEL: self._settings.system}
        return json.dumps(
            {**container, "Labels": labels, "HostConfig": {**host_config, "Mounts": mounts}}
        ).encode()

    def _collects(self, container: Json) -> bool:
        """Whether the container is the collector's, and there may be one."""
        settings = self._settings
        image = container.get("Image") if isinstance(container, dict) else None
        return bool(settings.collector_network) and image == settings.collector_image

    def _check_host_config(self, network: str, where: str, value: Json) -> None:
        required = ("NetworkMode", "Memory", "MemorySwap", "CpuPeriod", "CpuQuota", "PidsLimit")
        check_object(where, value, self._host_config, required)
        check_equal(network, f"{where}.NetworkMode", value["NetworkMode"])
        if value["MemorySwap"] != value["Memory"]:
            raise wrong_value(f"{where}.MemorySwap", value["MemorySwap"], f"be Memory, {value['Memory']}")
        most = int(self._settings.step_cpus * value["CpuPeriod"])
        if value["CpuQuota"] > most:
            must = f"be at most {most} in a CpuPeriod of {value['CpuPeriod']} (CARPRICE_STEP_CPUS)"
            raise wrong_value(f"{where}.CpuQuota", value["CpuQuota"], must)

    def _check_user(self, where: str, value: Json) -> None:
        if self._settings.step_user:
            check_equal(self._settings.step_user, where, value)
        if not isinstance(value, str) or not _USER.fullmatch(value):
            # The image says what user a name is, so a name may well be root.
            raise wrong_value(where, value, "be uid:gid in numbers with a uid above 0")

    def _check_collector_variables(self, where: str, value: Json) -> None:
        check_list_of_texts(where, value)
        given = self._settings.collector_variables
        for entry in value:
            name, equals_sign, text = entry.partition("=")
            if not equals_sign or text != given.get(name):
                raise Refusal(
                    f"{where} may have the variables of the collector with this proxy's values only, found "
                    f"{quoted(name)}: leave it out, or set it of docker-proxy, too."
                )

    def _check_variables(self, where: str, value: Json) -> None:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            # Without the value, which may hold a password.
            raise Refusal(f"{where} must be a list of NAME=value, found something else.")
        for entry in value:
            self._check_variable(where, *entry.partition("="))

    def _check_variable(self, where: str, name: str, equals_sign: str, text: str) -> None:
        """Allows a variable of a step. A refusal names the variable, never its value, which may be secret.

        The steps' secrets go where these values say, so they are the proxy's own. PATH, PYTHONPATH or
        LD_PRELOAD would make `carprice` another program.
        """
        given = self._settings.step_variables
        if name in SECRET_FILE_VARIABLES:
            if not self._settings.step_secrets_dir:
                raise Refusal(
                    f"{where} may not have {quoted(name)}, found it: leave it out, or name the folder of "
                    "the steps' secrets in CARPRICE_PROXY_STEP_SECRETS_DIR."
                )
            if text != SECRET_FILE_VARIABLES[name]:
                raise Refusal(
                    f"{where} must have {quoted(name)} as {quoted(SECRET_FILE_VARIABLES[name])}, "
                    "found another value."
                )
        elif name == PARAMS and equals_sign:
            return
        elif name in SECRET_FILES and self._settings.step_secrets_dir:
            raise Refusal(
                f"{where} may have {quoted(name)} as a file only, found it: set "
                f"{quoted(file_variable(name))}."
            )
        elif name in _SECRETS and equals_sign:
            return  # the caller knows it, and there is no file that it could lead away
        elif name in given or name in PINNED_VARIABLES:
            if not equals_sign or text != given.get(name):
                raise Refusal(
                    f"{where} must have {quoted(name)} as this proxy has it, found another value: set the "
                    "variable of docker-proxy, too."
                )
        else:
            raise Refusal(
                f"{where} may have NAME=value for the variables of a step only, found {quoted(name)}: "
                "leave it out."
            )

    def _secret_mounts(self, variables: list[str]) -> list[dict[str, Json]]:
        """The mounts of the secrets that the checked `variables` name, each a single file, read-only."""
        names = {entry.partition("=")[0] for entry in variables}
        return [
            {
                "Target": path,
                "Source": f"{self._settings.step_secrets_dir}/{path.rpartition('/')[2]}",
                "Type": "bind",
                "ReadOnly": True,
            }
            for name, path in SECRET_FILE_VARIABLES.items()
            if name in names
        ]

    def _check_labels(self, where: str, value: Json) -> None:
        check_object(where, value, dict.fromkeys(STEP_LABELS, check_text), required=STEP_LABELS)
        check_equal(self._settings.data_root, f"{where}.{DATA_LABEL}", value[DATA_LABEL])

    def _check_mounts(self, where: str, value: Json) -> None:
        if not isinstance(value, list):
            raise wrong_value(where, value, "be a list")
        keys: dict[str, Check] = {
            "Target": check_text,
            "Source": check_text_or_null,
            "Type": check_text,
            "ReadOnly": check_boolean,
        }
        for number, mount in enumerate(value):
            place = f"{where}[{number}]"
            check_object(place, mount, keys, required=("Target", "Type"))
            if mount["Target"] == SCRATCH:
                _check_scratch_mount(place, mount)
            else:
                self._check_data_mount(place, mount)
        targets = [mount["Target"] for mount in value]
        if len(targets) != len(set(targets)):
            raise wrong_value(where, targets, "have each Target once")

    def _check_data_mount(self, where: str, mount: dict[str, Json]) -> None:
        settings = self._settings
        if not settings.data_is_local:
            raise wrong_value(where, mount, f"be left out: the data root is {settings.data_root}")
        # The root itself and no folder in it: a step can put a symbolic link there, and the engine, as
        # root, would follow it to anywhere on its host.
        is_folder = settings.data_source.startswith("/")
        check_equal("bind" if is_folder else "volume", f"{where}.Type", mount["Type"])
        check_equal(settings.data_source, f"{where}.Source", mount.get("Source"))
        check_equal(settings.data_root, f"{where}.Target", mount["Target"])


def _check_scratch_mount(where: str, mount: dict[str, Json]) -> None:
    check_equal("volume", f"{where}.Type", mount["Type"])
    if mount.get("Source"):
        raise wrong_value(f"{where}.Source", mount["Source"], f"be left out at {SCRATCH}")
    check_equal(False, f"{where}.ReadOnly", mount.get("ReadOnly", False))
