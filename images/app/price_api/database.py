"""The database of the prediction log: its tables, its connections, and its migrations.

The same migrations make the same tables in SQLite and in PostgreSQL.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite

from carprice.errors import TryAgain, UsageProblem

# A database may be shared with MLflow or Airflow, which keep theirs in `alembic_version`.
VERSION_TABLE = "carprice_api_version"
WAIT_SECONDS = 5
# Any number that nothing else in the database takes as a lock.
_MIGRATION_LOCK = 0x63617270726963
# The environment of Alembic is global, so a process runs one migration at a time.
_one_at_a_time = threading.Lock()


class DatabaseRefused(UsageProblem):
    """The database's address can't be used, or its schema is not one that this code knows."""


class DatabaseAway(TryAgain):
    """The database does not answer, or not in time."""


class Moment(sa.TypeDecorator[datetime]):
    """A moment in UTC: `timestamp with time zone`, or text without a zone in SQLite."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """As the database stores it; a moment without a zone is in UTC."""
        if value is None:
            return None
        value = utc(value)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """The moment with the zone UTC."""
        return None if value is None else utc(value)


def utc(moment: datetime) -> datetime:
    """`moment` in UTC; without a zone it is in UTC already."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:  # within hours of the first or the last moment that Python knows
        return moment.replace(tzinfo=UTC)


metadata = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

