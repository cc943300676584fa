"""A new sender sends no more on a day than its ramp allows, whoever sends, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from alongside.delivery.recheck import Checked, Ready
from alongside.delivery.warming import HeldBack, Wish, hold_back, standings
from alongside.ledger import calls, claims, deliveries, inbox, warm_up
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.deliveries import Filter
from alongside.ledger.schema import attempt, batch, message
from alongside.ledger.settlement import Settlement
from alongside.ledger.vault import Contact
from alongside.ledger.warm_up import WARM_UP, Take, WarmUp
from alongside.model.enums import Channel
from alongside.model.warm_up import Ramp
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.sendgrid.launch import Running
from tests.delivery.clinic import PERSONAL, Clinic
from tests.delivery.conftest import AcceptedLog
from tests.fakes import NOON, key_of
from tests.ledgers import SqliteLedgers

FIRST_DAY = date(2026, 3, 2)  # NOON's
MIDNIGHT = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)  # the next one in Shanghai
RAMP: dict[str, Any] = {
    "start": FIRST_DAY,
    "first_day": 20,
    "growth": 1.5,
    "until": 1000,
    "senders": ["care", "marketing"],
}
SHARED_BY_BOTH = WarmUp(Channel.EMAIL, "new", ("care", "marketing"), Ramp(FIRST_DAY, 20, 1.5, 1000), "Asia/Shanghai")
CAMPAIGN = {"sender": "marketing", "purpose": "marketing"}


@pytest.fixture
def clinic(ledger_url: str, tmp_path: Path, vendor: Running) -> Iterator[Clinic]:
    """Its two senders are new, and share one ramp that began on the day that the clinic lives in."""
    opened = Clinic.open(ledger_url, tmp_path / "project", vendor.url, email={"warm_up": {"new": RAMP}})
    opened.admit(range(200))
    yield opened
    opened.ledger.engine.dispose()


def later(clinic: Clinic, days: int) -> Clinic:
    return replace(clinic, as_of=NOON + timedelta(days=days))


def sent(accepted: AcceptedLog) -> list[str]:
    return [str(record["m"]) for record in accepted()]


def taken(clinic: Clinic) -> dict[str, int]:
    rows = clinic.ledger.read_arrow("SELECT day, taken FROM warm_up ORDER BY day").to_pylist()
    return {row["day"]: row["taken"] for row in rows}


def waits(clinic: Clinic) -> list[tuple[str, int, datetime | None]]:
    with clinic.ledger.reading() as connection:
        found = deliveries.overview(connection, Filter(), due=clinic.as_of, max_attempts=5)
    return [(one.because, one.messages, one.until) for one in found.waiting]


def claim(clinic: Clinic, name: str, purpose: str | None = None) -> Claim:
    held = claims.claim(
        clinic.ledger, Scope(care_first=True), attempt_id=name, worker=name, now=NOON, due=NOON, lease_seconds=60
    )
    assert held is not None
    assert purpose is None or held.purpose == purpose
    return held


def wants(bound: int, purpose: str = "education") -> Take:
    return Take(SHARED_BY_BOTH, FIRST_DAY, bound, 0, purpose, MIDNIGHT, 5)


# ---------------------------------------------------------------------------------------------------------- the limit
@pytest.mark.parametrize("template", ["prevention/heart", PERSONAL])
def test_several_workers_at_once_send_exactly_what_each_day_allows(
    clinic: Clinic, accepted: AcceptedLog, template: str
) -> None:
    """Batches of 7 fit into no day; three dispatches of three lanes each reach for the same few messages."""
    clinic.plan(range(70), template=template, batch_size=7)
    for day, (today_sends, in_all) in enumerate([(20, 20), (30, 50), (20, 70), (0, 70)]):
        today = later(clinic, day)
        with ThreadPoolExecutor(3) as pool:
            reports = list(pool.map(lambda _: today.dispatch(), range(3)))  # noqa: B023 - the pool ends with its day
        assert sum(report.progress.accepted for report in reports) == today_sends
        assert len(sent(accepted)) == len(set(sent(accepted))) == in_all
        last = today.dispatch()  # of the three, one may have ended while another held a batch
        assert (last.complete, last.progress.accepted) == (True, 0)
    assert taken(clinic) == {"2026-03-02": 20, "2026-03-03": 30, "2026-03-04": 20}


def test_processes_of_their_own_keep_to_the_day_too(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.plan(range(60), template=PERSONAL, batch_size=3)
    report = clinic.dispatch(workers=2)
    assert (report.progress.accepted, report.postponed, report.ready) == (20, 40, 0)
    assert len(sent(accepted)) == 20
    assert clinic.dispatch(workers=0).progress.accepted == 0  # a restart finds the day used up


def test_what_the_vendor_throttles_does_not_use_up_the_day(
    clinic: Clinic, vendor: Running, accepted: AcceptedLog
) -> None:
    clinic.plan(range(40), template=PERSONAL, batch_size=10)
    vendor.control.behave([Fault(FaultKind.THROTTLE, rate=0.4, count=12, retry_after=0.05)])
    assert clinic.dispatch().progress.accepted == 20
    assert len(sent(accepted)) == 20
    assert taken(clinic) == {"2026-03-02": 20}


def test_what_may_have_left_stays_taken(clinic: Clinic) -> None:
    clinic.plan(range(40), batch_size=15)
    held = claim(clinic, "dies")
    assert calls.begin_call(clinic.ledger, held, now=NOON, lease_seconds=60, take=wants(15))
    assert calls.abandon(clinic.ledger, "dies", NOON) == 15
    assert taken(clinic) == {"2026-03-02": 15}
    assert clinic.dispatch().progress.accepted == 5


def test_workers_that_die_in_their_calls_do_not_lift_the_limit(
    tmp_path: Path, vendor: Running, sqlite_ledgers: SqliteLedgers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of four takes a batch of six and dies just after; the day has twenty."""
    clinic = Clinic.open(
        sqlite_ledgers.place(tmp_path / "ledger.db"), tmp_path / "mortal", vendor.url, email={"warm_up": {"new": RAMP}}
    )
    clinic.admit(range(60))
    clinic.plan(range(60), batch_size=6)
    with monkeypatch.context() as mortal:
        mortal.setenv("ALONGSIDE_FAILPOINT", "call.after")
        assert clinic.dispatch(workers=1).crashed == 4
    clinic.dispatch()
    states = clinic.states
    assert states.get("accepted", 0) + states["unknown"] == taken(clinic)["2026-03-02"] == 20
    clinic.ledger.engine.dispose()


