"""What a container of a step may be; anything else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from running_proxy import (
    API,
    MARK,
    SYSTEM,
    TMP,
    RunningProxy,
    changed,
    container_name,
    docker,
    exists,
    id_of,
    text_of,
)

KELVIN_SIGN = chr(0x212A)

pytestmark = [pytest.mark.docker]


ALLOWED_BODIES = {
    "as container_step sends it": ("Tty", False),
    "no arguments": ("Cmd", ["claim-files"]),
    "no mounts": ("HostConfig/Mounts", ...),
    "data read only": ("HostConfig/Mounts/0/ReadOnly", True),
    "the app's image": ("Image", "carprice-app:latest"),
    "another user": ("User", "1234:1234"),
    "background": ("HostConfig/CpuShares", 64),
    "half a processor": ("HostConfig/CpuQuota", 50000),
    "its root file system read only": ("HostConfig/ReadonlyRootfs", True),
    "its scratch volume": (
        "HostConfig/Mounts/1",
        {"Target": TMP, "Source": None, "Type": "volume", "ReadOnly": False},
    ),
    "mail": ("Env/4", "CARPRICE_SMTP_URL=smtp://user:password@mail:25"),
}


@pytest.mark.parametrize(("place", "value"), ALLOWED_BODIES.values(), ids=ALLOWED_BODIES)
def test_a_container_of_a_step_is_allowed(
    proxy: RunningProxy, step: dict[str, Any], place: str, value: Any
) -> None:
    answer = proxy.create(changed(step, place, value))
    if place == "Image" and answer.status == 404:
        pytest.skip(f"The engine has no {value}.")

    assert answer.status == 201, answer.content
    assert proxy.ask("DELETE", f"{API}/containers/{answer.json['Id']}").status == 204


DATA = "the data root"  # replaced by the data root of the test
REFUSED_BODIES: list[tuple[str, Any]] = [
    # host namespaces and privileges
    ("HostConfig/Privileged", True),
    ("HostConfig/Privileged", False),
    ("HostConfig/NetworkMode", "host"),
    ("HostConfig/NetworkMode", "container:some-other"),
    ("HostConfig/NetworkMode", "bridge"),
    ("HostConfig/NetworkMode", "none"),
    ("HostConfig/NetworkMode", ""),
    ("HostConfig/NetworkMode", ...),
    ("HostConfig/PidMode", "host"),
    ("HostConfig/IpcMode", "host"),
    ("HostConfig/UTSMode", "host"),
    ("HostConfig/UsernsMode", "host"),
    ("HostConfig/CgroupnsMode", "host"),
    ("HostConfig/CgroupParent", "/"),
    ("HostConfig/CapAdd", ["SYS_ADMIN"]),
    ("HostConfig/CapDrop", []),
    ("HostConfig/CapDrop", ["CHOWN"]),
    ("HostConfig/CapDrop", None),
    ("HostConfig/Capabilities", ["CAP_SYS_ADMIN"]),
    ("HostConfig/SecurityOpt", []),
    ("HostConfig/SecurityOpt", ["no-new-privileges", "seccomp=unconfined"]),
    ("HostConfig/SecurityOpt", ["apparmor=unconfined"]),
    ("HostConfig/SecurityOpt", ["no-new-privileges=false"]),
    ("HostConfig/ReadonlyRootfs", False),
    ("HostConfig/MaskedPaths", []),  # which means: hide nothing of /proc
    ("HostConfig/ReadonlyPaths", []),
    ("HostConfig/GroupAdd", ["root"]),
    ("HostConfig/GroupAdd", ["0"]),
    ("HostConfig/Runtime", "other"),
    ("HostConfig/Sysctls", {"kernel.shm_rmid_forced": "1"}),
    ("HostConfig/Isolation", "process"),
    # devices
    ("HostConfig/Devices", [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]),
    ("HostConfig/DeviceRequests", [{"Driver": "nvidia", "Count": -1}]),
    ("HostConfig/DeviceCgroupRules", ["a *:* rwm"]),
    ("HostConfig/BlkioDeviceWriteBps", [{"Path": "/dev/sda", "Rate": 1}]),
    # files
    ("HostConfig/Binds", ["/:/host"]),
    ("HostConfig/Binds", []),
    ("HostConfig/VolumesFrom", ["some-other"]),
    ("HostConfig/Tmpfs", {"/opt/venv": "exec"}),
    ("HostConfig/VolumeDriver", "local"),
    ("HostConfig/Mounts", {"Target": "/x"}),
    ("HostConfig/Mounts/0/Source", "/"),
    ("HostConfig/Mounts/0/Source", f"{DATA}/"),
    ("HostConfig/Mounts/0/Source", f"{DATA}/raw"),  # a link by the time the engine looks
    ("HostConfig/Mounts/0/Source", f"{DATA}/.."),
    ("HostConfig/Mounts/0/Source", f"{DATA}/../../etc"),
    ("HostConfig/Mounts/0/Source", f"{DATA}-too"),
    ("HostConfig/Mounts/0/Source", f"/{DATA}"),
    ("HostConfig/Mounts/0/Source", "/var/run/docker.sock"),
    ("HostConfig/Mounts/0/Source", None),
    ("HostConfig/Mounts/0/Source", ["/"]),
    ("HostConfig/Mounts/0/Target", "/opt/venv"),
    ("HostConfig/Mounts/0/Target", ["/"]),
    ("HostConfig/Mounts/0/Target", ...),
    ("HostConfig/Mounts/0/Type", "volume"),
    ("HostConfig/Mounts/0/Type", "tmpfs"),
    ("HostConfig/Mounts/0/Type", ...),
    ("HostConfig/Mounts/0/ReadOnly", 0),
    ("HostConfig/Mounts/0/BindOptions", {"Propagation": "rshared"}),
    ("HostConfig/Mounts/0/Consistency", "default"),
    ("HostConfig/Mounts/1", {"Target": DATA, "Source": DATA, "Type": "bind"}),
    ("HostConfig/Mounts/1", {"Target": "/host", "Source": "/", "Type": "bind"}),
    ("HostConfig/Mounts/1", {"Target": TMP, "Source": "/", "Type": "bind"}),
    ("HostConfig/Mounts/1", {"Target": TMP, "Source": "someones-volume", "Type": "volume"}),
    ("HostConfig/Mounts/1", {"Target": f"{TMP}/", "Source": "/", "Type": "bind"}),
    (
        "HostConfig/Mounts/1",
        {
            "Target": TMP,
            "Type": "volume",
            "VolumeOptions": {"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}},
        },
    ),
    ("Volumes", {"/opt/venv": {}}),
    # resources
    ("HostConfig/Memory", ...),
    ("HostConfig/Memory", 0),
    ("HostConfig/Memory", -1),
    ("HostConfig/Memory", 2 * 1024**3 + 1),
    ("HostConfig/Memory", 1e9),
    ("HostConfig/Memory", "2g"),
    ("HostConfig/Memory", True),
    ("HostConfig/MemorySwap", ...),
    ("HostConfig/MemorySwap", -1),
    ("HostConfig/MemorySwap", 1024**3),
    ("HostConfig/CpuQuota", ...),
    ("HostConfig/CpuQuota", -1),
    ("HostConfig/CpuQuota", 200001),
    ("HostConfig/CpuPeriod", ...),
    ("HostConfig/CpuPeriod", 50000),
    ("HostConfig/CpuShares", 262144),
    ("HostConfig/NanoCpus", 64_000_000_000),
    ("HostConfig/PidsLimit", ...),
    ("HostConfig/PidsLimit", 0),
    ("HostConfig/PidsLimit", -1),
    ("HostConfig/OomKillDisable", True),
    ("HostConfig/OomScoreAdj", -1000),
    ("HostConfig/ShmSize", 2**40),
    ("HostConfig/Ulimits", [{"Name": "nofile", "Soft": 1048576, "Hard": 1048576}]),
    ("HostConfig/RestartPolicy", {"Name": "always"}),
    ("HostConfig/AutoRemove", True),
    ("HostConfig/LogConfig", {"Type": "syslog", "Config": {"syslog-address": "tcp://10.0.0.1:514"}}),
    # network
    ("HostConfig/PublishAllPorts", True),
    ("HostConfig/PortBindings", {"8000/tcp": [{"HostPort": "8000"}]}),
    ("HostConfig/ExtraHosts", ["mlflow:10.0.0.1"]),
    ("HostConfig/Dns", ["10.0.0.1"]),
    ("HostConfig/Links", ["some-other:x"]),
    ("NetworkingConfig", {"EndpointsConfig": {"bridge": {}}}),
    ("ExposedPorts", {"8000/tcp": {}}),
    ("MacAddress", "02:42:ac:11:00:02"),
    ("NetworkDisabled", True),
    # who and what runs
    ("User", "0"),
    ("User", "0:0"),
    ("User", "00"),
    ("User", "+0"),
    ("User", "root"),
    ("User", "nobody"),
    ("User", ""),
    ("User", ":50000"),
    ("User", "4294967296"),
    ("User", "50000:root"),
    ("User", 50000),
    ("User", ...),
    ("Image", "carprice-trainer"),
    ("Image", "carprice-python:3.13"),
    ("Image", "sha256:" + "0" * 64),
    ("Image", ["carprice-trainer:latest"]),
    ("Image", ...),
    ("Entrypoint", ["sh", "-c"]),
    ("Entrypoint", "carprice"),
    ("Entrypoint", []),
    ("Entrypoint", ...),
    ("Cmd", "--help"),
    ("Cmd", ...),
    ("Cmd", ["--help"]),
    ("Cmd", ["land", "/run/secrets/smtp_url", "--name", "x.csv"]),
    ("Env/4", "PATH=/data/evil"),
    ("Env/4", "LD_PRELOAD=/data/evil.so"),
    ("Env/4", "PYTHONPATH=/data/evil"),
    ("Env/4", "AWS_CONFIG_FILE=/data/evil"),
    ("Env/4", "HOME"),
    # where its secrets and its words would go
    ("Env/4", "HOME=/data"),
    ("Env/4", "DATA_DIR=s3://elsewhere"),
    ("Env/4", "MLFLOW_TRACKING_URI=http://elsewhere"),
    ("Env/4", "AWS_ENDPOINT_URL=http://elsewhere"),
    ("Env/4", "CARPRICE_SMTP_TO=somebody@elsewhere.invalid"),
    ("Env/4", "CARPRICE_SMTP_OTHER=x"),
    ("Tty", True),
    ("Tty", 0),
    ("OpenStdin", True),
    ("AttachStdin", True),
    ("AttachStdout", "yes"),
    ("WorkingDir", "/"),
    ("Hostname", "mlflow"),
    ("Healthcheck", {"Test": ["CMD-SHELL", "id"]}),
    ("Shell", ["sh"]),
    ("OnBuild", ["RUN id"]),
    ("StopSignal", "SIGHUP"),
    # labels
    ("Labels", ...),
    ("Labels", None),
    ("Labels/carprice.run", ...),
    ("Labels/carprice.try", 1),
    ("Labels/carprice.data", "/somewhere/else"),
    ("Labels/carprice.proxy", SYSTEM),
    ("Labels/com.docker.compose.project", "carprice"),
    # a key as Go's decoder takes it, too
    ("HostConfig/privileged", True),
    ("HostConfig/PRIVILEGED", True),
    ("HostConfig/pidmode", "host"),
    (f"HostConfig/Networ{KELVIN_SIGN}Mode", "host"),
    ("hostconfig", {"Privileged": True}),
    ("hostConfig", {"Privileged": True}),
    ("user", "0"),
    ("HostConfig", ...),
    ("HostConfig", None),
    ("HostConfig", []),
]


@pytest.mark.parametrize(
    ("place", "value"), REFUSED_BODIES, ids=[id_of(f"{p}={v!r}") for p, v in REFUSED_BODIES]
)
def test_a_container_of_anything_else_is_refused(
    proxy: RunningProxy, step: dict[str, Any], data: Path, place: str, value: Any
) -> None:
    if value is not ...:
        value = json.loads(json.dumps(value).replace(DATA, str(data)))
    name = container_name()

    answer = proxy.create(changed(step, place, value), name)

    assert answer.status == 403
    key = next(word for word in reversed(place.split("/")) if not word.isdigit())
    assert key in answer.message
    if key == "Env":
        assert json.dumps(value.partition("=")[0]) in answer.message
    elif value is ...:
        assert "found none" in answer.message or "found null" in answer.message
    else:
        assert any(found in answer.message for found in values_of(value))
    assert answer.reached_engine == []
    assert not exists(name)


def values_of(value: Any) -> list[str]:
    """`value` and every value in it, as a sentence shows them."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [json.dumps(value)[:200], *(found for each in inner for found in values_of(each))]


