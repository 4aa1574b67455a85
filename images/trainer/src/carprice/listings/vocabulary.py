"""Makes and models with the names that sellers use for them.

The vocabulary ships with the package (`vocabulary.txt`) and can be extended by makes and models that were
accepted before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from carprice.listings.folding import words_of

MOST_WORDS = 5
"""No name of a make or model has more words."""

_SHORTEST_ALONE = 4
_FEWEST_LETTERS_ALONE = 2
_SHORTEST_MISSPELT = 6
_MARKS = "=?!"


class Name(NamedTuple):
    """What a sequence of words can stand for: a make, or a model of a make (`model` is not None).

    `alone` tells whether the words say it without the make beside them. A `weak` name counts only where no
    other model of the make is named.
    """

    make: str
    model: str | None
    alone: bool
    weak: bool = False


@dataclass(frozen=True)
class _Entry:
    """A make (`model` is None) or model with its names, each with its mark or an empty one."""

    make: str
    model: str | None
    names: tuple[tuple[str, str], ...]


class Vocabulary:
    """An index of names. Words are compared without the spaces between them: `ix 35` is `ix35`."""

    def __init__(self, entries: Iterable[_Entry]) -> None:
        self.makes: dict[str, list[str]] = {}
        self._names: dict[str, list[Name]] = {}
        self._beginnings: set[str] = set()
        self._misspelt: dict[str, set[str]] = {}
        self._longer: dict[tuple[str, str], list[tuple[str, tuple[str, ...]]]] = {}
        entries = list(entries)
        claims = _claims(entries)
        for entry in entries:
            self._add(entry, claims)

    def named(self, words: Sequence[str]) -> list[Name]:
        """What the words, as `words_of` gives them, stand for together."""
        return self._names.get("".join(words), [])

    def begins(self, words: Sequence[str]) -> bool:
        """Whether a name begins with the words or is made of them."""
        return "".join(words) in self._beginnings

    def named_nearly(self, word: str) -> list[Name]:
        """What a word stands for that has one letter too many, too few, or another one."""
        if not _can_be_misspelt(word):
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

    def longer_models(self, make: str, model: str) -> list[tuple[str, tuple[str, ...]]]:
        """The models of a make whose names begin with this one's, each with its further words."""
        return self._longer.get((make, model), [])

    def _add(self, entry: _Entry, claims: dict[str, set[str]]) -> None:
        models = self.makes.setdefault(entry.make, [])
        if entry.model is not None and entry.model not in models:
            self._relate(entry.make, entry.model)
            models.append(entry.model)
        for mark, text in entry.names:
            words = words_of(text)
            key = "".join(words)
            if not key:
                raise ValueError(
                    f"a name of {entry.make} with a letter or digit was expected, found {text!r}"
                )
            alone = entry.model is None or (
                _goes_alone(mark) and claims[key] == {entry.make} and ("!" in mark or _says_enough(key))
            )
            self._index(words, key, Name(entry.make, entry.model, alone, "?" in mark))

    def _index(self, words: Sequence[str], key: str, name: Name) -> None:
        known = self._names.setdefault(key, [])
        if any((other.make, other.model) == (name.make, name.model) for other in known):
            return
        known.append(name)
        self._beginnings.update(key[:end] for end in range(1, len(key) + 1))
        if len(words) == 1 and _can_be_misspelt(key):
            for part in (key, *_with_one_letter_less(key)):
                self._misspelt.setdefault(part, set()).add(key)

    def _relate(self, make: str, model: str) -> None:
        words = tuple(words_of(model))
        for other in self.makes[make]:
            others = tuple(words_of(other))
            if others[: len(words)] == words:
                self._longer.setdefault((make, model), []).append((other, others[len(words) :]))
            elif words[: len(others)] == others:
                self._longer.setdefault((make, other), []).append((model, words[len(others) :]))


@lru_cache(maxsize=1)
def shipped_vocabulary() -> Vocabulary:
    """The vocabulary that ships with the package."""
    return Vocabulary(_shipped_entries())


def extended(known: Iterable[tuple[str, str]]) -> Vocabulary:
    """The shipped vocabulary with further makes and models, which are read only beside their make."""
    shipped = shipped_vocabulary()
    more: list[_Entry] = []
    for make, model in known:
        its_make = shipped.make_named(make)
        if its_make is None:
            its_make = make
            more.append(_Entry(make, None, (("", make),)))
        if shipped.model_named(its_make, model) is None:
            more.append(_Entry(its_make, model, (("=", model),)))
    return Vocabulary([*_shipped_entries(), *more]) if more else shipped


def _shipped_entries() -> Iterator[_Entry]:
    make = ""
    for line in files(__package__).joinpath("vocabulary.txt").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            names = [part.strip() for part in line.split("|")]
            make = names[0]
            yield _Entry(make, None, tuple(("", name) for name in names))
            continue
        for entry in filter(None, map(str.strip, line.split(","))):
            (mark, model), *others = (_marked(part.strip()) for part in entry.split("|"))
            yield _Entry(make, model, ((mark, model), *((own or mark, name) for own, name in others)))


def _marked(text: str) -> tuple[str, str]:
    """The marks before a name, and the name."""
    name = text.lstrip(_MARKS)
    return text[: len(text) - len(name)], name


def _goes_alone(mark: str) -> bool:
    return "!" in mark or not mark


def _claims(entries: Iterable[_Entry]) -> dict[str, set[str]]:
    """The makes whose models have a name that is to be read without the make."""
    claims: dict[str, set[str]] = {}
    for entry in entries:
        for mark, text in entry.names:
            if entry.model is not None and _goes_alone(mark):
                claims.setdefault("".join(words_of(text)), set()).add(entry.make)
    return claims


def _says_enough(key: str) -> bool:
    """Whether a name without its make is long enough to be no other word."""
    letters = sum(not c.isdigit() for c in key)
    return letters >= (_SHORTEST_ALONE if letters == len(key) else _FEWEST_LETTERS_ALONE)


def _can_be_misspelt(word: str) -> bool:
    return len(word) >= _SHORTEST_MISSPELT and not any(c.isdigit() for c in word)


def _with_one_letter_less(word: str) -> list[str]:
    return [word[:i] + word[i + 1 :] for i in range(len(word))]
