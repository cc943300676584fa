"""A mail as bytes for SMTP, against Python's own `EmailMessage`.

Both contenders write the same headers and bodies of one rendered message, addressed to many.
"""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from alongside.channels.mime import mail
from alongside.content import load
from alongside.model.enums import Channel, Locale
from alongside.settings import Project
from benchmarks.processes import ROOT
from benchmarks.rendering import LOCALE, MESSAGE
from benchmarks.timing import best_of

RECIPIENTS = 500
NOW = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
SENDER = ("青禾市示范医院", "care@mail.hospital.example")


def measure(size: int, rounds: int) -> dict[str, float]:
    """Best seconds of `ours` and `baseline`; `messages` and `bytes` of one."""
    catalogue = load(Project.at(ROOT))
    letter = catalogue.compiled(MESSAGE, Channel.EMAIL, Locale(LOCALE)).render(
        catalogue.preview_values(MESSAGE, Locale(LOCALE))
    )
    parts = (letter.subject, letter.text, letter.html)
    ours, theirs = _ours(parts, 7), _baseline(parts, 7)
    assert _read(ours) == _read(theirs), "both must say the same"
    portions = max(1, size // RECIPIENTS)
    best = best_of(
        rounds,
        {
            "ours": lambda: [_ours(parts, number) and None for _ in range(portions) for number in range(RECIPIENTS)],
            "baseline": lambda: [
                _baseline(parts, number) and None for _ in range(portions) for number in range(RECIPIENTS)
            ],
        },
    )
    return {**best, "messages": portions * RECIPIENTS, "bytes": len(ours)}


def _unsubscribe(number: int) -> str:
    return f"https://hospital.example/u/{number:032x}"


def _ours(parts: tuple[str, str, str], number: int) -> bytes:
    subject, text, html = parts
    return mail(
        sender=SENDER,
        to=f"patient{number}@example.com",
        subject=subject,
        text=text,
        html=html,
        date=NOW,
        message_id=f"{number:032x}.b1@mail.hospital.example",
        list_id="care.mail.hospital.example",
        unsubscribe_url=_unsubscribe(number),
    )


def _baseline(parts: tuple[str, str, str], number: int) -> bytes:
    subject, text, html = parts
    message = EmailMessage(policy=email.policy.SMTP)
    message["From"] = Address(SENDER[0], addr_spec=SENDER[1])
    message["To"] = f"patient{number}@example.com"
    message["Subject"] = subject
    message["Date"] = format_datetime(NOW)
    message["Message-ID"] = f"<{number:032x}.b1@mail.hospital.example>"
    message["List-Id"] = "<care.mail.hospital.example>"
    message["List-Unsubscribe"] = f"<{_unsubscribe(number)}>"
    message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(text, cte="base64")
    message.add_alternative(html, subtype="html", cte="base64")
    return message.as_bytes()


def _read(raw: bytes) -> list[str]:
    """What a mail program makes of it."""
    found = email.message_from_bytes(raw, policy=email.policy.default)
    bodies = [found.get_body((kind,)) for kind in ("plain", "html")]
    names = ("From", "To", "Subject", "Date", "Message-ID", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post")
    said = [body.get_content().strip() for body in bodies if body is not None]
    return [str(found[name]).strip() for name in names] + [text.replace("\r\n", "\n") for text in said]
