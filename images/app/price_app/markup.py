"""Pieces of HTML that Streamlit has no widget for. They escape every value: text from data stays text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal
from urllib.parse import urlsplit

import streamlit as st

Tone = Literal["good", "bad", "plain", "low", "high", "warning"]


@dataclass(frozen=True)
class Link:
    """A cell with a link, if its address is a web address; otherwise a cell with the text."""

    text: str
    url: str | None


@dataclass(frozen=True)
class Badge:
    """A short word on a coloured ground."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Figure:
    """An amount or a range of amounts, each of which stays on one line."""

    text: str


Cell = str | Link | Badge | Figure


def is_web_address(url: object) -> bool:
    """Whether a link leads to a web page and runs nothing: http or https, with a host."""
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url.strip())
        return parts.scheme.casefold() in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return False


def draw(html: str) -> None:
    """Show HTML made by this module."""
    st.html(html)


def notice(text: str, tone: Tone = "plain") -> None:
    """A sentence in a box."""
    draw(f'<div class="cp-notice cp-{tone}" role="status">{escape(text)}</div>')


def paragraph(text: str, name: str = "cp-text") -> None:
    """A sentence on its own."""
    draw(f'<p class="{name}">{escape(text)}</p>')


def unseen(text: str) -> None:
    """A sentence for whoever has the page read aloud: what a drawing shows."""
    draw(f'<p class="cp-unseen">{escape(text)}</p>')


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], testid: str = "") -> None:
    """A table that becomes a stack of cards on a narrow screen."""
    head = "".join(f"<th scope='col'>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{escape(column, quote=True)}">{cell_html(value)}</td>'
            for column, value in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    mark = f' data-testid="{testid}"' if testid else ""
    draw(f'<table class="cp-table"{mark}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def facts(pairs: Sequence[tuple[str, str]], testid: str = "") -> None:
    """A few figures side by side, each with its name."""
    mark = f' data-testid="{testid}"' if testid else ""
    items = "".join(
        f'<div class="cp-fact"><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>' for name, value in pairs
    )
    draw(f'<dl class="cp-facts"{mark}>{items}</dl>')


def cell_html(value: Cell) -> str:
    """One cell's content as HTML."""
    if isinstance(value, Badge):
        return f'<span class="cp-badge cp-{value.tone}">{escape(value.text)}</span>'
    if isinstance(value, Figure):
        parts = " – ".join(
            f'<span class="cp-figure">{escape(part)}</span>' for part in value.text.split(" – ")
        )
        return parts if value.text else cell_html("")
    if isinstance(value, Link):
        if not is_web_address(value.url):
            return escape(value.text)
        address = escape(str(value.url).strip(), quote=True)
        return (
            f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow">{escape(value.text)}</a>'
        )
    return escape(value) or "<span class='cp-none'>–</span>"


def sandboxed(page: str) -> str:
    """A whole HTML page for an `st.iframe`, isolated from everything around it.

    Streamlit's own frame has the app's origin. The page goes into a second frame without an origin: its
    scripts draw its charts and reach nothing else. A link to a new tab opens a normal page.
    """
    return (
        "<!doctype html><html><body style='margin:0'>"
        '<iframe title="page" sandbox="allow-scripts allow-popups allow-popups-to-escape-sandbox" '
        'referrerpolicy="no-referrer" '
        "style='border:0;width:100%;height:100vh;display:block' "
        f'srcdoc="{escape(page, quote=True)}"></iframe></body></html>'
    )
