"""Who is in an experiment, who only gets its campaign's message, and who gets none: on a real snapshot."""

from __future__ import annotations

import json

import duckdb
import pytest
import sqlalchemy as sa
from click.testing import Result
from typer.testing import CliRunner

from alongside.checking import check_project
from alongside.cli.app import app
from alongside.ledger.experiments import assignments
from alongside.ledger.schema import message
from alongside.outreach.approval import approved_form
from alongside.outreach.campaigns import find_campaign
from alongside.outreach.experiments import Layer
from alongside.outreach.experiments.assignment import in_slice
from alongside.outreach.plan import OUTSIDE
from alongside.outreach.why import why
from tests.end_to_end.conftest import Played, edit

CAMPAIGN = "hypertension_follow_up"
EXPERIMENT = "hypertension_review_wording"
FILE = f"config/experiments/{EXPERIMENT}.yaml"


def _messages(played: Played) -> dict[str, tuple[str, str | None, str | None]]:
    """person -> template, experiment and variant of their message of the campaign."""
    query = sa.select(message.c.subject_person_id, message.c.template, message.c.experiment, message.c.variant)
    with played.house.ledger.reading() as connection:
        return {row[0]: tuple(row[1:]) for row in connection.execute(query.where(message.c.campaign == CAMPAIGN))}


def _arms(played: Played) -> dict[str, str]:
    table = assignments(played.house.ledger, EXPERIMENT)
    return dict(zip(table.column("person_id").to_pylist(), table.column("variant").to_pylist(), strict=True))


def test_who_lies_outside_the_slice_gets_the_controls_message_and_is_in_no_arm(refreshed: Played) -> None:
    edit(refreshed, FILE, "control: control", "control: control\nlayer: {name: reminders, from: 0.1, to: 0.8}")
    edit(refreshed, FILE, "minimum_effect: 0.5", "minimum_effect: 0.7")
    plan = refreshed.plan("r1", CAMPAIGN)[CAMPAIGN]
    assert plan.state == "planned", plan.reason
    messages, arms = _messages(refreshed), _arms(refreshed)
    layer = Layer.model_validate({"name": "reminders", "from": 0.1, "to": 0.8})
    people = sorted(messages)
    inside = in_slice(refreshed.house.ledger.info.secret, layer, people).to_pylist()
    assert set(arms) == {person for person, is_in in zip(people, inside, strict=True) if is_in}
    outside = messages.keys() - arms.keys()
    assert len(arms) > len(outside) > 0
    assert {messages[person] for person in outside} == {("follow_up/hypertension_review", None, None)}
    assert all(messages[person][1:] == (EXPERIMENT, arm) for person, arm in arms.items())
    assert plan.variants[OUTSIDE] == len(outside)
    assert plan.variants["control"] + plan.variants["personal"] == len(arms)


def test_only_the_slice_counts_for_the_launch(refreshed: Played) -> None:
    """The whole audience would be enough for the effect; a twentieth of it is not."""
    edit(refreshed, FILE, "control: control", "control: control\nlayer: {name: reminders, from: 0.1, to: 0.15}")
    plan = refreshed.plan("r1", CAMPAIGN)[CAMPAIGN]
    assert plan.state == "held"
    assert "underpowered" in plan.reason
    assert _messages(refreshed) == {}


# ------------------------------------------------------------------------------------------------- households, clinics
def _in_clusters(played: Played, unit: str) -> None:
    """The shipped experiment with another unit, and the design that it needs."""
    edit(played, FILE, "unit: person", f"unit: {unit}")
    edit(played, FILE, "subgroups: [age_band, gender]", "#")
    edit(played, FILE, "looks: daily", "cluster_size: 1.5\n  cluster_icc: 0.1\n  looks: final")
    edit(played, FILE, "minimum_effect: 0.5", "minimum_effect: 0.7")


def _picture(played: Played, run_id: str, sets: str) -> list[str]:
    """Change the picture of the campaign's audience; returns them in order."""
    tables = played.project.var / "snapshots" / f"snapshot-{run_id}" / "tables"
    person, kept = tables / "person.parquet", tables / "kept.parquet"
    found = duckdb.sql(
        f"SELECT person_id FROM read_parquet('{tables}/membership.parquet')"
        " WHERE segment = 'hypertension_follow_up_due' ORDER BY person_id"
    ).fetchall()
    audience = [row[0] for row in found]
    duckdb.sql(
        f"COPY (SELECT p.* REPLACE ({sets}) FROM read_parquet('{person}') AS p LEFT JOIN"
        " (SELECT unnest($audience) AS person_id, unnest(range(len($audience))) AS place) AS a USING (person_id))"
        f" TO '{kept}' (FORMAT parquet)",
        params={"audience": audience},
    )
    kept.replace(person)
    return audience


