"""What a step may be told: the commands that Airflow runs, with the options and values that it gives.

Other commands of `carprice` read files that their arguments name (`carprice land /run/secrets/smtp_url`), and
some of these options would lead out of their folder (`--file=../../run/secrets/smtp_url`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from carprice_contract.containers import RESULT_PATH
from carprice_contract.steps import StepName
from docker_proxy.refusal import Json, Refusal, quoted
from docker_proxy.strict_json import check_list_of_texts

_LONGEST_TEXT = 500_000

# A name in raw/ as receipts write it; `%2F` would become a slash.
_FILE = re.compile(r"(?!\.)(?!.*%(?:2F|00))[^/\x00-\x1f]{1,1024}", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.-]{0,127}")
_VERSION = re.compile(r"[0-9]{1,9}")
_REPORT = re.compile(r"reports/(?!.*\.\.)[0-9A-Za-z_./-]{1,512}")
_HELD_FILE = re.compile(r"raw/[^/\x00-\x1f]{1,1024}")
_SOURCE = re.compile(r"[a-z][a-z0-9_]{0,30}")
_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f]{1,2000}")
_TEXT = re.compile(rf"[^\x00]{{0,{_LONGEST_TEXT}}}")


@dataclass(frozen=True)
class Option:
    """An option: the shape of its values and how many follow it; None stands for one or more."""

    shape: re.Pattern[str]
    values: int | None = 1


@dataclass(frozen=True)
class Arguments:
    """What may follow a command: its options, and one argument without a name where `shape` is given."""

    options: Mapping[str, Option] = field(default_factory=dict)
    shape: re.Pattern[str] | None = None


_RESULT = Option(re.compile(re.escape(RESULT_PATH)))
_SNAPSHOT = Arguments({"--snapshot": Option(_ID)})
_RUN = Arguments({"--run-id": Option(_ID)})
_DECISION = Arguments({"--by": Option(_TEXT), "--reason": Option(_TEXT)}, _HELD_FILE)

STEP_ARGUMENTS: Mapping[StepName, Arguments] = {
    StepName.CLAIM_FILES: Arguments(),
    StepName.CHECK_DATA_QUALITY: Arguments({"--file": Option(_FILE), "--sha256": Option(_SHA256)}),
    StepName.ASSEMBLE_LISTINGS: Arguments({"--sha256": Option(_SHA256, None)}),
    StepName.CHECK_FRESHNESS: Arguments(),
    StepName.COLLECT_LISTINGS: Arguments(
        {"--source": Option(_SOURCE), "--start": Option(_ADDRESS), "--pages": Option(_VERSION)}
    ),
    StepName.SCORE_NEW_LISTINGS: _SNAPSHOT,
    StepName.TRAIN_MODEL: _SNAPSHOT,
    StepName.EVALUATE_MODEL: _RUN,
    StepName.PROMOTE_TO_STAGING: _RUN,
    StepName.VALIDATE_STAGING_MODEL: Arguments({"--version": Option(_VERSION)}),
    StepName.PROMOTE_TO_PRODUCTION: Arguments(
        {"--version": Option(_VERSION), "--approved-by": Option(_TEXT)}
    ),
    StepName.SEND_PIPELINE_REPORT: Arguments(
        {
            "--run-id": Option(_ID),
            "--version": Option(_VERSION),
            **dict.fromkeys(("--dag-run", "--link", "--state", "--problems"), Option(_TEXT)),
        }
    ),
    StepName.DETECT_DRIFT: _SNAPSHOT,
    StepName.PUBLISH_REPORT: Arguments({"--report": Option(_REPORT)}),
    StepName.RATE_LISTINGS: _SNAPSHOT,
    StepName.ROLLBACK: Arguments(
        {"--version": Option(_VERSION), **dict.fromkeys(("--by", "--reason", "--run"), Option(_TEXT))}
    ),
    StepName.RELEASE: _DECISION,
    StepName.REJECT: _DECISION,
    StepName.ALERT: Arguments(
        {
            "--run-failed": Option(_TEXT, 3),
            "--link": Option(_TEXT),
            **dict.fromkeys(("--test", "--list", "--deliver"), Option(_TEXT, 0)),
        }
    ),
}


def check_step(where: str, value: Json) -> None:
    """Allows the arguments of any step but the collector's as Airflow gives them. Raises `Refusal`."""
    _check_arguments(where, value)
    if value[0] == StepName.COLLECT_LISTINGS:
        raise Refusal(f"{where} must be a step of this image, found {quoted(value[0])}.")


def check_collection(sources: Iterable[Mapping[str, str]], where: str, value: Json) -> None:
    """Allows the collector's step for one of `sources`, from its own first page. Raises `Refusal`."""
    _check_arguments(where, value)
    options = dict(zip(value[1::2], value[2::2], strict=False))
    told = {name.removeprefix("--"): options[name] for name in ("--source", "--start") if name in options}
    known = {"--source", "--start", "--pages", "--result"}
    if value[0] != StepName.COLLECT_LISTINGS or not set(options) <= known or told not in sources:
        raise Refusal(
            f"{where} must be {quoted(StepName.COLLECT_LISTINGS)} of a source in CARPRICE_COLLECTOR_SOURCES "
            f"of this proxy, found {quoted(value)}."
        )


def _check_arguments(where: str, value: Json) -> None:
    """Allows the arguments of a step as Airflow gives them. Raises `Refusal`."""
    check_list_of_texts(where, value)
    command = value[0] if value else None
    if command not in set(StepName):
        raise Refusal(f"{where} must begin with a step, {_words(StepName)}, found {quoted(command)}.")
    allowed = STEP_ARGUMENTS[StepName(command)]
    options = {**allowed.options, "--result": _RESULT}
    positional = 0
    words = list(value[1:])
    while words:
        word = words.pop(0)
        name, equals_sign, text = word.partition("=")
        if name in options:
            texts = [text] if equals_sign else _values(words, options[name])
            number = options[name].values
            if not texts if number is None else len(texts) != number:
                raise Refusal(
                    f"{where} must have {'one or more' if number is None else number} values of "
                    f"{quoted(name)}, found {quoted(texts)}."
                )
            shape = options[name].shape
        elif allowed.shape is not None and not word.startswith("-"):
            name, texts, shape = "its argument", [word], allowed.shape
            positional += 1
        else:
            raise Refusal(
                f"{where} may have {_words(options)} after {quoted(command)}, found {quoted(word)}: "
                "leave it out."
            )
        for each in texts:
            if not shape.fullmatch(each):
                raise Refusal(
                    f"{where} must have {name} of {quoted(command)} as Airflow gives it, found "
                    f"{quoted(each)}."
                )
    if positional > 1:
        raise Refusal(f"{where} must have one argument of {quoted(command)}, found {positional}.")


def _values(words: list[str], option: Option) -> list[str]:
    """The values at the beginning of `words`, which are taken out."""
    found: list[str] = []
    while words and not words[0].startswith("-") and (option.values is None or len(found) < option.values):
        found.append(words.pop(0))
    return found


def _words(names: Iterable[str]) -> str:
    return ", ".join(str(name) for name in names)
