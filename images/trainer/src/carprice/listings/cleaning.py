"""Undoing what programs did to a text on its way: wrong encodings, entities, invisible characters."""

from __future__ import annotations

import html
import re
import unicodedata

from carprice.listings.titles import LOST, with_lost_letters
from carprice.spreadsheets import without_text_mark

# Arabic and Persian digits, and the signs that stand between them
_ARABIC = {
    **{first + digit: str(digit) for first in (0x0660, 0x06F0) for digit in range(10)},
    0x066A: "%",
    0x066B: ".",
    0x066C: ",",
    0x060C: ",",
}
# Elements of pages that a scraper took over with their text; `<NA>` and `<none>` are none
_TAG = re.compile(
    r"</?(?:a|abbr|article|b|bdi|br|button|dd|div|dl|dt|em|font|h[1-6]|hr|i|img|label|li|ol|p|path|s|section|"
    r"small|span|strong|sub|sup|svg|table|tbody|td|th|time|tr|u|ul)(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"""\[\s*(?P<in>["'])(?P<list>(?:(?!(?P=in)).)*)(?P=in)\s*,?\s*\]|(?P<by>["'])(?P<text>(?:(?!(?P=by)).)+)(?P=by)""",
    re.DOTALL,
)
_WRITTEN_IN_CP850 = re.compile("Ç[^\x00-\x7f?]?")


def clean(text: str) -> str:
    """The text that a person saw on the site, in composed Unicode (NFC) without stray spaces.

    Text that was encoded twice (`CitroÃ«n`), HTML entities and tags, quotation marks and the brackets of a
    list around the whole (`['Clio']`), the apostrophe that our own files put before a sign (`'--`), marks of
    the writing direction, digits of other scripts and letters that were lost where one word fits are put
    right.
    """
    if "&" in text:
        text = html.unescape(text)
    if "<" in text:
        text = _TAG.sub(" ", text)
    if text[:1] in ("[", '"', "'") and (quoted := _QUOTED.fullmatch(text.strip())):
        text = quoted["list"] if quoted["list"] is not None else quoted["text"]
    text = without_text_mark(text)
    if not text.isascii():
        text = _repaired(text)
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
    return " ".join(text.split())


def _repaired(text: str) -> str:
    import ftfy  # slow to load; plain text does without it

    if "Ç" in text and _WRITTEN_IN_CP850.search(text):
        text = _without_cp850(text)
    text = ftfy.fix_encoding(text)
    if LOST in text:
        text = with_lost_letters(text)
    kept = "".join(c for c in text.translate(_ARABIC) if unicodedata.category(c) != "Cf")
    return unicodedata.normalize("NFC", kept)


def _without_cp850(text: str) -> str:
    """UTF-8 bytes that were read as DOS text (code page 850), and its letters read as Windows-1252."""
    import ftfy

    try:
        repaired: str = ftfy.fix_encoding(text.encode("cp1252").decode("cp850"))
    except UnicodeError:
        return text
    return repaired if "Ã" not in repaired or "Ç" in repaired else text
