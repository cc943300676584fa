"""How deliveries stand: each message counted in one place, with what keeps it from leaving."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, calls, claims, deliveries, pauses, schema
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.deliveries import Filter, Overview
from alongside.ledger.runs import RunPins, pin_run, record_campaign
from alongside.ledger.settlement import Settlement
from tests.fakes import NOON, key_of, plan

MINUTE = timedelta(minutes=1)
ANY = Filter()


def take(ledger: Ledger, campaign: str, *, worker: str = "w1") -> Claim:
    scope = Scope(campaigns=(campaign,))
    held = claims.claim(
        ledger, scope, attempt_id=f"a-{campaign}-{worker}", worker=worker, now=NOON, due=NOON, lease_seconds=60
    )
    assert held is not None
    return held


def call(ledger: Ledger, campaign: str, *, worker: str = "w1") -> Claim:
    held = take(ledger, campaign, worker=worker)
    assert calls.begin_call(ledger, held, now=NOON, lease_seconds=60)
    return held


def look(ledger: Ledger, which: Filter = ANY, **options: int) -> Overview:
    with ledger.reading() as connection:
        return deliveries.overview(connection, which, due=NOON, **{"max_attempts": 5, **options})


def waits(found: Overview) -> dict[str, tuple[str, int, int]]:
    return {one.campaign: (one.because, one.messages, one.batches) for one in found.waiting}


def test_states_are_counted_by_channel_and_campaign(ledger: Ledger) -> None:
    plan(ledger, range(5), campaign="flu")
    plan(ledger, range(10, 14), campaign="heart", batch_size=2)
    plan(ledger, range(20, 22), campaign="flu", channel="sms")
    held = call(ledger, "heart")
    calls.settle(ledger, held, Settlement(accepted=[key_of(10), key_of(11)]), now=NOON, patient_now=NOON)
    found = {(one.channel, one.campaign): (one.messages, one.batches) for one in look(ledger).groups}
    assert found == {
        ("email", "flu"): ({"planned": 5}, {"planned": 1}),
        ("email", "heart"): ({"planned": 2, "accepted": 2}, {"planned": 1, "accepted": 1}),
        ("sms", "flu"): ({"planned": 2}, {"planned": 1}),
    }


@pytest.mark.parametrize(
    ("which", "groups"),
    [
        (Filter(channel="sms"), [("sms", "flu")]),
        (Filter(campaign="flu"), [("email", "flu"), ("sms", "flu")]),
        (Filter(campaign="flu", channel="email"), [("email", "flu")]),
        (Filter(run_id="run-1"), [("email", "flu"), ("email", "heart"), ("sms", "flu")]),
        (Filter(run_id="run-2"), []),
    ],
)
def test_a_filter_holds_for_everything_that_is_counted(
    ledger: Ledger, which: Filter, groups: list[tuple[str, str]]
) -> None:
    for start, campaign, channel in ((0, "flu", "email"), (10, "heart", "email"), (20, "flu", "sms")):
        plan(ledger, range(start, start + 3), campaign=campaign, channel=channel)
    with ledger.begin() as connection:
        dead = schema.message.c.message_key.in_([key_of(number) for number in (0, 10, 20)])
        connection.execute(schema.message.update().where(dead).values(state="rejected", reason="no"))
    found = look(ledger, which)
    assert [(one.channel, one.campaign) for one in found.groups] == groups
    assert [(one.channel, one.campaign) for one in found.waiting] == groups
    assert sorted((one.channel, one.campaign) for one in found.dead) == groups
    with ledger.reading() as connection:
        letters = deliveries.dead_letters(connection, which, due=NOON, max_attempts=5)
    assert sorted((one.channel, one.campaign) for one in letters) == groups


def test_the_oldest_claim_names_its_worker_and_the_unknown_their_age(ledger: Ledger) -> None:
    plan(ledger, range(4), campaign="flu", batch_size=2)
    plan(ledger, range(10, 12), campaign="heart")
    first = call(ledger, "flu", worker="old")
    take(ledger, "flu", worker="young")
    with ledger.begin() as connection:
        mine = schema.attempt.c.attempt_id == first.attempt_id
        connection.execute(schema.attempt.update().where(mine).values(claimed_at=NOON - 9 * MINUTE))
    flu, heart = look(ledger).groups
    assert flu.oldest_claim is not None
    assert asdict(flu.oldest_claim) == {
        "batch_id": first.batch_id,
        "worker": "old",
        "state": "calling",
        "since": NOON - 9 * MINUTE,
        "lease_until": NOON + MINUTE,
    }
    assert (heart.oldest_claim, heart.unknown_since) == (None, None)
    calls.expire_calls(ledger, NOON + 2 * MINUTE)
    flu, _ = look(ledger).groups
    assert (flu.messages, flu.unknown_since) == ({"planned": 2, "unknown": 2}, NOON + 2 * MINUTE)
    assert flu.oldest_claim is not None
    assert flu.oldest_claim.worker == "young"


def hold_up(ledger: Ledger) -> None:
    """Six campaigns, each named after what keeps it from leaving."""
    evening = pa.array([NOON + 60 * MINUTE] * 2, pa.timestamp("us", "UTC"))
    plan(ledger, range(2), campaign="quiet", not_before=evening)
    for number, campaign in enumerate(["ready", "silenced", "held", "tried", "restored"], start=1):
        plan(ledger, range(10 * number, 10 * number + number), campaign=campaign)
    with ledger.begin() as connection:
        pauses.set_pause(connection, "campaign:silenced", by="op", reason="stock", now=NOON)
        pin_run(connection, RunPins("run-1", NOON, "hash", "commit", "sandbox", False, False, NOON))
        record_campaign(connection, "run-1", "held", "held", {})
        for campaign, values in (("tried", {"attempts": 5}), ("restored", {"epoch": 0})):
            connection.execute(schema.batch.update().where(schema.batch.c.campaign == campaign).values(**values))


def test_what_waits_says_why_and_until_when(ledger: Ledger) -> None:
    hold_up(ledger)
    found = look(ledger)
    assert waits(found) == {
        "quiet": ("later", 2, 1),
        "ready": ("ready", 1, 1),
        "silenced": ("paused", 2, 1),
        "held": ("held", 3, 1),
    }
    assert {one.until for one in found.waiting} == {NOON + 60 * MINUTE, None}
    assert [asdict(one) for one in found.pauses] == [
        {"scope": "campaign:silenced", "since": NOON, "by": "op", "reason": "stock"}
    ]
    assert {(one.campaign, one.state, one.messages) for one in found.dead} == {
        ("tried", "out_of_attempts", 4),
        ("restored", "before_restore", 5),
    }
    assert found.dead_messages == 9
    assert waits(look(ledger, max_attempts=6))["tried"] == ("ready", 4, 1)


def test_a_claim_agrees_with_what_is_said_to_be_ready(ledger: Ledger) -> None:
    """The conditions are told apart here and joined in `claims`; a claim of everything finds what is called ready."""
    hold_up(ledger)
    taken = set()
    while held := claims.claim(
        ledger, Scope(), attempt_id=f"a{len(taken)}", worker="w", now=NOON, due=NOON, lease_seconds=60
    ):
        taken.add(held.campaign)
    assert taken == {"ready"}


def test_messages_that_moved_to_another_batch_wait_once(ledger: Ledger) -> None:
    plan(ledger, range(4))
    held = take(ledger, "hello")
    later = NOON + 60 * MINUTE
    assert calls.begin_call(ledger, held, now=NOON, lease_seconds=60, postponed={key_of(0): later})
    keys = [key_of(number) for number in (1, 2, 3)]
    calls.settle(ledger, held, Settlement(retry=keys), now=NOON, patient_now=NOON)
    assert [(one.because, one.messages, one.until) for one in look(ledger).waiting] == [
        ("later", 1, later),
        ("ready", 3, None),
    ]


def test_what_is_given_up_has_its_reason_and_the_latest_comes_first(ledger: Ledger) -> None:
    plan(ledger, range(6))
    held = call(ledger, "hello")
    refused = {key_of(0): "invalid address", key_of(1): "invalid address", key_of(2): "too large"}
    told = Settlement(rejected=refused, retry=[key_of(3), key_of(4)], accepted=[key_of(5)])
    calls.settle(ledger, held, told, now=NOON, patient_now=NOON)
    again = take(ledger, "hello", worker="w2")
    assert calls.begin_call(ledger, again, now=NOON, lease_seconds=60)
    failed = Settlement(retry=[key_of(3), key_of(4)], detail="400: subject is missing")
    calls.settle(ledger, again, failed, now=NOON + MINUTE, patient_now=NOON)
    with ledger.reading() as connection:
        letters = deliveries.dead_letters(connection, ANY, due=NOON, max_attempts=1)
        few = deliveries.dead_letters(connection, ANY, due=NOON, max_attempts=1, limit=3)
        reasons, total = deliveries.dead_reasons(connection, ANY, due=NOON, max_attempts=1)
        top, same_total = deliveries.dead_reasons(connection, ANY, due=NOON, max_attempts=1, limit=1)
    stuck = ("out_of_attempts", "400: subject is missing", NOON + MINUTE)
    assert [(one.message_key, one.state, one.reason, one.since) for one in letters] == [
        (key_of(3), *stuck),
        (key_of(4), *stuck),
        (key_of(0), "rejected", "invalid address", NOON),
        (key_of(1), "rejected", "invalid address", NOON),
        (key_of(2), "rejected", "too large", NOON),
    ]
    assert few == letters[:3]
    assert [(one.state, one.reason, one.messages) for one in reasons] == [
        ("out_of_attempts", "400: subject is missing", 2),
        ("rejected", "invalid address", 2),
        ("rejected", "too large", 1),
    ]
    assert (top, total, same_total) == (reasons[:1], 5, 5)


def test_an_empty_ledger_has_nothing_to_tell(ledger: Ledger) -> None:
    assert look(ledger) == Overview([], [], [], [], 0)


def test_nobodys_value_is_read(ledger: Ledger) -> None:
    """What a message says and where it goes (`variables`, `address_blind`) is in no query of this report."""
    plan(ledger, range(3))
    statements: list[str] = []
    sa.event.listen(ledger.engine, "before_cursor_execute", lambda *words: statements.append(words[2]))
    look(ledger)
    with ledger.reading() as connection:
        deliveries.dead_letters(connection, ANY, due=NOON, max_attempts=5)
    assert any("person_id" in text for text in statements)
    assert not [text for text in statements if "variables" in text or "address_blind" in text or "vault" in text]