AMBIGUOUS_BODIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a key twice": (lambda text: text.replace(b'"Tty"', b'"Image": "other", "Tty"'), '"Image"'),
    "a key twice below": (
        lambda text: text.replace(b'"Memory":', b'"NetworkMode": "host", "Memory":'),
        '"NetworkMode"',
    ),
    "a key twice in the second spelling of JSON": (
        lambda text: text.replace(b'"Tty"', b'"\\u0055ser": "0:0", "Tty"'),
        '"User"',
    ),
    "variables twice": (lambda text: text.replace(b'"Tty"', b'"Env": ["A=secret"], "Tty"'), '"Env"'),
    "a second document": (lambda text: text + b'{"HostConfig": {"Privileged": true}}', "JSON"),
    "half a document": (lambda text: text[:-1], "JSON"),
    "no document": (lambda text: b"", "JSON"),
    "null": (lambda text: b"null", "object"),
    "a list": (lambda text: b"[" + text + b"]", "object"),
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text, "JSON"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "UTF-8"),
    "Latin-1": (lambda text: text.replace(b"some_step", b"\xe9tape"), "UTF-8"),
    "half a surrogate pair": (lambda text: text.replace(b"some_step", b"\\ud800"), "surrogate"),
    "not a number": (lambda text: text.replace(b"2147483648", b"NaN"), "NaN"),
    "infinity": (lambda text: text.replace(b"2147483648", b"Infinity"), "Infinity"),
    "a number without end": (lambda text: text.replace(b"2147483648", b"1" * 9000), "JSON"),
    "a pit": (lambda text: text.replace(b'"some_dag"', b"[" * 100_000 + b"]" * 100_000), "JSON"),
}


