"""A withdrawal stands: whatever extracts deliver again, in whatever order, on both stores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alongside.ledger import Ledger, consent, people, schema
from alongside.ledger.consent import ConsentEvent, standing
from alongside.model.enums import Decision

START = datetime(2026, 1, 1, tzinfo=UTC)
PERMIT, DENY, UNKNOWN, READ = Decision
_YES = (PERMIT, PERMIT)


def _day(number: float) -> datetime:
    return START + timedelta(days=number)


def _event(
    decision: Decision,
    day: float,
    channel: str = "*",
    evidence: str = "form 7",
    person: str = "p1",
    origin: str = "extract:crm",
) -> ConsentEvent:
    return ConsentEvent(person, "marketing", channel, decision, _day(day), origin, evidence)


def _record(ledger: Ledger, events: Sequence[ConsentEvent], day: float = 100) -> int:
    with ledger.begin() as connection:
        return consent.record(connection, events, _day(day))


def _stands(ledger: Ledger, *people_asked: str, channel: str = "email") -> list[Decision | None]:
    with ledger.begin() as connection:
        found = consent.decide(connection, people_asked, "marketing", channel)
    return [found[person][0] if person in found else None for person in people_asked]


def _current(ledger: Ledger, channel: str | None = None, as_of: datetime | None = None) -> list[dict[str, Any]]:
    with duckdb.connect() as duck:
        consent.copy_log(duck, ledger)
        consent.decide_all(duck, channel, as_of)
        rows: list[dict[str, Any]] = duck.sql("FROM decided").to_arrow_table().to_pylist()
    return rows


@pytest.mark.parametrize(
    ("events", "email", "sms"),
    [
        ([], None, None),
        ([_event(PERMIT, 1, "email", "")], PERMIT, None),
        ([_event(PERMIT, 1)], PERMIT, PERMIT),
        ([_event(PERMIT, 1), _event(DENY, 1)], DENY, DENY),
        ([_event(DENY, 1), _event(PERMIT, 2, evidence="")], DENY, DENY),
        ([_event(DENY, 1), _event(PERMIT, 2)], PERMIT, PERMIT),
        ([_event(DENY, 2), _event(PERMIT, 1)], DENY, DENY),
        ([_event(PERMIT, 1), _event(DENY, 2, "email")], DENY, PERMIT),
        # a general yes does not undo a particular no
        ([_event(DENY, 1, "email"), _event(PERMIT, 2)], DENY, PERMIT),
        ([_event(DENY, 1, "email"), _event(PERMIT, 2, "email")], PERMIT, None),
        # a general no undoes a particular yes, and a later particular yes stands beside it
        ([_event(PERMIT, 1, "email"), _event(DENY, 2)], DENY, DENY),
        ([_event(DENY, 1), _event(PERMIT, 2, "email")], PERMIT, DENY),
        # each no was lifted in its own way
        ([_event(DENY, 1, "email"), _event(PERMIT, 2, "email"), _event(DENY, 3), _event(PERMIT, 4)], PERMIT, PERMIT),
        ([_event(DENY, 3, "email"), _event(PERMIT, 2, "email"), _event(DENY, 1), _event(PERMIT, 4)], DENY, PERMIT),
        # what cannot be read counts as a no, until another yes or until it is read
        ([_event(PERMIT, 1), _event(UNKNOWN, 2, "email", "record a#0")], DENY, PERMIT),
        ([_event(PERMIT, 1), _event(UNKNOWN, 2, evidence="record a#0"), _event(PERMIT, 3)], PERMIT, PERMIT),
        ([_event(PERMIT, 1), _event(UNKNOWN, 2, evidence="record a#0"), _event(READ, 1, "*", "record a#0")], *_YES),
        (
            [_event(PERMIT, 1), _event(UNKNOWN, 2, evidence="record a#1"), _event(READ, 3, "*", "record a#0")],
            DENY,
            DENY,
        ),
        ([_event(UNKNOWN, 2, "email", "record a#0"), _event(READ, 3, "email", "record a#0")], None, None),
    ],
)
def test_what_stands_for_a_channel(
    ledger: Ledger, events: list[ConsentEvent], email: Decision | None, sms: Decision | None
) -> None:
    assert standing(events, "email") == email
    assert standing(events, "sms") == sms
    _record(ledger, events)
    assert _stands(ledger, "p1") == [email]
    assert _stands(ledger, "p1", channel="sms") == [sms]


def test_the_event_that_decides_is_named(ledger: Ledger) -> None:
    _record(ledger, [_event(PERMIT, 1), _event(DENY, 2), _event(PERMIT, 3, evidence=""), _event(DENY, 1.5)])
    table = _current(ledger)
    assert table == [
        {
            "person_id": "p1",
            "purpose": "marketing",
            "channel": "*",
            "decision": "deny",
            "decided_at": _day(2).replace(tzinfo=None),
            "seq": 2,
        }
    ]
    assert [row["decision"] for row in _current(ledger, as_of=_day(1))] == ["permit"]
    with ledger.begin() as connection:
        assert consent.decide(connection, ["p1"], "marketing", "email") == {"p1": (DENY, 2)}
        assert consent.decide(connection, ["p1"], "marketing", "email", as_of=_day(1)) == {"p1": (PERMIT, 1)}
        assert consent.decide(connection, ["p1"], "care", "email") == {}


def test_one_channel_gets_one_row_a_person_and_purpose(ledger: Ledger) -> None:
    _record(
        ledger,
        [
            _event(PERMIT, 1),
            _event(DENY, 2, "email"),
            _event(PERMIT, 1, "sms", person="p2"),
            _event(PERMIT, 1, person="p3"),
            ConsentEvent("p3", "care", "email", PERMIT, _day(1), "staff:7"),
        ],
    )
    found = {(row["person_id"], row["purpose"]): row["decision"] for row in _current(ledger, "email")}
    assert found == {("p1", "marketing"): "deny", ("p3", "marketing"): "permit", ("p3", "care"): "permit"}
    every = {(row["person_id"], row["channel"]) for row in _current(ledger)}
    assert every == {("p1", "*"), ("p1", "email"), ("p2", "sms"), ("p3", "*"), ("p3", "email")}


def test_an_empty_log_decides_nothing(ledger: Ledger) -> None:
    assert _current(ledger) == []


def test_what_is_delivered_every_night_is_recorded_once(ledger: Ledger) -> None:
    nightly = [_event(PERMIT, 1), _event(PERMIT, 1, "email")]
    assert _record(ledger, nightly) == 2
    assert _record(ledger, nightly, day=101) == 0


def test_an_unsubscribe_stands_against_extracts_that_repeat_an_older_grant(ledger: Ledger) -> None:
    nightly = [_event(PERMIT, 1)]
    _record(ledger, nightly)
    _record(ledger, [_event(DENY, 30, "email", evidence="", origin="unsubscribe")], day=30)
    for night in range(31, 35):
        # the hospital's system even renames the form that it repeats
        _record(ledger, [*nightly, _event(PERMIT, 1, "email", evidence=f"export {night}")], day=night)
        assert _stands(ledger, "p1") == [DENY]
    _record(ledger, [_event(PERMIT, 40, "email", evidence="signed at the desk")], day=40)
    assert _stands(ledger, "p1") == [PERMIT]


# --------------------------------------------------------------------------------------------------------- properties
CHANNELS = st.sampled_from(["*", "email", "sms"])


def _events(decisions: Sequence[Decision], evidence: Sequence[str]) -> st.SearchStrategy[ConsentEvent]:
    return st.builds(
        _event,
        decision=st.sampled_from(decisions),
        day=st.integers(0, 6),
        channel=CHANNELS,
        evidence=st.sampled_from(evidence),
        person=st.sampled_from(["p1", "p2", "p3"]),
    )


EVENTS = st.lists(_events([PERMIT, DENY], ["", "form"]), max_size=14)
#: With records that could not be read, and records that can be again.
DOUBTFUL = st.lists(
    _events([PERMIT, DENY], ["", "form"]) | _events([UNKNOWN, READ], ["record a#0", "record b#0"]),
    max_size=14,
)


@given(events=EVENTS, withdrawn=st.integers(0, 6), scope=CHANNELS, channel=st.sampled_from(["email", "sms"]))
def test_nothing_decided_before_a_withdrawal_revives_it(
    events: list[ConsentEvent], withdrawn: int, scope: str, channel: str
) -> None:
    earlier = [event for event in events if event.decided_at <= _day(withdrawn) or event.decision == DENY]
    log = [*earlier, _event(DENY, withdrawn, scope)]
    if scope in ("*", channel):
        assert standing(log, channel) == DENY


@given(events=EVENTS, withdrawn=st.integers(0, 6), channel=st.sampled_from(["email", "sms"]))
def test_no_grant_without_evidence_ever_lifts_a_withdrawal(
    events: list[ConsentEvent], withdrawn: int, channel: str
) -> None:
    unproven = [event for event in events if not event.evidence or event.decision == DENY]
    assert standing([*unproven, _event(DENY, withdrawn, channel)], channel) == DENY


@given(events=DOUBTFUL, channel=st.sampled_from(["email", "sms"]))
def test_a_record_that_cannot_be_read_never_permits_more(events: list[ConsentEvent], channel: str) -> None:
    without = [event for event in events if event.decision in (PERMIT, DENY)]
    if standing(events, channel) == PERMIT:
        assert standing(without, channel) == PERMIT


@given(events=DOUBTFUL, order=st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(events: list[ConsentEvent], order: object) -> None:
    shuffled = list(events)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    assert standing(shuffled + shuffled, "email") == standing(events, "email")


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=DOUBTFUL)
def test_the_store_answers_as_the_rule_says(ledger: Ledger, events: list[ConsentEvent]) -> None:
    with ledger.begin() as connection:
        connection.execute(schema.consent_event.delete())
    _record(ledger, events)
    for channel in ("email", "sms"):
        table = {row["person_id"]: Decision(row["decision"]) for row in _current(ledger, channel)}
        for person in ("p1", "p2", "p3"):
            expected = standing([event for event in events if event.person_id == person], channel)
            assert table.get(person) == expected
            assert _stands(ledger, person, channel=channel) == [expected]
    for row in _current(ledger):
        own = [event for event in events if event.person_id == row["person_id"]]
        assert Decision(row["decision"]) == standing(own, row["channel"])


# ------------------------------------------------------------------------------------------------------ merge, split
def _people(ledger: Ledger, *ids: str) -> None:
    with ledger.begin() as connection:
        rows = [{"person_id": person, "minted_at": _day(0)} for person in ids]
        connection.execute(schema.person.insert(), rows)


def test_at_a_merge_the_withdrawal_wins_and_a_later_proven_grant_lifts_it(ledger: Ledger) -> None:
    _people(ledger, "p1", "p2", "p3")
    _record(ledger, [_event(DENY, 1), _event(PERMIT, 5, person="p2"), _event(PERMIT, 5, person="p3")])
    with ledger.begin() as connection:
        people.merge(connection, [people.Merge("p2", "p1", "mrn")], _day(10))
    assert _stands(ledger, "p1", "p2", "p3") == [DENY, DENY, PERMIT]
    _record(ledger, [_event(PERMIT, 5, "email", person="p2", evidence="the old form again")])
    assert _stands(ledger, "p2") == [DENY]
    _record(ledger, [_event(PERMIT, 11, person="p1")])
    assert _stands(ledger, "p1", "p2") == [PERMIT, PERMIT]
    assert {row["person_id"] for row in _current(ledger)} == {"p2", "p3"}


def test_a_split_gives_each_side_back_its_own_consent(ledger: Ledger) -> None:
    _people(ledger, "p1", "p2")
    _record(ledger, [_event(DENY, 1), _event(PERMIT, 5, person="p2")])
    with ledger.begin() as connection:
        people.merge(connection, [people.Merge("p2", "p1", "splink", 0.97)], _day(10))
        assert people.split(connection, "p2", ["p1"], "review:desk", _day(20)) == "p1"
    assert _stands(ledger, "p1", "p2") == [DENY, PERMIT]


def test_who_unsubscribed_while_two_were_one_has_unsubscribed_both(ledger: Ledger) -> None:
    _people(ledger, "p1", "p2")
    _record(ledger, [_event(PERMIT, 1), _event(PERMIT, 1, person="p2")])
    with ledger.begin() as connection:
        people.merge(connection, [people.Merge("p1", "p2", "splink", 0.97)], _day(10))
    _record(ledger, [_event(DENY, 12, "email", origin="unsubscribe")])
    assert _stands(ledger, "p1", "p2") == [DENY, DENY]
    with ledger.begin() as connection:
        people.split(connection, "p1", ["p2"], "review:desk", _day(20))
    assert _stands(ledger, "p1", "p2") == [DENY, DENY]
    assert _stands(ledger, "p1", "p2", channel="sms") == [PERMIT, PERMIT]


def test_large_questions_never_tear_a_group_apart(ledger: Ledger, tmp_path: Path) -> None:
    ids = [f"p{number:04}" for number in range(2400)]
    with ledger.begin() as connection:
        rows = [
            {"person_id": person, "minted_at": _day(0), "survivor_id": ids[number - number % 3] if number % 3 else None}
            for number, person in enumerate(ids)
        ]
        connection.execute(schema.person.insert(), rows)
    # the last of three denies, the first permits earlier
    _record(
        ledger,
        [_event(PERMIT, 1, person=person) for person in ids[::3]]
        + [_event(DENY, 2, person=person) for person in ids[2::3]],
    )
    assert set(_stands(ledger, *ids)) == {DENY}
