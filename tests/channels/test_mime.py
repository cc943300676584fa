"""A mail as bytes: Python's own parser, which nobody here wrote, reads back what was put in."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alongside.channels.mime import mail

DATE = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
#: Python's parser takes these for line ends, which no mail program does.
ODD_BREAKS = "\r\x00\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters=ODD_BREAKS), max_size=400)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=120)


def written(**changes: object) -> bytes:
    given = {
        "sender": ("青禾市示范医院", "care@mail.hospital.example"),
        "to": "patient@example.com",
        "subject": "您该来复诊了",
        "text": "您好",
        "html": "<p>您好</p>",
        "date": DATE,
        "message_id": "key.batch@mail.hospital.example",
        "reply_to": "hello@hospital.example",
        "list_id": "care.mail.hospital.example",
        "unsubscribe_url": "https://hospital.example/u/token",
    }
    return mail(**{**given, **changes})  # type: ignore[arg-type]


def read(raw: bytes) -> EmailMessage:
    found = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(found, EmailMessage)
    assert found.defects == []
    return found


def body(found: EmailMessage, kind: str) -> str:
    part = found.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_every_header_and_both_bodies_are_read_back() -> None:
    found = read(written())
    assert found["From"].addresses[0].display_name == "青禾市示范医院"
    assert found["From"].addresses[0].addr_spec == "care@mail.hospital.example"
    assert (found["To"], found["Subject"], found["Reply-To"]) == (
        "patient@example.com",
        "您该来复诊了",
        "hello@hospital.example",
    )
    assert (found["Message-ID"], found["List-Id"]) == (
        "<key.batch@mail.hospital.example>",
        "<care.mail.hospital.example>",
    )
    assert found["List-Unsubscribe"] == "<https://hospital.example/u/token>"
    assert found["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert found["Date"].datetime == DATE
    assert (body(found, "plain"), body(found, "html")) == ("您好", "<p>您好</p>")


def test_the_last_part_is_the_richest() -> None:
    assert [part.get_content_type() for part in read(written()).iter_parts()] == ["text/plain", "text/html"]
    assert read(written(html="")).get_content_type() == "text/plain"


@given(subject=WORDS, name=WORDS, text=TEXT, html=TEXT)
def test_whatever_is_written_is_read_back(subject: str, name: str, text: str, html: str) -> None:
    found = read(written(subject=subject, sender=(name, "care@hospital.example"), text=text, html=f"<p>{html}</p>"))
    assert body(found, "plain") == text
    assert body(found, "html") == f"<p>{html}</p>"
    assert " ".join(str(found["Subject"]).split()) == " ".join(subject.split())


@given(text=TEXT, subject=WORDS)
def test_lines_are_what_servers_take(text: str, subject: str) -> None:
    raw = written(text=text * 20, subject=subject)
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert not any(line.startswith(b".") for line in raw.split(b"\r\n"))
    raw.decode("ascii")


@pytest.mark.parametrize("field", ["to", "reply_to", "list_id", "unsubscribe_url", "message_id"])
def test_a_line_break_makes_no_header(field: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        written(**{field: "x\r\nBcc: everybody@example.com"})