def _clusters(played: Played) -> dict[str, tuple[str, str]]:
    """person -> arm and cluster."""
    rows = assignments(played.house.ledger, EXPERIMENT).to_pylist()
    return {row["person_id"]: (row["variant"], row["cluster_id"]) for row in rows}


def test_a_household_has_one_arm(refreshed: Played) -> None:
    """Three people an address: one arm, and one pseudonym that is nobody's id."""
    _in_clusters(refreshed, "household")
    homes = "CASE WHEN a.place IS NULL THEN postal_blind ELSE 'home' || (a.place // 3) END AS postal_blind"
    audience = _picture(refreshed, "r1", homes)
    plan = refreshed.plan("r1", CAMPAIGN)[CAMPAIGN]
    assert plan.state == "planned", plan.reason
    first, messages = _clusters(refreshed), _messages(refreshed)
    assert first.keys() == messages.keys()
    assert {arm for arm, _ in first.values()} == {"control", "personal"}
    together = 0
    for place in range(0, len(audience), 3):
        found = {first[person] for person in audience[place : place + 3] if person in first}
        assert len(found) <= 1
        together += len([person for person in audience[place : place + 3] if person in first]) > 1
    assert together > 5
    assert not {cluster for _, cluster in first.values()} & set(audience)


def test_whoever_moves_in_later_joins_the_arm_of_the_household(refreshed: Played) -> None:
    """The first day half of the people live alone and are planned; then each takes somebody in, whose id is smaller."""
    _in_clusters(refreshed, "household")
    audience = _picture(refreshed, "r1", "CASE WHEN a.place % 2 = 0 THEN TRUE ELSE deceased END AS deceased")
    refreshed.plan("r1", CAMPAIGN)
    first = _clusters(refreshed)
    assert first
    assert first.keys() <= set(audience[1::2])
    refreshed.refresh("r2", "2026-03-02T08:00+08:00")
    homes = "CASE WHEN a.place IS NULL THEN postal_blind ELSE 'home' || (a.place // 2) END AS postal_blind"
    audience = _picture(refreshed, "r2", homes)
    refreshed.plan("r2", CAMPAIGN)
    now, newcomers = _clusters(refreshed), 0
    for person, *mates in (audience[place : place + 2] for place in range(0, len(audience), 2)):
        for mate in mates:
            if mate in first and person in now and person not in first:
                assert now[person] == first[mate]
                newcomers += 1
    assert {person: now[person] for person in first} == first
    assert newcomers > 5


def test_a_clinic_has_one_arm_and_who_has_no_clinic_is_in_none(refreshed: Played) -> None:
    _in_clusters(refreshed, "clinic")
    edit(refreshed, FILE, "cluster_icc: 0.1", "cluster_icc: 0.0")
    departments = (
        "CASE WHEN a.place % 10 = 0 THEN NULL WHEN a.place % 2 = 0 THEN 'Eye ' || (a.place % 30) END"
        " AS next_appointment_department,"
        " CASE WHEN a.place % 10 = 0 THEN NULL ELSE 'Heart ' || (a.place % 30) END AS last_department"
    )
    audience = _picture(refreshed, "r1", departments)
    plan = refreshed.plan("r1", CAMPAIGN)[CAMPAIGN]
    assert plan.state == "planned", plan.reason
    arms, messages = _clusters(refreshed), _messages(refreshed)
    homeless = {person for person in audience[::10] if person in messages}
    assert homeless
    assert messages.keys() - arms.keys() == homeless
    assert {messages[person] for person in homeless} == {("follow_up/hypertension_review", None, None)}
    by_clinic: dict[int, set[tuple[str, str]]] = {}
    for place, person in enumerate(audience):
        if person in arms:
            by_clinic.setdefault(place % 30, set()).add(arms[person])
    assert {len(found) for found in by_clinic.values()} == {1}
    assert len(set().union(*by_clinic.values())) == len(by_clinic) == 27


# ---------------------------------------------------------------------------------------------------------- hold-outs
FLU = "config/campaigns/flu_vaccine.yaml"


