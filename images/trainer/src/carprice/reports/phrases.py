"""Short phrases about reports and versions, and the colour that goes with a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carprice.formats import percent

_COLOURS = {
    "promoted": "yes", "accepted": "yes", "stable": "yes", "as promised": "yes", "in production": "yes",
    "kept": "wait", "too little data": "wait", "some rows refused": "wait", "held": "wait",
    "failed": "no", "drifted": "no", "worse": "no", "refused": "no",
}  # fmt: skip


def colour_of(verdict: str) -> str:
    """The CSS class that colours a verdict; empty for a verdict that is neither good nor bad."""
    return _COLOURS.get(verdict, "")


def joined(*parts: Any, between: str = " · ") -> str:
    """The parts that are not empty, in one line."""
    return between.join(str(part) for part in parts if part)


def sentence(text: Any) -> str:
    """The text with a capital letter, unless it begins with the name of a file or of a step."""
    words = str(text or "")
    begins_with_name = any(letter in words.partition(" ")[0] for letter in "._")
    return words if begins_with_name else f"{words[:1].upper()}{words[1:]}"


def about_version(words: str, version: Any) -> str:
    """`words` with the version in place of `{}`; empty where no version is known."""
    return words.format(version) if version is not None else ""


def about_share(words: str, share: float | None) -> str:
    """`words` with a share in percent in place of `{}`; empty where the share is not known."""
    return words.format(percent(share)) if share is not None else ""


def files_of(report: Mapping[str, Any]) -> str:
    """The file that a report is about, or how many there are and the newest of them."""
    entries = report.get("files") if isinstance(report.get("files"), list) else [report]
    names = [str(entry["file"]) for entry in entries or [] if isinstance(entry, dict) and entry.get("file")]
    if len(names) < 2:
        return "".join(names)
    return f"{len(names)} files, the newest {names[-1]}"
