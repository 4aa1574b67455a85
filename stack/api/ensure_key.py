"""Brings the price API's database up to date and registers the app's key, /run/secrets/app_api_key.

A new key in that file replaces the app's former key.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

KEY_FILE = Path("/run/secrets/app_api_key")
NAME = "app"


def main() -> int:
    """Register the key if it is new; returns the exit status."""
    import sqlalchemy as sa

    from price_api.api_keys import ApiKeys, hash_of
    from price_api.database import api_keys, engine_of, writing
    from price_api.settings import Settings

    key = KEY_FILE.read_text().strip()
    url = Settings.from_environment(os.environ).database_url
    if not key or not url:
        sys.stderr.write(f"ensure-key: {KEY_FILE} or CARPRICE_API_DATABASE_URL is empty: run `make env`.\n")
        return 1
    keys = ApiKeys(url)
    in_force = [known for known in keys.list() if known.name == NAME and known.revoked_at is None]
    if keys.check(key).state == "ok":
        sys.stderr.write("ensure-key: the app's key is registered.\n")
        return 0
    for _ in in_force:
        keys.revoke(NAME)
    with writing(engine_of(url)) as connection:
        connection.execute(
            sa.insert(api_keys).values(
                name=NAME, key_sha256=hash_of(key), last_characters=key[-4:], created_at=datetime.now(UTC)
            )
        )
    sys.stderr.write("ensure-key: the app's key was registered.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
