"""Putting a version back into production that was there before.

The target comes from the history of production, not from the alias `previous`: a rollback that was killed
half way has moved that alias. So a repeated rollback ends where the first one would have ended.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from carprice.errors import NothingToDo, UsageProblem
from carprice.lifecycle.registry import MODEL, PREVIOUS, PRODUCTION, Registry

log = logging.getLogger(__name__)


def rollback(
    registry: Registry, by: str, reason: str, version: str | None = None, run: str | None = None
) -> dict[str, Any]:
    """Put `version`, or the version before the one in production, back; returns the entry of the history.

    `run` names what asks for it: asked again by the same run, nothing more changes. Raises `NothingToDo`
    where there is no version to go back to, and `UsageProblem` where `version` never was in production.
    """
    entries = registry.history()
    for entry in entries:
        if run is not None and entry.get("run") == run:
            log.info("%s put version %s back already", run, entry["version"])
            return entry
    target = _before(registry, entries) if version is None else _known(entries, version)
    registry.version(target)
    entry = registry.put_in_production(target, "rollback", by, reason, run)
    log.info("version %s is back in production", target)
    return entry


def _known(entries: Sequence[dict[str, Any]], version: str) -> str:
    been = list(dict.fromkeys(str(entry["version"]) for entry in entries))
    if version not in been:
        raise UsageProblem(
            f"a version of {MODEL} that was in production was expected, found {version!r}; "
            + (f"these were: {', '.join(been)}" if been else "none was yet")
        )
    return version


def _before(registry: Registry, entries: Sequence[dict[str, Any]]) -> str:
    """The version to go back to."""
    current = str(registry.require(PRODUCTION).version)
    line = _line(entries)
    if current in line[:-1]:
        return current  # a rollback to it was killed before it wrote its entry
    if current not in line:
        line.append(current)  # its promotion was killed before it wrote its entry
    if len(line) > 1:
        return line[-2]
    previous = registry.version_of(PREVIOUS)
    if previous is None or str(previous.version) in {str(entry["version"]) for entry in entries}:
        raise NothingToDo(
            f"a version that was in production before version {current} was expected, found none, and no "
            f"other with the alias '{PREVIOUS}'; `carprice history` lists what was in production"
        )
    return str(previous.version)  # the history does not know it


def _line(entries: Sequence[dict[str, Any]]) -> list[str]:
    """The versions that each replaced the one before and were not rolled back, oldest first."""
    line: list[str] = []
    for entry in entries:
        version = str(entry["version"])
        if entry["action"] == "rollback" and version in line:
            del line[line.index(version) + 1 :]
        else:
            line = [each for each in line if each != version] + [version]
    return line
