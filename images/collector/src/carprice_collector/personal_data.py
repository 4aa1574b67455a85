"""Taking personal data out of text: telephone numbers, mail addresses, links and account names.

Sellers write their numbers into any field. What looks like one is removed everywhere, also where it might
have been something else: a lost number of a title costs less than a telephone number that was kept.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, unquote, urlsplit, urlunsplit

_GAP = r"[\s.\-_/()*|:,~]{0,3}"
_START = r"(?<!\d)(?<!\d[.,])"
_TELEPHONE = re.compile(
    "|".join(
        (
            # Morocco, with and without the country's number
            rf"{_START}(?:\+|00)?{_GAP}212{_GAP}\(?0?\)?{_GAP}[5-8](?:{_GAP}\d){{8}}(?!\d)",
            rf"{_START}0{_GAP}[5-8](?:{_GAP}\d){{8}}(?!\d)",
            # without the leading zero, in the groups that people write
            rf"{_START}[5-7]\d{{2}}[\s.\-/]\d{{2}}[\s.\-/]\d{{2}}[\s.\-/]\d{{2}}(?!\d)",
            rf"{_START}[5-7]\d{{2}}[\s.\-/]\d{{3}}[\s.\-/]\d{{3}}(?!\d)",
            # other countries
            rf"\+{_GAP}\d{{1,3}}(?:{_GAP}\d){{7,12}}(?!\d)",
            rf"{_START}00\d{{2}}(?:{_GAP}\d){{8,12}}(?!\d)",
        )
    )
)
_LONG_NUMBER = re.compile(r"(?<!\d)\d{9,}(?!\d)")
_ADDRESS = re.compile(r"\S+@\S+\.\w+|(?:https?://|www\.|wa\.me|t\.me)\S*|(?<!\w)@\w{3,}", re.IGNORECASE)
_CALL = re.compile(
    r"(?<!\w)(?:whats?\s?app|watsapp|t[ée]l[ée]?phone|t[ée]l|gsm|num[ée]ro|appelez|appeler|هاتف|واتساب)(?!\w)[\s.:/-]*$",
    re.IGNORECASE,
)


def without_personal_data(text: str) -> str:
    """The text on one line, without what looks like personal data."""
    text = _ADDRESS.sub(" ", text)
    # The same length, so that a place in one is the same place in the other.
    digits = _ascii_digits(text)
    pieces, end = [], 0
    for start, stop in _places(digits):
        pieces.append(_CALL.sub("", text[end:start].rstrip(" :.-/(")))
        end = stop
    pieces.append(text[end:].lstrip(")") if pieces else text)
    return " ".join(" ".join(pieces).split()).strip(" -:/|")


def address_without_personal_data(address: str, listing_id: str | None) -> str:
    """The address of an ad without query, fragment, login and what looks like a telephone number.

    The number `listing_id` of the ad stays, whatever it looks like.
    """
    parts = urlsplit(address)
    path = unquote(parts.path)
    digits = _ascii_digits(path)
    kept, end = [], 0
    for start, stop in _places(digits):
        if listing_id and listing_id in digits[start:stop]:
            continue
        kept.append(path[end:start])
        end = stop
    kept.append(path[end:])
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, quote("".join(kept), safe="/-_.~,;:+"), "", ""))


def _places(digits: str) -> list[tuple[int, int]]:
    """Where telephone numbers and long numbers stand, in order and without overlap."""
    found = sorted(
        match.span() for pattern in (_TELEPHONE, _LONG_NUMBER) for match in pattern.finditer(digits)
    )
    places: list[tuple[int, int]] = []
    for start, stop in found:
        if places and start < places[-1][1]:
            places[-1] = (places[-1][0], max(stop, places[-1][1]))
        else:
            places.append((start, stop))
    return places


def _ascii_digits(text: str) -> str:
    """The text with each digit of any script as an ASCII one."""
    return "".join(
        str(unicodedata.digit(letter)) if not letter.isascii() and letter.isdecimal() else letter
        for letter in text
    )
