"""What patients wish, in a plan: laid over the snapshot, and which campaigns choose by health or conduct."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from alongside.ledger import Ledger, wishes
from alongside.ledger.schema import person
from alongside.ledger.wishes import WishEvent
from alongside.model.enums import Purpose, WishKind
from alongside.outreach import catalogues
from alongside.outreach.wishes import is_selective, lay_over
from alongside.settings import Project
from tests.conftest import ROOT

DAY = datetime(2026, 3, 1, tzinfo=UTC)
PEOPLE = ("p1", "p2")


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A snapshot of two people: CRM knows of both that they want no messages on sleep, in the morning, by text."""
    with duckdb.connect() as duck:
        wish = "'zh_CN' AS language, 'sms' AS preferred_channel, '20:00' AS quiet_from, '10:00' AS quiet_to"
        duck.execute(
            f"COPY (SELECT unnest(['p1', 'p2']) AS person_id, {wish}, ['sleep'] AS topics_off, 60 AS age)"
            f" TO '{tmp_path / 'person.parquet'}' (FORMAT parquet)"
        )
        duck.execute(
            "COPY (SELECT unnest(['p1', 'p2']) AS person_id, 'crm' AS source, '1' AS source_id, 'sms' AS channel,"
            " NULL::VARCHAR AS language, '20:00' AS quiet_from, '10:00' AS quiet_to, 'sleep' AS topics_off,"
            f" TIMESTAMP '2026-02-20' AS updated_at) TO '{tmp_path / 'preference.parquet'}' (FORMAT parquet)"
        )
    return tmp_path


def wish(ledger: Ledger, kind: WishKind, value: str, at: datetime = DAY) -> None:
    with ledger.begin() as connection:
        if not connection.execute(person.select().where(person.c.person_id == "p1")).first():
            connection.execute(person.insert().values(person_id="p1", minted_at=DAY))
        wishes.record(connection, [WishEvent("p1", kind, value, at, "preferences")], at)


def seen(ledger: Ledger, tables: Path) -> dict[str, dict[str, Any]]:
    with duckdb.connect() as duck:
        lay_over(duck, tables, ledger)
        rows = duck.sql("SELECT * FROM person ORDER BY person_id").to_arrow_table().to_pylist()
    return {row.pop("person_id"): row for row in rows}


AS_PICTURED = {
    "language": "zh_CN",
    "preferred_channel": "sms",
    "quiet_from": "20:00",
    "quiet_to": "10:00",
    "topics_off": ["sleep"],
    "age": 60,
    "pace_days": None,
    "general_only": False,
}


def test_without_wishes_the_picture_is_the_snapshots(ledger: Ledger, tables: Path) -> None:
    assert seen(ledger, tables) == dict.fromkeys(PEOPLE, AS_PICTURED)


@pytest.mark.parametrize(
    ("kind", "value", "changed"),
    [
        (WishKind.TOPICS_OFF, "", {"topics_off": []}),
        (WishKind.TOPICS_OFF, "diabetes|sleep", {"topics_off": ["diabetes", "sleep"]}),
        (WishKind.LANGUAGE, "en", {"language": "en"}),
        (WishKind.QUIET, "-", {"quiet_from": None, "quiet_to": None}),
        (WishKind.QUIET, "22:00/07:00", {"quiet_from": "22:00", "quiet_to": "07:00"}),
        (WishKind.CHANNEL, "-", {"preferred_channel": None}),
        (WishKind.PACE, "weekly", {"pace_days": 7}),
        (WishKind.PACE, "monthly", {"pace_days": 30}),
        (WishKind.PACE, "normal", {}),
        (WishKind.GENERAL_ONLY, "yes", {"general_only": True}),
    ],
)
def test_a_wish_counts_at_once_and_for_nobody_else(
    ledger: Ledger, tables: Path, kind: WishKind, value: str, changed: dict[str, Any]
) -> None:
    wish(ledger, kind, value)
    assert seen(ledger, tables) == {"p1": {**AS_PICTURED, **changed}, "p2": AS_PICTURED}


def test_what_the_hospital_was_told_later_counts_more(ledger: Ledger, tables: Path) -> None:
    wish(ledger, WishKind.TOPICS_OFF, "", datetime(2026, 2, 20, tzinfo=UTC) - timedelta(days=1))
    assert seen(ledger, tables)["p1"] == AS_PICTURED


def test_shipped_campaigns_that_choose_by_health_or_conduct() -> None:
    loaded = catalogues.load(Project.at(ROOT))
    purposes = {one.name: loaded.content.message(one.message).definition.purpose for one in loaded.campaigns}
    selective = {one.name for one in loaded.campaigns if is_selective(one, loaded)}
    assert selective == {name for name, purpose in purposes.items() if purpose is not Purpose.CARE}


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("age >= 60 and gender = 'female'", False),
        ("has_tag('at_home') and has_tag('senior')", False),  # whether somebody is in hospital is asked of everybody
        ("not list_contains(topics_off, 'sleep')", False),
        ("has_condition('hypertension')", True),
        ("articles_read_90d > 3", True),
        ("tag('heart_risk') = 'high'", True),
        ("in_segment('office_workers') and age < 40", None),
    ],
)
def test_what_a_condition_chooses_by(condition: str, found: bool | None) -> None:
    from alongside.outreach.wishes import GENERAL
    from alongside.segments import compile_variables

    segments = catalogues.load(Project.at(ROOT)).segments
    (tree,) = compile_variables({"x": condition}, segments).trees.values()
    read = {name.split(".")[0] for name in segments.chooses_by(tree)}
    if found is None:  # through a segment as by itself
        inner = segments.chooses_by(segments.definition(("segment", "office_workers")).tree)
        assert inner <= segments.chooses_by(tree)
    else:
        assert bool(read - GENERAL) is found
