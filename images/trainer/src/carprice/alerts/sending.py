"""Sends messages through all channels at once, within a time limit, and hides secrets in every error."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from carprice.alerts.channels import Channel, Message, channels

log = logging.getLogger(__name__)


def send(queues: Mapping[str, Sequence[Message]], seconds: float) -> dict[str, list[str | None]]:
    """Send to each configured channel, by its name, its messages in order; all channels run in parallel.

    Returns for each channel and each of its messages None where it was accepted, otherwise a sentence that
    says why not, without any address or password. Returns within `seconds`, whatever the other side does:
    a message that has no answer by then counts as not sent, and may in rare cases arrive nevertheless.
    A channel that can't be reached is not tried for its further messages. A channel that refused one
    message is.
    """
    until = time.monotonic() + seconds
    no_answer = f"no answer within {seconds:g} s"
    outcomes: dict[str, list[str | None]] = {}
    threads = []
    for channel in channels():
        messages = queues.get(channel.name, ())
        if messages:
            outcomes[channel.name] = [no_answer] * len(messages)
            # A daemon: the process may end while somebody's server still keeps the thread waiting.
            thread = threading.Thread(
                target=_send_in_order, args=(channel, messages, until, outcomes[channel.name]), daemon=True
            )
            thread.start()
            threads.append(thread)
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    final = {name: list(outcome) for name, outcome in outcomes.items()}
    for name, outcome in final.items():
        for problem in dict.fromkeys(p for p in outcome if p is not None):
            log.warning("%s did not take an alert: %s", name, problem)
    return final


def _send_in_order(
    channel: Channel, messages: Sequence[Message], until: float, outcome: list[str | None]
) -> None:
    """Send the messages one after the other, and write into `outcome` what became of each."""
    for place, message in enumerate(messages):
        if time.monotonic() >= until:
            return
        try:
            # The name of a file may contain a line break, which the subject of a mail must not.
            channel.send(replace(message, subject=" ".join(message.subject.split())), until)
            outcome[place] = None
        except Exception as error:  # noqa: BLE001 - whatever breaks in a channel must not break the step
            problem = _without_secrets(f"{type(error).__name__}: {error}", channel.secrets)
            if _is_away(error):
                outcome[place:] = [problem] * (len(messages) - place)
                return
            outcome[place] = problem


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
