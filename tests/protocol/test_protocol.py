"""The claim protocol: a small model explored in full, and the ledger held against it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from alongside.ledger import Ledger
from alongside.ledger.protocol import FORWARD_ORDER, STEPS, TAKEN
from tests.conftest import ROOT
from tests.ledgers import PostgresLedgers, SqliteLedgers, require
from tests.protocol import model
from tests.protocol.explore import Broken, Rules, explore
from tests.protocol.machine import LedgerAndModel

#: Bounds that a second or two can walk through in full; each leaves room for what the others leave out.
TWO = Rules(claims=2, withdrawals=0, outcomes="accepted retry taken")
ONE = Rules(messages=1, claims=2)
EXPLORED = {
    "two messages, some taken": TWO,
    "two messages, some refused": replace(TWO, crashes=0, outcomes="accepted rejected lost"),
    "two reconciliations": Rules(claims=2, crashes=0, withdrawals=0, reconcilers=2, outcomes="retry taken"),
    "opt-out and pause": replace(ONE, pauses=1),
    "three claims": replace(ONE, claims=3, withdrawals=0, outcomes="accepted retry taken lost"),
    "nobody can tell": replace(TWO, lookup=False, outcomes="retry taken lost", crashes=0),
    "nobody can tell, care": replace(TWO, lookup=False, resends=True, outcomes="taken lost", crashes=0),
}


@pytest.mark.parametrize("name", EXPLORED)
def test_no_interleaving_breaks_the_protocol(name: str) -> None:
    assert explore(EXPLORED[name]) > 1000


def _no_fence(of: model.Ledger, batch: int, _attempt: int | None, *states: str) -> bool:
    return of.batches[batch].state in states


def _any_batch(of: model.Ledger, batch: int, keys: tuple[int, ...]) -> model.Ledger:
    waiting = {key: model.Message(model.P, len(of.batches)) for key in keys if of.messages[key].state == model.P}
    return model._write(of, waiting)._replace(batches=(*of.batches, model.Batch())) if waiting else of


def _backwards(of: model.Ledger, key: int, state: str) -> model.Ledger:
    return model._write(of, {key: of.messages[key]._replace(state=state)})


@pytest.mark.parametrize(
    ("function", "broken", "rules", "words"),
    [
        ("_holds", _no_fence, TWO, "twice|again"),
        ("_split", _any_batch, replace(TWO, crashes=0), "out of a batch that is being called"),
        ("event", _backwards, ONE, "moved back"),
        ("recheck", lambda of, batch: (of.keys(batch, model.P), ()), replace(ONE, workers=1), "lost"),
        ("expire_calls", lambda of, *_: of, ONE, "lost"),
    ],
)
def test_exploring_finds_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, function: str, broken: object, rules: Rules, words: str
) -> None:
    monkeypatch.setattr(model, function, broken)
    with pytest.raises(Broken, match=words):
        explore(rules)


def test_the_model_and_the_engine_order_states_alike() -> None:
    assert {state.value: place for state, place in FORWARD_ORDER.items()} == model.ORDER
    assert {state.value for state in TAKEN} == model.KNOWN_TAKEN


# ------------------------------------------------------------------------------------------ the ledger and the model
def _hurried(url: str) -> Ledger:
    """A ledger of a test in which no power fails: it need not wait for the disk."""
    ledger = Ledger.open(url)
    if ledger.is_sqlite:
        ledger.engine.dispose()
        sa.event.listen(ledger.engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF"))
    return ledger


def _follow(ledger: Ledger, histories: int, steps: int) -> None:
    """Play histories; the machine's invariants assert after every step that ledger and model agree."""
    quiet = settings(
        max_examples=histories, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    try:
        run_state_machine_as_test(lambda: LedgerAndModel(ledger), settings=quiet)
    finally:
        ledger.engine.dispose()


def test_the_ledger_follows_the_model(sqlite_ledgers: SqliteLedgers, tmp_path: Path) -> None:
    _follow(_hurried(sqlite_ledgers.place(tmp_path / "ledger.db")), histories=25, steps=30)


@pytest.mark.postgres
def test_the_ledger_follows_the_model_on_postgresql(postgres_ledgers: PostgresLedgers) -> None:
    _follow(_hurried(require(postgres_ledgers).emptied()), histories=5, steps=20)


# --------------------------------------------------------------------------------------------------------- the page
def test_the_page_shows_the_steps_as_they_are() -> None:
    page = (ROOT / "docs" / "exactly-once.md").read_text("utf-8")
    rows = re.findall(r"^\| (\w+) \| ([\w, ]+) \| `(\w+\.\w+)` \| (.+) \|$", page, re.MULTILINE)
    expected = [
        (source.value, ", ".join(state.value for state in targets), step.function, step.when)
        for step in STEPS
        for source, targets in step.moves.items()
    ]
    assert rows == expected
    drawn = set(re.findall(r"^ +(\w+) --> (\w+):? ?", page, re.MULTILINE))
    moves = {(source, target) for source, targets, _, _ in expected for target in targets.split(", ")}
    assert drawn == moves - {("unknown", "unknown")}
    shown = " < ".join(f"`{state.value}`" for state in FORWARD_ORDER)
    assert shown in " ".join(page.split())
