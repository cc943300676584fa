"""The exactly-once protocol in the ledger: plan, claim, call, record, reconcile; fenced, forward only."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alongside.ledger import Ledger, calls, claims, pauses, schema, unknowns
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.messages import count_states, count_unknown, plan_batches
from alongside.ledger.protocol import FORWARD_ORDER, TAKEN
from alongside.ledger.recipients import waiting_recipients
from alongside.ledger.runs import RunPins, pin_run, record_campaign
from alongside.ledger.settlement import Settlement
from alongside.model.enums import MessageState
from alongside.model.errors import Refused
from tests.fakes import NOON, key_of, plan, plan_rows

MINUTE = timedelta(minutes=1)
REPLAY_DAY = datetime(2026, 3, 1, 0, 0, tzinfo=UTC)


def take(ledger: Ledger, name: str = "a1", *, now: datetime = NOON, scope: Scope | None = None) -> Claim | None:
    return claims.claim(ledger, scope or Scope(), attempt_id=name, worker="w", now=now, due=now, lease_seconds=60)


def must_take(ledger: Ledger, name: str = "a1", *, now: datetime = NOON) -> Claim:
    held = take(ledger, name, now=now)
    assert held is not None
    return held


def call(ledger: Ledger, held: Claim, *, now: datetime = NOON, **fell_out: dict[str, object]) -> bool:
    return calls.begin_call(ledger, held, now=now, lease_seconds=60, **fell_out)  # type: ignore[arg-type]


def states(ledger: Ledger) -> dict[str, int]:
    with ledger.reading() as connection:
        return {name: count for name, count in count_states(connection).items() if count}


def keys_of(ledger: Ledger, held: Claim) -> list[str]:
    with ledger.reading() as connection:
        return [one.key for one in waiting_recipients(connection, held.batch_id, "education", "email", NOON)]


# -------------------------------------------------------------------------------------------------------------- plan
def test_planning_cuts_batches_of_one_kind_and_the_wanted_size(ledger: Ledger) -> None:
    planned = plan(ledger, range(25), batch_size=10, locale=["en"] * 13 + ["zh_CN"] * 12)
    assert (planned.batches, planned.messages, planned.existing) == (4, 25, 0)
    found = ledger.read_arrow("SELECT locale, size FROM batch ORDER BY locale, size").to_pylist()
    assert found == [
        {"locale": "en", "size": 3},
        {"locale": "en", "size": 10},
        {"locale": "zh_CN", "size": 2},
        {"locale": "zh_CN", "size": 10},
    ]
    mixed = ledger.read_arrow(
        "SELECT count(*) AS n FROM message m JOIN batch b ON b.batch_id = m.batch_id WHERE m.locale <> b.locale"
    )
    assert mixed.column("n").to_pylist() == [0]


def test_a_batch_holds_neighbours(ledger: Ledger) -> None:
    """What is asked of a batch's people lies side by side in the indexes; by key they would be strewn over all."""
    plan(ledger, range(30), batch_size=10, message_key=[key_of(17 * number % 30) for number in range(30)])
    found = ledger.read_arrow(
        "SELECT min(person_id) AS first, max(person_id) AS last FROM message GROUP BY batch_id ORDER BY first"
    ).to_pylist()
    assert [(row["first"], row["last"]) for row in found] == [
        (f"p{low:016x}", f"p{low + 9:016x}") for low in (0, 10, 20)
    ]


def test_planning_again_plans_only_what_is_new(ledger: Ledger) -> None:
    plan(ledger, range(10))
    again = plan(ledger, range(15))
    assert (again.messages, again.existing) == (5, 10)
    assert ledger.read_arrow("SELECT sum(size) AS n, count(*) AS c FROM batch").to_pylist() == [{"n": 15, "c": 2}]
    assert plan(ledger, range(15)).batches == 0


def test_a_key_given_twice_is_one_message(ledger: Ledger) -> None:
    assert plan(ledger, [1, 1, 2]).messages == 2


