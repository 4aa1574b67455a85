"""The command line: `python -m price_api serve`, `keys create|list|revoke`, `migrate`."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys

from asgi_correlation_id import CorrelationIdFilter

from carprice.errors import CarpriceError
from price_api.settings import SettingError, Settings

# The service answers 503 to more. The limit is below the number of files a process may have open.
MOST_CONNECTIONS = 500


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = _parser().parse_args(argv)
    _prepare()
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(CorrelationIdFilter(default_value="-"))
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s [%(correlation_id)s] %(message)s",
        datefmt="%H:%M:%S",
        handlers=[handler],
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as problem:
        return _say(str(problem), 2)
    try:
        return int(arguments.command(arguments, settings))
    except CarpriceError as problem:
        return _say(str(problem), problem.exit_code)


def _prepare() -> None:
    """Set the variables that libraries read at their import."""
    # With data of this size, threads cost more than they gain.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    # The service asks a server that is away again after two seconds anyway.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    import uvicorn

    from price_api.application import build
    from price_api.services import REQUEST_SECONDS

    # A computing thread gives way to requests every millisecond instead of every five.
    sys.setswitchinterval(0.001)
    server = uvicorn.Server(
        uvicorn.Config(
            build(settings),
            host=settings.host,
            port=settings.port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=REQUEST_SECONDS,
            limit_concurrency=MOST_CONNECTIONS,
        )
    )
    # After an orderly stop the server raises the signal again; it must not end this process a second time.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    logging.shutdown()
    # Everything is written: the process does not wait for computing threads or for the interpreter.
    os._exit(0 if server.started else 1)


def _migrate(arguments: argparse.Namespace, settings: Settings) -> int:
    from price_api.database import migrate

    migrate(settings.log_url)
    print("the prediction log's database is up to date")  # noqa: T201
    return 0


def _create_key(arguments: argparse.Namespace, settings: Settings) -> int:
    from price_api.api_keys import ApiKeys

    key = ApiKeys(settings.log_url).create(arguments.name)
    print(f"made the key {arguments.name!r}; this is the only time that it is shown:", file=sys.stderr)  # noqa: T201
    print(key)  # noqa: T201
    return 0


def _list_keys(arguments: argparse.Namespace, settings: Settings) -> int:
    from price_api.api_keys import ApiKeys

    keys = ApiKeys(settings.log_url).list()
    for key in keys:
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "in force"
        print(f"{key.id}\t{key.name}\t…{key.last_characters}\tmade {key.created_at:%Y-%m-%d %H:%M}\t{state}")  # noqa: T201
    if not keys:
        print("there is no key; make one with `python -m price_api keys create NAME`", file=sys.stderr)  # noqa: T201
    return 0


def _revoke_key(arguments: argparse.Namespace, settings: Settings) -> int:
    from price_api.api_keys import ApiKeys

    key = ApiKeys(settings.log_url).revoke(arguments.name)
    print(f"the key {key.name!r} (…{key.last_characters}) is refused within five seconds")  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m price_api", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="answer requests")
    serve.set_defaults(command=_serve)
    migrate = commands.add_parser("migrate", help="bring the prediction log's database up to date")
    migrate.set_defaults(command=_migrate)
    keys = commands.add_parser("keys", help="make, list and revoke API keys")
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    create = actions.add_parser("create", help="make a key and print it")
    create.add_argument("name", metavar="NAME", help="the name of its user")
    create.set_defaults(command=_create_key)
    listed = actions.add_parser("list", help="list the names and states of the keys")
    listed.set_defaults(command=_list_keys)
    revoke = actions.add_parser("revoke", help="revoke a key")
    revoke.add_argument("name", metavar="NAME", help="its name or its number")
    revoke.set_defaults(command=_revoke_key)
    return parser


def _say(problem: str, status: int) -> int:
    print(f"price_api: {problem}", file=sys.stderr)  # noqa: T201
    return status


if __name__ == "__main__":
    sys.exit(main())
