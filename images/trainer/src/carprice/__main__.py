"""`python -m carprice` is the `carprice` command."""

import sys

from carprice.cli import main

if __name__ == "__main__":
    sys.exit(main())
