"""Staff are told once of what they have to look at, again when it is worse or lasts, and never of a patient."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
import typer

from alongside.alerts import Told, find_causes, tell, trial
from alongside.alerts.words import WORDS, line_of
from alongside.cli.app import app
from alongside.ledger import Ledger, experiments, pauses, staff_alerts
from alongside.ledger.runs import RunPins, pin_run, record_campaign
from alongside.ledger.schema import batch, call_task, message, run, staff_alert, thread
from alongside.ledger.staff_alerts import Alert, Cause
from alongside.model.enums import Locale, StaffEvent
from alongside.model.errors import AlongsideError, Retryable, Throttled
from alongside.settings import HospitalSettings, read_model
from tests.alerts.robot import Robot, robot
from tests.conftest import ROOT
from tests.docs.test_documented_commands import _leaves
from tests.fakes import NOON, plan

NOW = datetime(2026, 11, 28, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai
HOUR = timedelta(hours=1)
SHIPPED = read_model(HospitalSettings, ROOT / "config/alongside.yaml")
OPERATORS: dict[str, Any] = {"name": "operators", "url": "env:STAFF", "locale": "en"}


def settings(*receivers: dict[str, Any], **staff: Any) -> HospitalSettings:
    given = SHIPPED.model_dump(by_alias=True, exclude={"staff"})
    return HospitalSettings.model_validate({**given, "staff": {"receivers": list(receivers or (OPERATORS,)), **staff}})


@dataclass
class Group:
    """Whoever is told; `trouble` is raised instead while it is set."""

    heard: list[list[str]] = field(default_factory=list)
    trouble: AlongsideError | None = None

    def say(self, url: str, head: str, lines: Sequence[str]) -> int:
        assert url == "robot"
        if self.trouble is not None:
            raise self.trouble
        self.heard.append([re.sub(r" .*", "", line.removeprefix("- ")) for line in lines])
        return 1

    def hears(self, ledger: Ledger, now: datetime, of: HospitalSettings | None = None) -> list[str]:
        """The first words of what it is told by a look at this moment."""
        before = len(self.heard)
        tell(ledger, of or settings(), now, variables={"STAFF": "robot"}, say=self.say)
        return [line for lines in self.heard[before:] for line in lines]


@pytest.fixture
def group() -> Group:
    return Group()


def causes(ledger: Ledger, of: HospitalSettings | None = None, now: datetime = NOW) -> list[Cause]:
    with ledger.reading() as connection:
        return find_causes(connection, of or settings(), now)


def begin_run(ledger: Ledger, run_id: str, at: datetime = NOW) -> None:
    with ledger.begin() as connection:
        pin_run(connection, RunPins(run_id, at, "c", "c", "live", False, False, at))


def open_threads(ledger: Ledger, count: int, due_at: datetime = NOW - HOUR) -> None:
    shared = {
        "channel": "sms",
        "address_blind": "b",
        "status": "open",
        "due_at": due_at,
        "opened_at": NOW,
        "updated_at": NOW,
    }
    with ledger.begin() as connection:
        before = connection.scalar(sa.select(sa.func.count()).select_from(thread)) or 0
        rows = [{"thread_id": f"t{number}", **shared} for number in range(before, before + count)]
        connection.execute(thread.insert(), rows)


def close_threads(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        connection.execute(thread.update().values(status="closed"))


def move(ledger: Ledger, state: str, at: datetime) -> None:
    with ledger.begin() as connection:
        connection.execute(message.update().values(state=state, updated_at=at))


# ------------------------------------------------------------------------------------------------------------- causes
def test_a_quiet_hospital_has_none(ledger: Ledger) -> None:
    plan(ledger, range(3))
    begin_run(ledger, "r1")
    open_threads(ledger, 2, NOW + HOUR)
    assert causes(ledger) == []


def test_a_campaign_that_paused_itself_is_one_and_one_that_somebody_paused_is_not(ledger: Ledger) -> None:
    with ledger.begin() as connection:
        pauses.set_pause(connection, "campaign:flu", by=pauses.ITSELF, reason="51 of 1,000 came back", now=NOW)
        pauses.set_pause(connection, "campaign:heart", by="Li Na", reason="holidays", now=NOW)
    assert causes(ledger) == [Cause(StaffEvent.CAMPAIGN_PAUSED, "flu")]


def test_a_late_run_is_one_until_somebody_releases_it(ledger: Ledger) -> None:
    begin_run(ledger, "r1")
    with ledger.begin() as connection:
        pauses.set_pause(connection, "run:r1", by="schedule", reason="started late", now=NOW)
        connection.execute(run.update().values(state="held"))
    assert causes(ledger) == [Cause(StaffEvent.RUN_HELD, "r1")]
    with ledger.begin() as connection:
        pauses.lift_pause(connection, "run:r1")
    assert causes(ledger) == []


def test_campaigns_that_the_last_run_held_or_blocked_are(ledger: Ledger) -> None:
    begin_run(ledger, "old", NOW - HOUR)
    begin_run(ledger, "new")
    begin_run(ledger, "refresh", NOW + HOUR)  # plans nothing
    with ledger.begin() as connection:
        record_campaign(connection, "old", "talk", "held", {})
        for campaign, state in (("flu", "held"), ("heart", "blocked"), ("knee", "planned"), ("closed", "closed")):
            record_campaign(connection, "new", campaign, state, {})
    assert {(cause.event, cause.subject) for cause in causes(ledger)} == {
        (StaffEvent.CAMPAIGN_HELD, "flu"),
        (StaffEvent.CAMPAIGN_HELD, "heart"),
    }


def test_missed_deadlines_are_counted(ledger: Ledger) -> None:
    open_threads(ledger, 3)
    task = {"batch_id": "b", "status": "open", "tries": 0, "listed_at": NOW, "updated_at": NOW, "sealed": b"x"}
    with ledger.begin() as connection:
        connection.execute(call_task.insert(), [{"task_id": "1", "due_at": NOW - HOUR, **task}])
    assert causes(ledger) == [
        Cause(StaffEvent.INBOX_OVERDUE, "inbox", 3),
        Cause(StaffEvent.CALLS_OVERDUE, "calls", 1),
    ]


def test_messages_that_stay_unknown_are_counted_by_channel(ledger: Ledger) -> None:
    plan(ledger, range(4))
    move(ledger, "unknown", NOW - HOUR)
    assert causes(ledger) == []  # the grace period, and an hour in which the vendor is asked
    assert causes(ledger, now=NOW + HOUR) == [Cause(StaffEvent.UNKNOWN_OVERDUE, "email", 4)]


@pytest.mark.parametrize(("state", "attempts"), [("rejected", 0), ("unresolved", 0), ("planned", 5)])
def test_many_that_are_given_up_within_a_day_are(ledger: Ledger, state: str, attempts: int) -> None:
    plan(ledger, range(4))
    move(ledger, state, NOW - HOUR)
    with ledger.begin() as connection:
        connection.execute(batch.update().values(attempts=attempts))
    assert causes(ledger, settings(dead_letters_from=5)) == []
    assert causes(ledger, settings(dead_letters_from=4)) == [Cause(StaffEvent.DEAD_LETTERS, "email", 4)]


JUDGED = {"verdict": "stop_for_harm", "variant": None, "waits": None}


def judge(ledger: Ledger, name: str, decision: dict[str, Any] | None, at: datetime = NOW) -> None:
    with ledger.begin() as connection:
        experiments.register(connection, name, {}, "hash", config_commit="c", analysis_version="1", at=at)
        experiments.save_result(connection, name, at, "r1", "inconclusive", {})
        if decision is not None:
            experiments.decide(connection, name, decision, at)


@pytest.mark.parametrize(
    ("decision", "event"),
    [
        (None, None),
        (JUDGED, StaffEvent.EXPERIMENT_HARMS),
        (JUDGED | {"verdict": "invalid"}, StaffEvent.EXPERIMENT_HARMS),
        (JUDGED | {"variant": "control"}, None),
        (JUDGED | {"verdict": "ship"}, StaffEvent.EXPERIMENT_WAITS),
        (JUDGED | {"verdict": "ship", "variant": "control", "waits": "short"}, StaffEvent.EXPERIMENT_WAITS),
        (JUDGED | {"verdict": "ship", "variant": "short"}, None),
        (JUDGED | {"verdict": "keep_control"}, None),
        (JUDGED | {"verdict": "inconclusive"}, None),
    ],
)
def test_a_verdict_that_waits_for_people_is_one_until_they_have_decided(
    ledger: Ledger, decision: dict[str, Any] | None, event: StaffEvent | None
) -> None:
    judge(ledger, "wording", decision)
    assert causes(ledger) == ([Cause(event, "wording")] if event else [])
    if event:
        with ledger.begin() as connection:
            given = {"by": "Li Na", "reason": "read", "role": None, "at": NOW}
            assert experiments.apply(connection, "wording", "control", **given)
        assert causes(ledger) == []


def test_an_experiment_that_is_judged_no_more_is_none(ledger: Ledger) -> None:
    judge(ledger, "wording", JUDGED, NOW - HOUR)
    judge(ledger, "other", None)
    assert causes(ledger) == []


# ------------------------------------------------------------------------------------------------------------- telling
def test_each_is_told_once_worse_is_told_again_and_what_comes_back_is_new(ledger: Ledger, group: Group) -> None:
    open_threads(ledger, 3)
    assert group.hears(ledger, NOW) == ["3"]
    open_threads(ledger, 2)
    assert group.hears(ledger, NOW + HOUR) == []  # five are not twice as many as three
    open_threads(ledger, 1)
    assert group.hears(ledger, NOW + 2 * HOUR) == ["6"]
    assert group.hears(ledger, NOW + 25 * HOUR) == []
    assert group.hears(ledger, NOW + 26 * HOUR) == ["6"]  # it has lasted for a day since
    close_threads(ledger)
    assert group.hears(ledger, NOW + 27 * HOUR) == []
    open_threads(ledger, 1)
    assert group.hears(ledger, NOW + 28 * HOUR) == ["1"]


def test_receivers_hear_what_they_asked_for_in_their_language(ledger: Ledger) -> None:
    open_threads(ledger, 1)
    plan(ledger, range(2))
    move(ledger, "unknown", NOW - 9 * HOUR)
    heard: dict[str, list[str]] = {}

    def say(url: str, head: str, lines: Sequence[str]) -> int:
        heard[url] = [head, *lines]
        return 1

    nurses = {"name": "nurses", "url": "env:NURSES", "events": ["inbox_overdue"], "locale": "zh_CN"}
    tell(ledger, settings(OPERATORS, nurses), NOW, variables={"STAFF": "robot", "NURSES": "other"}, say=say)
    assert heard["other"] == [
        "青禾市示范医院：Alongside 提醒",
        "- 1 个患者来信会话已超过答复期限。查看：alongside inbox list",
    ]
    assert [line.split(":")[0] for line in heard["robot"][1:]] == [
        "- 1 conversations with patients are past their deadline. Look",
        "- Channel email",
    ]


def test_at_night_only_what_is_urgent_is_told(ledger: Ledger, group: Group) -> None:
    asleep = settings({**OPERATORS, "quiet_hours": {"from": "11:00", "to": "13:30"}})  # NOW is noon in Shanghai
    open_threads(ledger, 1)
    with ledger.begin() as connection:
        pauses.set_pause(connection, "campaign:flu", by=pauses.ITSELF, reason="x", now=NOW)
    assert group.hears(ledger, NOW, asleep) == ["Campaign"]
    assert group.hears(ledger, NOW + 2 * HOUR, asleep) == ["1"]


def test_two_that_look_at_once_tell_once(ledger: Ledger, group: Group) -> None:
    open_threads(ledger, 2)
    together = threading.Barrier(4)

    def look(_: int) -> list[Told]:
        together.wait(30)
        return tell(ledger, settings(), NOW, variables={"STAFF": "robot"}, say=group.say)

    with ThreadPoolExecutor(4) as pool:
        told = [one for done in pool.map(look, range(4)) for one in done]
    assert len(told) == len(group.heard) == 1


@pytest.mark.parametrize(
    ("trouble", "too_early", "in_time"),
    [
        (Throttled("too many", retry_after=60.0), timedelta(seconds=59), timedelta(seconds=61)),
        (Retryable("no answer"), timedelta(seconds=59), timedelta(seconds=61)),
    ],
)
def test_who_could_not_be_told_is_told_later(
    ledger: Ledger, group: Group, trouble: AlongsideError, too_early: timedelta, in_time: timedelta
) -> None:
    open_threads(ledger, 2)
    group.trouble = trouble
    assert group.hears(ledger, NOW) == []
    group.trouble = None
    assert group.hears(ledger, NOW + too_early) == []
    assert group.hears(ledger, NOW + in_time) == ["2"]


def test_a_teller_that_dies_is_followed_by_another(ledger: Ledger, group: Group) -> None:
    open_threads(ledger, 2)
    with ledger.begin() as connection:
        staff_alerts.note(connection, find_causes(connection, settings(), NOW), NOW)
        assert staff_alerts.claim(connection, staff_alerts.lasting_alerts(connection), "operators", NOW)
    assert group.hears(ledger, NOW + timedelta(minutes=4)) == []
    assert group.hears(ledger, NOW + timedelta(minutes=6)) == ["2"]


def test_waits_grow_while_a_service_is_away(ledger: Ledger, group: Group) -> None:
    open_threads(ledger, 2)
    group.trouble = Retryable("no answer")
    tried = []
    for minute in range(0, 40):
        at = NOW + timedelta(minutes=minute)
        if tell(ledger, settings(), at, variables={"STAFF": "robot"}, say=group.say):
            tried.append(minute)
    assert tried == [0, 1, 3, 7, 15, 31]


def test_a_receiver_without_an_address_is_named_and_holds_up_nobody(ledger: Ledger, group: Group) -> None:
    open_threads(ledger, 1)
    lost = {"name": "lost", "url": "env:LOST"}
    done = tell(ledger, settings(lost, OPERATORS), NOW, variables={"STAFF": "robot"}, say=group.say)
    assert [(one.receiver, "LOST is not set" in one.trouble) for one in done] == [("lost", True), ("operators", False)]


# ------------------------------------------------------------------------------------------------------- to the robot
@pytest.fixture
def wecom() -> Iterator[Robot]:
    with robot() as found:
        yield found


def test_hundreds_of_campaigns_fit_into_a_few_texts(ledger: Ledger, wecom: Robot) -> None:
    begin_run(ledger, "r1")
    with ledger.begin() as connection:
        for number in range(300):
            record_campaign(connection, "r1", f"campaign_of_a_rather_long_name_{number:03}", "held", {})
    (told,) = tell(ledger, settings(), NOW, variables={"STAFF": wecom.url})
    assert told.trouble == ""
    assert told.messages == len(wecom.texts) <= 5
    assert all(len(text.encode()) <= 2048 for text in wecom.texts)
    shown = sum(text.count("campaign_of_a_rather") // 2 for text in wecom.texts)
    assert f"And {300 - shown} more" in wecom.texts[-1]
    assert tell(ledger, settings(), NOW, variables={"STAFF": wecom.url}) == []


def test_a_robot_that_is_no_more_is_told_of_by_name_not_by_address(ledger: Ledger, wecom: Robot) -> None:
    open_threads(ledger, 1)
    wrong = wecom.url + "wrong"
    (told,) = tell(ledger, settings(), NOW, variables={"STAFF": wrong})
    assert "no such robot (93000)" in told.trouble
    with ledger.reading() as connection:
        (alert,) = staff_alerts.lasting_alerts(connection)
    assert alert.notices["operators"].trouble == told.trouble
    assert "key=" not in told.trouble


def test_a_trial_reaches_the_group_and_is_not_written_down(ledger: Ledger, wecom: Robot) -> None:
    (receiver,) = settings().staff.receivers
    assert trial(settings(), receiver, variables={"STAFF": wecom.url}) == Told("operators", (), 1)
    assert "This is a trial" in wecom.texts[0]
    assert ledger.read_arrow("SELECT alert FROM staff_notice").num_rows == 0


# --------------------------------------------------------------------------------------------------------------- words
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("event", StaffEvent)
def test_every_alert_names_a_command_that_exists_in_both_languages(locale: Locale, event: StaffEvent) -> None:
    alert = Alert(f"{event}:flu_vaccine", event, 1234, NOW, NOW, {})
    line = line_of(alert, locale)
    assert "{" not in line
    leaves = set(_leaves(typer.main.get_command(app)))
    named = re.findall(r"alongside ([a-z -]+)", line)
    assert named
    assert all(any(f"{words} ".startswith(f"{leaf} ") for leaf in leaves) for words in named)
    assert set(WORDS[locale]) == set(StaffEvent)


def test_no_patient_stands_in_an_alert(ledger: Ledger, wecom: Robot) -> None:
    """All that can be told of at once, in a ledger full of a patient whom nobody could overlook."""
    canary = "CanaryPatient"
    plan(ledger, range(60), person_id=[f"p{canary}{number:02}"[:20] for number in range(60)], occurrence=canary)
    move(ledger, "unknown", NOW - 9 * HOUR)
    with ledger.begin() as connection:
        connection.execute(message.update().values(reason=canary))
        connection.execute(message.update().where(message.c.message_key < f"{55:032x}").values(state="rejected"))
        connection.execute(message.update().values(updated_at=NOW - 9 * HOUR))
        pauses.set_pause(connection, "campaign:hello", by=pauses.ITSELF, reason=canary, now=NOON)
    open_threads(ledger, 2)
    (told,) = tell(ledger, settings(), NOW, variables={"STAFF": wecom.url})
    assert len(told.alerts) == 4
    assert canary not in "".join(wecom.texts)
    rows = ledger.read_arrow("SELECT alert FROM staff_alert").to_pylist()
    assert canary not in str(rows)
    assert len(rows) == 4


def test_an_alert_that_ended_is_kept_for_whoever_asks_later(ledger: Ledger, group: Group) -> None:
    open_threads(ledger, 1)
    group.hears(ledger, NOW)
    close_threads(ledger)
    group.hears(ledger, NOW + HOUR)
    with ledger.reading() as connection:
        assert connection.execute(sa.select(staff_alert.c.since, staff_alert.c.ended_at)).all() == [(NOW, NOW + HOUR)]
