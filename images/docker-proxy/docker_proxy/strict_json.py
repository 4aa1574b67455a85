"""Reads JSON in the one way that every decoder reads it, and checks the values at each place of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from docker_proxy.refusal import Json, Refusal, quoted

Check = Callable[[str, Json], None]
"""Raises `Refusal` when the value at this place of the document is not allowed."""


def parse(body: bytes) -> Json:
    """The document in `body`. Raises `Refusal` if another decoder could read it differently."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal("The container's description must be UTF-8, found other bytes.") from None
    try:
        document = json.loads(text, object_pairs_hook=_object_with_distinct_keys, parse_constant=_no_constant)
        json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refusal(
            "The container's description must be text, found half a surrogate pair, which is no character."
        ) from None
    except (ValueError, RecursionError) as problem:
        raise Refusal(f"The container's description must be JSON: {problem}.") from None
    return document


def check_object(where: str, value: Json, checks: Mapping[str, Check], required: tuple[str, ...]) -> None:
    """Allows an object with keys of `checks` only, all of `required`, and values that pass the checks."""
    if not isinstance(value, dict):
        raise wrong_value(where or "The container's description", value, "be an object")
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


def check_equal(expected: Json, where: str, value: Json) -> None:
    """Allows `expected` only."""
    # As JSON, because in Python 0 == False.
    if json.dumps(value) != json.dumps(expected):
        raise wrong_value(where, value, f"be {quoted(expected)}")


def check_one_of(allowed: tuple[str, ...], where: str, value: Json) -> None:
    """Allows a text of `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise wrong_value(where, value, f"be {' or '.join(map(quoted, allowed))}")


def check_boolean(where: str, value: Json) -> None:
    """Allows true and false."""
    if not isinstance(value, bool):
        raise wrong_value(where, value, "be true or false")


def check_integer(least: int, most: int, where: str, value: Json) -> None:
    """Allows a whole number from `least` to `most`."""
    if type(value) is not int or not least <= value <= most:
        raise wrong_value(where, value, f"be a whole number from {least} to {most}")


def check_text(where: str, value: Json) -> None:
    """Allows any text."""
    if not isinstance(value, str):
        raise wrong_value(where, value, "be text")


def check_text_or_null(where: str, value: Json) -> None:
    """Allows any text, and null."""
    if value is not None:
        check_text(where, value)


def check_list_of_texts(where: str, value: Json) -> None:
    """Allows a list of texts."""
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise wrong_value(where, value, "be a list of texts")


def wrong_value(where: str, value: Json, must: str) -> Refusal:
    """The refusal of `value`, which must be as `must` says."""
    return Refusal(f"{where} must {must}, found {quoted(value)}.")


def _object_with_distinct_keys(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        values = " and ".join(
            _quoted_unless_secret(repeated, value) for key, value in pairs if key == repeated
        )
        raise Refusal(f"The key {quoted(repeated)} may be there once, found {values}.")
    return found


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON")


def _quoted_unless_secret(key: str, value: Json) -> str:
    # The passwords of a step are among its variables, and a refusal is logged.
    return "variables" if key.casefold() == "env" else quoted(value)
