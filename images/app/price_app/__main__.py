"""`python -m price_app`: Streamlit with the options this app needs; further ones are handed on."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Defaults, as Streamlit's own variables: whoever sets one means it.
OPTIONS = {
    "STREAMLIT_SERVER_HEADLESS": "true",
    "STREAMLIT_SERVER_ADDRESS": "127.0.0.1",
    # The sources of a running app do not change; a new version is a new start.
    "STREAMLIT_SERVER_FILE_WATCHER_TYPE": "none",
    "STREAMLIT_SERVER_MAX_UPLOAD_SIZE": "20",
    "STREAMLIT_BROWSER_GATHER_USAGE_STATS": "false",
    "STREAMLIT_CLIENT_TOOLBAR_MODE": "viewer",
    "STREAMLIT_CLIENT_SHOW_ERROR_DETAILS": "none",
}


def main() -> None:
    """Start the app in this process, which it ends."""
    for name, value in OPTIONS.items():
        os.environ.setdefault(name, value)
    from streamlit.web import cli

    page = str(Path(__file__).with_name("main.py"))
    cli.main(["run", page, *sys.argv[1:]], prog_name="streamlit")


if __name__ == "__main__":
    main()
