"""How well titles are read, on files that hold a title and columns of the same ads.

    make bench-titles DATA="one.csv other.csv" [VERBOSE=1]

A title is read alone, and what it gives is compared with the columns make, model and model year of its row.
Spellings are compared by the vocabulary: `VW` is Volkswagen and `classe_gle_coupe` is Classe GLE Coupé. The
columns are the seller's own, so a part of the differences are the seller's mistakes. A title names make and
model if words of it stand for the make and the model of its columns. Each distinct ad counts once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from carprice.listings.folding import words_of
from carprice.listings.header_names import field_of
from carprice.listings.reading import read_raw
from carprice.listings.schema import newest_year
from carprice.listings.text import ascii_words
from carprice.listings.titles import TitleFacts, read_title, with_lost_letters
from carprice.listings.values import is_unknown, parse_year
from carprice.listings.vocabulary import MOST_WORDS, Vocabulary, shipped_vocabulary

LEAST = {"make": 99.0, "model": 96.0, "year": 99.0, "answered": 80.0}
_TITLES = {"titre", "title", "name", "nom", "annonce", "titre annonce", "ad title"}
_DECORATION = re.compile(r"\b(?:element|icon|value|field)\b")


@dataclass(frozen=True)
class Ad:
    """The title of an ad and what its columns say; None where they say nothing."""

    title: str
    make: str | None
    model: str | None
    model_year: int | None
    older: bool  # the year is the end of a bracket: "1980 ou plus ancien"


@dataclass
class Tally:
    """Of how many titles a fact is given, and how often it is the one of the columns."""

    given: int = 0
    right: int = 0
    misses: list[str] = field(default_factory=list)

    def add(self, right: bool, miss: str) -> None:
        """Count one given fact."""
        self.given += 1
        self.right += right
        if not right:
            self.misses.append(miss)

    @property
    def percent(self) -> float:
        """The share that is right, in percent; 100 of none."""
        return 100 * self.right / self.given if self.given else 100.0


def main() -> int:
    """Print the table; returns 1 where a figure is below what is asked, else 0."""
    paths = (os.environ.get("DATA") or "").split()
    if not paths:
        print(
            "bench-titles: DATA must name CSV files with a title and columns, found nothing", file=sys.stderr
        )
        return 2
    good = True
    vocabulary = shipped_vocabulary()
    for path in paths:
        ads = list(ads_of(path, vocabulary))
        tallies = judged(ads, vocabulary)
        print(f"{path}: {len(ads)} distinct ads")
        for name, tally in tallies.items():
            enough = tally.percent >= LEAST[name]
            good = good and enough
            print(
                f"  {name:<9} {tally.percent:6.2f} % of {tally.given:5d}"
                f"   at least {LEAST[name]:.0f} %{'' if enough else '   TOO LOW'}"
            )
            if os.environ.get("VERBOSE"):
                print(*(f"    {miss}" for miss in tally.misses), sep="\n")
    return 0 if good else 1


def ads_of(path: str, vocabulary: Vocabulary) -> Iterator[Ad]:
    """The distinct ads of a file with a title and columns."""
    with open(path, "rb") as file:
        table = read_raw(file.read(), path).table
    columns = _columns(list(map(str, table.columns)))
    rows = table[[columns[name] for name in ("title", "make", "model", "model_year")]].drop_duplicates()
    for title, make, model, year in rows.itertuples(index=False):
        its_make = vocabulary.make_named(with_lost_letters(make)) or (None if is_unknown(make) else make)
        its_model = None if is_unknown(model) else with_lost_letters(model)
        yield Ad(
            title,
            its_make,
            vocabulary.model_named(its_make or "", its_model or "") or its_model,
            _year(year),
            "ancien" in year,
        )


def judged(ads: Sequence[Ad], vocabulary: Vocabulary) -> dict[str, Tally]:
    """Make, model and year among the answers, and the answers among the titles that name a car."""
    tallies = {name: Tally() for name in LEAST}
    newest = newest_year()
    for ad in ads:
        found = read_title(ad.title, vocabulary, newest)
        shown = f"{ad.title!r}: {ad.make} {ad.model} {ad.model_year}, read as {_shown(found)}"
        if found.make and ad.make:
            tallies["make"].add(_same(found.make, ad.make), shown)
        if found.model and ad.model and found.make == ad.make:
            tallies["model"].add(_same(found.model, ad.model), shown)
        if found.model_year and ad.model_year:
            right = found.model_year <= ad.model_year if ad.older else found.model_year == ad.model_year
            tallies["year"].add(right, shown)
        if _names(ad, vocabulary):
            tallies["answered"].add(found.make is not None and found.model is not None, shown)
    return tallies


def _names(ad: Ad, vocabulary: Vocabulary) -> bool:
    """Whether the title has a word for the make of its columns and one for their model."""
    words = words_of(with_lost_letters(ad.title))
    runs = [words[i:j] for i in range(len(words)) for j in range(i + 1, min(i + MOST_WORDS, len(words)) + 1)]
    named = {(name.make, name.model) for run in runs for name in vocabulary.named(run)}
    return ad.make is not None and (ad.make, None) in named and (ad.make, ad.model) in named


def _columns(names: Sequence[str]) -> dict[str, str]:
    """The columns of the title, make, model and model year."""
    found: dict[str, str] = {}
    for name in names:
        spaced = re.sub(r"(?<=[a-zà-ü])(?=[A-Z])", " ", name).replace("_", " ")
        words = " ".join(_DECORATION.sub(" ", ascii_words(spaced)).split())
        place = "title" if words in _TITLES else field_of(words)
        if place is not None:
            found.setdefault(place, name)
    return found


def _year(text: str) -> int | None:
    try:
        year = parse_year(text)
    except ValueError:
        return None
    return None if year is None else int(year)


def _same(one: str, other: str) -> bool:
    return words_of(one) == words_of(other)


def _shown(found: TitleFacts) -> str:
    return " ".join(str(part or "?") for part in (found.make, found.model, found.model_year))


if __name__ == "__main__":
    sys.exit(main())
