"""The languages of every sentence: French in the source, the others from `locale/<language>.po`.

What is filled into an Arabic sentence stands in a Unicode isolate (Unicode Annex 9), as in Fluent: a Latin
name, a number or a sign in it never changes places with the words around it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from gettext import GNUTranslations
from pathlib import Path

from babel import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"fr": "Français", "en": "English", "ar": "العربية"}
SOURCE = "fr"
RIGHT_TO_LEFT = frozenset({"ar"})
_LOCALE = Path(__file__).with_name("locale")
_MOST_ASKED = 20
# The beginnings of isolates, the end of one, and a mark that text begins from the right.
_LEFT_TO_RIGHT, _RIGHT_TO_LEFT, _AS_ITS_FIRST_LETTER, _END = "\u2066", "\u2067", "\u2068", "\u2069"
_FROM_THE_RIGHT = "\u200f"

_speaking: ContextVar[str | None] = ContextVar("language", default=None)
_sources: list[Callable[[], str]] = []


def current() -> str:
    """The language that is on, one of `LANGUAGES`."""
    return _speaking.get() or (_sources[-1]() if _sources else SOURCE)


def direction() -> str:
    """How the language that is on is written: `ltr` or `rtl`."""
    return "rtl" if current() in RIGHT_TO_LEFT else "ltr"


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
    text = message if current() == SOURCE else translations(current()).gettext(message)
    return _filled(text, message, values)


def ngettext(one: str, many: str, n: int, /, **values: object) -> str:
    """The form of a message for the number `n`, its `{placeholders}` filled with `values`."""
    french = one if n < 2 else many
    text = french if current() == SOURCE else translations(current()).ngettext(one, many, n)
    return _filled(text, french, values)


def pgettext(context: str, message: str, /) -> str:
    """`message` where it means `context`: one French word may be several words of another language."""
    return message if current() == SOURCE else translations(current()).pgettext(context, message)


def N_(message: str) -> str:  # noqa: N802
    """Mark a message for the catalogue; `_` translates it where it is shown."""
    return message


def isolated(name: str) -> str:
    """A name or another foreign text, which may run either way, as a unit among Arabic words."""
    return _isolate(_AS_ITS_FIRST_LETTER, name)


def left_to_right(digits: str) -> str:
    """Digits with their signs as a unit among Arabic words: they run from left to right everywhere."""
    return _isolate(_LEFT_TO_RIGHT, digits)


def composed(text: str) -> str:
    """Numbers, names and words that are put together, as a unit that runs as the language that is on."""
    return _isolate(_RIGHT_TO_LEFT, text)


def enumerated(parts: Iterable[str]) -> str:
    """`a, b, c` with the comma of the language that is on."""
    return composed(("، " if direction() == "rtl" else ", ").join(isolated(part) for part in parts))


@lru_cache(maxsize=len(LANGUAGES))
def translations(language: str) -> GNUTranslations:
    """What stands for each French message in another of `LANGUAGES`."""
    with open(catalogue(language), "rb") as file:
        messages = read_po(file, locale=language)
    compiled = io.BytesIO()
    write_mo(compiled, messages)
    compiled.seek(0)
    return GNUTranslations(compiled)


def catalogue(language: str) -> Path:
    """The file of `translations`."""
    return _LOCALE / f"{language}.po"


def _filled(text: str, french: str, values: dict[str, object]) -> str:
    # A message without a translation is shown in French.
    if text == french:
        text = _typeset(text)
    if direction() == "rtl":
        values = {name: isolated(str(value)) for name, value in values.items()}
        text = _FROM_THE_RIGHT + text if text.startswith("{") else text
    return text.format(**values)


def _isolate(beginning: str, text: str) -> str:
    return f"{beginning}{text}{_END}" if text and direction() == "rtl" else text


@lru_cache(maxsize=1024)
def _typeset(french: str) -> str:
    """French with its typographic spaces: no line begins with a colon or a closing guillemet."""
    return re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", french)
