"""The docs name what there is."""

from __future__ import annotations

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_variable_that_the_demo_reads_is_in_the_docs() -> None:
    source = (REPOSITORY / "demo" / "settings.py").read_text()
    read = set(re.findall(r'environ(?:\.get\(|\[)"([A-Z_]+)"', source)) | set(
        re.findall(r'_port\("([A-Z_]+)"', source)
    )
    page = (REPOSITORY / "docs" / "settings.md").read_text()
    assert read
    assert {name for name in read if f"`{name}`" not in page} == set()


def test_every_variable_of_a_command_is_in_the_docs() -> None:
    page = (REPOSITORY / "docs" / "settings.md").read_text()
    sources = (REPOSITORY / "images" / "trainer" / "src" / "carprice").glob("*.py")
    read = {name for path in sources for name in re.findall(r"CARPRICE_[A-Z_]+", path.read_text())}
    assert {"CARPRICE_PARAMS", "CARPRICE_SMTP_URL"} <= read
    assert {name for name in read if f"`{name}`" not in page} == set()


def test_every_test_that_the_docs_name_is_there() -> None:
    there = {
        name
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)\(", path.read_text(), flags=re.MULTILINE)
    }
    named = {
        (page.name, name)
        for page in (REPOSITORY / "docs").glob("*.md")
        for name in re.findall(r"`(test_\w+)`", page.read_text())
    }
    assert len(named) > 30
    assert {(page, name) for page, name in named if name not in there} == set()


def test_links_between_documents_lead_somewhere() -> None:
    for page in [
        REPOSITORY / "README.md",
        *(REPOSITORY / "docs").glob("*.md"),
        REPOSITORY / "monitoring/README.md",
    ]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_make_target_is_explained() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (\S+)$", makefile, flags=re.MULTILINE)
    explained = re.findall(r"^([a-z-]+):.*## ", makefile, flags=re.MULTILINE)
    assert set(phony) - set(explained) <= {"test-setup"}
