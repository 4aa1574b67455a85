"""What the documents tell a reader to type works, and where they send a reader exists."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from carprice import cli

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    REPOSITORY / name
    for name in subprocess.run(
        ["git", "ls-files", "*.md"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split()
]
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def commands(document: Path) -> list[list[str]]:
    """The words of each command in a code block, and of each `make` and `bin/carprice` in the text."""
    text = document.read_text()
    lines = [line for block in FENCE.findall(text) for line in block.splitlines()]
    text = FENCE.sub("", text)
    lines += re.findall(r"^ {4}(\S.*)$", text, flags=re.MULTILINE)
    lines += re.findall(r"`((?:make|bin/carprice) [^`\n]+)`", text)
    found = []
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a part of a command of several lines
            continue
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # its environment
            words.pop(0)
        if words:
            found.append(words)
    return found


def calls(program: str) -> list[tuple[str, list[str]]]:
    """The document and the arguments of each call of a program."""
    return [
        (document.name, words[1:])
        for document in DOCUMENTS
        for words in commands(document)
        if words[0] == program
    ]


def test_every_make_target_is_there() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (\S+)$", makefile, flags=re.MULTILINE))
    named = {(document, words[0]) for document, words in calls("make")}

    assert ("README.md", "test") in named
    assert {(document, target) for document, target in named if target not in targets} == set()


def test_every_carprice_command_takes_the_options_it_is_shown_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown: dict[str, set[str]] = {}
    for _, (command, *words) in calls("bin/carprice"):
        # The collector has an environment and tests of its own.
        if not command.startswith("-") and command != "collect":
            shown.setdefault(command, set()).update(
                word.split("=")[0] for word in words if word.startswith("-")
            )

    assert {"land", "run", "predict", "rollback"} <= set(shown)
    for command, options in shown.items():
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        accepted = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", capsys.readouterr().out))
        assert ended.value.code == 0, command
        assert options <= accepted, command


def test_every_script_test_and_manifest_of_a_command_is_there() -> None:
    mine = re.compile(r"(?:stack|tests|kubernetes|images|monitoring|airflow|benchmarks|demo)/[\w./-]+")
    named = {
        (document.name, word)
        for document in DOCUMENTS
        for words in commands(document)
        for word in words
        if mine.fullmatch(word)
    }

    assert ("stack.md", "tests/stack/test_killed.py") in named
    assert {(document, path) for document, path in named if not (REPOSITORY / path).exists()} == set()


def anchors(document: Path) -> set[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!\w+:)([^)#\s]*)#?([^)\s]*)\)", document.read_text()):
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name} links to {path}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{document.name} links to {path}#{anchor}"
