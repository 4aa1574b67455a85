"""Makes and models as one spelling each, whatever words a site uses for them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from carprice.listings.engine_names import family_of_engine
from carprice.listings.folding import words_of
from carprice.listings.text import ascii_fold, tidy
from carprice.listings.title_text import AMOUNT, words_of_title
from carprice.listings.title_words import phrases, words_in
from carprice.listings.titles import with_lost_letters
from carprice.listings.vocabulary import Vocabulary

_OTHER = {"autre", "autres", "other", "others", "divers", "اخرى", "اخري"}
_ENGINE = re.compile(r"\d{2,3}[a-z]{0,2}")
_GENERATIONS = {"Citroen", "Dacia", "Fiat", "Ford", "Opel", "Renault", "Seat", "Skoda", "Volkswagen"}
"""Makes that number the generations of a model: a Clio IV is a Clio."""

_GENERATION = re.compile(r"[1-8]|i{1,3}|iv|vi{0,3}")
_VERSION = ("fuel", "gearbox", "trim")


@dataclass(frozen=True)
class CarName:
    """A make and a model in the spelling of the vocabulary, or the seller's own where it knows neither.

    None is unknown. `make_code` and `model_code` are codes of `VALUE_CODES` where a value is given that names
    nothing.
    """

    make: str | None
    model: str | None
    make_code: str | None = None
    model_code: str | None = None


def canonical_make_and_model(make: str | None, model: str | None, vocabulary: Vocabulary) -> CarName:
    """The make and model that a site's words stand for: `VW` and `golf vii` are Volkswagen and GOLF 7.

    A spelling changes only where one car alone can be meant. Any other make and model stay as they are
    written, if they have a Latin letter: one in letters of another script that the vocabulary does not know
    would become another car of no name.
    """
    make, model = _given(make), _given(model)
    known = None if make is None else vocabulary.make_named(make)
    if make is not None and known is None:
        found = _by_model(make, model, vocabulary)
        if found is not None:
            return found
    if known is None:
        code = None if make is None or _has_letters(make) else "no_known_make"
        return CarName(None if code else make, model, code)
    if model is None:
        return CarName(known, None)
    canonical = model_of(known, model, vocabulary)
    if canonical is None and not ascii_fold(model).strip():
        return CarName(known, None, model_code="no_known_model")
    return CarName(known, canonical or model)


def split_make_and_model(text: str, vocabulary: Vocabulary) -> CarName:
    """The make and model of a text that is made of both: `LAND-ROVER Range rover sport`, `RENAULT Clio`.

    The make is the longest one that the text begins with; the rest is the model. A text that begins with no
    known make, or holds nothing else, has the code `no_known_make` or `no_known_model`.
    """
    text = _given(text) or ""
    words = text.split()
    for end in range(len(words), 0, -1):
        make = vocabulary.make_named(" ".join(words[:end]))
        if make is not None:
            rest = " ".join(words[end:]).strip(" -–:/")
            found = canonical_make_and_model(make, rest or None, vocabulary)
            if found.model is None:
                return CarName(make, None, model_code=found.model_code or "no_known_model")
            return found
    named = {name for name in vocabulary.named(words_of(text)) if name.model is not None and name.alone}
    if len(named) == 1:
        (name,) = named
        return CarName(name.make, name.model)
    return CarName(None, None, make_code="no_known_make")


def model_of(make: str, text: str, vocabulary: Vocabulary) -> str | None:
    """The model of a known make that a text stands for, or None.

    The text may repeat the make (`RENAULT Clio`) and go on with engine, gearbox and trim
    (`Clio 1.5 dCi Intens`).
    """
    model = vocabulary.model_named(make, text)
    if model is not None:
        return model
    words = [word for word in words_of_title(text, vocabulary) if word != AMOUNT]
    starts = [0]
    starts += [end for end in range(1, len(words)) if make in _makes(words[:end], vocabulary)]
    for start in starts:
        for end in range(len(words), start, -1):
            names = [n for n in vocabulary.named(words[start:end]) if n.make == make and n.model is not None]
            generation = make in _GENERATIONS and bool(_GENERATION.fullmatch("".join(words[end : end + 1])))
            if names and _only_version(words[end + generation :]):
                return names[0].model
            family = family_of_engine(make, "".join(words[start:end]))
            if family and _only_version(words[end:]):
                return vocabulary.model_named(make, family) or family
    return None


def _by_model(make: str, model: str | None, vocabulary: Vocabulary) -> CarName | None:
    """The car where a column of makes holds a model that only one make has: `Range Rover` and `Evoque`.

    The two columns may also be in each other's place: `Clio` and `Renault`.
    """
    makes = {name.make for name in vocabulary.named(words_of(make)) if name.model is not None and name.alone}
    if model is not None and vocabulary.model_named(vocabulary.make_named(model) or "", make) is not None:
        swapped = str(vocabulary.make_named(model))
        return CarName(swapped, vocabulary.model_named(swapped, make))
    if len(makes) != 1:
        return None
    (its_make,) = makes
    for text in (f"{make} {model or ''}", model or ""):
        found = vocabulary.model_named(its_make, text)
        if found is not None:
            return CarName(its_make, found)
    return None if model is not None else CarName(its_make, vocabulary.model_named(its_make, make))


def _makes(words: list[str], vocabulary: Vocabulary) -> set[str]:
    return {name.make for name in vocabulary.named(words) if name.model is None}


def _only_version(words: list[str]) -> bool:
    """Whether the words say nothing of the model: an engine, a gearbox, a trim."""
    left = set(range(len(words)))
    for section in _VERSION:
        for found in phrases(section).all(words):
            left -= set(range(found.start, found.end))
    return all(_ENGINE.fullmatch(words[place]) or words[place] in words_in("version") for place in left)


def _given(text: str | None) -> str | None:
    if text is None:
        return None
    text = tidy(with_lost_letters(text))
    return None if not text or set(words_of(text)) <= _OTHER else text


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, ascii_fold(text)))
