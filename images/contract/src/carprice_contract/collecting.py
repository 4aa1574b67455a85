"""What the collector is told to read, as Airflow and the Docker proxy understand the same setting."""

import re

_SOURCE = re.compile(r"([a-z][a-z0-9_]{0,30})(?:=(https?://[^\s/?#@]+[^\s@]*))?")


def collected_sources(text: str) -> list[dict[str, str]]:
    """The sources in `text`, separated by spaces: `source`, and `start` where a first page follows a `=`.

    Raises `ValueError`.
    """
    found = []
    for word in text.split():
        source = _SOURCE.fullmatch(word)
        if source is None:
            raise ValueError(
                "CARPRICE_COLLECTOR_SOURCES must be sources like avito or jsonld=https://host/path, with "
                f"spaces between them, not {word!r}."
            )
        found.append({"source": source[1]} | ({"start": source[2]} if source[2] else {}))
    return found
