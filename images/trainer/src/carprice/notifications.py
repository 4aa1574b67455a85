"""Tell people: e-mail and webhook, each only where it is configured."""

from __future__ import annotations

import json
import logging
import os
import smtplib
import urllib.request
from email.message import EmailMessage
from urllib.parse import unquote, urlparse

log = logging.getLogger(__name__)


def notify(subject: str, text: str, page: bytes | None = None) -> list[str]:
    """Send `text` (and the HTML `page` as an attachment) to every configured channel.

    E-mail goes where `CARPRICE_SMTP_TO` says by `CARPRICE_SMTP_URL` (`smtp[s]://user:password@host:port`),
    a JSON document `{"text": …}` to `CARPRICE_WEBHOOK_URL`. Returns the channels that took it; one
    that is away is logged and delays or fails nothing else.
    """
    sent = []
    for name, variable, send in (
        ("e-mail", "CARPRICE_SMTP_URL", _mail),
        ("webhook", "CARPRICE_WEBHOOK_URL", _post),
    ):
        if not os.environ.get(variable):
            continue
        try:
            send(os.environ[variable], subject, text, page)
            sent.append(name)
        except (OSError, smtplib.SMTPException, ValueError) as error:
            log.warning("the %s was not sent: %s: %s", name, type(error).__name__, error)
    return sent


def _mail(url: str, subject: str, text: str, page: bytes | None) -> None:
    recipients = os.environ.get("CARPRICE_SMTP_TO", "")
    if not recipients:
        raise ValueError("CARPRICE_SMTP_TO must name who gets the mail, found nothing")
    server = urlparse(url)
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = os.environ.get("CARPRICE_SMTP_FROM") or "carprice@localhost"
    message["To"] = recipients
    message.set_content(text)
    if page is not None:
        message.add_attachment(page, maintype="text", subtype="html", filename="report.html")
    kind = smtplib.SMTP_SSL if server.scheme == "smtps" else smtplib.SMTP
    with kind(server.hostname or "localhost", server.port or 0, timeout=15) as connection:
        if server.username:
            connection.login(unquote(server.username), unquote(server.password or ""))
        connection.send_message(message)


def _post(url: str, subject: str, text: str, page: bytes | None) -> None:
    if urlparse(url).scheme not in ("http", "https"):
        raise ValueError("CARPRICE_WEBHOOK_URL must be an http or https address")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        url,
        data=json.dumps({"text": f"{subject}\n{text}"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=15):  # noqa: S310
        pass
