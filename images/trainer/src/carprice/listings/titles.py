# ruff: noqa: E501
"""Reading the title of an ad: "Renault Clio Diesel Automatique 2018 à Casablanca".

A title is read only as far as it is certain. Two makes, two years or a word that stands for cars of
several makes tell nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from carprice.listings.vocabulary import MOST_WORDS, Name, Vocabulary, words_of

FIRST_YEAR = 1950
LOST = "\ufffd"

_ACCENTED = (
    "à", "été", "Coupé", "Série", "Citroën", "Élysée", "C-Elysée", "Évoque", "Mégane", "Scénic", "Fès", "Salé",
    "Meknès", "Kénitra", "Tétouan", "Béni", "Khémisset", "Laâyoune", "électrique", "dédouanée", "dédouané",
    "importée", "importé", "Très", "première", "modèle", "boîte", "état", "équipée", "léger",
)  # fmt: skip

_FUELS = {
    "Diesel": "diesel diezel disel deissel desel deisel diesal dsl mazot gasoil gazoil tdi dci hdi bluehdi crdi cdti tdci jtd ديزل مازوت",
    "Essence": "essence petrol gasoline benzine tfsi tsi بنزين ليسانس",
    "Hybride": "hybride hybrid phev hev هيبريد",
    "Electrique": "electrique electric ev كهرباء كهربائيه",
    "LPG": "gpl lpg",
}
_GEARBOXES = {
    "Automatique": "automatique automatic auto bva dsg automat tiptronic otomatic otomatique اوتوماتيك اوطوماتيك",
    "Manuelle": "manuelle manuel manual bvm مانويل عاديه",
}
_CITIES = (
    "Casablanca", "Rabat", "Salé", "Fès", "Marrakech", "Tanger", "Agadir", "Meknès", "Oujda", "Kénitra",
    "Tétouan", "Temara", "Safi", "Mohammedia", "Khouribga", "El Jadida", "Béni Mellal", "Nador", "Taza",
    "Settat", "Berrechid", "Khémisset", "Larache", "Guelmim", "Berkane", "Ouarzazate", "Essaouira",
    "Al Hoceima", "Errachidia", "Sidi Slimane", "Sidi Kacem", "Inezgane", "Ait Melloul", "Dakhla",
    "Laâyoune", "Tiznit", "Taroudant", "Bouskoura", "Ksar El Kebir", "Skhirat", "Bouznika", "Azrou",
    "Ifrane", "Midelt", "Taourirt", "Fnideq", "Martil", "Chefchaouen", "Sefrou", "Youssoufia", "Zagora",
)  # fmt: skip
_TRIMS = (
    "AMG Line", "S Line", "R Line", "GT Line", "M Sport", "Pack M", "Pack AMG", "Pack Sport", "FR", "Xcellence",
    "Allure", "Active", "Access", "Feline", "Style", "Business", "Titanium", "Trend", "Ambiente", "Vignale",
    "Intens", "Zen", "Life", "Limited", "Initiale", "Initiale Paris", "Expression", "Dynamique", "Privilege",
    "Laureate", "Prestige", "Ambiance", "Essential", "Journey", "Extreme", "Tekna", "Acenta", "Visia",
    "N-Connecta", "Elegance", "Avantgarde", "Exclusive", "Shine", "Feel", "Carat", "Highline", "Comfortline",
    "Trendline", "Confortline", "Ambition", "Ambiente", "Design", "HSE", "SE", "Autobiography", "Dynamic",
    "R-Dynamic", "Laurin & Klement", "Scout", "Sportline", "Lounge", "Pop", "Sport", "Cosmo", "Elite",
    "Executive", "Luxury", "Premium", "Platinum", "Black Edition", "Alpine", "RS Line", "Stepway",
)  # fmt: skip

_NO_CAR = {
    "part": "piece pieces optique phare phares jante jantes pneu pneus calandre capot culasse turbo boitier retroviseur parechoc amortisseur accessoire accessoires autoradio",
    "rental": "location louer locations كراء",
    "motorbike": "moto motos scooter quad motocyclette دراجه",
    "machine": "tracteur grue pelle chariot elevateur compresseur groupe",
}

_ANNOUNCE = (["classe"], ["serie"])
"""Words that a model's name begins with, and which are no name without the rest (`class e` is `classe`)."""

