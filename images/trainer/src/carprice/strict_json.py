"""JSON as RFC 8259 defines it: it has neither NaN nor infinity.

PostgreSQL refuses a document with one of them, and so do browsers. A number that is none is absent: null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(document: Any, indent: int | None = None) -> str:
    """The text of a document, with null for each number that is not finite."""
    try:
        return json.dumps(document, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(finite(document), indent=indent, ensure_ascii=False, allow_nan=False)


def loads(text: str | bytes) -> Any:
    """The document of a text; NaN and infinities, which older releases wrote, are None."""
    return json.loads(text, parse_constant=lambda _: None)


def finite(value: Any) -> Any:
    """The value with None for each number in it that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return value
