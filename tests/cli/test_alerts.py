"""`alongside alerts`: what lasts, whom the engine told, and a trial."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from alongside import telemetry
from alongside.ledger import Ledger, pauses
from tasks import context, staff
from tests.alerts.robot import Robot, robot
from tests.cli.conftest import here
from tests.ledgers import SqliteLedgers


@pytest.fixture
def group() -> Iterator[Robot]:
    with robot() as found:
        yield found


@pytest.fixture
def house(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_ledgers: SqliteLedgers, group: Robot
) -> Iterator[Path]:
    """A hospital that tells one group of staff; a campaign of it has paused itself."""
    root = tmp_path / "hospital"
    assert here("init", str(root)).exit_code == 0
    file = root / "config" / "alongside.yaml"
    told = {"receivers": [{"name": "operators", "url": "env:ALONGSIDE_STAFF_URL_1", "locale": "en"}]}
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text("utf-8")), "staff": told}), "utf-8")
    url = sqlite_ledgers.place(tmp_path / "ledger.db")
    for name, value in {
        "ALONGSIDE_HOME": str(root),
        "ALONGSIDE_VAR": str(tmp_path / "var"),
        "ALONGSIDE_LEDGER_URL": url,
        "ALONGSIDE_STAFF_URL_1": group.url,
        "COLUMNS": "200",
    }.items():
        monkeypatch.setenv(name, value)
    ledger = Ledger.open(url)
    with ledger.begin() as connection:
        pauses.set_pause(connection, "campaign:flu", by=pauses.ITSELF, reason="bounces", now=datetime.now(UTC))
    ledger.engine.dispose()
    context.services.cache_clear()
    yield root
    context.services.cache_clear()


def test_what_lasts_is_listed_with_who_was_told(house: Path, group: Robot) -> None:
    (before,) = json.loads(here("alerts", "list", "--json").stdout)
    assert (before["event"], before["subject"], before["told"]) == ("campaign_paused", "flu", [])
    assert group.texts == []  # a list tells nobody
    done = here("alerts", "tell", "--json")
    assert json.loads(done.stdout)[0]["alerts"] == ["campaign_paused:flu"]
    (after,) = json.loads(here("alerts", "list", "--json").stdout)
    assert (after["told"][0]["receiver"], after["told"][0]["trouble"]) == ("operators", None)
    assert "operators" in here("alerts", "list").stdout
    assert "nothing new" in here("alerts", "tell").stdout
    assert len(group.texts) == 1


def test_a_run_tells_staff_and_never_fails_of_it(house: Path, group: Robot) -> None:
    group.answer = (502, b"")
    assert staff.tell_receivers.fn(str(house)) == [{"receiver": "operators", "alerts": 1, "messages": 0, "told": False}]
    assert group.asked == 1


def test_a_trial_says_whom_it_reached_and_why_not(house: Path, group: Robot) -> None:
    assert "operators: told, 1 messages" in here("alerts", "test").stdout
    assert "This is a trial" in group.texts[0]
    group.answer = (200, b'{"errcode": 93000, "errmsg": "invalid webhook url"}')
    done = here("alerts", "test", "--to", "operators")
    assert done.exit_code == 1
    assert "there is no such robot (93000)" in done.stdout
    nobody = here("alerts", "test", "--to", "nurses")
    assert nobody.exit_code == 1
    assert "Known: operators" in str(nobody.exception)


@pytest.mark.parametrize(
    ("staff", "words"),
    [
        ({"receivers": [{"name": "a1", "url": "https://qyapi.weixin.qq.com/x"}]}, "write env:NAME"),
        ({"receivers": [{"name": "a1", "url": "env:A", "events": ["campain_paused"]}]}, "'campaign_paused'"),
        ({"receivers": [{"name": "a1", "url": "env:A"}] * 2}, "'a1' stands twice"),
        ({"recievers": []}, "'receivers'"),
    ],
)
def test_faults_of_the_configuration_are_named(house: Path, staff: dict[str, object], words: str) -> None:
    file = house / "config" / "alongside.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text("utf-8")), "staff": staff}), "utf-8")
    done = here("check")
    assert done.exit_code == 1
    assert words in done.output


def test_doctor_names_addresses_that_are_missing_and_traces_that_nobody_can_send(
    house: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> dict[str, tuple[str, str]]:
        checks = json.loads(here("doctor", "--json").stdout)["checks"]
        return {one["name"]: (one["state"], one["found"]) for one in checks}

    seeds = "seeds: [{name: us, email: env:ALONGSIDE_SEED_1}]"
    (house / "config" / "seeds.yaml").write_text(seeds, "utf-8")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    found = told()
    assert found["staff"] == ("ok", "told by the engine: operators")
    assert found["seeds"] == ("warning", "ALONGSIDE_SEED_1 not set: no copies go there")
    assert found["traces"][0] == "ok"
    monkeypatch.delenv("ALONGSIDE_STAFF_URL_1")
    monkeypatch.setenv("ALONGSIDE_SEED_1", "us@staff.example")
    monkeypatch.setattr(telemetry, "is_installed", lambda: False)
    found = told()
    assert found["staff"] == ("warning", "ALONGSIDE_STAFF_URL_1 not set: these are told of nothing")
    assert found["seeds"] == ("ok", "1 seeds, in live")
    assert found["traces"][0] == "warning"
