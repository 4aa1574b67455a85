"""Send a message to people: by e-mail, to a webhook, or to anything that Apprise speaks.

E-mail and the webhook are sent with the standard library: Apprise hides why a mail server refused,
which is what somebody who sets one up needs to read. Everything else is left to Apprise.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import unquote, urlsplit

# What only sending needs is imported there: every step may record an alert, few send one.
log = logging.getLogger(__name__)

SETTINGS = "CARPRICE_SMTP_URL with CARPRICE_SMTP_TO, CARPRICE_WEBHOOK_URL or CARPRICE_ALERT_URLS"
"""The variables that configure a channel, for sentences."""


@dataclass(frozen=True)
class Message:
    """What is sent; the HTML `page` goes along where a channel takes attachments."""

    subject: str
    text: str
    page: bytes | None = None


@dataclass(frozen=True)
class Channel:
    """One way to reach people.

    `send` takes a message and the `time.monotonic()` at which to give up, and raises whatever went
    wrong. `secrets` are what no error may show.
    """

    name: str
    send: Callable[[Message, float], None]
    secrets: tuple[str, ...]


def channels() -> list[Channel]:
    """The channels that the environment configures.

    E-mail goes where `CARPRICE_SMTP_TO` says by `CARPRICE_SMTP_URL`, a JSON document `{"text": …}` to
    `CARPRICE_WEBHOOK_URL`, as Slack and those compatible with it take it, and `CARPRICE_ALERT_URLS` are
    addresses for Apprise, separated by blanks or commas.
    """
    found = []
    mail, hook = os.environ.get("CARPRICE_SMTP_URL"), os.environ.get("CARPRICE_WEBHOOK_URL")
    if mail:
        people = (os.environ.get("CARPRICE_SMTP_TO", ""), os.environ.get("CARPRICE_SMTP_FROM", ""))
        found.append(Channel("e-mail", lambda m, until: _mail(mail, m, until), (mail, *people)))
    if hook:
        found.append(Channel("webhook", lambda m, until: _post(hook, m, until), (hook,)))
    # A comma may also stand inside an address, before another recipient.
    others = re.split(r"\s+|,+(?=[A-Za-z][\w+.-]*://)", os.environ.get("CARPRICE_ALERT_URLS", ""))
    addresses = [url for url in (part.strip(",") for part in others) if url]
    found += [_apprise_channel(number, url) for number, url in enumerate(addresses, 1)]
    return found


def send(queues: Mapping[str, Sequence[Message]], seconds: float) -> dict[str, list[str | None]]:
    """Send to each configured channel, by its name, its messages in order; all channels at a time.

    Returns for each channel, and each of its messages, None where it was taken and otherwise a
    sentence why not, without any address or password. Returns within `seconds` whatever the other
    side does: what has no answer by then counts as not sent (and may, rarely, arrive all the same).
    A channel that is away is not asked again for the messages behind; one that refused a message is.
    """
    until = time.monotonic() + seconds
    silent = f"no answer within {seconds:g} s"
    outcomes: dict[str, list[str | None]] = {}
    threads = []
    for channel in channels():
        messages = queues.get(channel.name, ())
        if messages:
            outcomes[channel.name] = [silent] * len(messages)
            # A daemon: the process may end while somebody's server still keeps the thread waiting.
            thread = threading.Thread(
                target=_work, args=(channel, messages, until, outcomes[channel.name]), daemon=True
            )
            thread.start()
            threads.append(thread)
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    final = {name: list(outcome) for name, outcome in outcomes.items()}
    for name, outcome in final.items():
        for problem in dict.fromkeys(p for p in outcome if p is not None):
            log.warning("nothing was sent by %s: %s", name, problem)
    return final


def _work(channel: Channel, messages: Sequence[Message], until: float, outcome: list[str | None]) -> None:
    for place, message in enumerate(messages):
        if time.monotonic() >= until:
            return
        try:
            # A subject holds the names of files, in which a line may end; in that of a mail none can.
            channel.send(replace(message, subject=" ".join(message.subject.split())), until)
            outcome[place] = None
        except Exception as error:  # noqa: BLE001 - whatever breaks in a channel must not break the step
            problem = _without_secrets(f"{type(error).__name__}: {error}", channel.secrets)
            if _is_away(error):
                outcome[place:] = [problem] * (len(messages) - place)
                return
            outcome[place] = problem


def _is_away(error: Exception) -> bool:
    """Whether the other side can't be reached, or lets nobody in, so that no other message would get
    through either."""
    import smtplib
    import urllib.error

    if isinstance(error, smtplib.SMTPConnectError | smtplib.SMTPAuthenticationError):
        return True
    answered = (urllib.error.HTTPError, smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)
    return isinstance(error, OSError) and not isinstance(error, answered)


def _left(until: float) -> float:
    return max(0.05, until - time.monotonic())


def _mail(url: str, message: Message, until: float) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage

    recipients = os.environ.get("CARPRICE_SMTP_TO", "")
    if not recipients:
        raise ValueError("CARPRICE_SMTP_TO must name who gets the mail, found nothing")
    server = urlsplit(url)
    if server.scheme not in ("smtp", "smtps", "smtp+starttls"):
        raise ValueError("CARPRICE_SMTP_URL must start with smtp://, smtp+starttls:// or smtps://")
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = os.environ.get("CARPRICE_SMTP_FROM") or "carprice@localhost"
    mail["To"] = recipients
    mail.set_content(message.text)
    if message.page is not None:
        mail.add_attachment(message.page, maintype="text", subtype="html", filename="report.html")
    host, port = server.hostname or "localhost", server.port
    connection: smtplib.SMTP
    if server.scheme == "smtps":
        tls = ssl.create_default_context()
        connection = smtplib.SMTP_SSL(host, port or 465, timeout=_left(until), context=tls)
    else:
        port = port or (587 if server.scheme == "smtp+starttls" else 25)
        connection = smtplib.SMTP(host, port, timeout=_left(until))
    try:
        if server.scheme == "smtp+starttls":
            connection.starttls(context=ssl.create_default_context())
        if server.username:
            connection.login(unquote(server.username), unquote(server.password or ""))
        if time.monotonic() >= until:
            raise TimeoutError("the mail server was too slow")
        refused = connection.send_message(mail)
        if refused:
            log.warning("the mail server refused %d of the recipients", len(refused))
    finally:
        # The mail is taken or not by now; a server that does not say goodbye changes nothing.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if connection.sock is not None:
                connection.sock.settimeout(min(1.0, _left(until)))
                connection.quit()
        connection.close()


def _post(url: str, message: Message, until: float) -> None:
    import urllib.request

    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("CARPRICE_WEBHOOK_URL must be an http or https address")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url,
        data=json.dumps({"text": f"{message.subject}\n{message.text}"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=_left(until)):  # noqa: S310
        pass


def _apprise_channel(number: int, url: str) -> Channel:
    known = re.match(r"([a-z][a-z0-9+.-]*)://", url.lower())
    scheme = known.group(1) if known else "address"

    def send_by_apprise(message: Message, until: float) -> None:
        import apprise
        from apprise.attachment.memory import AttachMemory

        words = _Words()
        logging.getLogger("apprise").addFilter(words)
        try:
            service: Any = apprise.Apprise.instantiate(url)
            if service is None:
                raise ValueError(f"address {number} of CARPRICE_ALERT_URLS is none that Apprise knows")
            # Its own limits count for one request; the whole is bounded by the caller.
            service.socket_connect_timeout = service.socket_read_timeout = _left(until)
            attached = None
            if message.page is not None and service.attachment_support:
                memory: Any = AttachMemory  # untyped
                page = memory(content=message.page, name="report.html", mimetype="text/html")
                attached = apprise.AppriseAttachment([page])
            taken = service.notify(
                body=message.text,
                title=message.subject,
                notify_type=apprise.NotifyType.INFO,
                body_format=apprise.NotifyFormat.TEXT,
                attach=attached,
            )
            if not taken:
                raise RuntimeError(words.last or "the service did not take it")
        finally:
            logging.getLogger("apprise").removeFilter(words)

    return Channel(f"{scheme} {number}", send_by_apprise, (url,))


class _Words(logging.Filter):
    """Keeps what Apprise logs in this thread, and out of every log: it names recipients and addresses.

    The last warning is where it says why it could not send.
    """

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()
        self.last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a record of this thread; let pass that of another, which has a filter of its own."""
        if record.thread != self.thread:
            return True
        if record.levelno >= logging.WARNING:
            self.last = record.getMessage()
        return False


def _without_secrets(text: str, secrets: Sequence[str]) -> str:
    """`text` without e-mail addresses and without any part of the given addresses but their scheme."""
    parts = set()
    for secret in secrets:
        rest = secret.partition("://")[2] or secret
        for part in re.split(r"[\s,;/:@?&=#<>\"]+", rest):
            parts |= {part, unquote(part)}
    for part in sorted((p for p in parts if len(p) >= 3), key=len, reverse=True):
        text = text.replace(part, "…")
    return re.sub(r"[^\s<>,;]+@[^\s<>,;]+", "…", text)
