"""Makes and models with the names that sellers use for them.

The vocabulary ships with the package (`vocabulary.txt`) and can be extended by makes and models that were
accepted before.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

MOST_WORDS = 5
"""No name of a make or model has more words."""

_SHORTEST_ALONE = 4
_FEWEST_LETTERS_ALONE = 2
_SHORTEST_MISSPELT = 6
_ARABIC = str.maketrans({"ة": "ه", "ى": "ي", "گ": "ك", "ڭ": "ك", "ـ": ""})


def words_of(text: str) -> list[str]:
    """The words of a text in any script, folded: lower case, no accents, ASCII digits, no punctuation.

    A plus sign stays with its word, because a `206+` is no `206`.
    """
    plain = unicodedata.normalize("NFKD", text).translate(_ARABIC).casefold()
    kept = "".join(
        (str(unicodedata.digit(c)) if c.isdigit() and unicodedata.digit(c, None) is not None else c)
        for c in plain
        if not unicodedata.combining(c) and unicodedata.category(c) != "Cf"
    )
    return re.findall(r"[^\W_]+\+?", kept)


@dataclass(frozen=True)
class Name:
    """What a sequence of words can stand for: a make, or a model of a make.

    `alone` tells whether the words say it without the make beside them.
    """

    make: str
    model: str | None
    alone: bool


@dataclass
class Vocabulary:
    """An index of names. Words are compared without the spaces between them: `ix 35` is `ix35`."""

    makes: dict[str, list[str]] = field(default_factory=dict)
    _names: dict[str, list[Name]] = field(default_factory=dict)
    _misspelt: dict[str, set[str]] = field(default_factory=dict)

    def add_make(self, make: str, aliases: Iterable[str] = ()) -> None:
        """Add a make and its other names."""
        self.makes.setdefault(make, [])
        for alias in (make, *aliases):
            self._add(alias, Name(make, None, True))

    def add_model(self, make: str, model: str, aliases: Iterable[str] = (), alone: bool = False) -> None:
        """Add a model of a known make, its other names, and whether its name tells the make."""
        if model not in self.makes[make]:
            self.makes[make].append(model)
        for alias in (model, *aliases):
            self._add(alias, Name(make, model, alone))

    def named(self, words: Sequence[str]) -> list[Name]:
        """What the words, as `words_of` gives them, stand for together."""
        return self._names.get("".join(words), [])

    def named_nearly(self, word: str) -> list[Name]:
        """What a word stands for that has one letter too many, too few, or another one."""
        if len(word) < _SHORTEST_MISSPELT or any(c.isdigit() for c in word):
            return []
        keys = {key for part in (word, *_with_one_letter_less(word)) for key in self._misspelt.get(part, ())}
        names = {name for key in keys for name in self._names[key]}
        return list(names) if len({name.make for name in names}) == 1 else []

    def make_named(self, text: str) -> str | None:
        """The make that a text stands for as a whole, or None."""
        return next((name.make for name in self.named(words_of(text)) if name.model is None), None)

    def model_named(self, make: str, text: str) -> str | None:
        """The model of a make that a text stands for as a whole, or None."""
        found = (name for name in self.named(words_of(text)) if name.make == make)
        return next((name.model for name in found if name.model is not None), None)

    def _add(self, alias: str, name: Name) -> None:
        words = words_of(alias)
        key = "".join(words)
        known = self._names.setdefault(key, [])
        if any((other.make, other.model) == (name.make, name.model) for other in known):
            return
        known.append(name)
        if len(words) == 1 and len(key) >= _SHORTEST_MISSPELT and not any(c.isdigit() for c in key):
            for part in (key, *_with_one_letter_less(key)):
                self._misspelt.setdefault(part, set()).add(key)


@lru_cache(maxsize=1)
def shipped_vocabulary() -> Vocabulary:
    """The vocabulary that ships with the package. Not to be changed: `extended` makes another one."""
    return _read(files(__package__).joinpath("vocabulary.txt").read_text(encoding="utf-8"))


def extended(known: Iterable[tuple[str, str]]) -> Vocabulary:
    """The shipped vocabulary with the makes and models of accepted listings."""
    vocabulary = _read(files(__package__).joinpath("vocabulary.txt").read_text(encoding="utf-8"))
    for make, model in known:
        its_make = vocabulary.make_named(make)
        if its_make is None:
            vocabulary.add_make(make)
            its_make = make
        if vocabulary.model_named(its_make, model) is None:
            vocabulary.add_model(its_make, model)
    return vocabulary


def _read(text: str) -> Vocabulary:
    vocabulary = Vocabulary()
    makes_of: dict[str, set[str]] = {}
    models: list[tuple[str, str, list[str], bool]] = []
    make = ""
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            make, *aliases = (part.strip() for part in line.split("|"))
            vocabulary.add_make(make, aliases)
            continue
        for entry in line.split(","):
            model, *aliases = (part.strip().removeprefix("=") for part in entry.split("|"))
            models.append((make, model, aliases, not entry.strip().startswith("=")))
            for alias in (model, *aliases):
                makes_of.setdefault("".join(words_of(alias)), set()).add(make)
    for make, model, aliases, says_make in models:
        for alias in (model, *aliases):
            key = "".join(words_of(alias))
            alone = says_make and len(makes_of[key]) == 1 and (alias.startswith("!") or _says_enough(key))
            vocabulary.add_model(make, model, (alias,), alone)
    return vocabulary


def _says_enough(key: str) -> bool:
    """Whether a name without its make is long enough to be no other word."""
    letters = sum(not c.isdigit() for c in key)
    return letters >= (_SHORTEST_ALONE if letters == len(key) else _FEWEST_LETTERS_ALONE)


def _with_one_letter_less(word: str) -> list[str]:
    return [word[:i] + word[i + 1 :] for i in range(len(word))]