def test_a_plan_is_whole_or_not_at_all(ledger: Ledger) -> None:
    def plan_and_fail() -> None:
        with ledger.begin() as connection:
            plan_batches(
                connection, plan_rows(range(5)), run_id="r", campaign="c", planned_at=NOON, now=NOON, batch_size=10
            )
            raise RuntimeError("the process dies before the plan hash is written")

    with pytest.raises(RuntimeError):
        plan_and_fail()
    assert states(ledger) == {}


def test_plan_keeps_moments_and_json_as_the_row_api_reads_them(ledger: Ledger) -> None:
    plan(ledger, [1], not_before=pa.array([NOON + MINUTE], pa.timestamp("us", "UTC")), variables='{"n": [1, "十"]}')
    with ledger.reading() as connection:
        planned = connection.execute(sa.select(schema.message)).one()
        waiting = connection.execute(sa.select(schema.batch)).one()
    assert planned.variables == {"n": [1, "十"]}
    assert (planned.planned_at, planned.experiment) == (NOON, None)
    assert (waiting.not_before, waiting.updated_at, waiting.epoch) == (NOON + MINUTE, NOON, 1)


# ------------------------------------------------------------------------------------------------------------- claim
def test_a_batch_has_one_holder_at_a_time(ledger: Ledger) -> None:
    plan(ledger, range(3))
    assert take(ledger, "a1") is not None
    assert take(ledger, "a2") is None


def test_eight_workers_at_once_never_share_a_batch(ledger: Ledger) -> None:
    plan(ledger, range(40), batch_size=2)
    taken: list[str] = []

    def work(worker: int) -> None:
        number = 0
        while (held := take(ledger, f"w{worker}-{number}")) is not None:
            taken.append(held.batch_id)
            number += 1

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(set(taken)) == 20


def test_an_abandoned_claim_is_taken_over_and_its_holder_fenced(ledger: Ledger) -> None:
    plan(ledger, range(3))
    first = must_take(ledger, "a1")
    second = must_take(ledger, "a2", now=NOON + 2 * MINUTE)
    assert second.batch_id == first.batch_id
    assert not call(ledger, first, now=NOON + 2 * MINUTE)
    assert call(ledger, second, now=NOON + 2 * MINUTE)


def test_no_call_begins_on_a_lease_that_ran_out(ledger: Ledger) -> None:
    plan(ledger, range(3))
    held = must_take(ledger)
    assert not call(ledger, held, now=NOON + MINUTE)
    assert call(ledger, held, now=NOON + MINUTE - timedelta(seconds=1))
    assert not call(ledger, held)  # never twice


def test_a_batch_in_a_call_is_nobodys_to_claim(ledger: Ledger) -> None:
    plan(ledger, range(3))
    assert call(ledger, must_take(ledger))
    assert take(ledger, "a2", now=NOON + 60 * MINUTE) is None


@pytest.mark.parametrize("scope", ["all", "channel:email", "campaign:hello"])
def test_a_pause_stops_claims_and_calls_until_it_is_lifted(ledger: Ledger, scope: str) -> None:
    plan(ledger, range(4), batch_size=2)
    held = must_take(ledger)
    with ledger.begin() as connection:
        assert pauses.set_pause(connection, scope, by="op", reason="storm", now=NOON)
        assert not pauses.set_pause(connection, scope, by="op", reason="again", now=NOON)
        assert pauses.active_pauses(connection) == {scope: "storm"}
    assert take(ledger, "a2") is None
    assert not call(ledger, held)
    assert calls.release(ledger, held, now=NOON)
    with ledger.begin() as connection:
        assert pauses.lift_pause(connection, scope)
    assert call(ledger, must_take(ledger, "a3"))


