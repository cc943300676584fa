"""A campaign whose messages come back or draw complaints stops by itself, until a person resumes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from alongside.delivery import DispatchReport, brakes, ingest_events
from alongside.delivery.job import Progress
from alongside.ledger import Ledger, harm
from alongside.ledger.claims import Scope
from alongside.ledger.events import DeliveryEvent
from alongside.ledger.pauses import active_pauses, lift_pause, set_pause
from alongside.ledger.runs import write_audit
from alongside.ledger.schema import audit
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, EventKind
from alongside.model.errors import StoreUnavailable
from alongside.settings.channels import StopCampaign
from tests.delivery.clinic import Clinic
from tests.fakes import NOON, key_of

SCOPE = "campaign:hello"
LIMITS = StopCampaign(bounce_rate=0.1, complaint_rate=0.05, from_messages=20, within_days=7)
WALL = datetime.now(UTC)


def limited(clinic: Clinic, limits: StopCampaign | None = LIMITS) -> Clinic:
    channels = clinic.settings.channels
    email = channels.email.model_copy(update={"stop_campaign": limits})
    settings = clinic.settings.model_copy(update={"channels": channels.model_copy(update={"email": email})})
    return replace(clinic, settings=settings)


@pytest.fixture
def careful(clinic: Clinic) -> Clinic:
    """Twenty messages have left, twenty of the same campaign wait."""
    found = limited(clinic)
    found.admit(range(40))
    found.plan(range(20))
    dispatch(found)
    found.plan(range(20, 40), run_id="run-2")
    return found


def dispatch(clinic: Clinic, days: float = 0, **options: object) -> DispatchReport:
    """One clock for all dispatches of a test: what was accepted lies in the past of the next."""
    clock = RunClock(NOON + timedelta(days=days), WALL, replay=True)
    return clinic.dispatch(clock=clock, **options)


def tell(clinic: Clinic, numbers: Sequence[int], kind: EventKind, name: str = "") -> None:
    events = [DeliveryEvent(f"{kind}-{name}-{number}", key_of(number), kind, NOON) for number in numbers]
    ingest_events(clinic.ledger, events, datetime.now(UTC))


def pauses(clinic: Clinic) -> dict[str, str]:
    with clinic.ledger.reading() as connection:
        return active_pauses(connection)


def resume(clinic: Clinic) -> None:
    """As the command does."""
    with clinic.ledger.begin() as connection:
        lift_pause(connection, SCOPE)
        write_audit(connection, datetime.now(UTC), "operator", "resume", SCOPE, {})


def test_beyond_the_limit_the_rest_waits_and_everybody_can_read_why(careful: Clinic) -> None:
    tell(careful, range(3), EventKind.BOUNCE)
    report = dispatch(careful)
    assert careful.states == {"bounced": 3, "accepted": 17, "planned": 20}
    assert report.complete  # it waits for a person, and no Retry would help
    reason = pauses(careful)[SCOPE]
    said = r"3 of 20 messages \(email\) since 2026-02-23 04:\d\d UTC came back; the limit is 10.00% of at least 20"
    assert re.fullmatch(said, reason)
    assert report.stopped == (f"{SCOPE} paused itself: {reason}",)
    with careful.ledger.reading() as connection:
        rows = connection.execute(sa.select(audit.c.actor, audit.c.action, audit.c.subject)).all()
    assert ("alongside", "pause", SCOPE) in [tuple(row) for row in rows]
    assert dispatch(careful).stopped == ()  # said once
    assert careful.states["planned"] == 20


def test_at_the_limit_everything_goes_on(careful: Clinic) -> None:
    tell(careful, range(2), EventKind.BOUNCE)
    tell(careful, [5], EventKind.COMPLAINT)
    assert dispatch(careful).stopped == ()
    assert careful.states == {"bounced": 2, "accepted": 37, "delivered": 1}


def test_complaints_stop_it_too_and_one_recipient_complains_once(careful: Clinic) -> None:
    for name in ("first", "again", "and again"):
        tell(careful, [4], EventKind.COMPLAINT, name)
    with careful.ledger.reading() as connection:
        found = harm.harm(connection, Channel.EMAIL, "hello", NOON - timedelta(days=1))
    assert found == harm.Harm(came_back=0, complaints=1)
    tell(careful, [6], EventKind.COMPLAINT)
    report = dispatch(careful)
    assert "2 of 20 messages (email)" in report.stopped[0]
    assert "complained of" in report.stopped[0]
    assert careful.states["planned"] == 20


@pytest.mark.parametrize("kind", [EventKind.BLOCKED, EventKind.BOUNCE])
def test_few_messages_are_judged_as_though_they_were_more(clinic: Clinic, kind: EventKind) -> None:
    few = limited(clinic)
    few.admit(range(4))
    few.plan(range(2))
    dispatch(few)
    few.plan([2, 3], run_id="run-2")
    tell(few, [0, 1], kind)  # all that were sent, and yet no more than two of twenty
    assert dispatch(few).stopped == ()
    assert few.states == {"bounced": 2, "accepted": 2}


def test_who_resumes_it_has_seen_what_came_before(careful: Clinic) -> None:
    tell(careful, range(3), EventKind.BOUNCE)
    dispatch(careful)
    resume(careful)
    assert dispatch(careful).stopped == ()
    assert careful.states == {"bounced": 3, "accepted": 37}
    careful.plan(range(40, 41), run_id="run-3")
    tell(careful, range(20, 23), EventKind.BOUNCE)
    assert "3 of 20" in dispatch(careful).stopped[0]  # the twenty since then


def test_what_is_long_past_no_longer_counts(careful: Clinic) -> None:
    tell(careful, range(3), EventKind.BOUNCE)
    assert dispatch(careful, days=8).stopped == ()
    assert pauses(careful) == {}


def test_nothing_stops_where_no_limit_is_set(careful: Clinic) -> None:
    tell(careful, range(20), EventKind.BOUNCE)
    assert dispatch(limited(careful, None)).stopped == ()
    assert careful.states == {"bounced": 20, "accepted": 20}


def test_what_an_operator_has_paused_keeps_its_reason(careful: Clinic) -> None:
    with careful.ledger.begin() as connection:
        set_pause(connection, SCOPE, by="operator", reason="a wrong date in it", now=datetime.now(UTC))
    tell(careful, range(20), EventKind.BOUNCE)
    assert dispatch(careful).stopped == ()
    assert pauses(careful) == {SCOPE: "a wrong date in it"}


def test_a_dispatch_that_is_under_way_stops_within_batches(
    clinic: Clinic, accepted: Callable[[], list[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brakes, "SECONDS_BETWEEN_LOOKS", 0.0)
    busy = limited(clinic, LIMITS.model_copy(update={"from_messages": 5}))
    busy.admit(range(200))
    busy.plan(range(200), batch_size=5)

    def bounce(_progress: Progress) -> None:
        rows = busy.ledger.read_arrow("SELECT message_key FROM message WHERE state = 'accepted'").to_pylist()
        tell(busy, [int(row["message_key"], 16) for row in rows], EventKind.BOUNCE)

    report = dispatch(busy, on_progress=bounce)
    assert len(report.stopped) == 1
    assert 5 <= len(accepted()) <= 100
    assert busy.states["planned"] == 200 - len(accepted())


def test_a_ledger_that_is_away_for_a_moment_ends_no_dispatch(careful: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_ledger: Ledger) -> None:
        raise StoreUnavailable("the ledger does not answer", where="test")

    watching = brakes.Brakes(careful.ledger, LIMITS, Scope(Channel.EMAIL), careful.clock)
    monkeypatch.setattr(Ledger, "reading", away)
    watching.look_again()
    with pytest.raises(StoreUnavailable):
        watching.look()


def test_sqlite_reads_complaints_from_their_own_index(clinic: Clinic) -> None:
    if clinic.ledger.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL chooses by the size of the table")
    seen: list[str] = []

    def remember(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    sa.event.listen(clinic.ledger.engine, "before_cursor_execute", remember)
    with clinic.ledger.reading() as connection:
        harm.harm(connection, Channel.EMAIL, "hello", NOON)
        (complaints,) = [one for one in seen if "delivery_event" in one]
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {complaints}").all()
    assert any("ix_delivery_event_complaints" in str(row) for row in plan), plan
