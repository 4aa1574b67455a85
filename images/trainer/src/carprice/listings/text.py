"""How text is compared and shown: the one place where case, accents and spaces are folded away."""

from __future__ import annotations

import re
import unicodedata


def tidy(text: str) -> str:
    """The writer's own spelling without stray spaces, in composed Unicode (NFC)."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def ascii_fold(text: str) -> str:
    """Lower-case ASCII letters: no case, no accents; letters of other scripts disappear."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()


def ascii_words(text: str, keep: str = "") -> str:
    """The folded words of a text, separated by one space each: `"Année-Modèle "` gives `"annee modele"`.

    Punctuation separates words, except for the characters in `keep`.
    """
    return " ".join(re.sub(rf"[^a-z0-9{re.escape(keep)}]+", " ", ascii_fold(text)).split())


def shorten(text: str, longest: int) -> str:
    """At most `longest` characters of a text; an ellipsis stands for the rest."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