@pytest.mark.parametrize(("edit", "word"), AMBIGUOUS_BODIES.values(), ids=AMBIGUOUS_BODIES)
def test_a_body_that_decoders_read_differently_is_refused(
    proxy: RunningProxy, step: dict[str, Any], edit: Callable[[bytes], bytes], word: str
) -> None:
    name = container_name()

    answer = proxy.create(edit(text_of(step)), name)

    assert answer.status == 403
    assert word in answer.message
    assert "secret" not in answer.message
    assert "hidden" not in answer.message
    assert answer.reached_engine == []
    assert not exists(name)


@pytest.mark.parametrize(
    "name", ["", "postgres", "carprice-postgres-1", "carprice-x-1-abc", "/carprice-x-1-0123abcd"]
)
def test_a_container_has_a_name_of_a_step(proxy: RunningProxy, step: dict[str, Any], name: str) -> None:
    answer = proxy.ask("POST", f"{API}/containers/create?{urlencode({'name': name})}", step)

    assert answer.status == 403
    assert json.dumps(name) in answer.message
    assert answer.reached_engine == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"]
)
def test_what_a_form_in_a_browser_can_send_is_refused(
    proxy: RunningProxy, step: dict[str, Any], kind: str
) -> None:
    target = f"{API}/containers/create?name={container_name()}"

    answer = proxy.ask("POST", target, step, **{"Content-Type": kind})

    assert (answer.status, answer.reached_engine) == (403, [])
    assert f'Content-Type must be application/json, found "{kind}"' in answer.message