def test_pauses_of_others_do_not_matter_and_nonsense_is_refused(ledger: Ledger) -> None:
    plan(ledger, range(2))
    with ledger.begin() as connection:
        pauses.set_pause(connection, "campaign:other", by="op", reason="x", now=NOON)
        with pytest.raises(Refused, match="channel:<name>"):
            pauses.set_pause(connection, "everything", by="op", reason="x", now=NOON)
    assert take(ledger) is not None


def test_a_ledger_restored_from_a_backup_does_not_send_what_the_backup_planned(ledger: Ledger) -> None:
    plan(ledger, range(2))
    with ledger.begin() as connection:
        connection.execute(schema.ledger_info.update().values(epoch=2))
    assert take(ledger) is None
    plan(ledger, range(2, 4))
    assert keys_of(ledger, must_take(ledger)) == [key_of(2), key_of(3)]


@pytest.mark.parametrize("state", claims.SILENT_CAMPAIGN)
def test_what_waits_for_approval_is_not_claimed(ledger: Ledger, state: str) -> None:
    plan(ledger, range(2))
    with ledger.begin() as connection:
        pin_run(connection, RunPins("run-1", NOON, "hash", "commit", "sandbox", False, False, NOON))
        record_campaign(connection, "run-1", "hello", state, {})
    assert take(ledger) is None
    with ledger.begin() as connection:
        record_campaign(connection, "run-1", "hello", "planned", {})
    assert take(ledger) is not None


def test_scope_chooses_run_campaign_and_channel(ledger: Ledger) -> None:
    plan(ledger, range(2))
    for scope in (Scope(run_id="other"), Scope(campaigns=("x",)), Scope(campaigns=())):
        assert take(ledger, scope=scope) is None
    assert take(ledger, scope=Scope(run_id="run-1", campaigns=("x", "hello"))) is not None


def test_what_waits_for_its_time_is_claimed_when_it_has_come(ledger: Ledger) -> None:
    plan(ledger, range(2), not_before=pa.array([NOON + MINUTE] * 2, pa.timestamp("us", "UTC")))
    with ledger.reading() as connection:
        assert claims.waiting(connection, Scope(), NOON) == (0, 2)
        assert claims.waiting(connection, Scope(), NOON + MINUTE) == (2, 0)
    assert take(ledger) is None
    assert take(ledger, now=NOON + MINUTE) is not None


# ------------------------------------------------------------------------------------------------------------ record
def test_each_message_of_a_batch_has_its_own_outcome(ledger: Ledger) -> None:
    plan(ledger, range(8))
    held = must_take(ledger)
    later = NOON + 600 * MINUTE
    assert call(
        ledger,
        held,
        withheld={key_of(0): "no_consent"},
        postponed={key_of(1): later},
        readdressed={key_of(5): "b" * 32},
    )
    result = Settlement(
        accepted=[key_of(5), key_of(6)],
        rejected={key_of(2): "bad address"},
        unknown=[key_of(3)],
        retry=[key_of(4), key_of(7)],
        not_before=NOON + MINUTE,
    )
    calls.settle(ledger, held, result, now=NOON, patient_now=REPLAY_DAY)
    rows = ledger.read_arrow("SELECT * FROM message ORDER BY message_key").to_pylist()
    assert [row["state"] for row in rows] == [
        "withheld", "planned", "rejected", "unknown", "planned", "accepted", "accepted", "planned",
    ]  # fmt: skip
    assert [row["reason"] for row in rows[:3]] == ["no_consent", None, "bad address"]
    assert rows[5]["address_blind"] == "b" * 32
    assert rows[5]["accepted_at"] == REPLAY_DAY.replace(tzinfo=None)
    assert take(ledger, "a2") is None
    assert keys_of(ledger, must_take(ledger, "a3", now=NOON + MINUTE)) == [key_of(4), key_of(7)]
    assert keys_of(ledger, must_take(ledger, "a4", now=later)) == [key_of(1)]
    attempt = ledger.read_arrow("SELECT * FROM attempt WHERE attempt_id = 'a1'").to_pylist()[0]
    assert (attempt["outcome"], attempt["accepted"], attempt["rejected"]) == ("mixed", 2, 1)