_YEAR = re.compile(r"(19[5-9]\d|20\d\d)")
_MERCEDES = re.compile(
    r"(a|b|c|e|s|g|v|r|ml|gl|gla|glb|glc|gle|glk|gls|cl|cla|cls|clk|clc|slk|sl|slc)(\d{2,3})[a-z]{0,2}"
)
_BMW = re.compile(r"m?([1-8])(?:1[468]|2[0358]|3[05]|4[05]|50|60)(?:i|d|e|xi|xd|ci|cd|ti|tds|td|da|ia)?")
_OTHER_YEAR = re.compile(r"dedouan\w*|deouan\w*|diwan\w*|douane|ded|vignette|assurance|visite|ww|ديوانه")
_NOT_A_YEAR_BEFORE = {"km", "kms", "dh", "dhs", "mad", "cm3", "cc", "ch", "cv"}


@dataclass(frozen=True)
class TitleFacts:
    """What a title says; None where it does not say it for certain.

    `no_car` names the kind of thing where the title is about something else than a car on sale.
    """

    make: str | None = None
    model: str | None = None
    model_year: int | None = None
    fuel: str | None = None
    gearbox: str | None = None
    city: str | None = None
    trim: str | None = None
    no_car: str | None = None


@dataclass(frozen=True)
class _Match:
    start: int
    end: int
    name: Name
    exact: bool = True

    @property
    def is_number(self) -> bool:
        return (self.name.model or "").rstrip("+").isdigit()


def read_title(title: str, vocabulary: Vocabulary, newest_year: int, make: str | None = None) -> TitleFacts:
    """What the title of an ad says.

    `newest_year` is the newest model year there can be; `make` is the make where a column has it.
    """
    words = words_of(with_lost_letters(title))
    matches = _matches(words, vocabulary)
    make_of_title, make_end = _make(words, matches, vocabulary)
    found = make or make_of_title
    if make and make_of_title and make != make_of_title:
        return TitleFacts(make=make_of_title)
    model, used = _model(words, matches, found, make_end, vocabulary)
    return TitleFacts(
        make=found,
        model=model,
        model_year=_year(words, used, newest_year),
        fuel=_only(words, _FUEL_WORDS),
        gearbox=_only(words, _GEARBOX_WORDS),
        city=_city(words),
        trim=_trim(words),
        no_car=next((kind for word in words[:3] for kind in (_NO_CAR_WORDS.get(word),) if kind), None),
    )


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


def _by_word(table: dict[str, str]) -> dict[str, str]:
    return {"".join(words_of(word)): value for value, words in table.items() for word in words.split()}


_FUEL_WORDS = _by_word(_FUELS)
_GEARBOX_WORDS = _by_word(_GEARBOXES)
_NO_CAR_WORDS = _by_word(_NO_CAR)
_CITY_BY_WORDS = {tuple(words_of(city)): city for city in _CITIES}
_TRIM_BY_WORDS = {tuple(words_of(trim)): trim for trim in _TRIMS}


def _matches(words: Sequence[str], vocabulary: Vocabulary) -> list[_Match]:
    found = []
    for start in range(len(words)):
        for end in range(start + 1, min(start + MOST_WORDS, len(words)) + 1):
            if words[start:end] not in _ANNOUNCE:
                found += [_Match(start, end, name) for name in vocabulary.named(words[start:end])]
        if len(words[start]) > 1:
            found += [
                _Match(start, start + 1, name, exact=False)
                for name in vocabulary.named_nearly(words[start])
                if not vocabulary.named(words[start : start + 1])
            ]
    return found


def _make(words: Sequence[str], matches: list[_Match], vocabulary: Vocabulary) -> tuple[str | None, int]:
    """The one make that the title names, by itself or by a model that only it has, and where its name ends."""
    named = [match for match in matches if match.name.model is None]
    covered = [
        m
        for m in named
        if not any(_inside(m, o) for o in matches if o.name.make != m.name.make and o.name.alone)
    ]
    makes = {match.name.make for match in covered}
    # "DS" is a make of its own and was a line of Citroën before.
    if makes == {"Citroen", "DS"}:
        makes = {"DS"}
    if len(makes) == 1:
        (make,) = makes
        return make, min((m.end for m in covered if m.name.make == make), default=0)
    if makes:
        return None, 0
    models = [
        m
        for m in matches
        if m.name.model is not None and m.name.alone and m.exact and not _glued_letters(words, m)
    ]
    models = [m for m in models if not any(_inside(m, other) for other in models)]
    makes = {match.name.make for match in models}
    return (makes.pop(), 0) if len(makes) == 1 else (None, 0)


