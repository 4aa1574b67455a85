"""One module per page; `page()` draws it."""