def test_a_batch_of_which_nothing_was_accepted_waits_again_and_gives_up_in_the_end(ledger: Ledger) -> None:
    plan(ledger, range(2))
    keys = [key_of(0), key_of(1)]
    now = NOON
    for number in range(5):
        held = must_take(ledger, f"a{number}", now=now)
        assert call(ledger, held, now=now)
        now += MINUTE
        calls.settle(ledger, held, Settlement(retry=keys, not_before=now), now=now, patient_now=now)
    assert take(ledger, "a9", now=now) is None
    claims.renew_attempts(ledger, Scope(), now)  # an operator's Retry
    assert keys_of(ledger, must_take(ledger, "a9", now=now)) == keys


def test_an_outage_burns_no_attempt(ledger: Ledger) -> None:
    plan(ledger, range(1))
    for number in range(9):
        held = must_take(ledger, f"a{number}")
        assert call(ledger, held)
        calls.settle(ledger, held, Settlement(retry=[key_of(0)], burn=False), now=NOON, patient_now=NOON)
    assert take(ledger, "a99") is not None


def test_everything_fell_out_at_the_recheck(ledger: Ledger) -> None:
    plan(ledger, range(2))
    held = must_take(ledger)
    assert calls.settle_uncalled(
        ledger, held, now=NOON, withheld={key_of(0): "suppressed"}, postponed={key_of(1): NOON + MINUTE}
    )
    assert states(ledger) == {"planned": 1, "withheld": 1}
    assert not call(ledger, held)


# ----------------------------------------------------------------------------------------------------------- unknown
def test_a_worker_that_died_while_calling_leaves_unknown_and_nothing_is_sent_again(ledger: Ledger) -> None:
    plan(ledger, range(3))
    assert call(ledger, must_take(ledger))
    assert calls.expire_calls(ledger, NOON) == 0
    assert calls.expire_calls(ledger, NOON + 2 * MINUTE) == 3
    assert calls.expire_calls(ledger, NOON + 2 * MINUTE) == 0
    assert states(ledger) == {"unknown": 3}
    assert take(ledger, "a2", now=NOON + 900 * MINUTE) is None


@pytest.mark.parametrize("answer", ["accepted", "retry"])
def test_an_answer_that_comes_after_the_lease_still_counts(ledger: Ledger, answer: str) -> None:
    plan(ledger, range(3))
    held = must_take(ledger)
    assert call(ledger, held)
    calls.expire_calls(ledger, NOON + 2 * MINUTE)
    keys = [key_of(number) for number in range(3)]
    calls.settle(ledger, held, Settlement(**{answer: keys}), now=NOON + 3 * MINUTE, patient_now=NOON)  # type: ignore[arg-type]
    assert states(ledger) == ({"accepted": 3, "taken": 3} if answer == "accepted" else {"planned": 3})


def test_the_vendor_is_asked_and_policy_decides(ledger: Ledger) -> None:
    plan(ledger, range(4))
    assert call(ledger, must_take(ledger))
    calls.expire_calls(ledger, NOON + 2 * MINUTE)
    with ledger.begin() as connection:
        assert unknowns.unknown_batches(connection, before=NOON) == []
        (found,) = unknowns.unknown_batches(connection, before=NOON + 2 * MINUTE)
        assert list(found.messages) == [key_of(number) for number in range(4)]
        learnt = unknowns.Resolution(
            found={key_of(0): MessageState.ACCEPTED, key_of(1): MessageState.DELIVERED},
            again=[key_of(2)],
            unresolved=[key_of(3)],
        )
        unknowns.resolve(connection, found, learnt, now=NOON + 3 * MINUTE, patient_now=REPLAY_DAY)
        assert count_unknown(connection, "run-1") == 0
        assert unknowns.unknown_batches(connection, before=NOON + 9 * MINUTE) == []
    assert states(ledger) == {"accepted": 1, "delivered": 1, "planned": 1, "unresolved": 1, "taken": 2}
    assert keys_of(ledger, must_take(ledger, "a2")) == [key_of(2)]


