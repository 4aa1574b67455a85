"""One module per page; `page()` draws it.

The folder is not called `pages`: Streamlit takes one of that name beside its main script for pages of
its own kind, and the first visitor of a page's address gets the main page instead.
"""
