"""What an approval of an exact plan covers: that plan, by its whole hash or its first digits, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alongside.ledger.approvals import Approval
from alongside.model.enums import DeliveryMode
from alongside.outreach.approval import PRINTED, PlanHash, covers, objections
from alongside.outreach.campaigns import Campaign

NOW = datetime(2026, 3, 1, tzinfo=UTC)
ONE_OFF = Campaign.model_validate(
    {
        "name": "flood_notice",
        "description": {"en": "The ground floor is closed."},
        "segment": "everybody",
        "message": "prevention/flood",
        "envelope": {"max_audience": 10},
        "approve_plan": True,
    }
)
REAL = [DeliveryMode.STAGING, DeliveryMode.LIVE]


def hash_of(*messages: tuple[str, ...]) -> str:
    found = PlanHash()
    found.add(messages)
    return found.hex


PLAN = hash_of(("k1", "text"), ("k2", "text"))


def approved(plan_hash: str | None) -> Approval:
    return Approval("flood_notice", "c" * 64, plan_hash, {"max_audience": 10}, "Li", NOW, None)


@pytest.mark.parametrize("mode", REAL)
@pytest.mark.parametrize("digits", [PRINTED, 20, 64])
def test_a_plan_is_covered_by_its_hash_or_the_part_that_is_printed(mode: DeliveryMode, digits: int) -> None:
    assert objections(ONE_OFF, mode, approved(PLAN[:digits]), PLAN, 2, None) == []


@pytest.mark.parametrize("mode", REAL)
@pytest.mark.parametrize(
    "changed",
    [
        hash_of(("k1", "text")),
        hash_of(("k1", "text"), ("k2", "text"), ("k3", "text")),
        hash_of(("k1", "text"), ("k2", "other words")),
    ],
    ids=["one fewer", "one more", "other words"],
)
def test_a_plan_that_changed_is_not_covered(mode: DeliveryMode, changed: str) -> None:
    found = objections(ONE_OFF, mode, approved(PLAN[:PRINTED]), changed, 2, None)
    assert len(found) == 1
    assert f"alongside approve flood_notice --exact-plan {changed[:PRINTED]}" in found[0]


@pytest.mark.parametrize("given", [None, "", PLAN[: PRINTED - 1], PLAN.upper(), PLAN[1:], PLAN + "0"])
def test_what_names_no_plan_covers_none(given: str | None) -> None:
    assert not covers(given, PLAN)


def test_a_campaign_that_does_not_ask_for_it_needs_no_exact_plan() -> None:
    usual = ONE_OFF.model_copy(update={"approve_plan": False})
    assert objections(usual, DeliveryMode.LIVE, approved(None), PLAN, 2, None) == []


def test_the_stand_in_needs_no_exact_plan() -> None:
    assert objections(ONE_OFF, DeliveryMode.SANDBOX, None, PLAN, 2, None) == []
