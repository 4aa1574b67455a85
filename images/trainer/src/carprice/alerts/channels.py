"""The channels that reach people: e-mail, a webhook, and anything that Apprise speaks.

E-mail and the webhook are sent with the standard library: Apprise hides why a mail server refused a
message, and whoever sets one up needs that reason. Everything else is left to Apprise.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from carprice.settings import settings

# The libraries that send are imported where they are used: every step may record an alert, few send one.
log = logging.getLogger(__name__)

SETTINGS = "CARPRICE_SMTP_URL with CARPRICE_SMTP_TO, CARPRICE_WEBHOOK_URL or CARPRICE_ALERT_URLS"
"""The variables that configure a channel, for sentences."""


@dataclass(frozen=True)
class Message:
    """What is sent. A channel that takes attachments also gets the HTML `page`.

    `key` is the same whenever the message is sent again, so that the other side can tell: it is the
    Message-ID of a mail, and the header `Idempotency-Key` of a webhook.
    """

    subject: str
    text: str
    page: bytes | None = None
    key: str = ""


class MayBeDelivered(Exception):
    """The message was handed over, and no answer came: it may have been delivered, or not."""


@dataclass(frozen=True)
class Channel:
    """One way to reach people.

    `send` takes a message, the `time.monotonic()` at which to give up, and the seconds after which to give up
    reaching the other side. It raises `MayBeDelivered`, or whatever else went wrong. No error may show any of
    the `secrets`. `is_slow` marks a channel whose other side may take long to answer.
    """

    name: str
    send: Callable[[Message, float, float], None]
    secrets: tuple[str, ...]
    is_slow: bool = False


def channels() -> list[Channel]:
    """The channels that the environment configures.

    `CARPRICE_SMTP_URL` is the mail server and `CARPRICE_SMTP_TO` the recipients. `CARPRICE_WEBHOOK_URL`
    gets a JSON document `{"text": …}`, the form of Slack and its like. `CARPRICE_ALERT_URLS` holds addresses
    for Apprise, separated by blanks or commas.
    """
    found = []
    here = settings()
    mail_server, webhook = here.smtp_url, here.webhook_url
    if mail_server:
        people = (here.smtp_to, here.smtp_from)
        found.append(Channel("e-mail", partial(_mail, mail_server), (mail_server, *people), is_slow=True))
    if webhook:
        found.append(Channel("webhook", partial(_post, webhook), (webhook,)))
    # A comma may also stand inside an address, before another recipient.
    others = re.split(r"\s+|,+(?=[A-Za-z][\w+.-]*://)", here.alert_urls)
    addresses = [url for url in (part.strip(",") for part in others) if url]
    found += [_apprise_channel(number, url) for number, url in enumerate(addresses, 1)]
    return found


def _mail(url: str, message: Message, until: float, connect_seconds: float) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage
    from email.utils import parseaddr

    here = settings()
    if not here.smtp_to:
        raise ValueError("CARPRICE_SMTP_TO must name who gets the mail, found nothing; set it")
    server = urlsplit(url)
    if server.scheme not in ("smtp", "smtps", "smtp+starttls"):
        raise ValueError("CARPRICE_SMTP_URL must start with smtp://, smtp+starttls:// or smtps://")
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = here.smtp_from
    mail["To"] = here.smtp_to
    if message.key:
        domain = parseaddr(here.smtp_from)[1].rpartition("@")[2] or "carprice.invalid"
        mail["Message-ID"] = f"<{message.key}@{domain}>"
    mail.set_content(message.text)
    if message.page is not None:
        mail.add_attachment(message.page, maintype="text", subtype="html", filename="report.html")
    host, port = server.hostname or "localhost", server.port
    connection: smtplib.SMTP
    reach_seconds = min(connect_seconds, _seconds_until(until))
    if server.scheme == "smtps":
        tls = ssl.create_default_context()
        connection = smtplib.SMTP_SSL(host, port or 465, timeout=reach_seconds, context=tls)
    else:
        port = port or (587 if server.scheme == "smtp+starttls" else 25)
        connection = smtplib.SMTP(host, port, timeout=reach_seconds)
    try:
        if server.scheme == "smtp+starttls":
            connection.starttls(context=ssl.create_default_context())
        if server.username:
            connection.login(unquote(server.username), unquote(server.password or ""))
        if time.monotonic() >= until:
            raise TimeoutError("the mail server was too slow")
        if connection.sock is not None:
            connection.sock.settimeout(_seconds_until(until))
        try:
            refused = connection.send_message(mail)
        except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, smtplib.SMTPNotSupportedError):
            raise  # the server said no
        except OSError as error:
            raise MayBeDelivered(f"{type(error).__name__}: {error}") from error
        if refused:
            log.warning("the mail server refused %d of the recipients", len(refused))
    finally:
        # The server has taken the mail or refused it by now; a missing goodbye changes nothing.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if connection.sock is not None:
                connection.sock.settimeout(min(1.0, _seconds_until(until)))
                connection.quit()
        connection.close()


def _post(url: str, message: Message, until: float, connect_seconds: float) -> None:
    import http.client
    import urllib.error
    import urllib.request

    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError("CARPRICE_WEBHOOK_URL must be an http or https address")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url,
        data=json.dumps({"text": f"{message.subject}\n{message.text}"}).encode(),
        headers={"Content-Type": "application/json"}
        | ({"Idempotency-Key": message.key} if message.key else {}),
    )
    try:
        with urllib.request.urlopen(request, timeout=_seconds_until(until)):  # noqa: S310
            pass
    except urllib.error.URLError:
        raise  # an answer that says no, or nobody was reached
    except (OSError, http.client.HTTPException) as error:
        raise MayBeDelivered(f"{type(error).__name__}: {error}") from error


def _apprise_channel(number: int, url: str) -> Channel:
    matched = re.match(r"([a-z][a-z0-9+.-]*)://", url.lower())
    scheme = matched.group(1) if matched else "address"

    def send_by_apprise(message: Message, until: float, connect_seconds: float) -> None:
        import apprise
        from apprise.attachment.memory import AttachMemory

        apprise_log = _ApprisesLog()
        logging.getLogger("apprise").addFilter(apprise_log)
        try:
            service: Any = apprise.Apprise.instantiate(url)
            if service is None:
                raise ValueError(f"address {number} of CARPRICE_ALERT_URLS is none that Apprise knows")
            # These limits are for one request; the caller limits the whole.
            service.socket_connect_timeout = service.socket_read_timeout = _seconds_until(until)
            attached = None
            if message.page is not None and service.attachment_support:
                memory: Any = AttachMemory  # untyped
                page = memory(content=message.page, name="report.html", mimetype="text/html")
                attached = apprise.AppriseAttachment([page])
            accepted = service.notify(
                body=message.text,
                title=message.subject,
                notify_type=apprise.NotifyType.INFO,
                body_format=apprise.NotifyFormat.TEXT,
                attach=attached,
            )
            if not accepted:
                raise RuntimeError(apprise_log.last or "the service did not accept it")
        finally:
            logging.getLogger("apprise").removeFilter(apprise_log)

    return Channel(f"{scheme} {number}", send_by_apprise, (url,))


class _ApprisesLog(logging.Filter):
    """Keeps Apprise's log records of one thread out of every log, since they name recipients and addresses.

    `last` is the last warning, in which Apprise says why it could not send.
    """

    def __init__(self) -> None:
        super().__init__()
        self.thread = threading.get_ident()
        self.last = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Hold back the records of this thread; another thread has a filter of its own."""
        if record.thread != self.thread:
            return True
        if record.levelno >= logging.WARNING:
            self.last = record.getMessage()
        return False


def _seconds_until(until: float) -> float:
    return max(0.05, until - time.monotonic())
