"""Makes the Airflow user `admin` with the password in /run/secrets/admin_password, if it does not exist."""

from __future__ import annotations

import sys
from pathlib import Path

PASSWORD_FILE = Path("/run/secrets/admin_password")
USER = "admin"


def main() -> int:
    """Make the user if it does not exist; returns the exit status."""
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    password = PASSWORD_FILE.read_text().strip()
    if not password:
        sys.stderr.write(f"ensure-admin: {PASSWORD_FILE} is empty: run `make env`.\n")
        return 1
    with get_application_builder() as builder:
        users = builder.sm
        if users.find_user(username=USER):
            sys.stderr.write(f"ensure-admin: the user {USER} exists.\n")
            return 0
        role = users.find_role("Admin")
        if not users.add_user(USER, "Admin", "User", "admin@localhost", role, password):
            sys.stderr.write(f"ensure-admin: the user {USER} could not be made (see above).\n")
            return 1
    sys.stderr.write(f"ensure-admin: the user {USER} was made.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
