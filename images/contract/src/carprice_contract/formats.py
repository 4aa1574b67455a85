"""The versions of what one release writes and another reads. Who changes a format raises its number."""

BACKUP = 2
"""The folder that `make backup` writes."""
