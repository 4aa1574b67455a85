"""The hosts that steps reach outside the stack, and the forwarder that leads there; without an engine."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
FORWARDER = REPOSITORY / "stack/forwarder/forward.py"
KEYS = {"AWS_ACCESS_KEY_ID": "the-id-of-a-key", "AWS_SECRET_ACCESS_KEY": "the-key-itself"}


def make_env(
    folder: Path, channels: dict[str, str] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    (folder / ".secrets").mkdir(exist_ok=True)
    for name, text in (channels or {}).items():
        (folder / ".secrets" / name).write_text(text)
    return subprocess.run(
        [sys.executable, REPOSITORY / "stack/make_env.py", "--folder", folder],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def reached(folder: Path) -> dict[str, list[str]]:
    """The addresses that steps are led to, by the name under which they find them."""
    services = json.loads((folder / "egress.json").read_text())["services"]
    out = dict(way.split("=") for way in services["egress"]["command"])
    found = {}
    for name, service in services.items():
        if name.startswith("egress-"):
            (alias,) = service["networks"]["steps"]["aliases"]
            found[alias] = [out[way.rpartition(":")[2]] for way in service["command"]]
    return found


CHANNELS = {
    "smtp_url": ("smtp+starttls://me:se%3Acret@Mail.example", ["mail.example:587"]),
    "webhook_url": ("https://hooks.example/services/T0/B0/x", ["hooks.example:443"]),
    "alert_urls": ("jsons://user:pass@json.example/path, xml://xml.example:81",
                   ["json.example:443", "xml.example:81"]),
}  # fmt: skip


@pytest.mark.parametrize("file", CHANNELS)
def test_steps_are_led_to_the_host_that_a_channel_names_and_to_no_other(tmp_path: Path, file: str) -> None:
    url, expected = CHANNELS[file]

    made = make_env(tmp_path, {file: url})

    assert made.returncode == 0, made.stderr
    found = reached(tmp_path)
    assert sorted(address for addresses in found.values() for address in addresses) == expected
    assert all(address.startswith(f"{name}:") for name, addresses in found.items() for address in addresses)
    assert f"steps reach {', '.join(expected)} outside" in made.stderr
    text = (tmp_path / "egress.json").read_text() + (tmp_path / ".env").read_text() + made.stderr
    assert not any(secret in text for secret in ("se%3Acret", "T0/B0", "pass@"))


def test_two_ports_of_a_host_are_found_under_its_one_name(tmp_path: Path) -> None:
    make_env(tmp_path, {"webhook_url": "https://one.example/x", "smtp_url": "smtps://one.example"})

    assert reached(tmp_path) == {"one.example": ["one.example:443", "one.example:465"]}


def test_without_a_channel_and_a_store_nothing_leads_out(tmp_path: Path) -> None:
    made = make_env(tmp_path)

    assert "steps reach no host outside the stack" in made.stderr
    assert not (tmp_path / "egress.json").exists()
    assert "COMPOSE_FILE" not in (tmp_path / ".env").read_text()


def test_a_channel_that_is_switched_off_is_no_longer_led_to(tmp_path: Path) -> None:
    make_env(tmp_path, {"webhook_url": "https://hooks.example/x"})

    make_env(tmp_path, {"webhook_url": ""})

    assert json.loads((tmp_path / "egress.json").read_text()) == {"services": {}}


STORES = {
    "an endpoint": ("cars", {"CARPRICE_S3_ENDPOINT": "https://store.example:9000"}),
    "Amazon's, the bucket in the name": ("cars", {"CARPRICE_S3_REGION": "eu-west-3"}),
    "Amazon's first region": ("cars", {}),
    "Amazon's, a bucket with dots": ("cars.data", {"CARPRICE_S3_REGION": "eu-west-3"}),
    "Amazon's, a bucket of an old kind": ("Cars_1", {"CARPRICE_S3_REGION": "eu-west-3"}),
    "Amazon's in China": ("cars", {"CARPRICE_S3_REGION": "cn-north-1"}),
}


@pytest.mark.parametrize(("bucket", "environment"), STORES.values(), ids=STORES)
def test_steps_are_led_to_the_host_that_their_s3_client_asks(
    tmp_path: Path, bucket: str, environment: dict[str, str]
) -> None:
    from botocore.session import get_session

    session = get_session()
    asked: list[str] = []
    session.set_credentials("id", "key")
    client = session.create_client(
        "s3",
        region_name=environment.get("CARPRICE_S3_REGION", "us-east-1"),
        endpoint_url=environment.get("CARPRICE_S3_ENDPOINT"),
    )

    def note(request: Any, **_: Any) -> None:
        asked.append(request.url.split("/")[2])
        raise InterruptedError

    client.meta.events.register("before-send.s3", note)
    with contextlib.suppress(InterruptedError):
        client.head_object(Bucket=bucket, Key="key")

    made = make_env(tmp_path, CARPRICE_DATA_URL=f"s3://{bucket}/data", **environment, **KEYS)

    assert made.returncode == 0, made.stderr
    (addresses,) = reached(tmp_path).values()
    assert addresses == [asked[0] if ":" in asked[0] else f"{asked[0]}:443"]


def test_hosts_of_other_services_are_named_by_hand_with_an_address_where_dns_knows_none(
    tmp_path: Path,
) -> None:
    channels = {"alert_urls": "tgram://123:token/chat", "smtp_url": "smtp://mail.lan"}
    hosts = "api.telegram.org:443, mail.lan:25=10.0.0.5"

    before = make_env(tmp_path, channels)
    (tmp_path / ".env").write_text((tmp_path / ".env").read_text() + f"CARPRICE_STEP_HOSTS='{hosts}'\n")
    make_env(tmp_path)

    assert "alert_urls has tgram, whose hosts only Apprise knows" in before.stderr
    assert "token" not in before.stderr
    assert reached(tmp_path) == {"api.telegram.org": ["api.telegram.org:443"], "mail.lan": ["mail.lan:25"]}
    services = json.loads((tmp_path / "egress.json").read_text())["services"]
    assert services["egress"]["extra_hosts"] == {"mail.lan": "10.0.0.5"}


@pytest.mark.parametrize(
    ("channels", "environment", "sentence"),
    [
        ({"smtp_url": "smtp://me:secret@10.0.0.5"}, {}, "by name only, found the address 10.0.0.5: choose a"),
        ({"webhook_url": "https://[::1]/secret"}, {}, "by name only, found the address ::1"),
        ({"webhook_url": "https://mlflow/secret"}, {}, "a DNS name of its own, found 'mlflow'"),
        ({"webhook_url": "https://a$b/secret"}, {}, "a DNS name of its own, found 'a$b'"),
        ({"webhook_url": "https:///secret"}, {}, "webhook_url must be an address with the name of a host"),
        ({"webhook_url": "https://h:secret/"}, {}, "webhook_url must be an address with the name of a host"),
        ({}, {"CARPRICE_STEP_HOSTS": "a.example"}, "like mail.example:587 or mail.lan:25=10.0.0.5, found"),
        (
            {},
            {"CARPRICE_STEP_HOSTS": "a.example:1=b"},
            "like mail.example:587 or mail.lan:25=10.0.0.5, found",
        ),
    ],
)
def test_a_host_that_steps_cannot_be_led_to_is_refused(
    tmp_path: Path, channels: dict[str, str], environment: dict[str, str], sentence: str
) -> None:
    refused = make_env(tmp_path, channels, **environment)

    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert "secret" not in refused.stderr


def test_compose_files_without_the_one_that_leads_out_are_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_FILE=docker-compose.yml:mine.yml\n")

    refused = make_env(tmp_path, {"webhook_url": "https://hooks.example/x"})

    assert refused.returncode == 1
    assert f"add ':{tmp_path}/egress.json' at its end" in refused.stderr


def test_an_override_of_the_stack_stays_in_use(tmp_path: Path) -> None:
    (tmp_path / "docker-compose.override.yml").touch()

    make_env(tmp_path, {"webhook_url": "https://hooks.example/x"})

    files = f"docker-compose.yml:docker-compose.override.yml:{tmp_path}/egress.json"
    assert f"COMPOSE_FILE={files}\n" in (tmp_path / ".env").read_text()


@pytest.mark.usefixtures("compose_plugin")
def test_what_leads_out_is_as_locked_down_as_every_service_and_one_service_alone_has_a_way_out(
    tmp_path: Path,
) -> None:
    make_env(tmp_path, {"webhook_url": "https://hooks.example/x", "smtp_url": "smtp://mail.example"})
    files = ["--file", REPOSITORY / "docker-compose.yml", "--file", tmp_path / "egress.json"]
    done = subprocess.run(
        ["docker", "compose", "--env-file", tmp_path / ".env", *files, "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stack = json.loads(done.stdout)
    ours = {name: service for name, service in stack["services"].items() if name.startswith("egress")}

    assert set(ours) == {"egress", "egress-1", "egress-2"}
    model = stack["services"]["mlflow-port"]
    for service in ours.values():
        for promise in (
            "user",
            "read_only",
            "init",
            "cap_drop",
            "security_opt",
            "restart",
            "logging",
            "image",
        ):
            assert service[promise] == model[promise], promise
        assert service["mem_limit"] == model["mem_limit"]
        assert service["pids_limit"] > 0
        assert "ports" not in service
        assert "secrets" not in service
    internal = {name for name, network in stack["networks"].items() if network.get("internal")}
    assert {"egress", "steps"} <= internal
    assert {name for name, service in ours.items() if not set(service["networks"]) <= internal} == {"egress"}
    assert set(ours["egress"]["networks"]) == {"egress", "outside"}
    near = {name for name, service in stack["services"].items() if "outside" in service["networks"]}
    assert near == {"egress"}
    assert set(ours) <= set(stack["services"]["worker"]["depends_on"])


@contextlib.contextmanager
def forwarding(folder: Path, *targets: str) -> Iterator[list[int]]:
    """The ports of a running forwarder to `targets`."""
    program = FORWARDER.read_text().replace('"/tmp/forwarder"', repr(str(folder / "alive")))
    (folder / "forward.py").write_text(program)
    with contextlib.ExitStack() as sockets:
        free = [sockets.enter_context(socket.socket()) for _ in targets]
        for each in free:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in free]
    ways = [f"{port}={target}" for port, target in zip(ports, targets, strict=True)]
    command = [sys.executable, folder / "forward.py"]
    process = subprocess.Popen([*command, *ways], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while subprocess.run([*command, "check"], check=False).returncode:
            assert time.monotonic() < until, "the forwarder does not listen"
            time.sleep(0.1)
        yield ports
    finally:
        process.terminate()
        assert process.wait(10) == 0, "it ends when it is told to"


@contextlib.contextmanager
def mirror() -> Iterator[int]:
    """The port of a server that sends back all that it got once the client has sent all."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client, contextlib.suppress(OSError):
                    got = b""
                    while part := client.recv(65536):
                        got += part
                    client.sendall(got)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield server.getsockname()[1]
    finally:
        server.close()


def sent_back(port: int, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(content)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while part := connection.recv(65536):
            got += part
    return got


def test_bytes_pass_unchanged_in_both_directions_and_each_end_may_end_first(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)

    with mirror() as server, forwarding(tmp_path, f"localhost:{server}") as (port,):
        assert sent_back(port, content) == content
        assert sent_back(port, b"") == b""


def test_a_host_that_refuses_ends_its_connections_and_no_others(tmp_path: Path) -> None:
    with mirror() as server, forwarding(tmp_path, "127.0.0.1:1", f"127.0.0.1:{server}") as (closed, open_):
        with contextlib.suppress(ConnectionError):
            assert sent_back(closed, b"") == b""
        assert sent_back(open_, b"x") == b"x"


def test_a_client_that_is_gone_costs_the_forwarder_nothing(tmp_path: Path) -> None:
    with mirror() as server, forwarding(tmp_path, f"127.0.0.1:{server}") as (port,):
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert sent_back(port, b"x") == b"x"
