"""Telling ads of something else than a used car on sale, by their category and by their title."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

from carprice.listings.folding import words_of
from carprice.listings.title_words import Found, category_words, phrases, singular, words_in

USED_CAR = "used_car"

KINDS: dict[str, str] = {
    "part": "a part or an accessory",
    "rental": "a rental",
    "motorbike": "a motorbike",
    "bicycle": "a bicycle",
    "truck": "a truck",
    "bus": "a bus",
    "machine": "a machine",
    "trailer": "a trailer or caravan",
    "boat": "a boat",
    "wanted": "a wanted ad",
    "service": "a service",
    "new_car": "a new car",
    "property": "property",
    "other": "something else",
}
"""What an ad can be of, if not of a used car on sale. The keys are stable codes."""


class OtherAd(NamedTuple):
    """What an ad is of: a key of `KINDS`, and the words of its title that tell it.

    What is not `sure` holds only where the columns of the ad name no car.
    """

    kind: str
    words: str
    sure: bool = True


_WHERE = {"dan", "in", "في", "a"}
_WHOLE = {"rental", "wanted"}
"""What the end of a category can say, too: `Voitures d'occasion, à louer`."""


def kind_of_category(category: str) -> str | None:
    """What a category of ads holds: a key of `KINDS`, `USED_CAR`, or None where its words tell nothing.

    `"Voitures d'occasion dans Rabat, Agdal"` holds used cars, `"Motos dans Rabat"` motorbikes and
    `"Accueil > Autos et motos > Voitures"` used cars. A category of both says nothing of its ads.
    """
    plain = words_of(category)
    if not plain:
        return None
    whole = phrases("kind of ad").at(plain, 0)
    if whole is not None and whole.end == len(plain):
        return whole.value
    words = [singular(word) for word in plain]
    head = words[: next((i for i, word in enumerate(words) if i and word in _WHERE), None)]
    found = [kind for kind, runs in category_words() if _holds_any(words if kind in _WHOLE else head, runs)]
    if USED_CAR in found and found[0] == "motorbike":
        *before, last = re.split(r"[>»/|]", category)
        return kind_of_category(last) if before else None
    return found[0] if found else None


def _holds_any(words: Sequence[str], runs: Collection[tuple[str, ...]]) -> bool:
    return any(tuple(words[start : start + len(run)]) == run for run in runs for start in range(len(words)))


def other_ad(words: Sequence[str], make: str | None) -> OtherAd | None:
    """What a title is about, if not a used car on sale.

    `words` are the folded ones of the title; `make` is the make that it names.
    """
    opening = words_in("opening")
    begin = next((i for i, w in enumerate(words) if w not in opening and not w.isdigit()), len(words))
    for section in ("begins", "may begin"):
        for start in range(min(begin + 1, len(words))):
            first = phrases(section).at(words, start)
            if first is not None:
                return OtherAd(first.value, _words(words, first), section == "begins")
    for held in phrases("holds").all(words):
        if not held.start or words[held.start - 1] not in words_in("formerly"):
            return OtherAd(held.value, _words(words, held))
    for beside in phrases("motorbikes of").all(words):
        if beside.value == make:
            return OtherAd("motorbike", _words(words, beside))
    return None


def _words(words: Sequence[str], found: Found) -> str:
    return " ".join(words[found.start : found.end])
