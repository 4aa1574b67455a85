"""Reading the title of an ad: "Renault Clio Diesel Automatique 2018 à Casablanca".

A title is read only as far as it is certain. Two makes, two models, two years or a word that stands for cars
of several makes tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carprice.listings.engine_names import NAMED_BY_ENGINE, family_of_engine
from carprice.listings.other_ads import OtherAd, other_ad
from carprice.listings.schema import FIRST_YEAR
from carprice.listings.title_text import AMOUNT, AT, YEAR, offered_words, words_of_title
from carprice.listings.title_words import phrases, words_in
from carprice.listings.vocabulary import MOST_WORDS, Name, Vocabulary

LOST = "\ufffd"
"""Stands for a letter that a wrong encoding lost."""

_ACCENTED = (
    "à", "été", "Coupé", "Série", "Citroën", "Élysée", "C-Elysée", "Évoque", "Mégane", "Scénic", "Fès",
    "Salé", "Meknès", "Kénitra", "Tétouan", "Béni", "Khémisset", "Laâyoune", "électrique", "dédouanée",
    "dédouané", "importée", "importé", "Très", "première", "modèle", "boîte", "état", "équipée", "léger",
)  # fmt: skip

_CLASS = {"classe", "class", "serie", "كلاس", "سيريي", "سيري"}
"""Words that a model's name begins with, and which are no name without the rest (`classe e` is `classe`)."""

_SISTERS = (
    {"BMW", "Mini"}, {"Citroen", "DS"}, {"Dacia", "Renault"}, {"Mercedes-Benz", "Smart"}, {"Seat", "Cupra"},
)  # fmt: skip
"""Makes of one house. Where a title names both, the model tells which is meant."""

_BUILT_SINCE = {("Peugeot", "2008"): 2013}
"""Models that are called like a year, and the first year there was one."""

_COMMON = {"sport", "cross", "plus", "line", "pro"}
"""Words that make another model only right behind the name."""

_SHORTEST_CONTRADICTION = 4
_SHORTEST_BESIDE_LETTER = 4
_ARTICLE = "ال"
_MODEL = {"modele", "model", "modil", "mod", "modile", "modelle", "moudil", "موديل"}
_PLACED = {AT, "a", "في"}
_FOR_SALE = (["vendre"], ["louer"], ["echanger"])


@dataclass(frozen=True)
class TitleFacts:
    """What a title says; None where it does not say it for certain.

    `other` says what the title is about, if not a used car on sale. `several` tells that the title names more
    than one car.
    """

    make: str | None = None
    model: str | None = None
    model_year: int | None = None
    fuel: str | None = None
    gearbox: str | None = None
    city: str | None = None
    trim: str | None = None
    other: OtherAd | None = None
    several: bool = False


def read_title(
    title: str,
    vocabulary: Vocabulary,
    newest_year: int,
    make: str | None = None,
    model_year: int | None = None,
) -> TitleFacts:
    """What the title of an ad says.

    `newest_year` is the newest model year there can be. `make` and `model_year` are those of the ad's columns
    where they are known. They help to read a title that leaves them out; the facts hold what the title says.
    """
    return _Title(title, vocabulary, newest_year, make, model_year).facts()


def are_sisters(make: str | None, other: str | None) -> bool:
    """Whether two makes are of one house, and called by either name: `Citroën DS 4`."""
    return {make, other} in _SISTERS


def with_lost_letters(text: str) -> str:
    """The text with U+FFFD, which stands for a letter that was lost, replaced where one word fits."""
    if LOST not in text:
        return text
    return re.sub(rf"[\w{LOST}]*{LOST}[\w{LOST}]*", lambda found: _with_letters(found[0]), text)


def _with_letters(word: str) -> str:
    pattern = re.compile(
        "".join(".?" if letter == LOST else re.escape(letter) for letter in word), re.IGNORECASE
    )
    fitting = [known for known in _ACCENTED if pattern.fullmatch(known)]
    return fitting[0] if len(fitting) == 1 else word


@dataclass(frozen=True)
class _Match:
    """A name that the words from `start` up to `end` stand for."""

    start: int
    end: int
    name: Name
    exact: bool = True

    @property
    def is_number(self) -> bool:
        return (self.name.model or "").rstrip("+").isdigit()

    def inside(self, other: _Match) -> bool:
        """Whether the words are a part of the other's."""
        within = other.start <= self.start and self.end <= other.end
        return within and other.end - other.start > self.end - self.start