def test_a_late_acceptance_stops_what_reconciliation_had_planned_again(ledger: Ledger) -> None:
    plan(ledger, range(1))
    held = must_take(ledger)
    assert call(ledger, held)
    calls.expire_calls(ledger, NOON + 2 * MINUTE)
    with ledger.begin() as connection:
        (found,) = unknowns.unknown_batches(connection, before=NOON + 2 * MINUTE)
        again = unknowns.Resolution({}, again=[key_of(0)])
        unknowns.resolve(connection, found, again, now=NOON + 3 * MINUTE, patient_now=NOON)
    calls.settle(ledger, held, Settlement(accepted=[key_of(0)]), now=NOON + 4 * MINUTE, patient_now=NOON)
    assert keys_of(ledger, must_take(ledger, "a2")) == []


@pytest.mark.parametrize("meanwhile", ["another reconciliation", "a late answer"])
def test_what_was_learnt_of_a_call_says_nothing_of_the_next_one(ledger: Ledger, meanwhile: str) -> None:
    plan(ledger, range(2))
    first = must_take(ledger)
    assert call(ledger, first)
    calls.expire_calls(ledger, NOON + 2 * MINUTE)
    with ledger.reading() as connection:
        (asked,) = unknowns.unknown_batches(connection, before=NOON + 2 * MINUTE)
    keys = [key_of(0), key_of(1)]
    if meanwhile == "a late answer":
        calls.settle(ledger, first, Settlement(retry=keys), now=NOON + 2 * MINUTE, patient_now=NOON)
    else:
        with ledger.begin() as connection:
            mine = unknowns.Resolution({key_of(0): MessageState.ACCEPTED}, again=[key_of(1)])
            unknowns.resolve(connection, asked, mine, now=NOON + 2 * MINUTE, patient_now=NOON)
    second = must_take(ledger, "a2", now=NOON + 2 * MINUTE)
    assert call(ledger, second, now=NOON + 2 * MINUTE)
    with ledger.begin() as connection:
        learnt = unknowns.Resolution({}, again=keys)
        unknowns.resolve(connection, asked, learnt, now=NOON + 2 * MINUTE, patient_now=NOON)
    assert take(ledger, "a3", now=NOON + 2 * MINUTE) is None  # a second call would double what the first one sends


def test_messages_that_have_gone_to_another_batch_stay_in_its_call(ledger: Ledger) -> None:
    plan(ledger, range(2))
    first = must_take(ledger)
    assert call(ledger, first)
    calls.expire_calls(ledger, NOON + 2 * MINUTE)
    with ledger.reading() as connection:
        (asked,) = unknowns.unknown_batches(connection, before=NOON + 2 * MINUTE)
    half = Settlement(retry=[key_of(0)], unknown=[key_of(1)])
    calls.settle(ledger, first, half, now=NOON + 2 * MINUTE, patient_now=NOON)
    second = must_take(ledger, "a2", now=NOON + 2 * MINUTE)
    assert keys_of(ledger, second) == [key_of(0)]
    assert call(ledger, second, now=NOON + 2 * MINUTE)
    with ledger.begin() as connection:
        learnt = unknowns.Resolution({key_of(1): MessageState.ACCEPTED}, again=[key_of(0)])
        unknowns.resolve(connection, asked, learnt, now=NOON + 2 * MINUTE, patient_now=NOON)
    assert take(ledger, "a3", now=NOON + 2 * MINUTE) is None
    assert keys_of(ledger, second) == [key_of(0)]


def test_forward_order_names_every_state_once() -> None:
    assert set(FORWARD_ORDER) == set(MessageState)
    assert len(set(FORWARD_ORDER.values())) == len(FORWARD_ORDER)
    assert MessageState.UNKNOWN not in TAKEN
    assert len(TAKEN) == 5