predictions = sa.Table(
    "predictions",
    metadata,
    sa.Column("prediction_id", sa.String(32), primary_key=True),
    sa.Column("at", Moment(), nullable=False),
    # the features as the model understood them, unknown ones left out
    sa.Column("listing", sa.JSON(), nullable=False),
    # copies of two of them without case and accents, for filters
    sa.Column("make", sa.String(60)),
    sa.Column("model", sa.String(60)),
    sa.Column("asking_price_mad", sa.Double()),
    sa.Column("price_mad", sa.Double(), nullable=False),
    sa.Column("low_mad", sa.Double(), nullable=False),
    sa.Column("high_mad", sa.Double(), nullable=False),
    sa.Column("version", sa.String(32), nullable=False),
    sa.Column("alias", sa.String(64), nullable=False),
    sa.Column("source", sa.String(16), nullable=False),
    sa.Column("latency_ms", sa.Double(), nullable=False),
    sa.Column("shadow_version", sa.String(32)),
    sa.Column("shadow_price_mad", sa.Double()),
    # the name of the API key that asked, where keys are in use
    sa.Column("key_name", sa.String(60)),
    # how much is known of such cars; where it is none, the interval was not answered
    sa.Column("evidence", sa.String(8)),
    sa.Index(None, "at", "prediction_id"),
    sa.Index(None, "make", "model", "at"),
    sa.Index(None, "version", "at"),
    sa.Index(None, "shadow_version", "at"),
    sa.Index(None, "key_name", "at"),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column(
        "prediction_id",
        sa.String(32),
        sa.ForeignKey(predictions.c.prediction_id, ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("price_paid_mad", sa.Double(), nullable=False),
    sa.Column("recorded_at", Moment(), nullable=False),
    # the name of the API key that it came with; null where the API asks for none
    sa.Column("recorded_by", sa.String(60)),
    # far from the estimate: somebody confirmed it, and no comparison counts it
    sa.Column("unlikely", sa.Boolean(), nullable=False, server_default=sa.false()),
)

api_keys = sa.Table(
    "api_keys",
    metadata,
    sa.Column("id", sa.Integer(), primary_key=True),
    sa.Column("name", sa.String(60), nullable=False),
    sa.Column("key_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("last_characters", sa.String(4), nullable=False),
    sa.Column("created_at", Moment(), nullable=False),
    sa.Column("revoked_at", Moment()),
    # A new key may have the name of a revoked one.
    sa.Index(
        "ix_api_keys_name_in_force",
        "name",
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    ),
)


def engine_of(url: str) -> sa.Engine:
    """Connections to the SQLite file or the PostgreSQL database that `url` names; opens none yet.

    Raises `DatabaseRefused` for any other URL.
    """
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        # the message does not repeat the URL: it may hold a password
        raise DatabaseRefused(
            "CARPRICE_API_DATABASE_URL must be a URL such as sqlite:////folder/predictions.db or "
            "postgresql://user:password@host/database, found something else"
        ) from None
    kind = parsed.get_backend_name()
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        # keeps the listings of people out of error messages and logs
        "hide_parameters": True,
        "pool_timeout": WAIT_SECONDS,
    }
    if kind == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise DatabaseRefused(
                "CARPRICE_API_DATABASE_URL must name a file, such as sqlite:////folder/predictions.db; "
                f"found {parsed.render_as_string()}"
            )
        engine = sa.create_engine(
            parsed.set(drivername="sqlite"), connect_args={"timeout": WAIT_SECONDS}, **options
        )
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
        return engine
    if kind in ("postgresql", "postgres"):
        # Without these, a broken network holds a thread for the quarter of an hour of TCP.
        defaults = {"connect_timeout": str(WAIT_SECONDS), "tcp_user_timeout": "10000"}
        parsed = parsed.set(drivername="postgresql+psycopg", query={**defaults, **parsed.query})
        return sa.create_engine(parsed, pool_pre_ping=True, pool_size=5, max_overflow=5, **options)
    raise DatabaseRefused(
        f"CARPRICE_API_DATABASE_URL must begin with sqlite: or postgresql:, found {kind}:; name one of those"
    )


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    # The BEGIN of Python's sqlite3 does not cover schema changes; see `_begin_sqlite`.
    connection.isolation_level = None
    deadline = time.monotonic() + WAIT_SECONDS
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except (
            sqlite3.OperationalError
        ):  # another process does the same, and SQLite does not wait for it here
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later fails if another one writes in between.
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that only reads. Raises `DatabaseAway` when the database does not answer."""
    with _translated(), engine.connect() as connection:
        yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that writes, committed at the end. Raises `DatabaseAway` as `reading`."""
    with (
        _translated(),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (sa.exc.IntegrityError, sa.exc.DataError):
        raise
    except (sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
        raise DatabaseAway(
            f"expected an answer of the database of the prediction log, found: {first_line_of(error)}; "
            "try again in a moment"
        ) from error


def first_line_of(error: BaseException) -> str:
    """The first line of a database error: later lines may quote the row."""
    original = getattr(error, "orig", None) or error
    line = (str(original).splitlines() or [""])[0]
    return f"{type(original).__name__}: {line}"[:300]


def insert_into(table: sa.Table, dialect: str) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that can have ON CONFLICT, which both databases write in the same way."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def migrate(url: str) -> None:
    """Bring the database of `url` to the newest schema, from any earlier one or from nothing.

    Several processes may call this at once. Raises `DatabaseRefused` when the schema is of a later
    release, and `DatabaseAway` when the database does not answer.
    """
    engine = engine_of(url)
    try:
        migrate_engine(engine)
    finally:
        engine.dispose()


def migrate_engine(engine: sa.Engine) -> None:
    """As `migrate`, for an engine."""
    if engine.dialect.name == "sqlite":
        folder = Path(str(engine.url.database)).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DatabaseRefused(
                f"the folder of {engine.url.render_as_string()} must be there or possible to make, found: "
                f"{error.strerror}; name another in CARPRICE_API_STATE_DIR or CARPRICE_API_DATABASE_URL"
            ) from error
    config = migrations()
    # BEGIN IMMEDIATE in SQLite and the advisory lock in PostgreSQL make the others wait until the commit.
    with _one_at_a_time, writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
        for revision in context.get_current_heads():
            if revision not in known:
                raise DatabaseRefused(
                    f"the database {engine.url.render_as_string(hide_password=True)} must have a schema "
                    f"up to {max(known)}, found {revision}: a newer release has used it; run that release "
                    "or name another database in CARPRICE_API_DATABASE_URL"
                )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def migrations() -> Config:
    """The configuration of Alembic; the migrations are beside this module, wherever it is installed."""
    config = Config()
    folder = Path(__file__).resolve().parent / "migrations"
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    return config
