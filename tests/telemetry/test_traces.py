"""Traces arrive where they are wanted, hold together over processes, and hold nothing of a patient."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from alongside import telemetry
from alongside.ledger.runs import RunPins, pin_run
from alongside.model.enums import DeliveryMode
from alongside.sandbox.common.faults import Fault, FaultKind
from alongside.sandbox.sendgrid.launch import Running
from alongside.settings import Environment
from tasks import context, runs
from tests.delivery.clinic import FAMILY_NAMES, GIVEN_NAMES, PERSONAL, Clinic
from tests.fakes import NOON, key_of
from tests.telemetry.collector import Collector, collector

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
#: What a process imports that plans, sends and listens; none of it may bring OpenTelemetry along.
UNTRACED = """
import sys
from alongside import telemetry
from alongside.delivery import dispatch, lanes
telemetry.start("x", wanted=False)
with telemetry.span("x", messages=1) as span, telemetry.stage("y", "r1"):
    span.set(accepted=1)
telemetry.record("z", telemetry.began())
telemetry.record_run("r1", 0)
assert telemetry.traceparent() == ""
telemetry.stop()
print([name for name in sys.modules if name.startswith("opentelemetry")])
"""


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector, announced to this process and those that it starts."""
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        telemetry.start("tests", wanted=Environment.read().traces)
        yield found
        telemetry.stop()


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_wanted_where_opentelemetrys_own_variables_say_so(variables: dict[str, str], wanted: bool) -> None:
    assert Environment.read(variables).traces is wanted


def test_without_an_endpoint_nothing_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", UNTRACED], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert telemetry.span("x") is telemetry.span("y")  # one object for all of them


def test_without_the_extra_it_is_said_and_everything_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    telemetry.start("x", wanted=True)
    assert "alongside[otel]" in capsys.readouterr().err
    with telemetry.span("x"):
        assert telemetry.traceparent() == ""


def test_a_dispatch_is_one_trace_over_its_processes(clinic: Clinic, traces: Collector, vendor: Running) -> None:
    """And nothing in it, raw or decoded, is a name, an address, a number or a key of a patient."""
    clinic.admit(range(30))
    clinic.plan(range(30), template=PERSONAL, batch_size=10)
    with telemetry.stage("dispatch partition", "run-1", channel="email"):
        clinic.dispatch(workers=1, run_id="run-1")
    telemetry.stop()
    assert {one.trace for one in traces.spans} == {traces.named("dispatch")[0].trace}
    (dispatch,) = traces.named("dispatch")
    assert dispatch.about["alongside.accepted"] == 30
    batches, calls = traces.named("batch"), traces.named("call vendor")
    assert [len(batches), len(calls), len(traces.named("claim"))] == [3, 3, 3]
    assert {one.parent for one in batches} == {dispatch.span}
    assert {one.parent for one in calls} == {one.span for one in batches}
    assert {(one.service, one.about["alongside.provider"]) for one in calls} == {("alongside-worker", "sendgrid")}
    assert sum(one.about["alongside.accepted"] for one in calls) == 30
    steps = {one.name for one in traces.spans if one.parent in {batch.span for batch in batches}}
    assert steps == {"recheck", "render", "call", "call vendor", "settle"}
    everything = b"".join(traces.raw).decode("latin-1")
    secret = [*GIVEN_NAMES, *FAMILY_NAMES, "example.com", "+86", *(key_of(number) for number in range(30))]
    assert [word for word in secret if word in everything] == []
    assert "p0000000000000001" not in everything


@pytest.fixture
def clinic(tmp_path: Path, vendor: Running) -> Iterator[Clinic]:
    opened = Clinic.open(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "project", vendor.url)
    yield opened
    opened.ledger.engine.dispose()


def test_work_within_the_process_belongs_to_the_same_trace(clinic: Clinic, traces: Collector, vendor: Running) -> None:
    clinic.admit(range(4))
    clinic.plan(range(4), batch_size=2)
    vendor.control.behave([Fault(FaultKind.FAIL, count=1, status=500)])
    clinic.dispatch(workers=0)
    telemetry.stop()
    (dispatch,) = traces.named("dispatch")
    assert {one.parent for one in traces.named("batch")} == {dispatch.span}
    assert sorted(one.about["alongside.unknown"] for one in traces.named("call vendor")) == [0, 2]


def test_a_run_its_stages_and_its_retries_are_one_trace(
    clinic: Clinic, traces: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs a stage, in whatever process: ids come from the run's."""
    root = str(clinic.project.root)
    monkeypatch.setenv("ALONGSIDE_LEDGER_URL", clinic.environment.ledger_url)
    context.services.cache_clear()
    begun = datetime.now(UTC)
    with clinic.ledger.begin() as connection:
        pin_run(connection, RunPins("r1", NOON, "c", "c", DeliveryMode.SANDBOX, True, False, begun))
    runs.hold_late_run.fn("r1", root)
    elsewhere = threading.Thread(target=runs.hold_late_run.fn, args=("r1", root))
    elsewhere.start()
    elsewhere.join()
    runs.finish.fn("r1", held=True, root=root)
    context.services.cache_clear()
    telemetry.stop()
    (run,) = traces.named("run")
    stages = [one for one in traces.spans if one.name != "run"]
    assert sorted(one.name for one in stages) == ["finish", "hold late run", "hold late run"]
    assert {(one.trace, one.parent) for one in stages} == {(run.trace, run.span)}
    assert (run.about["alongside.outcome"], run.about["alongside.run_id"]) == ("held", "r1")
    assert run.nanoseconds > 0


def test_an_error_is_told_by_its_kind_only(traces: Collector) -> None:
    with pytest.raises(ValueError, match="Anna"), telemetry.span("plan", campaign="flu"):
        raise ValueError("Anna Smith has no address")
    telemetry.stop()
    assert [one.error for one in traces.spans] == ["ValueError"]
    assert b"Anna" not in b"".join(traces.raw)


def test_what_no_span_may_say_is_refused(traces: Collector) -> None:
    with pytest.raises(ValueError, match="says nothing of 'message_key'"), telemetry.span("x", message_key="0" * 32):
        pass
    with telemetry.span("y", campaign="Anna Smith <anna@example.com>"):
        pass
    telemetry.stop()
    assert [one.about for one in traces.named("y")] == [{"alongside.campaign": "?"}]


def test_a_process_goes_on_in_the_trace_that_it_was_started_in(monkeypatch: pytest.MonkeyPatch) -> None:
    body = (
        "import sys\nfrom alongside import telemetry\nfrom alongside.settings import Environment\n"
        "of = Environment.read()\ntelemetry.start('child', wanted=of.traces, traceparent=of.traceparent)\n"
        "with telemetry.span('x'):\n    sys.stdout.write(telemetry.traceparent())\ntelemetry.stop()\n"
    )
    with collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        monkeypatch.setenv("TRACEPARENT", PARENT)
        done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, check=True)
    assert done.stdout.split("-")[1] == PARENT.split("-")[1]
    assert [(one.parent, one.service) for one in found.spans] == [(PARENT.split("-")[2], "child")]


def test_a_collector_that_is_away_holds_up_nothing(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    clinic.admit(range(4))
    clinic.plan(range(4), batch_size=2)
    assert clinic.dispatch(workers=1).progress.accepted == 4
