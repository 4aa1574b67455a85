"""One module per page; `page()` draws it. The parts of *Estimer* are in `estimate_*`.

The folder is not called `pages`: Streamlit finds pages of its own kind in a folder of that name beside
its main script, and the first visitor of a page then gets the main page.
"""