class _Title:
    """The words of one title and the names found in them."""

    def __init__(
        self, title: str, vocabulary: Vocabulary, newest_year: int, make: str | None, model_year: int | None
    ) -> None:
        self.vocabulary = vocabulary
        self.newest_year = newest_year
        self.known_make = make
        self.known_year = model_year
        self.all_words = words_of_title(with_lost_letters(title), vocabulary)
        self.words = offered_words(self.all_words, vocabulary, self._names_a_car)
        self.matches = self._found(self.words)

    def facts(self) -> TitleFacts:
        """What the title says."""
        make, make_ends, several = self._make()
        other = other_ad(["a" if word == AT else word for word in self.all_words], make)
        if other is not None and other.sure:
            return TitleFacts(other=other)
        if several:
            return TitleFacts(several=True, city=self._city(), other=other)
        model, used, several = self._model(make or self.known_make, make_ends)
        year = self._year(used, make)
        since = _BUILT_SINCE.get((make or "", model or ""))
        if since is not None and (self.known_year or year or since) < since:
            model, year = None, None
        return TitleFacts(
            make=make,
            model=model,
            model_year=year,
            fuel=self._fuel(),
            gearbox=self._only(self._of_drive("gearbox")),
            city=self._city(),
            trim=None if model is None else self._trim(used),
            other=other,
            several=several,
        )

    def _names_a_car(self, words: Sequence[str]) -> bool:
        return any(m.exact and (m.name.model is None or m.name.alone) for m in self._found(words))

    def _found(self, words: Sequence[str]) -> list[_Match]:
        """Every name that a run of the words stands for."""
        found = []
        for start, first in enumerate(words):
            if first.startswith(_ARTICLE) and not self.vocabulary.begins([first]):
                first = first.removeprefix(_ARTICLE)
            run = ""
            for end in range(start + 1, min(start + MOST_WORDS, len(words)) + 1):
                run += first if end == start + 1 else words[end - 1]
                if not self.vocabulary.begins([run]):
                    break
                if run not in _CLASS:
                    found += [_Match(start, end, name) for name in self.vocabulary.named([run])]
            if not self.vocabulary.named([first]):
                found += [
                    _Match(start, start + 1, name, exact=False)
                    for name in self.vocabulary.named_nearly(first)
                    if first not in words_in("plain")
                ]
        return found

    def _make(self) -> tuple[str | None, set[int], bool]:
        """The one make that the title names, where its names end, and whether the title names several cars.

        A make is named by itself, or by a model that only it has.
        """
        models = self._telling_models()
        named = [m for m in self.matches if m.name.model is None and m.exact]
        named = named or [m for m in self.matches if m.name.model is None]
        named = [
            m
            for m in named
            if not any(m.inside(o) and o.name.make != m.name.make and o.name.alone for o in self.matches)
        ]
        makes = {m.name.make for m in named}
        makes -= {m.name.make for m in named if self._is_model_of(m, makes - {m.name.make})}
        if len(makes) == 2 and makes in _SISTERS:
            makes = self._sister(makes)
        if not makes:
            makes = {m.name.make for m in models}
        elif len(makes) == 1 and any(self._contradicts(m, next(iter(makes))) for m in models):
            return None, set(), True
        if len(makes) != 1:
            return None, set(), len(makes) > 1
        make = makes.pop()
        return make, {m.end for m in named if m.name.make == make}, False

    def _telling_models(self) -> list[_Match]:
        """The models that tell their make without its name."""
        models = [
            m for m in self.matches if m.name.model and m.name.alone and m.exact and not self._is_loose(m)
        ]
        return [m for m in models if not any(m.inside(other) for other in self.matches)]

    def _is_loose(self, match: _Match) -> bool:
        """Whether the words are single letters that may belong to something else (`a 3`)."""
        words = self.words[match.start : match.end]
        if len(words) == 1 or words[0] in _CLASS or not any(len(w) == 1 and w.isalpha() for w in words):
            return False
        return not any(len(w) >= _SHORTEST_BESIDE_LETTER and w not in _CLASS for w in words)

    def _is_model_of(self, match: _Match, makes: set[str]) -> bool:
        return any(
            (m.start, m.end) == (match.start, match.end) and m.name.model and m.name.make in makes
            for m in self.matches
        )

    def _sister(self, makes: set[str]) -> set[str]:
        """The makes of one house that have a model which the title names; the first named of equals."""
        having = {m.name.make for m in self.matches if m.name.model and m.name.make in makes and m.exact}
        if len(having) == 1:
            return having
        return {next(m.name.make for m in self.matches if m.name.model is None and m.name.make in makes)}

    def _contradicts(self, model: _Match, make: str) -> bool:
        """Whether a model of another make is named by words that are no name of this make."""
        short = sum(map(len, self.words[model.start : model.end])) < _SHORTEST_CONTRADICTION
        return (
            model.name.make != make
            and not short
            and not any(
                m.name.make == make and m.start < model.end and model.start < m.end for m in self.matches
            )
        )

    def _model(self, make: str | None, make_ends: set[int]) -> tuple[str | None, set[int], bool]:
        """The model, the positions of the words that name it, and whether several are named."""
        if make is None:
            return None, set(), False
        told = [
            m for m in self.matches if m.name.make == make and m.name.model and self._is_told(m, make_ends)
        ]
        told = [m for m in told if m.exact] or told
        told = [m for m in told if not any(m.inside(other) for other in told)]
        names = [m for m in told if not m.is_number and not m.name.weak]
        numbers = [m for m in told if m.is_number]
        engines = self._by_engine(make, make_ends)
        families = {name: found for name, found in engines.items() if not self._agree(make, name, names)}
        if make in NAMED_BY_ENGINE:
            numbers = [] if names or engines else numbers
        models = {str(m.name.model): set(range(m.start, m.end)) for m in [*names, *numbers]} | families
        if not models:
            models = {str(m.name.model): set(range(m.start, m.end)) for m in told if m.name.weak}
        models = {
            model: used
            for model, used in models.items()
            if not any(longer in models for longer, _ in self.vocabulary.longer_models(make, model))
        }
        if len(models) != 1:
            return None, set(), len(models) > 1
        ((model, used),) = models.items()
        variants = self._variants(make, model)
        if len(variants) > 1:
            return None, set(), True
        return (variants[0] if variants else model), used, False

    def _is_told(self, match: _Match, make_ends: set[int]) -> bool:
        """Whether the words mean the model: a short number or a year does only right behind the make."""
        glued = "".join(self.words[match.start : match.end])
        if (glued.isdigit() and len(glued) < 3) or YEAR.fullmatch(glued) or len(glued) == 1:
            return match.start in make_ends
        if self.words[match.end - 1] == "a" and self.words[match.end : match.end + 1] in _FOR_SALE:
            return False  # "classe a vendre"
        return self.words[match.start] != "a" or not self._is_loose(match) or match.start in make_ends

    def _by_engine(self, make: str, make_ends: set[int]) -> dict[str, set[int]]:
        """The models that engines tell, each with the positions of its words."""
        found: dict[str, set[int]] = {}
        for start, word in enumerate(self.words if make in NAMED_BY_ENGINE else ()):
            for length in (1, 2):
                family = family_of_engine(make, "".join(self.words[start : start + length]))
                # "a 220" may be a price
                if family and (length == 1 or word != "a" or start in make_ends):
                    model = self.vocabulary.model_named(make, family) or family
                    found.setdefault(model, set(range(start, start + length)))
        return found

    def _agree(self, make: str, family: str, names: Iterable[_Match]) -> bool:
        """Whether one of the named models is this one or a longer one."""
        longer = {model for model, _ in self.vocabulary.longer_models(make, family)}
        return any(m.name.model == family or m.name.model in longer for m in names)

    def _variants(self, make: str, model: str) -> list[str]:
        """The longest of the models whose names begin with this one's and whose other words the title has."""
        fitting = [
            (len(more), longer)
            for longer, more in self.vocabulary.longer_models(make, model)
            if more and all(len(word) > 2 and word in self.words and word not in _COMMON for word in more)
        ]
        most = max(fitting, default=(0, ""))[0]
        return [longer for length, longer in fitting if length == most]

    def _year(self, used: set[int], make: str | None) -> int | None:
        """The model year: the one that is called so, else the only one that is not called otherwise."""
        years: dict[bool, set[int]] = {True: set(), False: set()}
        for place, word in enumerate(self.words):
            year = self._year_of(place, word, make)
            if place in used or not FIRST_YEAR <= year <= self.newest_year:
                continue
            called = self._called(place)
            if called != "other year":
                years[called == "model year"].add(year)
        found = years[True] or years[False]
        return found.pop() if len(found) == 1 else None

    def _year_of(self, place: int, word: str, make: str | None) -> int:
        """The year that a word stands for, 0 for none. Two digits do right behind `modèle`: `modèle 99`."""
        if YEAR.fullmatch(word):
            return int(word)
        called = place > 0 and len(word) == 2 and word.isdigit() and self.words[place - 1] in _MODEL
        if not called or any(m.start == place and m.name.make == make for m in self.matches):
            return 0  # a "Renault modèle 19" may be a Renault 19
        return int(word) + (2000 if int(word) <= self.newest_year % 100 else 1900)

    def _called(self, place: int) -> str:
        """What the words before a year call it: `"model year"`, `"other year"` or nothing."""
        while place:
            place -= 1
            for section in ("model year", "other year"):
                if self.words[place] in words_in(section):
                    return section
            if self.words[place] != AMOUNT and self.words[place] not in words_in("filler"):
                break
        return ""

    def _fuel(self) -> str | None:
        found = self._of_drive("fuel")
        # a hybrid burns something, too
        return "Hybride" if "Hybride" in found and "Electrique" not in found else self._only(found)

    def _of_drive(self, section: str) -> set[str]:
        """What the title says of the drive; `toit électrique` and `clim automatique` are not meant."""
        return {
            found.value
            for found in phrases(section).all(self.words)
            if words_in("equipment").isdisjoint(self.words[max(found.start - 3, 0) : found.start])
        }

    @staticmethod
    def _only(found: set[str]) -> str | None:
        return next(iter(found)) if len(found) == 1 else None

    def _city(self) -> str | None:
        for found in phrases("city").all(self.all_words):
            if found.end == len(self.all_words) and self.all_words[found.start - 1] in _PLACED:
                return found.value
        return None

    def _trim(self, used: set[int]) -> str | None:
        free = ["" if place in used else word for place, word in enumerate(self.words)]
        return " ".join(dict.fromkeys(found.value for found in phrases("trim").all(free))) or None
