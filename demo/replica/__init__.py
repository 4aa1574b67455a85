"""A small market of our own behind pages in the shapes of real sites, for tests and for the demo.

Everything on it is invented. It needs Python's own library alone.
"""
