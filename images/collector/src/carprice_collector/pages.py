"""A page that was fetched, and what a source reads from it."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from carprice_collector.ads import Ad

PageKind = Literal["search", "ad", "sitemap"]


@dataclass(frozen=True)
class Page:
    """The text of a page; `read_at` has a time zone."""

    address: str
    text: str
    read_at: datetime


@dataclass(frozen=True)
class Link:
    """A page that should be read, too."""

    kind: PageKind
    address: str


@dataclass(frozen=True)
class PageContent:
    """The ads of a page, the pages that it leads to, and how many ads the site says that it has."""

    ads: Sequence[Ad] = ()
    links: Sequence[Link] = ()
    said_total: int | None = None


class ShapeMoved(Exception):
    """A page is complete, and its data does not stand where the source looks for them.

    The message says what was expected and what was found.
    """


class BrokenPage(Exception):
    """Only a part of a page arrived, or something that is no page."""


def decode(body: bytes, content_type: str = "") -> str:
    """The text of a page.

    Servers name wrong encodings. Bytes that are valid UTF-8 are UTF-8, whatever the server says; else the
    encoding counts that the server or the page names, else Windows-1252.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        pass
    named = re.search(r"charset=[\"']?([\w-]+)", content_type, re.IGNORECASE) or re.search(
        r"charset=[\"']?([\w-]+)", body[:2048].decode("ascii", "ignore"), re.IGNORECASE
    )
    encoding = "windows-1252"
    if named and named[1].lower() not in ("utf-8", "utf8", "iso-8859-1", "latin-1", "latin1"):
        try:
            encoding = codecs.lookup(named[1]).name
        except LookupError:
            encoding = "windows-1252"
    # One bad byte is no reason to take Arabic or French text for another encoding.
    as_utf8 = body.decode("utf-8", "replace")
    if encoding == "windows-1252" and as_utf8.count("\ufffd") * 20 < sum(not c.isascii() for c in as_utf8):
        return as_utf8
    return body.decode(encoding, "replace")


def whole_html(page: Page) -> str:
    """The text of a page that arrived to its end. Raises `BrokenPage`."""
    if "</html>" not in page.text[-2000:].lower():
        raise BrokenPage(
            f"A page with its end (</html>) was expected, found {len(page.text):,} characters without it."
        )
    return page.text
