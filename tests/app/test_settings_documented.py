"""Every setting of the API and of the app is in docs/settings.md."""

from __future__ import annotations

from dataclasses import Field, fields
from pathlib import Path
from typing import Any

import pytest

import price_app.settings
from price_api.settings import DATABASE_URL_FILE, PREFIX, Settings

DOCS = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text()
OWN = [field for field in fields(Settings) if field.metadata["name"].startswith(PREFIX)]


@pytest.mark.parametrize("field", OWN, ids=lambda field: field.metadata["name"])
def test_every_setting_of_the_api_has_a_row_with_its_default_and_its_help(field: Field[Any]) -> None:
    value = field.default
    shown = "empty" if value == "" else f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
    assert f"| `{field.metadata['name']}` | {shown} | {field.metadata['help']} |" in DOCS


@pytest.mark.parametrize("name", [DATABASE_URL_FILE, *price_app.settings.KNOWN])
def test_every_other_variable_has_a_row(name: str) -> None:
    assert f"| `{name}` |" in DOCS
