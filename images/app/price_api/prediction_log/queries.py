"""Reading predictions back: one, a page, or all of them in chunks; and the feedback on one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from price_api.database import feedback, insert_into, predictions, reading, writing
from price_api.prediction_log.records import Cursor, Feedback, FeedbackOfAnother, Filters, Logged, Page
from price_api.prediction_log.rows import amount, folded, logged_of

CHUNK_ROWS = 1_000
_NEWEST_FIRST = (predictions.c.at.desc(), predictions.c.prediction_id.desc())


def prediction_of(engine: sa.Engine, prediction_id: str, key_name: str | None = None) -> Logged | None:
    """The prediction of this id, or None; with `key_name` only one that this key asked for."""
    chosen = sa.select(predictions).where(predictions.c.prediction_id == prediction_id)
    if key_name is not None:
        chosen = chosen.where(predictions.c.key_name == key_name)
    statement = _with_feedback(chosen)
    with reading(engine) as connection:
        row = connection.execute(statement).one_or_none()
    return None if row is None else logged_of(row)


def page_of(
    engine: sa.Engine, filters: Filters, page: int, page_size: int, after: Cursor | None = None
) -> Page:
    """Page number `page` (from 1) of the predictions that fit, or the page `after` one; newest first."""
    conditions = _conditions(filters)
    counted = sa.select(sa.func.count()).where(*conditions)
    counted = counted.select_from(predictions if filters.with_feedback is None else _joined())
    first = 0 if after else (max(page, 1) - 1) * page_size
    older = [_older_than(after)] if after else []
    with reading(engine) as connection:
        total = connection.scalar(counted) or 0
        if first >= total:
            return Page(total, [])
        # one more than the page tells whether there is another
        chosen = _chosen(filters, [*conditions, *older], page_size + 1, first)
        rows = connection.execute(chosen).all()
    found = [logged_of(row) for row in rows[:page_size]]
    more = len(rows) > page_size
    return Page(total, found, Cursor(found[-1].at, found[-1].prediction_id) if more else None)


def stream_of(engine: sa.Engine, filters: Filters) -> Iterator[Logged]:
    """All predictions that fit, newest first, read a chunk at a time.

    Each chunk is a query of its own that continues where the one before ended. A slow reader therefore
    holds no transaction open, and a reader that stops early leaves nothing behind.
    """
    conditions = _conditions(filters)
    older: list[sa.ColumnElement[bool]] = []
    while True:
        chunk = _chosen(filters, [*conditions, *older], CHUNK_ROWS)
        with reading(engine) as connection:
            rows = connection.execute(chunk).all()
        yield from map(logged_of, rows)
        if len(rows) < CHUNK_ROWS:
            return
        older = [_older_than(Cursor(rows[-1].at, rows[-1].prediction_id))]


def _older_than(last: Cursor) -> sa.ColumnElement[bool]:
    place = sa.tuple_(sa.literal(last.at, predictions.c.at.type), sa.literal(last.prediction_id, sa.String))
    older: sa.ColumnElement[bool] = sa.tuple_(predictions.c.at, predictions.c.prediction_id) < place
    return older


def remove_feedback(engine: sa.Engine, prediction_id: str, key: str | None = None) -> bool:
    """Remove the price paid; whether there was one. Raises `FeedbackOfAnother`, see `write_feedback`."""
    given = feedback.c.prediction_id == prediction_id
    of_caller = sa.or_(feedback.c.recorded_by.is_(None), feedback.c.recorded_by == key)
    with writing(engine) as connection:
        if connection.execute(sa.delete(feedback).where(given, of_caller)).rowcount:
            return True
        if connection.scalar(sa.select(feedback.c.prediction_id).where(given)) is None:
            return False
    raise FeedbackOfAnother(prediction_id)


def write_feedback(
    engine: sa.Engine,
    prediction_id: str,
    price_paid_mad: float,
    key: str | None = None,
    unlikely: bool = False,
) -> Feedback | None:
    """Store the price paid in place of an earlier one; None when there is no such prediction.

    `key` is the name of the caller's API key. Raises `FeedbackOfAnother` when the earlier one came with
    another key.
    """
    now = datetime.now(UTC)
    statement = insert_into(feedback, engine.dialect.name).values(
        prediction_id=prediction_id,
        price_paid_mad=float(price_paid_mad),
        recorded_at=now,
        recorded_by=key,
        unlikely=unlikely,
    )
    earlier = sa.select(feedback.c.prediction_id).where(feedback.c.prediction_id == prediction_id)
    statement = statement.on_conflict_do_update(
        index_elements=[feedback.c.prediction_id],
        set_={
            "price_paid_mad": statement.excluded.price_paid_mad,
            "recorded_at": statement.excluded.recorded_at,
            "recorded_by": statement.excluded.recorded_by,
            "unlikely": statement.excluded.unlikely,
        },
        where=sa.or_(
            feedback.c.recorded_by.is_(None), feedback.c.recorded_by == statement.excluded.recorded_by
        ),
    )
    try:
        with writing(engine) as connection:
            replaced = connection.scalar(earlier) is not None
            stored = connection.execute(statement.returning(feedback.c.prediction_id)).first()
    except sa.exc.IntegrityError:  # the foreign key: there is no such prediction
        return None
    if stored is None:
        raise FeedbackOfAnother(prediction_id)
    return Feedback(prediction_id, amount(price_paid_mad), now, unlikely, replaced)


def can_be_stored(text: str) -> bool:
    """Whether PostgreSQL can hold `text`; it refuses even a question about any other."""
    return "\0" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def can_be_an_id(text: str) -> bool:
    """Whether `text` can be the id of a prediction."""
    return 0 < len(text) <= 32 and text.isascii() and text.isprintable()


def _joined() -> sa.FromClause:
    return predictions.outerjoin(feedback, predictions.c.prediction_id == feedback.c.prediction_id)


def _chosen(
    filters: Filters, conditions: list[sa.ColumnElement[bool]], limit: int, offset: int = 0
) -> sa.Select[Any]:
    """At most `limit` of the predictions that fit, newest first, with their feedback."""
    chosen = sa.select(predictions).where(*conditions)
    if filters.with_feedback is not None:
        chosen = chosen.select_from(_joined())
    # The join is made for the few rows that are shown, not for the whole table.
    return _with_feedback(chosen.order_by(*_NEWEST_FIRST).limit(limit).offset(offset))


def _with_feedback(chosen: sa.Select[Any]) -> sa.Select[Any]:
    found = chosen.subquery()
    return (
        sa.select(
            found,
            feedback.c.price_paid_mad,
            feedback.c.recorded_at.label("feedback_at"),
            feedback.c.unlikely.label("feedback_unlikely"),
        )
        .select_from(found.outerjoin(feedback, found.c.prediction_id == feedback.c.prediction_id))
        .order_by(found.c.at.desc(), found.c.prediction_id.desc())
    )


def _conditions(filters: Filters) -> list[sa.ColumnElement[bool]]:
    wanted: list[sa.ColumnElement[bool]] = []
    for column, value in (
        (predictions.c.make, None if filters.make is None else folded(filters.make)),
        (predictions.c.model, None if filters.model is None else folded(filters.model)),
        (predictions.c.version, filters.version),
        (predictions.c.alias, filters.alias),
        (predictions.c.source, filters.source),
        (predictions.c.key_name, filters.key_name),
    ):
        if value is not None:
            wanted.append(column == value if can_be_stored(value) else sa.false())
    if filters.since is not None:
        wanted.append(predictions.c.at >= filters.since)
    if filters.until is not None:
        wanted.append(predictions.c.at < filters.until)
    if filters.with_feedback is not None:
        paid = feedback.c.prediction_id
        wanted.append(paid.is_not(None) if filters.with_feedback else paid.is_(None))
    return wanted
