"""`python -m price_app`: Streamlit with this app's `.streamlit/config.toml`; options are handed on to it."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Start the app in this process, which it ends."""
    from streamlit.web import cli

    page = str(Path(__file__).with_name("main.py"))
    cli.main(["run", page, *sys.argv[1:]], prog_name="streamlit")


if __name__ == "__main__":
    main()