def test_what_cannot_be_rendered_takes_nothing() -> None:
    contact = Contact(name="", email=None)
    ready = [Ready(key_of(number), "", contact, {}, "") for number in range(5)]
    checked = Checked(ready, NOON, withheld={key_of(1): "render_failed", "x" * 32: "no_consent"}, take=wants(5))
    assert checked.leaving_take == wants(4)
    assert Checked(ready, NOON, take=wants(5)).leaving_take == wants(5)
    assert Checked(ready, NOON, withheld={key_of(1): "x"}).leaving_take is None


def test_nothing_leaves_before_the_first_day(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.plan(range(3))
    report = later(clinic, -3).dispatch()
    assert (report.progress.accepted, report.postponed) == (0, 3)
    with clinic.ledger.reading() as connection:
        moments = connection.execute(sa.select(batch.c.not_before, batch.c.waits_for)).all()
    assert moments == [(datetime(2026, 3, 1, 16, 0, tzinfo=UTC), WARM_UP)]
    assert later(clinic, 0).dispatch().progress.accepted == 3


# ---------------------------------------------------------------------------------------------------------- the ledger
def test_the_second_of_two_calls_that_do_not_fit_together_is_not_begun(clinic: Clinic) -> None:
    clinic.plan(range(24), batch_size=12)
    first, second = claim(clinic, "one"), claim(clinic, "two")
    assert calls.begin_call(clinic.ledger, first, now=NOON, lease_seconds=60, take=wants(12))
    late = {key_of(number): MIDNIGHT for number in range(24)}
    assert not calls.begin_call(
        clinic.ledger, second, now=NOON, lease_seconds=60, take=wants(12), postponed=late, withheld={key_of(1): "x"}
    )
    with clinic.ledger.reading() as connection:  # and nothing of it is written
        states = dict(connection.execute(sa.select(batch.c.attempt_id, batch.c.state)).tuples().all())
        called = set(connection.scalars(sa.select(attempt.c.attempt_id).where(attempt.c.called_at.is_not(None))))
        moved = connection.scalar(sa.select(sa.func.count()).where(message.c.state != "planned"))
    assert states == {"one": "calling", "two": "claimed"}
    assert (called, moved) == ({"one"}, 0)
    assert taken(clinic) == {"2026-03-02": 12}


@pytest.mark.parametrize(
    ("accepted", "rejected", "unknown", "retry", "left"),
    [(12, 0, 0, 0, 12), (0, 0, 0, 12, 0), (6, 2, 1, 3, 9), (0, 0, 5, 7, 5)],
)
def test_what_certainly_did_not_leave_is_given_back_once(
    clinic: Clinic, accepted: int, rejected: int, unknown: int, retry: int, left: int
) -> None:
    clinic.plan(range(12), batch_size=12)
    held, keys = claim(clinic, "one"), iter([key_of(number) for number in range(12)])

    def some(count: int) -> list[str]:
        return [next(keys) for _ in range(count)]

    assert calls.begin_call(clinic.ledger, held, now=NOON, lease_seconds=60, take=wants(12))
    result = Settlement(
        accepted=some(accepted), rejected=dict.fromkeys(some(rejected), "bad"), unknown=some(unknown),
        retry=some(retry), taken=wants(12),
    )  # fmt: skip
    for _ in range(2):  # its confirmation was lost: the worker settles once more
        calls.settle(clinic.ledger, held, result, now=NOON, patient_now=NOON)
    assert taken(clinic) == {"2026-03-02": left}


# ------------------------------------------------------------------------------------------------------- who goes first
def test_care_goes_before_what_was_planned_earlier_and_marketing_last(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.plan(range(100, 130), batch_size=4, **CAMPAIGN)
    clinic.plan(range(50, 58), batch_size=4, run_id="run-2")
    clinic.plan(range(9), batch_size=4, run_id="run-3", purpose="care")
    clinic.dispatch()
    numbers = {int(key, 16) for key in sent(accepted)}
    assert set(range(9)) | set(range(50, 58)) <= numbers
    assert len(numbers) == 20


def test_marketing_leaves_to_care_what_waits_for_the_end_of_quiet_hours_today(clinic: Clinic) -> None:
    clinic.plan(range(15), purpose="care", not_before=_moment(NOON + timedelta(hours=2), 15))
    clinic.plan(range(100, 110), run_id="run-2", **CAMPAIGN)
    assert clinic.dispatch().progress.accepted == 5
    afternoon = replace(clinic, as_of=NOON + timedelta(hours=3))
    assert afternoon.dispatch().progress.accepted == 15
    assert clinic.states == {"accepted": 20, "planned": 5}


def _moment(moment: datetime, count: int) -> Any:
    import pyarrow as pa

    return pa.array([moment] * count, pa.timestamp("us", "UTC"))


def test_urgent_messages_and_answers_are_not_held_but_counted(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.plan(range(100, 120), purpose="care")
    clinic.dispatch()
    urgent = '{"v": {}, "zone": "Asia/Shanghai", "quiet": [null, null], "urgent": true}'
    clinic.plan(range(5), purpose="care", run_id="run-2", variables=urgent)
    clinic.plan(range(10, 15), purpose="care", run_id="run-3")
    assert clinic.dispatch().progress.accepted == 5
    assert {int(key, 16) for key in sent(accepted)} == {*range(100, 120), *range(5)}
    assert taken(clinic) == {"2026-03-02": 25}


def test_an_answer_is_never_a_matter_of_the_ramp(clinic: Clinic) -> None:
    from alongside.delivery.warming import _is_free

    clinic.plan(range(1))
    held = claim(clinic, "one")
    assert not _is_free(held, {})
    assert _is_free(replace(held, template=inbox.TEMPLATE), {})


def test_what_would_wait_too_long_is_withheld(clinic: Clinic) -> None:
    """Whoever hears of Monday's lecture on the Monday after is not served."""
    clinic.plan(range(30))
    clinic.dispatch()
    weeks = later(clinic, 8)
    weeks.plan(range(100, 145), run_id="run-2", purpose="care")  # go first, and are of today
    weeks.dispatch()
    assert set(clinic.states_of(range(30))) == {("accepted", None), ("withheld", WARM_UP)}


# ------------------------------------------------------------------------------------------------------ what is told
def test_operators_are_told_what_is_held_back_and_until_when(clinic: Clinic) -> None:
    clinic.plan(range(100), batch_size=30)
    clinic.dispatch()
    assert waits(clinic) == [(WARM_UP, 80, MIDNIGHT)]
    with clinic.ledger.reading() as connection:
        (ramp,) = standings(connection, clinic.settings, clinic.as_of)
    assert (ramp.allowed, ramp.taken, ramp.waiting, str(ramp.through)) == (20, 20, 80, "2026-03-05")  # 30, 45, 5


def test_a_plan_says_what_it_will_have_to_wait_for(clinic: Clinic) -> None:
    clinic.plan(range(12))
    wishes = [
        Wish("marketing", False, {"email/marketing": 40, "sms/care": 7}),
        Wish("care", True, {"email/care": 30}),
        Wish("care", False, {"email/care": 10}),
        Wish("education", False, {}),
    ]
    with clinic.ledger.reading() as connection:
        told = hold_back(connection, clinic.settings, wishes, clinic.as_of)
    day = timedelta(days=1)
    assert told == [
        [HeldBack("email", "new", 40, 20, 40, FIRST_DAY + 2 * day)],
        [],
        [HeldBack("email", "new", 10, 20, 2, FIRST_DAY + day)],
        [],
    ]


def test_without_a_ramp_nothing_is_counted(
    ledger_url: str, tmp_path: Path, vendor: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody_asks(*_: object) -> None:
        raise AssertionError("a sender without a ramp was asked for its allowance")

    for name in ("room", "take", "standing"):
        monkeypatch.setattr(warm_up, name, nobody_asks)
    plain = Clinic.open(ledger_url, tmp_path / "plain", vendor.url)
    plain.admit(range(30))
    plain.plan(range(30), batch_size=10)
    assert plain.dispatch().progress.accepted == 30
    assert taken(plain) == {}
    plain.ledger.engine.dispose()


def test_a_sender_that_is_warm_is_not_limited(clinic: Clinic) -> None:
    with clinic.ledger.begin() as connection:
        connection.execute(warm_up.warm_up.insert().values(channel="email", ramp="new", day="2026-03-20", taken=700))
    warm = later(clinic, 60)
    warm.plan(range(150))
    assert warm.dispatch().progress.accepted == 150
