"""Sends messages through all channels at once, within a time limit, and hides secrets in every error."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote

from carprice.alerts.channels import Channel, MayBeDelivered, Message, channels

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """Why a message did not get through, without any address or password.

    `end` is `refused` where it was not delivered, `unsure` where it may have been, and `not tried`.
    """

    problem: str
    end: Literal["refused", "unsure", "not tried"] = "refused"

    def __str__(self) -> str:
        return f"may have been delivered: {self.problem}" if self.end == "unsure" else self.problem


_NOT_TRIED = Failure("no time was left to try", "not tried")
_GRACE_SECONDS = 0.2  # a channel that gives up in time has the better word for it


def send(
    queues: Mapping[str, Sequence[Message]], seconds: float, slow_seconds: float | None = None
) -> dict[str, list[Failure | None]]:
    """Send to each configured channel, by its name, its messages in order; all channels run in parallel.

    Returns for each channel and each of its messages None where it was accepted, otherwise what went wrong.
    Returns within `seconds`, whatever the other side does; a slow channel has `slow_seconds` once its other
    side has been reached. A channel that can't be reached is not tried for its further messages. A channel
    that refused one message is.
    """
    outcomes: dict[str, list[Failure | None]] = {}
    threads = []
    begun = time.monotonic()
    for channel in channels():
        messages = queues.get(channel.name, ())
        if messages:
            until = begun + (slow_seconds if slow_seconds and channel.is_slow else seconds)
            outcomes[channel.name] = [_NOT_TRIED] * len(messages)
            # A daemon: the process may end while somebody's server still keeps the thread waiting.
            thread = threading.Thread(
                target=_send_in_order,
                args=(channel, messages, until, seconds, outcomes[channel.name]),
                daemon=True,
            )
            thread.start()
            threads.append((thread, until))
    for thread, until in threads:
        thread.join(max(0.0, until + _GRACE_SECONDS - time.monotonic()))
    final = {name: list(outcome) for name, outcome in outcomes.items()}
    for name, outcome in final.items():
        for problem in dict.fromkeys(str(p) for p in outcome if p is not None):
            log.warning("%s did not take an alert: %s", name, problem)
    return final


def _send_in_order(
    channel: Channel,
    messages: Sequence[Message],
    until: float,
    connect_seconds: float,
    outcome: list[Failure | None],
) -> None:
    """Send the messages one after the other, and write into `outcome` what became of each."""
    for place, message in enumerate(messages):
        left = until - time.monotonic()
        if left <= 0:
            return
        outcome[place] = Failure(f"no answer within {left:.0f} s", "unsure")
        try:
            # The name of a file may contain a line break, which the subject of a mail must not.
            one_line = replace(message, subject=" ".join(message.subject.split()))
            channel.send(one_line, until, connect_seconds)
            outcome[place] = None
        except MayBeDelivered as error:
            outcome[place] = Failure(_without_secrets(str(error), channel.secrets), "unsure")
            return
        except Exception as error:  # noqa: BLE001 - whatever breaks in a channel must not break the step
            failure = Failure(_without_secrets(f"{type(error).__name__}: {error}", channel.secrets))
            if _is_away(error):
                outcome[place:] = [failure] * (len(messages) - place)
                return
            outcome[place] = failure


def _is_away(error: Exception) -> bool:
    """Whether the other side can't be reached or refuses the login, so that no message would get through."""
    import smtplib
    import urllib.error

    if isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPAuthenticationError):
        return True
    answered = (urllib.error.HTTPError, smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)
    return isinstance(error, OSError) and not isinstance(error, answered)


def _without_secrets(text: str, secrets: Sequence[str]) -> str:
    """`text` without e-mail addresses, and without any part of the `secrets` except their scheme."""
    parts = set()
    for secret in secrets:
        rest = secret.partition("://")[2] or secret
        for part in re.split(r"[\s,;/:@?&=#<>\"]+", rest):
            parts |= {part, unquote(part)}
    for part in sorted((p for p in parts if len(p) >= 3), key=len, reverse=True):
        text = text.replace(part, "…")
    return re.sub(r"[^\s<>,;]+@[^\s<>,;]+", "…", text)
