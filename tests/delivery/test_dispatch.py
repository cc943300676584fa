"""A dispatch end to end, towards the stand-in: who gets what, who does not, and how it goes on after trouble."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from alongside.channels.base import Letter
from alongside.delivery import DispatchReport, lanes
from alongside.delivery.job import Progress
from alongside.delivery.lanes import LANES
from alongside.delivery.letters import Press
from alongside.delivery.pacing import Breaker
from alongside.delivery.recheck import Checked
from alongside.ledger import Ledger, claims, consent, pauses, suppressions
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.suppressions import Suppression
from alongside.model.enums import Channel, Decision, DeliveryMode, EventKind
from alongside.model.errors import Refused, Retryable
from alongside.model.tokens import read_token
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import Running
from alongside.settings import Environment
from tests.delivery.clinic import FAMILY_NAMES, PERSONAL, Clinic
from tests.delivery.conftest import AcceptedLog
from tests.fakes import NOON, key_of


def keys(accepted: AcceptedLog) -> Counter[str]:
    return Counter(str(record["m"]) for record in accepted())


def test_everybody_gets_their_message_once(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit(range(200))
    clinic.plan(range(200), batch_size=10)
    seen: list[Progress] = []
    report = clinic.dispatch(workers=2, on_progress=seen.append)
    assert isinstance(report, DispatchReport)
    assert (report.complete, report.workers, report.states["accepted"]) == (True, 2, 200)
    assert (report.progress.accepted, report.progress.batches, report.progress.requests) == (200, 20, 20)
    assert clinic.states == {"accepted": 200}
    assert keys(accepted) == Counter({key_of(number): 1 for number in range(200)})
    assert [progress.accepted for progress in seen] == sorted(progress.accepted for progress in seen)
    with clinic.ledger.reading() as connection:
        assert claims.waiting(connection, Scope(), NOON) == (0, 0)
    assert clinic.dispatch().progress == Progress()  # a second run sends nothing
    assert len(accepted()) == 200


def test_a_lock_that_is_held_for_a_while_delays_and_loses_nothing(clinic: Clinic, accepted: AcceptedLog) -> None:
    """Longer than a worker's loop waits for the lock itself: the rest is waited for in a thread."""
    clinic.admit(range(20))
    clinic.plan(range(20), batch_size=5)
    other = Ledger.open(clinic.environment.ledger_url)
    taken = threading.Event()

    def hold() -> None:
        with other.begin() as connection:
            if not other.is_sqlite:
                connection.execute(sa.text("LOCK TABLE batch IN ACCESS EXCLUSIVE MODE"))
            taken.set()
            time.sleep(0.5)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(10)
    report = clinic.dispatch(workers=1)
    holder.join()
    other.engine.dispose()
    assert (report.complete, report.states["accepted"]) == (True, 20)
    assert keys(accepted) == Counter({key_of(number): 1 for number in range(20)})


