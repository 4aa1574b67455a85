"""The two languages of every sentence: French in the source, English from `locale/en.po`."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from gettext import GNUTranslations
from pathlib import Path

from babel import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"fr": "Français", "en": "English"}
CATALOGUE = Path(__file__).with_name("locale") / "en.po"
_MOST_ASKED = 20

_speaking: ContextVar[str | None] = ContextVar("language", default=None)
_sources: list[Callable[[], str]] = []


def current() -> str:
    """The language that is on: `fr` or `en`."""
    return _speaking.get() or (_sources[-1]() if _sources else "fr")


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Have `language` on, in this thread or task alone."""
    before = _speaking.set(language)
    try:
        yield
    finally:
        _speaking.reset(before)


def follow(source: Callable[[], str]) -> None:
    """Ask `source` for the language wherever `speaking` names none."""
    _sources[:] = [source]


def asked_for(accept_language: str) -> str:
    """The first language of a header `Accept-Language` that is one of ours; English where none is."""
    weighted: list[tuple[float, str]] = []
    for part in accept_language.split(",")[:_MOST_ASKED]:
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            continue
        if weight > 0:
            weighted.append((-weight, name.strip()))
    wanted = [name for _, name in sorted(weighted, key=lambda each: each[0])]
    found = negotiate_locale(wanted, list(LANGUAGES), sep="-")
    return found or "en"


def _(message: str, /, **values: object) -> str:
    """`message` in the language that is on, its `{placeholders}` filled with `values`."""
    text = _typeset(message) if current() == "fr" else english().gettext(message)
    return text.format(**values)


def ngettext(one: str, many: str, n: int, /, **values: object) -> str:
    """The singular or plural of a message for the number `n`, its `{placeholders}` filled with `values`."""
    text = _typeset(one if n < 2 else many) if current() == "fr" else english().ngettext(one, many, n)
    return text.format(**values)


def N_(message: str) -> str:  # noqa: N802
    """Mark a message for the catalogue; `_` translates it where it is shown."""
    return message


@lru_cache(maxsize=1024)
def _typeset(french: str) -> str:
    """French with its typographic spaces: no line begins with a colon or a closing guillemet."""
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", french)


@lru_cache(maxsize=1)
def english() -> GNUTranslations:
    """The English of each French message."""
    with open(CATALOGUE, "rb") as file:
        catalogue = read_po(file, locale="en")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)
