"""`python -m price_app`: Streamlit with the `.streamlit/config.toml` of this app; it takes its options."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Run the app in this process until it ends."""
    from streamlit.web import cli

    page = str(Path(__file__).with_name("app.py"))
    cli.main(["run", page, *sys.argv[1:]], prog_name="streamlit")


if __name__ == "__main__":
    main()