def _inside(inner: _Match, outer: _Match) -> bool:
    return (outer.start <= inner.start and inner.end <= outer.end) and (
        outer.end - outer.start > inner.end - inner.start
    )


def _glued_letters(words: Sequence[str], match: _Match) -> bool:
    return match.end - match.start > 1 and any(len(word) == 1 for word in words[match.start : match.end])


def _model(
    words: Sequence[str], matches: list[_Match], make: str | None, make_end: int, vocabulary: Vocabulary
) -> tuple[str | None, set[int]]:
    """The model, and the positions of the words that name it."""
    if make is None:
        return None, set()
    candidates = [
        match
        for match in matches
        if match.name.make == make and match.name.model is not None and _is_told(words, match, make_end)
    ]
    if candidates:
        best = min(candidates, key=lambda m: (m.is_number, m.start, -(m.end - m.start)))
        if not best.is_number:
            return _variant(str(best.name.model), words, make, vocabulary), set(range(best.start, best.end))
    by_engine = _by_engine(words, make)
    if by_engine:
        model, used = by_engine
        return _variant(model, words, make, vocabulary), used
    if candidates:
        return str(best.name.model), set(range(best.start, best.end))
    return None, set()


def _is_told(words: Sequence[str], match: _Match, make_end: int) -> bool:
    """Whether the words mean the model: a short number or a year does only right behind the make."""
    glued = "".join(words[match.start : match.end])
    short = (glued.isdigit() and len(glued) < 3) or _YEAR.fullmatch(glued) or len(glued) == 1
    return (
        match.start == make_end
        if short
        else not (words[match.start] == "a" and _glued_letters(words, match) and match.start != make_end)
    )


def _by_engine(words: Sequence[str], make: str) -> tuple[str, set[int]] | None:
    """Mercedes-Benz and BMW are often named by their engine: C220, 320d."""
    if make == "Mercedes-Benz":
        for position, word in enumerate(words):
            for length in (1, 2):
                found = _MERCEDES.fullmatch("".join(words[position : position + length]))
                if found and (length == 1 or word != "a"):
                    return f"Classe {found[1].upper()}", set(range(position, position + length))
    if make == "BMW":
        for position, word in enumerate(words):
            found = _BMW.fullmatch(word)
            if found:
                return f"Serie {found[1]}", {position}
    return None


def _variant(model: str, words: Sequence[str], make: str, vocabulary: Vocabulary) -> str:
    """The longest model whose name begins with this one's and whose other words the title has, too."""
    base, best, most = words_of(model), model, 0
    for other in vocabulary.makes[make]:
        parts = words_of(other)
        more = parts[len(base) :]
        if (
            parts[: len(base)] == base
            and len(more) > most
            and all(part in words and len(part) > 2 for part in more)
        ):
            best, most = other, len(more)
    return best


def _year(words: Sequence[str], used: set[int], newest_year: int) -> int | None:
    years = set()
    for position, word in enumerate(words):
        if position in used or not _YEAR.fullmatch(word):
            continue
        before = words[max(position - 2, 0) : position]
        after = words[position + 1] if position + 1 < len(words) else ""
        if after in _NOT_A_YEAR_BEFORE or any(_OTHER_YEAR.fullmatch(word) for word in before):
            continue
        if FIRST_YEAR <= int(word) <= newest_year:
            years.add(int(word))
    return years.pop() if len(years) == 1 else None


def _only(words: Sequence[str], table: dict[str, str]) -> str | None:
    found = {table[word] for word in words if word in table}
    return found.pop() if len(found) == 1 else None


def _city(words: Sequence[str]) -> str | None:
    for length in (3, 2, 1):
        if len(words) > length and words[-length - 1] == "a":
            city = _CITY_BY_WORDS.get(tuple(words[-length:]))
            if city:
                return city
    return None


def _trim(words: Sequence[str]) -> str | None:
    for length in (2, 3, 1):
        for start in range(len(words) - length + 1):
            trim = _TRIM_BY_WORDS.get(tuple(words[start : start + length]))
            if trim:
                return trim
    return None
