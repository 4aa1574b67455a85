"""Saved searches: made with a secret, kept as files of the data root, read as JSON or as a feed."""
