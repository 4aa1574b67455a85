"""Words of titles that are no makes and models, from `title_words.txt`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

from carprice.listings.folding import words_of


class Found(NamedTuple):
    """A value that a run of words stands for, and where the run begins and ends."""

    value: str
    start: int
    end: int


class Phrases:
    """Runs of words, each with the value that it stands for."""

    def __init__(self, values: Mapping[tuple[str, ...], str]) -> None:
        self._values = dict(values)
        self._lengths: dict[str, list[int]] = {}
        for words in sorted(self._values, key=len, reverse=True):
            lengths = self._lengths.setdefault(words[0], [])
            if len(words) not in lengths:
                lengths.append(len(words))

    def at(self, words: Sequence[str], start: int) -> Found | None:
        """The longest run that begins at a place."""
        for length in self._lengths.get(words[start], ()):
            value = self._values.get(tuple(words[start : start + length]))
            if value is not None:
                return Found(value, start, start + length)
        return None

    def all(self, words: Sequence[str]) -> Iterator[Found]:
        """The runs of words in order, none inside another one."""
        start = 0
        while start < len(words):
            found = self.at(words, start)
            if found is not None:
                yield found
            start = start + 1 if found is None else found.end


@lru_cache(maxsize=32)
def phrases(section: str) -> Phrases:
    """The phrases of a section of `title_words.txt`. Raises KeyError where there is none of that name."""
    values: dict[tuple[str, ...], str] = {}
    for line in _sections()[section]:
        value, *names = (part.strip() for part in line.split("|"))
        for name in names:
            words = tuple(words_of(name))
            if not words:
                raise ValueError(f"a word was expected in section {section}, found {name!r}")
            values.setdefault(words, value)
    return Phrases(values)


@lru_cache(maxsize=32)
def words_in(section: str) -> frozenset[str]:
    """The single words of a section that has no values."""
    return frozenset(
        words[0]
        for line in _sections()[section]
        for name in line.split("|")[1:]
        for words in [words_of(name)]
        if len(words) == 1
    )


@lru_cache(maxsize=1)
def _sections() -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    for line in files(__package__).joinpath("title_words.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            sections[line.strip("[]")] = lines = []
        elif line.strip() and not line.startswith("#"):
            lines.append(line)
    return sections


@lru_cache(maxsize=1)
def category_words() -> tuple[tuple[str, frozenset[tuple[str, ...]]], ...]:
    """What a category can hold, each with the runs of words that tell it, without the s of plurals."""
    return tuple(
        (value.strip(), frozenset(tuple(map(singular, words_of(name))) for name in names))
        for value, *names in (line.split("|") for line in _sections()["category"])
    )


def singular(word: str) -> str:
    """A word without the s of its plural."""
    return word.removesuffix("s")
