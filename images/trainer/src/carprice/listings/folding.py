"""How words of any script are compared: the letters that people exchange for one another are the same."""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+\+?")
# Accents, Arabic vowel signs, and characters that only direct or join the ones beside them.
_SILENT = re.compile(
    "[\u0300-\u036f\u0610-\u061a\u064b-\u065f\u0670\u0640\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
_SAME = str.maketrans(
    {
        # endings, and Persian letters
        **dict.fromkeys("ى\u06ccې", "ي"),
        "ة": "ه",
        # the sounds g and q: Moroccans write them with either of these
        **dict.fromkeys("\u06a9گڭ\u0763قغ", "ك"),
        # v and p have no letter of their own in Arabic
        **dict.fromkeys("ڤڨ", "ف"),
        "پ": "ب",
        **dict.fromkeys("چژ", "ج"),
        # emphatic letters, and those that sound the same in Morocco
        "ط": "ت",
        "ث": "ت",
        "ص": "س",
        "ض": "د",
        "ذ": "د",
        "ظ": "د",
        "ı": "i",
        **{chr(0x660 + n): str(n) for n in range(10)},
        **{chr(0x6F0 + n): str(n) for n in range(10)},
    }
)


def fold(text: str) -> str:
    """The text in lower case, without accents and Arabic vowel signs, with ASCII digits."""
    if text.isascii():
        return text.lower()
    return _SILENT.sub("", unicodedata.normalize("NFKD", text).casefold()).translate(_SAME)


def words_of(text: str) -> list[str]:
    """The folded words of a text in any script, without punctuation.

    A plus sign stays with its word, because a `206+` is no `206`.
    """
    return _WORD.findall(fold(text))