def test_a_proxy_for_an_object_store_mounts_nothing(
    start: Callable[..., RunningProxy], step: dict[str, Any]
) -> None:
    proxy = start(DATA_DIR="s3://bucket/prefix")
    step["Labels"]["carprice.data"] = "s3://bucket/prefix"
    step["Env"] = [
        "DATA_DIR=s3://bucket/prefix" if each.startswith("DATA_DIR=") else each for each in step["Env"]
    ]

    answer = proxy.create(step)
    assert (answer.status, answer.reached_engine) == (403, [])
    assert "HostConfig.Mounts[0] must be left out: the data root is s3://bucket/prefix" in answer.message

    answer = proxy.create(changed(step, "HostConfig/Mounts", []))
    assert answer.status == 201, answer.content
    assert proxy.ask("DELETE", f"{API}/containers/{answer.json['Id']}").status == 204


def test_a_proxy_for_a_named_volume_mounts_that_volume_only(
    start: Callable[..., RunningProxy], step: dict[str, Any]
) -> None:
    volume = f"carprice-proxy-test-{MARK}"
    proxy = start(CARPRICE_DOCKER_HOST_DATA_DIR=volume)
    bind = proxy.create(step)
    assert (bind.status, bind.reached_engine) == (403, [])
    assert 'HostConfig.Mounts[0].Type must be "volume", found "bind"' in bind.message
    mount = {**step["HostConfig"]["Mounts"][0], "Type": "volume"}
    other = proxy.create(changed(step, "HostConfig/Mounts", [{**mount, "Source": "other"}]))
    assert (other.status, other.reached_engine) == (403, [])
    device = {"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}}
    disguised = {**mount, "Source": volume, "VolumeOptions": device}
    refused = proxy.create(changed(step, "HostConfig/Mounts", [disguised]))
    assert (refused.status, refused.reached_engine) == (403, [])

    docker("volume", "create", volume)
    try:
        answer = proxy.create(changed(step, "HostConfig/Mounts", [{**mount, "Source": volume}]))
        assert answer.status == 201, answer.content
        assert proxy.ask("DELETE", f"{API}/containers/{answer.json['Id']}?v=True").status == 204
        assert docker("volume", "ls", "-q", "--filter", f"name={volume}") == volume  # data stays
    finally:
        docker("volume", "rm", volume)


def test_a_proxy_told_the_user_of_the_steps_takes_no_other(
    start: Callable[..., RunningProxy], step: dict[str, Any]
) -> None:
    answer = start(CARPRICE_STEP_USER="1234:0").create(step)

    assert (answer.status, answer.reached_engine) == (403, [])
    assert 'User must be "1234:0", found "50000:0"' in answer.message
