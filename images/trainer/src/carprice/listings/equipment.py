"""Lists of equipment, in whatever form a program wrote them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from carprice.listings import words
from carprice.listings.folding import words_of
from carprice.listings.header_names import field_of
from carprice.listings.headers import HEADERS
from carprice.listings.schema import EQUIPMENT

_LIST = re.compile(r"[\[({].*[\])}]", re.DOTALL)
_QUOTED = re.compile(r"'((?:[^'\\]|\\.|(?<=\w)'(?=\w))*)'|\"((?:[^\"\\]|\\.)*)\"")
_VALUED = re.compile(r"""["']([^"']+)["']\s*:\s*["']?([\w ]+)["']?""")
_COMMAS = re.compile(r"[,;|•·\n]+")
_SEPARATORS = re.compile(r"[,;|•·\n/]+|\s-\s")
_LONGEST = 5000
# Names that are no headers
_MORE_NAMES: dict[str, tuple[str, ...]] = {
    "gps": ("gps navigation", "navigation gps", "systeme navigation gps"),
    "cd_mp3_bluetooth": ("cd mp3 bluetooth", "bluetooth", "cd", "mp3", "radio cd", "lecteur cd"),
    "alloy_wheels": ("jantes", "alloy wheels", "jantes alliage"),
    "air_conditioning": ("climatisation automatique", "climatisation manuelle", "clim auto", "ac"),
    "airbags": ("air bag", "air bags", "double airbag"),
    "parking_sensors": ("radar", "capteurs de stationnement", "aide au stationnement", "park assist"),
    "rear_camera": ("camera",),
    "leather_seats": ("cuir", "interieur cuir", "leather", "sellerie cuir"),
    "remote_central_locking": ("fermeture centralisee", "verrouillage a distance", "verrouillage central"),
    "electric_windows": ("vitre electrique", "electric windows"),
    "cruise_control": ("regulateur",),
    "speed_limiter": ("limiteur",),
}


def equipment_of(text: str) -> frozenset[str] | None:
    """The equipment flags that a list names, or None where the text is no list of equipment.

    `['ABS', 'Airbags']`, `["ABS"]`, `{"ABS": true, "ESP": false}`, `ABS, Airbags, ESP`. A list with
    brackets may be empty. What a list names besides is ignored.
    """
    text = text.strip()[:_LONGEST]
    if _LIST.fullmatch(text):
        return _in_brackets(text)
    flag = _flag_of(text)
    if flag is not None:
        return frozenset({flag})
    # a name may hold a slash (`CD/MP3/Bluetooth`), but no comma
    for separator in (_COMMAS, _SEPARATORS):
        names = [name for name in separator.split(text) if name.strip()]
        flags = {flag for name in names if (flag := _flag_of(name))}
        if len(flags) >= 2 and 2 * len(flags) >= len(names):
            return frozenset(flags)
    return None


def _in_brackets(text: str) -> frozenset[str] | None:
    valued = _VALUED.findall(text)
    if valued:
        # a table that names no equipment at all is one of something else
        named = [name for name, value in valued if words.equipped(value) is not False]
        return _flags_of(named) if _flags_of([name for name, _ in valued]) else None
    quoted = [a or b for a, b in _QUOTED.findall(text)]
    named = quoted or [name for name in _SEPARATORS.split(text[1:-1]) if name.strip()]
    found = _flags_of(named)
    return found if found or quoted or not named else None


def _flags_of(names: Sequence[str]) -> frozenset[str]:
    return frozenset(flag for name in names if (flag := _flag_of(name)))


def _flag_of(name: str) -> str | None:
    found = field_of(name.strip())
    if found in EQUIPMENT:
        return found
    return _names().get(" ".join(words_of(name)))


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    named = {" ".join(words_of(header)): flag for flag in EQUIPMENT for header in HEADERS[flag]}
    return named | {name: flag for flag, names in _MORE_NAMES.items() for name in names}
