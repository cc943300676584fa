"""Scheduled runs on a real Prefect server: outage, kill, Retry as the UI does it, late runs, no patient in Prefect.

The tests share one stage and play successive days on it, so that each finds what the one before has left.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import json
import os
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import sqlalchemy as sa
from prefect import flow
from prefect.automations import Automation
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.settings import PREFECT_API_URL, temporary_settings

from alongside.bootstrap import Services
from alongside.ledger.experiments import results
from alongside.ledger.messages import count_states
from alongside.ledger.runs import read_run
from alongside.ledger.schema import message, person
from alongside.model.errors import Refused
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.hospital import advance
from alongside.settings import Project
from flows.automations import LONGEST_SILENCE, SILENCE, TAG, automations, find_block, notices, register
from tasks import artifacts
from tasks.delivery import dispatch_partition
from tasks.runs import hold_late_run
from tests.cli.conftest import here
from tests.flows.conftest import Stage, day
from tests.flows.talks import CONTROL, EXPERIMENT, SHORT, at_ten, talks

pytestmark = [pytest.mark.prefect, pytest.mark.timeout(900)]
#: Task runs of one daily run: its steps and campaigns, never its patients.
MOST_TASK_RUNS = 40
#: Bytes of a name of two Chinese characters. Shorter values ("none", a few digits) stand in many a text by chance.
SHORTEST = 6


@pytest.fixture(scope="module", autouse=True)
def silent_runs(stage: Stage, told: list[dict[str, str]]) -> tuple[str, str]:
    """One of ours and one of somebody else's on the same server; each sends one heartbeat and is never heard again.

    They fall silent before the first test, so that the others pass the time until anybody notices, and after the
    automations were registered: Prefect forgets what it waits for when an automation is brought up to date.
    """
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()  # so that no worker takes them
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": tomorrow}}
    ours, foreign = (stage.start_run("deliver", {}, state=state) for _ in range(2))
    for run_id, tags in ((ours, (TAG,)), (foreign, ("other",))):
        stage.call("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "RUNNING"}, "force": True})
        stage.beat(run_id, *tags)
    return ours, foreign


def _day(stage: Stage, number: int) -> dict[str, str]:
    """The hospital hands over the extracts up to the day; parameters of its run, at ten, when nobody wants quiet."""
    root = stage.project.var / "hospital"
    for earlier in range(1, number + 1):
        if not (root / "his" / day(earlier).isoformat()).exists():
            advance(root, day(earlier), bookings=())
    return {"as_of": _at_ten(number)}


def _at_ten(number: int) -> str:
    return f"{day(number).isoformat()}T10:00:00+08:00"


def _planned(house: Services) -> list[str]:
    with house.ledger.begin() as connection:
        return list(connection.execute(sa.select(message.c.message_key)).scalars())


def _sent_exactly_once(stage: Stage) -> None:
    accepted = stage.accepted()
    assert len(accepted) == len(set(accepted)), "the vendor's log shows a message twice"


def test_a_vendor_outage_in_mid_dispatch_fails_the_run_and_retry_finishes_it(stage: Stage) -> None:
    parameters = _day(stage, 1)
    stage.behave(Fault(FaultKind.FAIL, status=503, skip=20))  # twenty batches go through
    run_id = stage.start_run("daily", parameters)
    assert stage.carry_out(run_id) == "FAILED"
    failed = _states(stage, run_id)
    planned = failed["taken"] + failed["planned"]  # nothing is unknown or given up: the vendor said no
    assert 0 < failed["taken"] == len(stage.accepted()) < planned == len(_planned(stage.house))
    stage.behave()
    stage.retry(run_id)
    assert stage.carry_out(run_id) == "COMPLETED"
    done = _states(stage, run_id)
    assert done["taken"] + done["withheld"] == planned
    assert done["taken"] == len(stage.accepted()) > failed["taken"]
    _sent_exactly_once(stage)


def _states(stage: Stage, run_id: str) -> dict[str, int]:
    with stage.house.ledger.begin() as connection:
        return count_states(connection, run_id=run_id)


@pytest.fixture(scope="module")
def little_run(stage: Stage, little: Project) -> str:
    """A run of the little hospital that nothing befalls."""
    run_id = stage.start_run("daily", {"project": str(little.root), "as_of": _at_ten(0)})
    assert stage.carry_out(run_id) == "COMPLETED"
    return run_id


def test_a_daily_run_completes_and_sends_each_message_once(stage: Stage, little: Project, little_run: str) -> None:
    _sent_exactly_once(stage)
    house = stage.house_of(little)
    with house.ledger.begin() as connection:
        counts = count_states(connection, run_id=little_run)
    assert counts["taken"] == len(_planned(house)) > 10
    assert set(_planned(house)) <= set(stage.accepted())


def test_operators_see_tables_of_counts(stage: Stage) -> None:
    keys = {item["key"] for item in stage.call("POST", "/artifacts/filter", {"limit": 200})}
    assert {"funnel", "data-quality-scorecard", "ingest", "segments", "dispatch-email", "dispatch-sms"} <= keys


@flow
def stops() -> None:
    artifacts.stopped("email", ["campaign:hello paused itself"])


@pytest.fixture(scope="module")
def told(stage: Stage) -> Iterator[list[dict[str, str]]]:
    """What staff hear, through a webhook that `alongside deploy --tell` was given."""
    heard: list[dict[str, str]] = []

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            pass

    ear = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=ear.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{ear.server_port}/"
    with temporary_settings({PREFECT_API_URL: stage.api}):
        words = {"subject": "{{subject}}", "body": "{{body}}"}
        CustomWebhookNotificationBlock(name="staff", url=place, json_data=words).save("staff")
        assert len(register(find_block("custom-webhook/staff"))) == 5
        with pytest.raises(Refused, match="no block 'custom-webhook/nobody'"):
            find_block("custom-webhook/nobody")
        for odd in ("staff", "custom-webhook/", "/staff", "custom-webhook/staff/..", "Custom Webhook/staff"):
            with pytest.raises(Refused, match="no name of a block"):
                find_block(odd)
    yield heard
    ear.shutdown()


@contextlib.contextmanager
def _little_patience(stage: Stage) -> Iterator[None]:
    """Nobody waits for 26 hours here."""
    with temporary_settings({PREFECT_API_URL: stage.api}):
        known = Automation.read(name="alongside: tell of a day without a run")
        known.trigger.within = timedelta(seconds=20)
        known.update()
        yield
        known.trigger.within = LONGEST_SILENCE
        known.update()


def _wait_for_word(told: list[dict[str, str]], subject: str, patience: float = 90.0) -> dict[str, str]:
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        for word in told:
            if subject in word["subject"]:
                return word
        time.sleep(0.2)
    raise AssertionError(f"nobody was told of {subject!r}; told: {told}")


def test_staff_are_told_of_failed_and_missing_runs_and_paused_campaigns(
    stage: Stage, told: list[dict[str, str]]
) -> None:
    run_id = stage.start_run("evaluate", {"project": "/nowhere"})
    assert stage.carry_out(run_id) == "FAILED"
    word = _wait_for_word(told, "evaluate is Failed")
    assert "/nowhere" in word["body"]
    assert run_id in word["body"]
    with stage.within():
        stops()
    assert _wait_for_word(told, "has paused itself")["body"] == "campaign:hello paused itself"
    (shown,) = stage.call("POST", "/artifacts/filter", {"artifacts": {"key": {"any_": ["stopped-email"]}}})
    assert "campaign:hello paused itself" in shown["data"]
    with _little_patience(stage):
        assert "26 hours" in _wait_for_word(told, "no daily run")["body"]


def test_a_run_killed_with_its_worker_in_mid_dispatch_is_retried_without_doubles(stage: Stage) -> None:
    parameters = _day(stage, 3)
    before = len(stage.accepted())
    stage.behave(Fault(FaultKind.SLOW, seconds=20))
    run_id = stage.start_run("daily", parameters)
    worker = stage.work()
    _wait_until_calling(stage, run_id)
    os.killpg(worker.pid, signal.SIGKILL)  # the worker, the flow's process and the delivery workers
    worker.wait(30)
    stage.behave()
    state = {"type": "CRASHED", "name": "Crashed"}
    stage.call("POST", f"/flow_runs/{run_id}/set_state", {"state": state, "force": True})
    stage.retry(run_id)
    assert stage.carry_out(run_id) == "COMPLETED"
    _sent_exactly_once(stage)
    assert len(stage.accepted()) > before


def _wait_until_calling(stage: Stage, run_id: str, patience: float = 240.0) -> None:
    """Until a batch of the run is in the middle of its call."""
    until = time.monotonic() + patience
    query = sa.text("SELECT count(*) FROM batch WHERE run_id = :run AND state = 'calling'")
    while time.monotonic() < until:
        with stage.house.ledger.begin() as connection:
            if connection.execute(query, {"run": run_id}).scalar_one():
                return
        assert stage.state(run_id) not in ("COMPLETED", "FAILED"), "nothing was left to send on that day"
        time.sleep(0.1)
    pytest.fail("no call began")


def test_each_part_of_a_daily_run_can_be_started_by_itself(stage: Stage) -> None:
    """Refresh; then, on the picture that it made, campaign and evaluate side by side, each by its own deployment."""
    moment, before = _day(stage, 4), len(stage.accepted())
    refreshed = stage.start_run("refresh", moment)
    assert stage.carry_out(refreshed) == "COMPLETED"
    assert len(stage.accepted()) == before
    sent, judged = stage.start_run("campaign", moment), stage.start_run("evaluate", {})
    assert [stage.carry_out(run_id) for run_id in (sent, judged)] == ["COMPLETED", "COMPLETED"]
    _sent_exactly_once(stage)
    house, snapshot = stage.house, stage.house.warehouse.current()
    assert snapshot is not None
    with house.ledger.begin() as connection:
        pins = [read_run(connection, run_id) for run_id in (refreshed, sent, judged)]
        taken = [count_states(connection, run_id=run_id)["taken"] for run_id in (refreshed, sent, judged)]
        latest = results(connection, "hypertension_review_wording")[-1]
    assert {(pin.snapshot_id, pin.state) for pin in pins if pin} == {(snapshot.id, "completed")}
    assert taken[1] == len(stage.accepted()) - before > 0
    assert taken[0] == taken[2] == 0
    # what happened after the snapshot was taken is not in its tables
    assert (latest.run_id, latest.as_of) == (judged, snapshot.as_of)


def test_a_run_without_heartbeat_becomes_crashed_and_can_be_retried(stage: Stage, silent_runs: tuple[str, str]) -> None:
    """What the registered automations do when nobody is left to say that a run has ended."""
    ours, foreign = silent_runs
    assert stage.wait_for(ours, "CRASHED", patience=2 * SILENCE.total_seconds()) == "CRASHED"
    assert "heartbeat" in stage.call("GET", f"/flow_runs/{ours}")["state"]["message"]
    assert stage.state(foreign) == "RUNNING"
    stage.retry(ours)
    assert stage.state(ours) == "SCHEDULED"
    for run_id in silent_runs:
        stage.call("POST", f"/flow_runs/{run_id}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


@pytest.mark.usefixtures("told")
def test_deploying_again_keeps_one_automation_of_each_name(stage: Stage) -> None:
    found = stage.call("POST", "/automations/filter", {})
    wanted = sorted(item.name for item in [*automations(), *notices(uuid4())])
    assert sorted(item["name"] for item in found) == wanted
    with temporary_settings({PREFECT_API_URL: stage.api}):
        register()
    again = stage.call("POST", "/automations/filter", {})
    assert {item["id"] for item in again} == {item["id"] for item in found}


def test_no_patient_value_reached_prefect(stage: Stage, little: Project) -> None:
    """After a completed, a failed and a killed run: names, addresses, numbers and ids, in whatever Prefect keeps."""
    identifiers = _identifiers(stage, little)
    assert len(identifiers) > 2000
    assert sum(len(text.encode()) == SHORTEST for text in identifiers) > 50
    assert _held("李娜, 13800000000".encode(), {"李娜", "13800000000", "李丽"}) == {"李娜", "13800000000"}
    with sqlite3.connect(next(iter(stage.prefect_home.glob("*.db")))) as connection:
        assert connection.execute("SELECT count(*) FROM flow_run").fetchone()[0] >= 3
        known = {run_id for (run_id,) in connection.execute("SELECT id FROM flow_run LIMIT 3")}
    files = [file for file in stage.prefect_home.rglob("*") if file.is_file()]
    assert known <= set().union(*(_held(file.read_bytes(), known) for file in files))  # the search finds what is there
    for file in files:
        found = _held(file.read_bytes(), identifiers)
        assert not found, f"{len(found)} patient values in {file.name}"


def _held(content: bytes, texts: set[str]) -> set[str]:
    """Those of the texts that the bytes hold, plain or escaped as JSON does it."""
    forms = {form: text for text in texts for form in (text.encode(), json.dumps(text)[1:-1].encode())}
    short = {form: forms.pop(form) for form in list(forms) if len(form) < 8}
    content += bytes(8)  # so that a text at the very end fills a word, too
    heads = np.unique([int.from_bytes(form[:8], "little") for form in forms]).astype(np.uint64)
    seen: set[int] = set()
    for offset in range(8):
        words = np.frombuffer(content, "<u8", count=max(0, (len(content) - offset) // 8), offset=offset)
        seen.update(np.intersect1d(words, heads).tolist())
    suspects = {form: text for form, text in forms.items() if int.from_bytes(form[:8], "little") in seen}
    return {text for form, text in (suspects | short).items() if form in content}


def _identifiers(stage: Stage, *others: Project) -> set[str]:
    """Names, e-mails, phones, identity and patient numbers as the extracts write them, and our own ids of people."""
    found: set[str] = set()
    for project in (stage.project, *others):
        found |= _extracted(project.var / "hospital")
    with stage.house.ledger.begin() as connection:
        found |= set(connection.execute(sa.select(person.c.person_id)).scalars())
    return found


def _extracted(hospital: Path) -> set[str]:
    found: set[str] = set()
    for path in hospital.glob("his/*/patients.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                found |= {row[name] for name in ("name", "patient_no", "id_card", "mobile", "email", "address")}
    for path in hospital.glob("app_events/*/users.csv.gz"):
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                found |= {row["phone"], row["email"]}
    return {text for text in found if len(text.encode()) >= SHORTEST and not (text.isdigit() and len(text) < 8)}


@pytest.fixture(scope="module")
def late_run(stage: Stage) -> str:
    """A run of the whole hospital that the schedule wanted twenty hours ago."""
    _day(stage, 8)
    late = (datetime.now(UTC) - timedelta(hours=20)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": late}}
    before = len(stage.accepted())
    run_id = stage.start_run("daily", {}, state=state, tags=["auto-scheduled"])
    assert stage.carry_out(run_id) == "COMPLETED"
    assert len(stage.accepted()) == before
    return run_id


def test_a_late_run_plans_but_sends_nothing_until_somebody_says_so(stage: Stage, late_run: str) -> None:
    before = len(stage.accepted())
    assert _states(stage, late_run)["planned"] > 0
    _resume(stage, late_run)
    assert stage.carry_out(stage.start_run("deliver", {})) == "COMPLETED"
    assert len(stage.accepted()) > before
    _sent_exactly_once(stage)


def _resume(stage: Stage, run_id: str) -> None:
    from alongside.ledger.pauses import lift_pause

    with stage.house.ledger.begin() as connection:
        assert lift_pause(connection, f"run:{run_id}")


def test_task_runs_depend_on_steps_not_on_patients(
    stage: Stage, late_run: str, little: Project, little_run: str
) -> None:
    """Two hospitals, one with ten times the patients of the other: the same task runs in every flow."""
    assert 0 < 5 * _people(stage.house_of(little)) < _people(stage.house)
    found = _task_runs(stage, little_run)
    assert {flow for flow, _ in found} == {"daily", "refresh", "campaign", "evaluate"}
    assert 10 <= found.total() <= MOST_TASK_RUNS
    # What is held has nothing to dispatch, and says so in one step more.
    sent = Counter({key: n for key, n in found.items() if key == ("campaign", dispatch_partition.task_key)})
    assert 1 <= sent.total() <= 2  # one a channel
    assert _task_runs(stage, late_run) == found - sent + Counter({("campaign", hold_late_run.task_key): 1})


def _people(house: Services) -> int:
    with house.ledger.begin() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(person)).scalar_one())


def _task_runs(stage: Stage, root: str) -> Counter[tuple[str, str]]:
    """(flow, task) -> how often it ran in the run and its sub-flows."""
    parts = stage.call("POST", "/flow_runs/filter", {"flow_runs": {"parent_flow_run_id": {"any_": [root]}}})
    found: Counter[tuple[str, str]] = Counter()
    for run in [stage.call("GET", f"/flow_runs/{root}"), *parts]:
        flow = stage.call("GET", f"/flows/{run['flow_id']}")["name"]
        runs = stage.call("POST", "/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
        found.update((flow, one["task_key"]) for one in runs)
    return found


def test_once_all_events_have_arrived_nothing_is_unknown_or_lost(stage: Stage, little: Project) -> None:
    with stage.house.ledger.begin() as connection:
        states = count_states(connection)
    assert states["unknown"] == 0
    accepted = set(stage.accepted())
    assert accepted <= set(_planned(stage.house)) | set(_planned(stage.house_of(little)))


# Last, because its messages reach the stage's provider as well, and are in no ledger that the tests above look into.
def test_a_winner_is_sent_to_everybody_until_it_is_taken_back(stage: Stage, tmp_path: Path) -> None:
    """Daily looks inside a layer, beside a hold-out: launch, verdict, roll-out and its reversal, each a daily run."""
    with talks(stage, tmp_path / "project") as house:
        launch = house.told(first := house.play(1))
        kept = house.kept_without(first)
        in_arms = {person: told for person, told in launch.items() if told[1]}
        assert set(launch.values()) == {(CONTROL, "control"), (SHORT, "short"), (CONTROL, None)}
        assert house.standing().decision is None

        looked = house.told(house.play(3))
        decided = house.standing()
        assert decided.decision is not None
        evidence = decided.decision["evidence"]
        assert (decided.decision["verdict"], decided.winner, decided.decided_at) == ("ship", "short", at_ten(3))
        assert evidence["definition_hash"] == decided.definition_hash
        assert evidence["comparisons"][0]["adjusted"]["p_value"] < 0.001
        assert {person: looked[person] for person in in_arms if person in looked}.items() <= in_arms.items()
        assert len(looked.keys() & in_arms.keys()) > len(in_arms) / 2  # the verdict comes after the day's messages

        applied = house.told(house.play(4))
        assert {launch[person] for person in launch.keys() & applied.keys()} == set(launch.values())
        assert set(applied.values()) == {(SHORT, None)}

        done = here("experiment", "reverse", EXPERIMENT, "--reason", "the talk is full", "--by", "ops")
        assert done.exit_code == 0, done.output
        reversed_ = house.told(house.play(5))
        assert {launch[person] for person in launch.keys() & reversed_.keys()} == set(launch.values())
        assert set(reversed_.values()) == {(CONTROL, None)}

        assert kept
        assert not kept & {*launch, *looked, *applied, *reversed_}
        assert house.verdicts() == [(at_ten(1), "not_mature"), *((at_ten(day), "ship") for day in (3, 4, 5))]
        assert house.trail() == ["experiment.launch", "experiment.decide", "experiment.apply"]
        pages = house.pages()
    said = [
        "the verdict comes on 2026-03-06 at the latest",
        "Runs after 2026-03-03 send “short” to everybody.",
        "Runs after 2026-03-03 send “short” to everybody.",
        "ops changed “short” to “control”",
    ]
    assert len(pages) == len(said)
    assert [words in page for words, page in zip(said, pages, strict=True)] == [True] * len(said)
    assert "the talk is full" in pages[-1]
    assert "the talk is full" not in pages[-2]
