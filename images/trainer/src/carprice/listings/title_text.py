"""From the text of a title to its words, without the amounts in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from carprice.listings.folding import fold
from carprice.listings.title_words import phrases, words_in
from carprice.listings.vocabulary import Vocabulary

AMOUNT = "#"
"""Stands for a number that is no name and no year: a price, a mileage, a telephone number, an ordinal."""

AT = "@"
"""Stands for the word `à`, which is no letter A."""

YEAR = re.compile(r"19[5-9]\d|20\d\d")

_WORD = re.compile(r"[^\W_]+\+?|[#@]")
_AT = re.compile(r"(?<!\w)[àÀ](?!\w)")
_ELIDED = re.compile(r"\b[ldnjcsmq]['’](?=[^\W\d])|\bqu['’]")
_ALL_EXTRAS = re.compile(r"\btts?(?= ?(?:les )?(?:opt|op\b|posi))")
_PLUS = re.compile(r"(?<=\d) \+(?!\w)")
_PHONE = re.compile(r"(?<!\d)(?:\+?212[ .-]?|0)[5-8](?:[ .-]?\d){8}(?!\d)")
_DAY = re.compile(r"(?<![\d/.])(?:[0-2]?\d|3[01])([/.-])(?:0?[1-9]|1[0-2])\1(?=(?:19|20)\d\d(?!\d))")
_MONTH_YEAR = re.compile(r"(?<![\w/.])(?:0?[1-9]|1[0-2]) ?[/.-](?=(?:19|20)\d\d(?!\d))")
_YEAR_MONTH = re.compile(r"(?<!\d)((?:19|20)\d\d) ?[/.-](?:0?[1-9]|1[0-2])(?!\w)")
_KILOMETRES = re.compile(r"(?<!\d)\d{1,3}[ .,]?\d{3} ?(?:kms?|klm|كم|كلم)\b")
_GROUPED = re.compile(
    r"(?<!\d)(?:\d{1,2}([ .,])\d{3}\1\d{3}|"
    r"\d{1,3}(?:[.,]\d{3}|[ ](?:000|\d{3}(?= ?(?:dhs?|drh|mad|درهم)\b))))"
    r"(?!\d|[ .,]\d{3}(?!\d))"
)
_LITRES = re.compile(
    r"(?<![\w.,])(?<!golf )\d[.,]\d(?!\d)|(?<!\w)[1-3] ?l(?:itres?)?\b|(?<!\w)\d{4} ?(?:cc|cm3|cm)\b"
)
_POWER = re.compile(r"(?<!\w)(?!2 ?cv)\d+ ?(?:cv|ch)(?!\w)")
_COUNTED = re.compile(r"(?<!\w)(\d+(?:[.,]\d+)?) ?([^\W\d_]+)(?!\w)")
_BEFORE = re.compile(r"\b(?:km|kms|klm|kilometrage|كم)[ :.]*\d[\d.,]*(?: \d{3})*(?!\d)")
_GLUED_YEAR = re.compile(r"([^\W\d_]{2,})((?:19[5-9]|20[0-4])\d)")
_YEAR_GLUED = re.compile(r"((?:19[5-9]|20[0-4])\d)([^\W\d_]+)")
_NAME_NUMBER = re.compile(r"([^\W\d_]{3,})(\d{1,3})")
_AGAINST = frozenset({"contre"})
_SHORTEST_MAKE = 3
_SHORTEST_DRIVE = 5


def words_of_title(title: str, vocabulary: Vocabulary) -> list[str]:
    """The folded words of a title; `AMOUNT` stands for each amount, words written as one are apart."""
    text = _ALL_EXTRAS.sub("toutes", _PLUS.sub("+", _ELIDED.sub(" ", fold(_AT.sub(AT, title)))))
    text = _without_amounts(text)
    return [part for word in _WORD.findall(text) for part in _apart(word, vocabulary)]


def offered_words(
    words: Sequence[str], vocabulary: Vocabulary, names: Callable[[Sequence[str]], bool]
) -> list[str]:
    """The words about the car that is offered, without those about one that is asked for in exchange.

    `names` tells whether words name a car.
    """
    swap = next(
        (found for found in phrases("exchange").all(words) if not names(words[: found.end][-2:])), None
    )
    place = len(words) if swap is None else swap.start
    against = next(
        (
            i
            for i, word in enumerate(words)
            if word == "contre" or (i > place and word in words_in("against"))
        ),
        None,
    )
    before = list(words[: place if against is None else min(place, against)])
    if swap is None:
        return before
    after = list(words[swap.end : against])
    if not names(before):
        return after
    return before if against is not None or names(after) else before + after


def _against(behind_swap: bool) -> frozenset[str]:
    return words_in("against") if behind_swap else _AGAINST


def _is_model(words: Sequence[str], place: int, vocabulary: Vocabulary) -> bool:
    """Whether the word is a model of the make right before it: `VW Troc` is no exchange."""
    makes = {name.make for name in vocabulary.named(words[max(place - 1, 0) : place]) if name.model is None}
    return any(name.make in makes for name in vocabulary.named(words[place : place + 1]))


def _without_amounts(text: str) -> str:
    if not any(map(str.isdigit, text)):
        return text
    text = _PHONE.sub(f" {AMOUNT} ", text)
    text = _DAY.sub(f" {AMOUNT} ", text)
    text = _MONTH_YEAR.sub(f" {AMOUNT} ", text)
    text = _YEAR_MONTH.sub(rf"\1 {AMOUNT} ", text)
    text = _KILOMETRES.sub(f" {AMOUNT} ", text)
    text = _GROUPED.sub(f" {AMOUNT} ", text)
    text = _LITRES.sub(f" {AMOUNT} ", text)
    text = _POWER.sub(f" {AMOUNT} ", text)
    return _BEFORE.sub(f" {AMOUNT} ", _COUNTED.sub(_counted, text))


def _counted(found: re.Match[str]) -> str:
    # "2 CV" is a car
    if found[2] in words_in("unit") and (found[1], found[2]) != ("2", "cv"):
        return f" {AMOUNT} "
    return found[0]


def _apart(word: str, vocabulary: Vocabulary) -> list[str]:
    """The words that are written as one: `clio4`, `logan2015`, `2020automatique`, `audiq5`."""
    if len(word) < 4 or vocabulary.named([word]):
        return [word]
    if found := _GLUED_YEAR.fullmatch(word) or _YEAR_GLUED.fullmatch(word):
        return [part for half in found.groups() for part in _apart(half, vocabulary)]
    if (found := _NAME_NUMBER.fullmatch(word)) and vocabulary.named([found[1]]):
        return [found[1], found[2]]
    numbered = any(map(str.isdigit, word))
    if numbered and (drive := next((d for d in _drives() if word.endswith(d) and word != d), None)):
        return [*_apart(word.removesuffix(drive), vocabulary), drive]
    for end in range(_SHORTEST_MAKE, len(word)):
        makes = [name.make for name in vocabulary.named([word[:end]]) if name.model is None]
        if makes and any(name.make in makes and name.model for name in vocabulary.named([word[end:]])):
            return [word[:end], word[end:]]
        if not vocabulary.begins([word[:end]]):
            break
    return [word]


@lru_cache(maxsize=1)
def _drives() -> frozenset[str]:
    return frozenset(w for w in words_in("fuel") | words_in("gearbox") if len(w) >= _SHORTEST_DRIVE)