def test_what_a_library_prints_in_a_worker_is_none_of_its_words(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output is how a worker reports: a line that is no word must neither count nor stop the listening."""
    talkative = tmp_path / "talkative"
    talkative.mkdir()
    lines = "\n".join(["a notice of some library", "1", "{}", "[]"])
    (talkative / "sitecustomize.py").write_text(f"print({lines!r}, flush=True)\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(talkative))
    clinic.admit(range(5))
    clinic.plan(range(5))
    report = clinic.dispatch(workers=1)
    assert (report.complete, report.states["accepted"]) == (True, 5)


def test_what_the_patient_reads_is_theirs(clinic: Clinic, tmp_path: Path) -> None:
    clinic.admit([1])
    clinic.plan([1])
    clinic.dispatch()
    (record,) = read_ndjson(tmp_path / "vendor" / "bodies.ndjson")
    body = record["body"]
    (personalization,) = body["personalizations"]
    assert personalization["to"] == [{"email": "patient1@example.com"}]
    text = body["content"][0]["value"]
    for token, value in personalization["substitutions"].items():
        text = text.replace(token, value)
    assert text.startswith("Dear Ms Novak,")
    link = personalization["headers"]["List-Unsubscribe"].strip("<>")
    token = link.rpartition("/u/")[2]
    assert read_token(clinic.ledger.info.secret, "unsubscribe", token) == key_of(1)
    assert link in text
    assert body["subject"] == "A minute for your heart"


def test_bodies_that_differ_in_structure_go_one_request_each(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit(range(30))
    clinic.plan(range(30), template=PERSONAL)
    report = clinic.dispatch()
    assert (report.progress.accepted, report.progress.requests) == (30, 30)
    assert max(keys(accepted).values()) == 1


def test_what_changed_since_planning_is_seen(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit(range(6))
    clinic.admit([6], consent=False)
    clinic.plan(range(8))  # number 7 is not in the vault
    withdrawal = ConsentEvent(f"p{1:016x}", "education", "email", Decision.DENY, NOON - timedelta(1), "staff:x")
    abroad = ConsentEvent(f"p{2:016x}", consent.CROSS_BORDER, "*", Decision.DENY, NOON - timedelta(1), "staff:x")
    with clinic.ledger.begin() as connection:
        consent.record(connection, [withdrawal, abroad], NOON)
        dead = Suppression(clinic.blind(3), "email", "all", "hard_bounce", NOON, "event:1")
        marketing = Suppression(clinic.blind(4), "email", "marketing", "unsubscribe", NOON, "event:2")
        suppressions.add(connection, [dead, marketing])
    report = clinic.dispatch()
    assert clinic.states_of(range(8)) == [
        ("accepted", None),
        ("withheld", "no_consent"),
        ("withheld", "cross_border"),
        ("withheld", "suppressed"),
        ("accepted", None),  # not marketing
        ("accepted", None),
        ("withheld", "no_consent"),
        ("withheld", "no_consent"),
    ]
    assert report.progress.gates == {"no_consent": 3, "cross_border": 1, "suppressed": 1}
    assert len(accepted()) == 3


@pytest.mark.parametrize("change", ["withdrawal", "suppression", "event"])
def test_what_changes_between_recheck_and_call_is_seen(
    clinic: Clinic, accepted: AcceptedLog, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    clinic.admit(range(4))
    clinic.plan(range(4))
    compose = Press.compose

    def changes_meanwhile(press: Press, held: Claim, checked: Checked) -> list[Letter]:
        letters = compose(press, held, checked)
        with clinic.ledger.begin() as connection:
            if change == "withdrawal":
                left = ConsentEvent(f"p{1:016x}", "education", "email", Decision.DENY, NOON, "unsubscribe")
                consent.record(connection, [left], NOON)
            elif change == "suppression":
                suppressions.add(connection, [Suppression(clinic.blind(1), "email", "all", "complaint", NOON, "e")])
            else:
                late = DeliveryEvent("late", key_of(1), EventKind.DELIVERED, NOON)
                record_events(connection, [late], received_at=NOON)
        return letters

    monkeypatch.setattr(Press, "compose", changes_meanwhile)
    report = clinic.dispatch()
    assert keys(accepted) == Counter({key_of(number): 1 for number in (0, 2, 3)})
    assert report.complete
    end = {"withdrawal": ("withheld", "no_consent"), "suppression": ("withheld", "suppressed")}
    assert clinic.states_of([1]) == [end.get(change, ("delivered", None))]


def test_a_patient_with_a_new_address_is_written_to_there(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit([1])
    clinic.plan([1], address_blind=["0" * 32])
    clinic.dispatch()
    assert [record["to"] for record in accepted()] == ["patient1@example.com"]
    assert clinic.ledger.read_arrow("SELECT address_blind FROM message").column(0).to_pylist() == [clinic.blind(1)]


def test_the_night_is_left_alone(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit(range(3))
    clinic.as_of = NOON + timedelta(hours=10)  # 22:00 in Shanghai
    variables = [
        json.dumps({"v": {}, **extra}) for extra in ({}, {"zone": "Europe/Berlin"}, {"quiet": ["23:00", "06:00"]})
    ]
    clinic.plan(range(3), variables=variables)
    report = clinic.dispatch()
    assert (report.progress.accepted, report.postponed, report.complete) == (2, 1, True)
    assert clinic.states_of([0]) == [("planned", None)]
    clinic.as_of = NOON + timedelta(hours=20)  # 08:00 on the next morning
    assert clinic.dispatch().progress.accepted == 1
    assert max(keys(accepted).values()) == 1


def test_two_patients_with_one_address_both_hear_in_separate_requests(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit([1, 2])
    clinic.admit([1, 2], consent=False, domain="example.com")
    with clinic.ledger.begin() as connection:
        from alongside.ledger.vault import Identity

        shared = {f"p{number:016x}": Identity(name="Wei Zhang", email="family@example.com") for number in (1, 2)}
        clinic.vault.store(connection, shared, NOON)
    clinic.plan([1, 2])
    report = clinic.dispatch()
    assert (report.progress.accepted, report.progress.requests) == (2, 2)
    assert len({record["request_id"] for record in accepted()}) == 2


def test_a_pause_holds_everything_and_says_so(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit(range(3))
    clinic.plan(range(3))
    with clinic.ledger.begin() as connection:
        pauses.set_pause(connection, "channel:email", by="op", reason="storm", now=NOON)
    clinic.dispatch()
    assert accepted() == []
    with clinic.ledger.begin() as connection:
        pauses.lift_pause(connection, "channel:email")
    assert clinic.dispatch().progress.accepted == 3


def test_an_edit_after_planning_stops_the_message_and_says_why(clinic: Clinic, accepted: AcceptedLog) -> None:
    clinic.admit(range(3))
    clinic.plan(range(3), template_hash="0" * 64)
    report = clinic.dispatch()
    assert (accepted(), report.complete, report.ready) == ([], False, 3)
    with pytest.raises(Retryable, match="edited after it was planned"):
        report.require_complete()


# ----------------------------------------------------------------------------------------------------------- trouble
@pytest.fixture
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel is given up after as many failures as ever, but in a tenth of a second instead of six."""
    rest = Breaker._rest
    monkeypatch.setattr(Breaker, "_rest", lambda breaker, seconds: rest(breaker, seconds / 50))


@pytest.mark.parametrize(
    "fault",
    [
        Fault(FaultKind.THROTTLE, count=3, retry_after=0.1),
        Fault(FaultKind.FAIL, count=3, status=503),
        Fault(FaultKind.THROTTLE, rate=0.3, retry_after=0.05),
    ],
    ids=["throttled", "unavailable", "often throttled"],
)
def test_a_vendor_in_passing_trouble_delays_and_loses_nothing(
    clinic: Clinic, vendor: Running, accepted: AcceptedLog, fault: Fault
) -> None:
    clinic.admit(range(60))
    clinic.plan(range(60), batch_size=10)
    vendor.control.behave([fault], seed=1)
    report = clinic.dispatch()
    assert report.complete
    assert keys(accepted) == Counter({key_of(number): 1 for number in range(60)})


@pytest.mark.usefixtures("short_rests")
@pytest.mark.parametrize(
    "fault", [Fault(FaultKind.FAIL, status=503), Fault(FaultKind.WRONG_KEY)], ids=["outage", "wrong key"]
)
def test_an_outage_burns_no_attempt_and_a_retry_goes_on(
    clinic: Clinic, vendor: Running, accepted: AcceptedLog, fault: Fault
) -> None:
    clinic.admit(range(30))
    clinic.plan(range(30), batch_size=10)
    vendor.control.behave([fault])
    report = clinic.dispatch()
    assert (report.ready, report.progress.accepted, clinic.states) == (30, 0, {"planned": 30})
    with pytest.raises(Retryable, match="Nothing was lost"):
        report.require_complete()
    attempts = clinic.ledger.read_arrow("SELECT max(attempts) AS n FROM batch").column("n").to_pylist()
    assert attempts == [0]
    vendor.control.behave([])
    assert clinic.dispatch().complete
    assert keys(accepted) == Counter({key_of(number): 1 for number in range(30)})


def test_the_next_batch_is_claimed_as_the_last_is_settled(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.admit(range(60))
    clinic.plan(range(60), batch_size=5)
    alone: list[Claim | None] = []
    claim = claims.claim

    def remember(*asked: Any, **terms: Any) -> Claim | None:
        alone.append(claim(*asked, **terms))
        return alone[-1]

    monkeypatch.setattr(claims, "claim", remember)
    assert clinic.dispatch().progress.batches == 12
    assert sum(held is not None for held in alone) <= LANES


@pytest.mark.parametrize("fault", [Fault(FaultKind.WRONG_KEY), Fault(FaultKind.FAIL, status=503, count=1)])
def test_who_is_to_stop_or_to_wait_claims_nothing_more(
    clinic: Clinic, vendor: Running, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """One lane, so that no other one claims before the vendor's answer is known."""
    monkeypatch.setattr(lanes, "LANES", 1)
    clinic.admit(range(30))
    clinic.plan(range(30), batch_size=10)
    vendor.control.behave([fault])
    seen: list[int] = []

    def count(_progress: Progress) -> None:
        held = "SELECT count(*) AS n FROM batch WHERE state = 'claimed'"
        seen.extend(clinic.ledger.read_arrow(held).column("n").to_pylist())

    clinic.dispatch(on_progress=count)
    assert seen[0] == 0


@pytest.mark.usefixtures("short_rests")
def test_nobody_answers_at_all(clinic: Clinic) -> None:
    clinic.admit(range(3))
    clinic.plan(range(3))
    report = clinic.towards("http://127.0.0.1:1").dispatch()
    assert (report.ready, clinic.states) == (3, {"planned": 3})
    assert "no connection" in report.reasons[0]


def test_a_captive_portal_is_recognised_at_the_first_answer(
    clinic: Clinic, vendor: Running, accepted: AcceptedLog
) -> None:
    clinic.admit(range(60))
    clinic.plan(range(60), batch_size=10)
    vendor.control.behave([Fault(FaultKind.HTML)])
    report = clinic.dispatch()
    assert "something between us" in report.reasons[0]
    assert accepted() == []
    assert clinic.states["planned"] >= 60 - 10 * LANES
    vendor.control.behave([])
    assert clinic.reconcile(grace=timedelta(0)).unknown == 0
    clinic.dispatch()
    assert keys(accepted) == Counter({key_of(number): 1 for number in range(60)})


@pytest.mark.parametrize(
    ("fault", "taken"),
    [
        (Fault(FaultKind.DROP_AFTER, count=1), 10),
        (Fault(FaultKind.DROP_BEFORE, count=1), 0),
        (Fault(FaultKind.FAIL, status=500, count=1), 0),
    ],
    ids=["taken and unanswered", "never arrived", "internal error"],
)
def test_unknown_is_asked_about_and_never_sent_again_blindly(
    clinic: Clinic, vendor: Running, accepted: AcceptedLog, fault: Fault, taken: int
) -> None:
    clinic.admit(range(10))
    clinic.plan(range(10))
    vendor.control.behave([fault])
    report = clinic.dispatch()
    assert (report.complete, report.progress.unknown, clinic.states) == (True, 10, {"unknown": 10})
    assert clinic.dispatch().progress == Progress()
    assert clinic.reconcile().unknown == 10  # the grace period runs
    learnt = clinic.reconcile(grace=timedelta(0))
    assert (learnt.found, learnt.again, learnt.unknown) == (taken, 10 - taken, 0)
    clinic.dispatch()
    assert clinic.states == {"accepted": 10}
    assert keys(accepted) == Counter({key_of(number): 1 for number in range(10)})


def test_a_batch_of_which_a_part_arrived_is_settled_message_by_message(
    clinic: Clinic, vendor: Running, accepted: AcceptedLog
) -> None:
    clinic.admit(range(20))
    clinic.plan(range(20), template=PERSONAL)
    vendor.control.behave([Fault(FaultKind.DROP_AFTER, skip=3, count=2), Fault(FaultKind.DROP_BEFORE, skip=5, count=2)])
    assert clinic.dispatch().progress.unknown == 4
    learnt = clinic.reconcile(grace=timedelta(0))
    assert (learnt.found, learnt.again, learnt.unknown) == (2, 2, 0)
    clinic.dispatch()
    assert keys(accepted) == Counter({key_of(number): 1 for number in range(20)})


def test_without_a_feed_only_care_is_risked_again(ledger_url: str, tmp_path: Path, vendor: Running) -> None:
    blind = Clinic.open(ledger_url, tmp_path / "blind", vendor.url, email={"activity_lookup": False})
    blind.admit(range(4))
    blind.plan([0, 1])
    blind.plan([2, 3], purpose="care")
    vendor.control.behave([Fault(FaultKind.DROP_BEFORE)])
    assert blind.dispatch().progress.unknown == 4
    learnt = blind.reconcile(grace=timedelta(0))
    assert (learnt.again, learnt.unresolved, learnt.unknown) == (2, 2, 0)
    assert [state for state, _ in blind.states_of(range(4))] == ["unresolved", "unresolved", "planned", "planned"]


def test_a_feed_that_does_not_answer_leaves_unknown_unknown(clinic: Clinic, vendor: Running) -> None:
    clinic.admit([1])
    clinic.plan([1])
    vendor.control.behave([Fault(FaultKind.DROP_BEFORE)])
    clinic.dispatch()
    learnt = clinic.towards("http://127.0.0.1:1").reconcile(grace=timedelta(0))
    assert learnt.unknown == 1
    assert "did not answer" in learnt.trouble


# ------------------------------------------------------------------------------------------------------------- modes
def test_staging_writes_to_its_own_people_only(
    ledger_url: str, tmp_path: Path, vendor: Running, accepted: AcceptedLog
) -> None:
    staging = Clinic.open(
        ledger_url, tmp_path / "staging", vendor.url, delivery={"staging_allow": ["qa@hospital.example"]}
    )
    staging.admit(range(3))
    staging.plan(range(3))
    assert staging.dispatch(mode=DeliveryMode.STAGING).progress.accepted == 3
    assert {record["to"] for record in accepted()} == {"qa@hospital.example"}
    assert all(str(record["subject"]).startswith("[staging] ") for record in accepted())


def test_invented_consents_send_nothing_outside_the_sandbox(
    ledger_url: str, tmp_path: Path, vendor: Running, accepted: AcceptedLog
) -> None:
    """What was planned in the sandbox does not leave when somebody changes the mode."""
    clinic = Clinic.open(
        ledger_url, tmp_path / "staging", vendor.url, delivery={"staging_allow": ["qa@hospital.example"]}
    )
    clinic.admit(range(3))
    clinic.plan(range(3))
    with clinic.ledger.begin() as connection:
        consent.mark_invented(connection, NOON)
    with pytest.raises(Refused, match="--fictional-contacts invented"):
        clinic.dispatch(mode=DeliveryMode.STAGING)
    assert accepted() == []
    assert clinic.dispatch().progress.accepted == 3


@pytest.mark.parametrize(
    ("mode", "url", "key", "word"),
    [
        (DeliveryMode.SANDBOX, "https://api.sendgrid.com", "SG.x", "loopback only"),
        (DeliveryMode.SANDBOX, "http://127.0.0.1.evil.example", "SG.x", "loopback only"),
        (DeliveryMode.STAGING, "https://api.sendgrid.com", "SG.x", "staging_allow"),
        (DeliveryMode.LIVE, "https://api.sendgrid.com", "SG.stand-in", "demonstration key"),
        (DeliveryMode.LIVE, "https://api.sendgrid.com", "", "demonstration key"),
        (DeliveryMode.LIVE, "http://127.0.0.1:8025", "SG.real", "stand-in delivers nothing"),
    ],
)
def test_a_set_up_that_contradicts_its_mode_is_refused(mode: DeliveryMode, url: str, key: str, word: str) -> None:
    from alongside.delivery.modes import require_mode

    with pytest.raises(Refused, match=word):
        require_mode(mode, Channel.EMAIL, Environment(sendgrid_url=url, sendgrid_api_key=key).account("sendgrid"), [])


def test_live_reaches_nobody_who_does_not_exist() -> None:
    from alongside.delivery.modes import destinations

    live = destinations(DeliveryMode.LIVE, Channel.EMAIL, [])
    assert live("wei@hospital.cn", key_of(1)) == ("wei@hospital.cn", "")
    for address in ("wei@example.com", "wei@mail.example.org", "wei@clinic.example", "wei@x.invalid"):
        assert live(address, key_of(1)) == ("", "invalid_address")
    with pytest.raises(Refused, match="fictional"):
        live("p1@fictional.example", key_of(1))


# ----------------------------------------------------------------------------------------------------------- workers
@pytest.mark.parametrize("ledger_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_a_worker_is_small_and_knows_no_heavy_library(clinic: Clinic) -> None:
    program = (
        "import sys, alongside.delivery.worker;"
        "print([name for name in ('prefect', 'duckdb', 'pandas', 'pyarrow', 'numpy', 'great_expectations',"
        " 'sendgrid', 'alembic') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
    clinic.admit(range(1000))
    clinic.plan(range(1000), batch_size=1000)
    report = clinic.dispatch(workers=1)
    assert report.progress.accepted == 1000
    assert report.peak_rss_mb <= 150


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
def test_no_secret_and_no_address_travels_in_arguments_or_words(
    clinic: Clinic, capfd: pytest.CaptureFixture[str]
) -> None:
    clinic.admit(range(5))
    clinic.plan(range(5))
    report = clinic.dispatch(workers=1)
    said = json.dumps(report.to_json()) + "".join(capfd.readouterr())
    assert "patient1@" not in said
    assert not any(family in said for family in FAMILY_NAMES)
    assert "SG.stand-in" not in said


def test_the_variables_column_is_read_as_planned(clinic: Clinic, tmp_path: Path) -> None:
    clinic.admit([1])
    clinic.plan([1], template=PERSONAL, not_before=pa.array([NOON - timedelta(1)], pa.timestamp("us", "UTC")))
    clinic.dispatch()
    (record,) = read_ndjson(tmp_path / "vendor" / "bodies.ndjson")
    assert "walk. rest." in record["body"]["content"][0]["value"]


def test_a_worker_whose_supervisor_has_gone_leaves_without_a_word() -> None:
    program = (
        "import sys; from alongside.delivery.job import Word; from alongside.delivery.worker import _say;"
        "sys.stdin.readline(); _say(Word('done')); _say(Word('done')); sys.exit(0)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stderr is not None
    child.stdout.close()
    child.stdin.write(b"\n")
    child.stdin.close()
    said = child.stderr.read()
    child.stderr.close()
    assert (child.wait(), said) == (0, b"")
