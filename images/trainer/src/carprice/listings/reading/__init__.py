"""Reading a scraper's file as text: its format, its encoding, its header, its rows and their lines."""

from carprice.listings.reading.opening import open_raw, read_raw
from carprice.listings.reading.raw_table import Note, RawChunk, RawFile, RawTable, TooManyRows

__all__ = ["Note", "RawChunk", "RawFile", "RawTable", "TooManyRows", "open_raw", "read_raw"]
