"""Everything that may keep a message from somebody comes before their arm, so that the arms stay comparable."""

from __future__ import annotations

import shutil
from collections import Counter

import duckdb
import pytest

from alongside.ledger.experiments import assignments
from alongside.model.enums import Gate
from alongside.outreach.campaign_plan import CampaignPlan
from tests.end_to_end.conftest import Played, edit

EXPERIMENT = "hypertension_review_wording"
FILE = f"config/experiments/{EXPERIMENT}.yaml"
PERSONAL = "templates/prevention/flu_vaccine_personal"


@pytest.fixture
def tested(refreshed: Played) -> Played:
    """The flu campaign compares its message with a copy of it."""
    shutil.copytree(refreshed.project.root / "templates/prevention/flu_vaccine", refreshed.project.root / PERSONAL)
    edit(refreshed, FILE, "campaign: hypertension_follow_up", "campaign: flu_vaccine")
    edit(refreshed, FILE, "follow_up/hypertension_review_personal", "prevention/flu_vaccine_personal")
    edit(refreshed, FILE, "follow_up/hypertension_review", "prevention/flu_vaccine")
    edit(refreshed, "config/campaigns/flu_vaccine.yaml", "channels: [email, sms]", "channels: [email]")
    edit(refreshed, FILE, "goal: booked_follow_up", "goal: booked_vaccination")
    return refreshed


def _say(played: Played, words: str) -> None:
    """Add words to every body of the second variant, and the district that the patient lives in to its values."""
    for body in (played.project.root / PERSONAL).glob("email.*.txt.j2"):
        text = body.read_text("utf-8")
        body.write_text(text.replace("{% endblock %}", words + "{% endblock %}"), "utf-8")
    district = "  district: {value: district, example: Haidian, description: Where the patient lives}\n"
    edit(played, f"{PERSONAL}/message.yaml", "variables:\n", f"variables:\n{district}")


def _masks(played: Played) -> dict[str, Gate]:
    decisions = played.project.var / "runs/r1/decisions/flu_vaccine.parquet"
    rows = duckdb.sql(f"SELECT person_id, mask FROM read_parquet('{decisions}')").fetchall()
    return {person: Gate(mask) for person, mask in rows}


def _arms(played: Played) -> dict[str, str]:
    table = assignments(played.house.ledger, EXPERIMENT)
    return dict(zip(table.column("person_id").to_pylist(), table.column("variant").to_pylist(), strict=True))


def _plan(played: Played) -> CampaignPlan:
    plan = played.plan("r1", "flu_vaccine")["flu_vaccine"]
    assert plan.state == "planned", plan.reason
    return plan


def test_no_arm_without_consent_address_and_room_in_the_contact_budget(tested: Played) -> None:
    edit(tested, "config/alongside.yaml", "messages: 3, days: 7", "messages: 1, days: 7")
    tested.plan("r1", "colorectal_screening")
    _plan(tested)
    masks, arms = _masks(tested), _arms(tested)
    assert set(arms) == {person for person, mask in masks.items() if not mask}
    assert set(arms.values()) == {"control", "personal"}
    for gate in (Gate.NO_CONSENT, Gate.NO_ADDRESS, Gate.FREQUENCY_CAP):
        assert any(gate in mask for mask in masks.values()), gate


@pytest.mark.parametrize(
    ("words", "gate", "fails"),
    [
        ("{{ district }}", Gate.RENDER_FAILED, "district IS NULL"),
        (
            "{% if aged_60 %}包治百病 guaranteed cure {% endif %}",
            Gate.CLAIMS_LINT,
            "age >= 60",
        ),
    ],
    ids=["rendering", "lint"],
)
def test_whoever_one_variant_fails_for_is_in_no_arm(tested: Played, words: str, gate: Gate, fails: str) -> None:
    """Also not in control, whose message would have been fine: it would hold the people that the other lacks."""
    _say(tested, words)
    _plan(tested)
    masks, arms = _masks(tested), _arms(tested)
    failed = {person for person, mask in masks.items() if mask == gate}
    assert failed
    assert min(Counter(arms.values()).values()) > 5
    tables = tested.project.var / "snapshots/snapshot-r1/tables"
    rows = duckdb.sql(f"SELECT person_id FROM read_parquet('{tables}/person.parquet') WHERE {fails}").fetchall()
    affected = {row[0] for row in rows}
    assert failed <= affected
    assert not affected & arms.keys()