def _kept_without(played: Played, run_id: str) -> set[str]:
    decisions = played.house.project.var / "runs" / run_id / "decisions" / "flu_vaccine.parquet"
    rows = duckdb.sql(f"SELECT person_id FROM read_parquet('{decisions}') WHERE kept_without").fetchall()
    return {row[0] for row in rows}


def test_a_campaigns_hold_out_hears_nothing_and_is_the_same_in_every_run(refreshed: Played) -> None:
    edit(refreshed, FLU, "envelope:", "holdout: 0.1\nenvelope:")
    plan = refreshed.plan("r1", "flu_vaccine")["flu_vaccine"]
    held = _kept_without(refreshed, "r1")
    assert plan.gates["campaign_holdout"] == len(held)
    assert plan.funnel["audience"] * 0.04 < len(held) < plan.funnel["audience"] * 0.17
    assert 0 < plan.funnel["gate:campaign_holdout"] <= len(held)
    assert not held & {row[0] for row in _told(refreshed, "flu_vaccine")}
    refreshed.refresh("r2", "2026-03-02T08:00+08:00")
    edit(refreshed, FLU, "holdout: 0.1", "holdout: 0.2")
    refreshed.plan("r2", "flu_vaccine")
    again = _kept_without(refreshed, "r2")
    assert held < again  # a larger share adds people and lets nobody go


def _told(played: Played, campaign: str) -> list[tuple[str]]:
    with played.house.ledger.reading() as connection:
        query = sa.select(message.c.subject_person_id).where(message.c.campaign == campaign)
        return [tuple(row) for row in connection.execute(query)]


def test_why_says_that_somebody_is_in_the_campaigns_hold_out(refreshed: Played) -> None:
    edit(refreshed, FLU, "envelope:", "holdout: 0.1\nenvelope:")
    refreshed.plan("r1", "flu_vaccine")
    house, person = refreshed.house, min(_kept_without(refreshed, "r1"))
    with house.warehouse.connect() as duck:
        answers = why(house.ledger, duck, house.project.var / "runs", person)
    gates = {gate.gate: gate.meaning for item in answers if item.campaign == "flu_vaccine" for gate in item.gates}
    assert "this campaign's hold-out" in gates["campaign_holdout"]


def test_the_command_compares_with_the_hold_out(refreshed: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(refreshed, FLU, "envelope:", "holdout: 0.1\nenvelope:")
    refreshed.plan("r1", "flu_vaccine")
    monkeypatch.setenv("ALONGSIDE_HOME", refreshed.root)

    def effect(*words: str) -> Result:
        return CliRunner().invoke(app, ["effect", *words])

    found = json.loads(effect("flu_vaccine", "--metric", "booked_vaccination", "--json").output)
    assert found["arms"]["without"]["n"] > 0
    assert found["comparisons"][0]["reason"] == "empty_arm"  # no window is closed yet
    assert f"{found['arms']['without']['n']} kept" in effect("flu_vaccine", "--metric", "booked_vaccination").output
    assert effect("flu_vaccine").exit_code == 2  # which metric?
    assert "did you mean" in effect("flu_vaccine", "--metric", "booked_vacination").output


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (FLU, "envelope:", "holdout: 0.3\nenvelope:", "less than or equal to 0.2"),
        (FLU, "envelope:", "urgent: true\nholdout: 0.05\nenvelope:", "an urgent message is withheld from nobody"),
        (f"config/campaigns/{CAMPAIGN}.yaml", "envelope:", "holdout: 0.05\nenvelope:", "care is withheld from nobody"),
    ],
)
def test_care_and_urgent_messages_have_no_hold_out(played: Played, file: str, old: str, new: str, words: str) -> None:
    edit(played, file, old, new)
    found = [str(finding) for finding in check_project(played.project)]
    line = (played.project.root / file).read_text("utf-8").splitlines().index(new.split("\n")[-2]) + 1
    assert any(words in text and f"{file}:{line}:" in text for text in found), found


def test_planning_withholds_no_care_even_when_nobody_asked_check(refreshed: Played) -> None:
    edit(refreshed, f"config/campaigns/{CAMPAIGN}.yaml", "envelope:", "holdout: 0.2\nenvelope:")
    assert "campaign_holdout" not in refreshed.plan("r1", CAMPAIGN)[CAMPAIGN].gates


def test_a_hold_out_is_approved_and_none_voids_no_approval(played: Played) -> None:
    campaign = find_campaign(played.house.catalogues.campaigns, "flu_vaccine")
    assert "holdout" not in approved_form(campaign)
    assert approved_form(campaign.model_copy(update={"holdout": 0.1}))["holdout"] == 0.1
