"""The command line: `python -m docker_proxy serve`, `ping`."""

from __future__ import annotations

import argparse
import http.client
import logging
import os
import sys

from docker_proxy.address import DEFAULT_PORT, PORT_VARIABLE

PING_SECONDS = 5.0


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m docker_proxy", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, help_text in (
        ("serve", _serve, "accept requests, check them, and forward them to the engine"),
        ("ping", _ping, "ask the engine through the running proxy whether it answers, for health checks"),
    ):
        commands.add_parser(name, help=help_text).set_defaults(command=command)
    command = parser.parse_args(argv).command
    return int(command())


def _serve() -> int:
    # Imported here: a health check every few seconds would take five times as long with them.
    import asyncio

    from docker_proxy.server import Proxy
    from docker_proxy.settings import SettingError, Settings

    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    try:
        settings = Settings.from_environment()
    except SettingError as problem:
        return _fail(str(problem))
    try:
        asyncio.run(Proxy(settings).serve())
    except OSError as problem:
        return _fail(
            f"The proxy can't listen on {settings.host}:{settings.port} ({problem.strerror}): "
            "set CARPRICE_PROXY_HOST and CARPRICE_PROXY_PORT to a free address of this machine."
        )
    return 0


def _ping() -> int:
    port = int(os.environ.get(PORT_VARIABLE) or DEFAULT_PORT)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PING_SECONDS)
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
    except OSError as problem:
        return _fail(
            f"The proxy must answer on port {port}, found no answer ({problem}): start it with "
            "`python -m docker_proxy serve`."
        )
    finally:
        connection.close()
    return 0 if answer.status == http.HTTPStatus.OK else _fail(text)


def _fail(sentence: str) -> int:
    sys.stderr.write(f"docker-proxy: {sentence}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
