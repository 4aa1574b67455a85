"""Records that reports are made from, and the pages people read."""
