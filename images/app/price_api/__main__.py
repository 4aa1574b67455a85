"""The command line: `python -m price_api serve`, `keys create|list|revoke`, `migrate`."""

from __future__ import annotations

import os

# On data of this size threads that wait for one another cost more than they gain; read before NumPy is.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
# A server that is away is asked again in two seconds anyway.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")

import argparse
import logging
import sys

from price_api.settings import SettingError, Settings


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    try:
        settings = Settings.from_environment(os.environ)
    except SettingError as problem:
        return _say(str(problem))
    return int(arguments.command(arguments, settings))


def _serve(arguments: argparse.Namespace, settings: Settings) -> int:
    import uvicorn

    from price_api.application import build

    # A thread that computes lets the requests go on every millisecond instead of every five.
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
            timeout_graceful_shutdown=10,
        )
    )
    server.run()
    return 0


def _migrate(arguments: argparse.Namespace, settings: Settings) -> int:
    from price_api.prediction_log import PredictionLog

    os.makedirs(settings.state_folder, exist_ok=True)
    log = PredictionLog(settings.log_url)
    log.start()
    log.stop(10.0)
    print("the prediction log's database is up to date")  # noqa: T201
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m price_api", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="answer requests")
    serve.set_defaults(command=_serve)
    migrate = commands.add_parser("migrate", help="bring the prediction log's database up to date")
    migrate.set_defaults(command=_migrate)
    return parser


def _say(problem: str) -> int:
    print(f"price_api: {problem}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
