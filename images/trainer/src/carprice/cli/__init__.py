"""The `carprice` command: every step of the pipeline, and what people run by hand."""

from carprice.cli.application import main

__all__ = ["main"]
