"""Planning on a real snapshot: idempotent, the same in any partition, stopped by what failed, held by its envelope."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import datetime
from pathlib import Path

import duckdb
import pytest
import sqlalchemy as sa

from alongside.ledger.approvals import Approval, approve
from alongside.ledger.schema import assignment, message
from alongside.model.enums import DeliveryMode
from alongside.model.errors import Refused
from alongside.outreach.approval import configuration_hash, objections
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.outreach.campaigns import find_campaign
from alongside.outreach.why import find_person, why
from tasks import analysis, context, runs
from tests.end_to_end.conftest import AS_OF, Played, edit

IDENTITY = ("message_key", "person_id", "campaign", "template", "template_hash", "locale", "variant", "variables")


def _messages(played: Played) -> list[tuple[object, ...]]:
    columns = [message.c[name] for name in IDENTITY]
    with played.house.ledger.begin() as connection:
        rows = connection.execute(sa.select(*columns).order_by(message.c.message_key))
        return [tuple(str(value) for value in row) for row in rows]


def _partitions(played: Played) -> set[int]:
    with played.house.ledger.begin() as connection:
        return set(connection.execute(sa.text("SELECT DISTINCT partition FROM batch")).scalars())


def test_a_plan_is_the_same_read_committed_and_read_again(refreshed: Played, planned: Played) -> None:
    dry = refreshed.plan("r1", commit=False)
    assert _messages(refreshed) == []
    done, again = planned.plans, planned.plan("r1")
    for name, plan in done.items():
        assert plan.plan_hash == dry[name].plan_hash == again[name].plan_hash
        assert plan.funnel == dry[name].funnel == again[name].funnel
    assert sum(plan.funnel["planned"] for plan in done.values()) == len(_messages(planned)) > 100


def test_the_funnel_counts_everybody_once(planned: Played) -> None:
    for plan in planned.plans.values():
        gates = sum(count for stage, count in plan.funnel.items() if stage.startswith("gate:"))
        assert plan.funnel["audience"] == gates + plan.funnel["planned"]
        assert sum(plan.variants.values()) == plan.funnel["planned"]


def test_partitions_change_no_message(refreshed: Played, planned: Played) -> None:
    refreshed.plan("r1", partitions=4)
    assert _messages(refreshed) == _messages(planned)
    assert _partitions(refreshed) == {0, 1, 2, 3}
    assert _partitions(planned) == {0}


def test_another_run_of_the_same_moment_sends_nothing_new(planned: Played) -> None:
    before = _messages(planned)
    planned.refresh("r2")
    plans = planned.plan("r2")
    assert _messages(planned) == before
    assert all(plan.funnel["planned"] == 0 for plan in plans.values() if plan.campaign != "visit_survey")


def test_assignment_follows_the_plan_and_is_remembered(planned: Played) -> None:
    plan = planned.plans["hypertension_follow_up"]
    assert set(plan.variants) == {"control", "personal"}
    with planned.house.ledger.begin() as connection:
        assigned = connection.execute(sa.select(sa.func.count()).select_from(assignment)).scalar_one()
        wrong = connection.execute(
            sa.select(sa.func.count()).select_from(
                message.join(assignment, assignment.c.person_id == message.c.person_id)
            ).where(message.c.experiment == assignment.c.experiment, message.c.variant != assignment.c.variant)
        ).scalar_one()  # fmt: skip
    assert assigned == plan.funnel["planned"]
    assert wrong == 0


def _words_for_numbers(played: Played) -> None:
    """The laboratory reports in words where it gave numbers, as after an upgrade gone wrong."""
    hospital = played.project.var / "hospital"
    source = hospital.resolve()
    hospital.unlink()
    shutil.copytree(source, hospital)
    for file in (hospital / "lis").rglob("results.csv"):
        with file.open(encoding="gb18030", newline="") as stream:
            header, *rows = csv.reader(stream, delimiter="|")
        column = header.index("value")
        with file.open("w", encoding="gb18030", newline="") as stream:
            words = ([*row[:column], "见报告", *row[column + 1 :]] for row in rows)
            csv.writer(stream, delimiter="|").writerows([header, *words])
    edit(
        played, "config/sources/lis.yaml", "        value: value\n", "        value: value\n        value_text: value\n"
    )


#: Read off config/ and templates/ by hand: what asks for a measured value, by itself or through a tag or a segment.
READS_A_VALUE = {
    "tag": {
        *("bp_uncontrolled", "bp_emergency", "glucose_uncontrolled", "glucose_emergency", "heart_risk"),
        *("kidney_watch", "needs_kidney_care", "measures_at_home"),
    },
    "segment": {
        *("blood_pressure_check_due", "hypertension_follow_up_due", "hypertension_urgent_review"),
        *("diabetes_review_due", "prediabetes_lifestyle", "kidney_review_due", "older_people_heart_health"),
        *("knee_replacement_candidates", "lapsed_patients"),
    },
    "campaign": {"hypertension_follow_up", "diabetes_follow_up", "heart_health_talk", "knee_replacement_guide"},
    "message": {
        *("follow_up/hypertension_review", "follow_up/hypertension_review_personal", "follow_up/diabetes_review"),
        *("prevention/heart_health_talk", "decision/knee_replacement_guide"),
    },
}


def test_one_failed_field_stops_exactly_what_reads_it(refreshed: Played) -> None:
    """observation.value fails its expectation: what reads it stops, by lineage; everything else runs."""
    _words_for_numbers(refreshed)
    refreshed.refresh("r2", "2026-03-02T08:00+08:00")
    report, catalogues = context.kept("r2", "segments", refreshed.root) or {}, refreshed.house.catalogues
    for kind, defined in (("tag", catalogues.segments.tags), ("segment", catalogues.segments.segments)):
        assert {item["name"] for item in report["stopped"] if item["kind"] == kind} == READS_A_VALUE[kind]
        assert set(report[f"{kind}s"]) == set(defined) - READS_A_VALUE[kind]
    plans = refreshed.plan("r2")
    assert {name for name, plan in plans.items() if plan.state == "blocked"} == READS_A_VALUE["campaign"]
    assert {plans[name].state for name in plans.keys() - READS_A_VALUE["campaign"]} == {"planned"}
    assert all("observation-value-null-drift" in plans[name].reason for name in READS_A_VALUE["campaign"])
    _require_only_other_messages(refreshed, plans)


def _require_only_other_messages(played: Played, plans: dict[str, CampaignPlan]) -> None:
    """What a stopped campaign could send is written to nobody, what any other one has to send is."""
    catalogues = played.house.catalogues
    sent = {(name, template) for _, _, name, template, *_ in _messages(played)}
    stopped = [item for item in catalogues.campaigns if item.name in READS_A_VALUE["campaign"]]
    assert {message for item in stopped for message in catalogues.messages_of(item)} == READS_A_VALUE["message"]
    assert {name for name, _ in sent} == {name for name, plan in plans.items() if plan.funnel.get("planned")}
    assert not {template for _, template in sent} & READS_A_VALUE["message"]
    assert len(sent) >= 4


def test_a_message_that_reads_a_failed_field_stops_though_its_audience_does_not(refreshed: Played) -> None:
    catalogues = refreshed.house.catalogues
    campaign = find_campaign(catalogues.campaigns, "colorectal_screening")
    assert "observation.value" not in catalogues.reads(campaign)
    variable = "{value: \"latest('hba1c')\", example: 6, description: last value, optional: true}"
    edit(
        refreshed,
        "templates/prevention/colorectal_screening/message.yaml",
        "reviewers:",
        f"variables: {{hba1c: {variable}}}\nreviewers:",
    )
    manifest = refreshed.project.var / "snapshots" / "snapshot-r1" / "manifest.json"
    facts = json.loads(manifest.read_text("utf-8"))
    facts["quality"]["failed_fields"] = {"observation.value": "observation-value-null-drift"}
    manifest.write_text(json.dumps(facts), "utf-8")
    states = {name: plan.state for name, plan in refreshed.plan("r1", "flu_vaccine", campaign.name).items()}
    assert states == {"flu_vaccine": "planned", "colorectal_screening": "blocked"}


def test_a_plan_outside_its_envelope_is_held_and_approval_lets_it_go(refreshed: Played) -> None:
    edit(refreshed, "config/campaigns/flu_vaccine.yaml", "max_audience: 4000", "max_audience: 3")
    held = refreshed.plan("r1", "flu_vaccine")["flu_vaccine"]
    assert held.state == "held"
    assert "exceed the envelope's 3" in held.reason
    house = refreshed.house
    campaign = find_campaign(house.catalogues.campaigns, "flu_vaccine")
    config_hash = configuration_hash(campaign, house.catalogues, house.settings)
    wider = Approval("flu_vaccine", config_hash, None, {"max_audience": 500}, "a marketer", house.clock(), None)
    with house.ledger.begin() as connection:
        approve(connection, wider)
    assert refreshed.plan("r1", "flu_vaccine")["flu_vaccine"].state == "planned"


def test_an_experiment_that_could_find_nothing_is_not_launched(refreshed: Played) -> None:
    experiment = "config/experiments/hypertension_review_wording.yaml"
    edit(refreshed, experiment, "minimum_effect: 0.5", "minimum_effect: 0.02")
    plan = refreshed.plan("r1", "hypertension_follow_up")["hypertension_follow_up"]
    assert plan.state == "held"
    assert "hypertension_review_wording" in plan.reason
    with refreshed.house.ledger.begin() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(assignment)).scalar_one() == 0


@pytest.mark.parametrize("mode", [DeliveryMode.STAGING, DeliveryMode.LIVE])
def test_real_vendors_need_an_approval(played: Played, mode: DeliveryMode) -> None:
    campaign = find_campaign(played.house.catalogues.campaigns, "flu_vaccine")
    assert "not approved" in objections(campaign, mode, None, "x", 1, None)[0]


def test_any_edit_voids_an_approval(played: Played) -> None:
    house = played.house
    campaign = find_campaign(house.catalogues.campaigns, "flu_vaccine")
    before = configuration_hash(campaign, house.catalogues, house.settings)
    edit(played, "templates/prevention/flu_vaccine/email.en.txt.j2", "{% endblock %}", "Bring a friend. {% endblock %}")
    house = played.house
    assert configuration_hash(campaign, house.catalogues, house.settings) != before


def _start(played: Played, run_id: str) -> None:
    runs.start.fn(run_id, datetime.fromisoformat(AS_OF), None, played.root)


def test_a_part_of_a_run_without_any_snapshot_names_the_remedy(played: Played) -> None:
    _start(played, "r1")
    with pytest.raises(Refused, match=r"no snapshot of patients yet.*'daily' or 'refresh'"):
        runs.take_snapshot.fn("r1", played.root)


def test_an_evaluation_by_itself_reports_the_run_that_planned_last_on_its_picture(refreshed: Played) -> None:
    _start(refreshed, "evaluation")
    assert runs.take_snapshot.fn("evaluation", refreshed.root).snapshot_id == "snapshot-r1"
    row = "<td>flu_vaccine<"
    assert row not in Path(analysis.write_report.fn("evaluation", refreshed.root)).read_text("utf-8")
    refreshed.plan("r1", "flu_vaccine")
    assert row in Path(analysis.write_report.fn("evaluation", refreshed.root)).read_text("utf-8")


def test_why_names_the_gate_and_the_facts(planned: Played) -> None:
    house = planned.house
    decisions = house.project.var / "runs/r1/decisions/flu_vaccine.parquet"
    withheld = duckdb.sql(
        f"SELECT person_id FROM read_parquet('{decisions}') WHERE mask & 64 = 64 ORDER BY 1"
    ).fetchall()[0][0]
    with house.warehouse.connect() as duck:
        answers = why(house.ledger, duck, house.project.var / "runs", find_person(house.ledger, withheld))
    answer = next(item for item in answers if item.campaign == "flu_vaccine")
    assert answer.outcome == "withheld"
    assert "no_consent" in {gate.gate for gate in answer.gates}
    assert answer.configuration["snapshot_id"] == "snapshot-r1"


@pytest.mark.parametrize("nobody", ["p0000000000000000", "his:NOBODY", "x"])
def test_why_says_clearly_when_nobody_is_known(played: Played, nobody: str) -> None:
    with pytest.raises(Refused, match="nobody is known by that"):
        find_person(played.house.ledger, nobody)
