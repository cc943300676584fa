"""`alongside deliveries` and `alongside resolve` as an operator meets them, on both stores."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import Result
from typer.testing import CliRunner

from alongside.cli.app import app
from alongside.cli.deliveries import _age
from alongside.ledger import Ledger, calls, claims, pauses, schema
from alongside.ledger.claims import Claim, Scope
from alongside.ledger.settlement import Settlement
from alongside.model.errors import Refused
from tests.conftest import ROOT
from tests.fakes import NOON, key_of, plan

Command = Callable[..., Result]
BY_HAND = ("--because", "the feed shows it", "--by", "Li")


@pytest.fixture
def alongside(ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """The command line in this process, on a ledger of its own."""
    for name in ("SENDGRID_URL", "SENDGRID_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALONGSIDE_HOME", str(ROOT))
    monkeypatch.setenv("ALONGSIDE_VAR", str(tmp_path / "var"))
    monkeypatch.setenv("ALONGSIDE_LEDGER_URL", ledger_url)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, words)


def call(ledger: Ledger, campaign: str) -> Claim:
    scope = Scope(campaigns=(campaign,))
    held = claims.claim(
        ledger, scope, attempt_id=f"a-{campaign}", worker="ward-3:77:ab", now=NOON, due=NOON, lease_seconds=60
    )
    assert held is not None
    assert calls.begin_call(ledger, held, now=NOON, lease_seconds=60)
    return held


@pytest.fixture
def busy(ledger: Ledger) -> Ledger:
    """A morning: something refused, something unknown, something in a call, something paused."""
    for start, campaign in ((0, "refused"), (10, "lost"), (20, "silenced"), (30, "sending")):
        plan(ledger, range(start, start + 3), campaign=campaign)
    told = Settlement(rejected={key_of(0): "invalid address"}, accepted=[key_of(1), key_of(2)])
    calls.settle(ledger, call(ledger, "refused"), told, now=NOON, patient_now=NOON)
    call(ledger, "lost")
    calls.expire_calls(ledger, NOON + timedelta(minutes=2))
    call(ledger, "sending")
    with ledger.begin() as connection:
        pauses.set_pause(connection, "campaign:silenced", by="op", reason="stock", now=NOON)
    return ledger


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def names(found: Any) -> set[str]:
    """Every name of the document; keys of counts are states and no fields."""
    if isinstance(found, list):
        return set().union(*map(names, found)) if found else set()
    if not isinstance(found, dict):
        return set()
    inner = [names(value) for name, value in found.items() if name not in ("messages", "batches")]
    return set(found).union(*inner)


# ---------------------------------------------------------------------------------------------------------- deliveries
def test_the_overview_tells_what_an_operator_asks_for(alongside: Command, busy: Ledger) -> None:
    found = document(alongside("deliveries", "--json"))
    groups = {one["campaign"]: one for one in found["groups"]}
    assert groups["refused"]["messages"] == {"accepted": 2, "rejected": 1}
    assert groups["lost"]["batches"] == {"unknown": 1}
    assert groups["lost"]["unknown"]["messages"] == 3
    assert groups["lost"]["unknown"]["since"] == "2026-03-02T04:02:00+00:00"
    assert groups["lost"]["unknown"]["age_seconds"] > 0
    assert groups["sending"]["oldest_claim"]["worker"] == "ward-3:77:ab"
    assert found["waiting"] == [
        {"channel": "email", "campaign": "silenced", "because": "paused", "messages": 3, "batches": 1, "until": None}
    ]
    assert [one["scope"] for one in found["pauses"]] == ["campaign:silenced"]
    assert found["dead"]["messages"] == 1
    table = alongside("deliveries").stdout
    for word in ("refused", "ward-3:77:ab", "invalid address", "campaign:silenced", "stock", "paused", "ran out"):
        assert word in table


def test_dead_letters_are_listed_with_their_reasons(alongside: Command, busy: Ledger) -> None:
    found = document(alongside("deliveries", "--dead", "--json"))
    assert [(one["message_key"], one["reason"], one["person_id"]) for one in found["letters"]] == [
        (key_of(0), "invalid address", f"p{0:016x}")
    ]
    assert found["dead"]["reasons"] == [
        {"channel": "email", "campaign": "refused", "state": "rejected", "reason": "invalid address", "messages": 1}
    ]
    assert key_of(0) in alongside("deliveries", "--dead").stdout
    assert "No message is given up." in alongside("deliveries", "--dead", "--campaign", "lost").stdout


def test_every_field_of_the_json_is_documented(alongside: Command, busy: Ledger) -> None:
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "operator.md").read_text("utf-8")))
    for words in (
        ("deliveries",),
        ("deliveries", "--dead"),
        ("resolve", "--campaign", "lost", "--as", "accepted", *BY_HAND),
    ):
        assert names(document(alongside(*words, "--json"))) - documented == set()


def test_a_list_is_as_long_as_was_asked_for(alongside: Command, ledger: Ledger) -> None:
    plan(ledger, range(5))
    with ledger.begin() as connection:
        connection.execute(schema.message.update().values(state="rejected", reason="no"))
    found = document(alongside("deliveries", "--dead", "--limit", "2", "--json"))
    assert (len(found["letters"]), found["dead"]["messages"]) == (2, 5)


def test_where_nothing_is_it_says_so(alongside: Command, busy: Ledger) -> None:
    assert "no such message" in alongside("deliveries", "--campaign", "flue").stdout
    assert document(alongside("deliveries", "--campaign", "flue", "--json"))["groups"] == []
    assert alongside("deliveries", "--channel", "pigeon").exit_code == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3661, "1 h 1 min"), (97_200, "1 d 3 h"), (-5, "0 s")],
)
def test_ages_are_told_in_two_units(seconds: int, text: str) -> None:
    assert _age(timedelta(seconds=seconds)) == text


# ------------------------------------------------------------------------------------------------------------- resolve
def test_a_campaign_is_settled_by_hand(alongside: Command, busy: Ledger) -> None:
    words = ("resolve", "--campaign", "lost", "--as", "not-sent", *BY_HAND)
    assert "3 given up" in alongside(*words).stdout
    assert document(alongside(*words, "--send-again", "--json")) == {
        "target": "campaign lost",
        "accepted": 0,
        "planned_again": 3,
        "given_up": 0,
    }
    with busy.reading() as connection:
        lines = connection.execute(sa.select(schema.audit.c.actor, schema.audit.c.action)).all()
    assert [tuple(line) for line in lines] == [("Li", "resolve")] * 2


def test_what_a_dead_worker_was_calling_can_be_settled_at_once(alongside: Command, busy: Ledger) -> None:
    done = alongside("resolve", key_of(30), "--as", "accepted", *BY_HAND)
    assert done.exit_code == 0
    assert "1 accepted" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--as", "accepted", *BY_HAND), "Name one message"),
        (("--batch", "b", "--campaign", "c", "--as", "accepted", *BY_HAND), "Name one message"),
        (("--campaign", "lost", "--as", "accepted", "--by", "Li"), "--because TEXT and --by NAME"),
        (("--campaign", "lost"), "--as accepted or --as not-sent"),
        (("--campaign", "lost", "--as", "lost", *BY_HAND), "lost"),
    ],
)
def test_an_incomplete_decision_is_wrong_usage(words: tuple[str, ...], told: str) -> None:
    done = CliRunner().invoke(app, ["resolve", *words])
    assert (done.exit_code, told in done.output) == (2, True)


def test_what_is_not_unknown_is_refused(alongside: Command, busy: Ledger) -> None:
    done = alongside("resolve", key_of(1), "--as", "not-sent", *BY_HAND)
    assert isinstance(done.exception, Refused)
    assert "it is accepted" in str(done.exception)


@pytest.mark.usefixtures("busy")
def test_the_sandbox_asks_no_real_vendor(alongside: Command) -> None:
    done = alongside("resolve")
    assert done.exit_code == 1
    assert "loopback only" in done.output
