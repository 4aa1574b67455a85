"""The versions of what one release writes and another reads. Who changes a format raises its number."""

BACKUP = 2
"""The folder that `make backup` writes."""

FORMAT = "format_version"
"""The key of a JSON document that holds the number of its format."""

MARKET = 1
"""The manifest of a market and its tables."""

RECEIPT = 2
"""The receipt of a file. Format 1 does not say its number, and has no codes of its reasons."""

SUMMARIES = 1
"""The receipts in short; one of another format is made again."""

SNAPSHOT = 3
"""The manifest of a snapshot. Format 1 does not say its number; formats 1 and 2 have no tables beside it."""

WATCH = 1
"""A saved search."""
