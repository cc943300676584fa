"""Callbacks in our words: each once, only what they say, and nothing of what they might mean."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.channels.twilio_codes import suppression_of
from alongside.channels.twilio_events import STATE_OF, callback_url, ids_of, read_inbound, read_status
from alongside.ledger.events import STATE_OF as STATE_AFTER
from alongside.model.enums import EventKind, MessageState
from tests.fakes import key_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SID = "SM" + "c" * 32
URL = callback_url("https://hospital.example/webhooks/twilio", "b" * 33, key_of(1)).partition("#")[0]


def fields(status: str = "delivered", **changes: str) -> list[tuple[str, str]]:
    given = {"MessageSid": SID, "MessageStatus": status, "SmsSid": SID, "To": "+8613812345678", **changes}
    return [(name, value) for name, value in given.items() if value != "-"]


@pytest.mark.parametrize(
    ("status", "code", "kind", "suppression"),
    [
        ("queued", "", EventKind.PROCESSED, None),
        ("sent", "", EventKind.PROCESSED, None),
        ("partially_delivered", "", EventKind.PROCESSED, None),
        ("delivered", "", EventKind.DELIVERED, None),
        ("read", "", EventKind.READ, None),
        ("canceled", "", EventKind.DROPPED, None),
        ("undelivered", "30005", EventKind.BOUNCE, "hard_bounce"),
        ("failed", "30006", EventKind.BOUNCE, "hard_bounce"),
        ("undelivered", "30003", EventKind.BLOCKED, None),  # switched off today is no dead number
        ("undelivered", "30007", EventKind.BLOCKED, None),
        ("undelivered", "30008", EventKind.BLOCKED, None),
        ("failed", "21610", EventKind.DROPPED, "unsubscribe"),
        ("failed", "", EventKind.BLOCKED, None),
        ("failed", "39999", EventKind.BLOCKED, None),
        ("failed", "many", EventKind.BLOCKED, None),
    ],
)
def test_each_status_in_our_words(status: str, code: str, kind: EventKind, suppression: str | None) -> None:
    found = read_status(URL, fields(status, ErrorCode=code), NOW)
    assert found is not None
    assert (found.message_key, found.kind, found.occurred_at) == (key_of(1), kind, NOW)
    assert suppression_of(found.detail) == suppression


def test_a_state_and_its_event_agree() -> None:
    """Reading a message back and hearing of it leave it in the same state."""
    for status, state in STATE_OF.items():
        found = read_status(URL, fields(status, ErrorCode="30008" if state is MessageState.BOUNCED else "-"), NOW)
        assert found is not None
        assert STATE_AFTER[found.kind] is state, status


def test_a_repetition_is_the_same_event_and_another_status_is_not() -> None:
    one, again = (
        read_status(URL, fields("sent"), NOW),
        read_status(URL, fields("sent", RawDlrDoneDate="2603011300"), NOW),
    )
    other = read_status(URL, fields("delivered"), NOW)
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.event_id == again.event_id != other.event_id


@pytest.mark.parametrize(
    "changes",
    [
        {"MessageStatus": "received"},
        {"MessageStatus": "of tomorrow"},
        {"MessageStatus": "-"},
        {"MessageSid": "-"},
        {"MessageSid": "CA" + "c" * 32},
        {"MessageSid": SID + "\n"},
    ],
)
def test_what_is_no_status_is_nothing(changes: dict[str, Any]) -> None:
    assert read_status(URL, fields(**{"status": "sent"} | changes), NOW) is None


@pytest.mark.parametrize(
    "url",
    [
        "https://hospital.example/webhooks/twilio",
        "https://hospital.example/webhooks/twilio?m=" + key_of(1),
        "https://hospital.example/webhooks/twilio?b=x&m=" + key_of(1).upper().replace("0", "G"),
        URL + "&m=" + key_of(2),
        URL + "&x=1" * 30,
        "http://[broken?b=x&m=" + key_of(1),
    ],
)
def test_an_address_that_is_not_ours_names_no_message(url: str) -> None:
    assert ids_of(url) is None
    assert read_status(url, fields("sent"), NOW) is None


def test_a_patients_message_is_taken_as_written() -> None:
    given = {"MessageSid": SID, "From": "+8613812345678", "To": "+15005550006", "Body": " 退订 ", "OptOutType": "STOP"}
    found = read_inbound(given.items())
    assert found is not None
    assert (found.sid, found.sender, found.recipient, found.text, found.opt_out) == (
        SID, "+8613812345678", "+15005550006", " 退订 ", "STOP",
    )  # fmt: skip
    assert "138" not in repr(found)
    assert "退订" not in repr(found)
    empty = read_inbound((given | {"Body": ""}).items())
    assert empty is not None
    assert empty.text == "", "a picture without words is a message too"


@pytest.mark.parametrize("missing", ["MessageSid", "From", "Body"])
def test_half_a_message_is_none(missing: str) -> None:
    given = {"MessageSid": SID, "From": "+8613812345678", "Body": "R"}
    del given[missing]
    assert read_inbound(given.items()) is None


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=80), st.lists(st.tuples(st.text(max_size=20), st.text(max_size=40)), max_size=8))
def test_garbage_is_never_an_exception(url: str, pairs: list[tuple[str, str]]) -> None:
    ids_of(url)
    read_status(url, pairs, NOW)
    read_status(URL, [("MessageSid", SID), *pairs], NOW)
    read_inbound(pairs)
