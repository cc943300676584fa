"""Planning on a real snapshot: idempotent, the same in any partition, stopped by what failed, held by its envelope."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import duckdb
import pytest
import sqlalchemy as sa

from alongside.ledger import consent, letter_list, people, suppressions
from alongside.ledger.approvals import Approval, approve
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.experiments import assignments
from alongside.ledger.schema import assignment, message, person_alias
from alongside.ledger.suppressions import Suppression
from alongside.model.enums import Channel, Decision, DeliveryMode, Gate
from alongside.model.errors import Refused
from alongside.outreach.approval import configuration_hash, objections
from alongside.outreach.campaign_plan import CampaignPlan
from alongside.outreach.campaigns import find_campaign
from alongside.outreach.experiments import assign
from alongside.outreach.why import find_person, why
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import start
from alongside.sandbox.sendgrid.options import Options
from tasks import analysis, context, delivery, outreach, patients, quality, runs, segments, sources
from tests.end_to_end.conftest import AS_OF, Played, edit

CAMPAIGNS = ("flu_vaccine", "colorectal_screening", "hypertension_follow_up")
DENIED = "SELECT person_id FROM read_parquet('{run}/consent-email.parquet') WHERE decision <> 'permit'"
#: Nothing in their own history keeps anybody who is merged with them from being due for a review.
QUIET = """SELECT person_id FROM read_parquet('{snapshot}/person.parquet')
    WHERE age BETWEEN 60 AND 80 AND next_appointment_at IS NULL AND last_encounter_at < TIMESTAMP '2025-09-01'"""
#: Of the vendor's log; the batch, the request and its moment may differ.
LOGGED = ("to", "from", "subject", "html_sha256", "link", "unsubscribe")
Letter = tuple[list[str], list[str]]
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


def _received(vendor: Path, after: int) -> dict[str, Letter]:
    """What the vendor got, by message key: the fields of its log, and the texts as each recipient reads them."""
    log = list(read_ndjson(vendor / "accepted.ndjson"))[after:]
    requests = {record["request_id"] for record in log}
    kept = [record for record in read_ndjson(vendor / "bodies.ndjson") if record["request_id"] in requests]
    texts = {
        item["custom_args"]["m"]: _texts(record["body"], item)
        for record in kept
        for item in record["body"]["personalizations"]
    }
    letters = {record["m"]: ([record[name] for name in LOGGED], texts[record["m"]]) for record in log}
    assert len(letters) == len(log) > 100
    return letters


def _texts(body: dict[str, Any], recipient: dict[str, Any]) -> list[str]:
    found = [block["value"] for block in body["content"]]
    for token, value in recipient.get("substitutions", {}).items():
        found = [text.replace(token, value) for text in found]
    return found


def test_partitions_change_no_message(
    refreshed: Played, planned: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refreshed.plan("r1", partitions=4)
    assert _messages(refreshed) == _messages(planned)
    assert _partitions(refreshed) == {0, 1, 2, 3}
    assert _partitions(planned) == {0}
    with (
        refreshed.stand_ins(tmp_path / "texts", monkeypatch),
        start(Options(tmp_path / "vendor", patients=False, keep_bodies=True)) as running,
    ):
        monkeypatch.setenv("SENDGRID_URL", running.url)
        monkeypatch.setenv("SENDGRID_API_KEY", running.api_key)
        context.services.cache_clear()
        refreshed.send("r1", 4)
        four = _received(tmp_path / "vendor", 0)
        planned.send("r1")
    assert _received(tmp_path / "vendor", len(four)) == four


def test_copies_for_staff_go_beside_a_run_and_change_no_number_of_it(
    refreshed: Played, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = "modes: [sandbox]\nseeds:\n- {name: us, email: env:ALONGSIDE_SEED_1, locales: [zh_CN]}\n"
    (refreshed.project.config / "seeds.yaml").write_text(seeds, "utf-8")
    monkeypatch.setenv("ALONGSIDE_SEED_1", "us@staff.example")
    with refreshed.stand_ins(tmp_path / "vendors", monkeypatch):
        first, retried = (outreach.plan_campaign.fn("r1", "flu_vaccine", 1, refreshed.root) for _ in range(2))
        refreshed.send("r1")
    assert (first["seeds"], retried["seeds"]) == ({"copies": 1, "unreachable": ()}, {"copies": 0, "unreachable": ()})
    found = runs.funnels("r1", refreshed.root)
    assert list(found["campaigns"]) == ["flu_vaccine"]
    assert found["total"]["planned"] == first["funnel"]["planned"] > 50
    logs = [list(read_ndjson(path)) for path in (tmp_path / "vendors").rglob("accepted.ndjson")]
    reached = [str(record["to"]) for log in logs for record in log]
    assert reached.count("us@staff.example") == 1
    assert len(reached) == found["total"]["accepted"] + 1


@dataclass(frozen=True)
class Pairs:
    """People of the first plan who turn out to be one; of each pair the first will speak for both.

    Attributes
    ----------
    heard : only the second was written to by the campaign with an experiment; the first would be, with their illness
    withdrew : both were written to, then the second withdrew their consent
    bounced : both were written to, then both addresses were suppressed
    """

    heard: tuple[str, str]
    withdrew: tuple[str, str]
    bounced: tuple[str, str]

    @property
    def all(self) -> tuple[tuple[str, str], ...]:
        return self.heard, self.withdrew, self.bounced


def _choose(planned: Played) -> Pairs:
    """Who speaks for both is whose id comes first. By themselves both would get another arm."""
    told = {name: {who for _, who, campaign, *_ in _messages(planned) if campaign == name} for name in CAMPAIGNS}
    review = told["hypertension_follow_up"] - _asked(planned, DENIED)
    twice = sorted((told["flu_vaccine"] & told["colorectal_screening"]) - told["hypertension_follow_up"])
    quiet = sorted((set(twice) & _asked(planned, QUIET)) - _asked(planned, DENIED))
    experiment = planned.house.catalogues.experiment_of("hypertension_follow_up")
    assert experiment is not None
    by_chance = dict(zip(quiet, assign(planned.house.ledger.info.secret, experiment, quiet).to_pylist(), strict=True))
    arms = _arms(planned)
    heard = next((one, two) for one in quiet for two in sorted(review) if one < two and arms[two] != by_chance[one])
    others = [who for who in twice if who not in heard]
    return Pairs(heard, (others[0], others[1]), (others[2], others[3]))


def _asked(planned: Played, question: str) -> set[str]:
    snapshot = planned.project.var / "snapshots/snapshot-r1/tables"
    with duckdb.connect() as duck:
        rows = duck.sql(question.format(run=planned.project.var / "runs/r1", snapshot=snapshot)).fetchall()
    return {who for (who,) in rows}


def _meanwhile(planned: Played, pairs: Pairs) -> None:
    """Between two runs somebody withdraws, and two addresses are complained about."""
    now, ledger = datetime.fromisoformat(AS_OF), planned.house.ledger
    left = ConsentEvent(pairs.withdrew[1], "education", "email", Decision.DENY, now - timedelta(hours=1), "staff:x")
    addresses = sa.select(message.c.address_blind).where(message.c.person_id.in_(pairs.bounced)).distinct()
    with ledger.begin() as connection:
        consent.record(connection, [left], now)
        blinds = connection.execute(addresses).scalars().all()
        suppressions.add(connection, [Suppression(one, "email", "all", "complaint", now, "event:x") for one in blinds])


def _decide(planned: Played, pairs: Pairs, word: Literal["same", "different"]) -> None:
    with planned.house.ledger.begin() as connection:
        for pair in pairs.all:
            own = [sa.select(person_alias.c.alias).where(person_alias.c.person_id == one).limit(1) for one in pair]
            one, two = (connection.execute(query).scalar_one() for query in own)
            people.decide_review(connection, (one, two), word, "clerk", datetime.fromisoformat(AS_OF))


def _clean_tables(played: Played) -> Path:
    """What every night reads whose extracts are those of the first."""
    _start(played, "extracts")
    sources.ingest_extracts.fn("extracts", {}, played.root)
    quality.validate_data.fn("extracts", played.root)
    return played.house.warehouse.staging("extracts") / "clean"


def _refresh_from(clean: Path, played: Played, run_id: str) -> None:
    """A refresh of the same moment that need not read and validate the extracts again."""
    _start(played, run_id)
    shutil.copytree(clean, played.house.warehouse.staging(run_id) / "clean")
    patients.identify.fn(run_id, False, played.root)
    patients.build_360.fn(run_id, f"snapshot-{run_id}", played.root)
    segments.refresh_segments.fn(run_id, f"snapshot-{run_id}", played.root)
    segments.publish.fn(run_id, f"snapshot-{run_id}", played.root)


def _gates(played: Played, run_id: str, campaign: str) -> dict[str, Gate]:
    """What stopped each member of the campaign's audience by e-mail in this run."""
    file = played.project.var / f"runs/{run_id}/decisions/{campaign}.parquet"
    rows = duckdb.sql(
        "SELECT person_id, list_filter(routes, lambda route: route.channel = 'email')[1].gates"
        f" FROM read_parquet('{file}')"
    ).fetchall()
    return {who: Gate(mask) for who, mask in rows}


def _arms(played: Played) -> dict[str, str]:
    rows = assignments(played.house.ledger, "hypertension_review_wording").to_pylist()
    return {row["person_id"]: row["variant"] for row in rows}


def _next_variant(played: Played, person_id: str) -> str:
    """The variant that this person gets when the campaign with an experiment comes round again."""
    runs.start.fn("next", datetime.fromisoformat(AS_OF) + timedelta(days=61), None, played.root)
    runs.take_snapshot.fn("next", played.root)
    played.plan("next", "hypertension_follow_up")
    query = sa.select(message.c.variant).where(message.c.run_id == "next", message.c.person_id == person_id)
    with played.house.ledger.begin() as connection:
        return str(connection.execute(query).scalar_one())


def test_another_run_of_the_same_moment_sends_nothing_new_whoever_was_merged_or_split(planned: Played) -> None:
    """Merges and splits change no key, arm, consent or suppression."""
    pairs, before, arms, clean = _choose(planned), _messages(planned), _arms(planned), _clean_tables(planned)
    (one, other), (kept, left), (first, second) = pairs.all
    _meanwhile(planned, pairs)

    _decide(planned, pairs, "same")
    _refresh_from(clean, planned, "r2")
    planned.plan("r2")
    assert _messages(planned) == before  # nothing new, for nobody
    flu, review = _gates(planned, "r2", "flu_vaccine"), _gates(planned, "r2", "hypertension_follow_up")
    assert not {other, left, second} & (flu.keys() | review.keys())
    assert review[one] & Gate.ALREADY_SENT  # what the other was told
    assert not review[one] & (Gate.NO_CONSENT | Gate.NO_ADDRESS | Gate.SUPPRESSED)
    assert _arms(planned) == {one if who == other else who: arm for who, arm in arms.items()}
    assert _next_variant(planned, one) == arms[other]
    before = _messages(planned)
    assert flu[kept] & Gate.NO_CONSENT
    assert flu[first] & Gate.SUPPRESSED

    _decide(planned, pairs, "different")
    _refresh_from(clean, planned, "r3")
    planned.plan("r3", *CAMPAIGNS)
    assert _messages(planned) == before
    assert _arms(planned) == arms
    flu = _gates(planned, "r3", "flu_vaccine")
    assert (flu[kept] & Gate.NO_CONSENT, flu[left] & Gate.NO_CONSENT) == (Gate.NONE, Gate.NO_CONSENT)
    assert flu[first] & flu[second] & Gate.SUPPRESSED


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


def test_letters_are_listed_with_the_address_and_in_the_type_for_their_reader(refreshed: Played) -> None:
    """The hospital's addresses as its clerks wrote them: listed letters say what the vault and the picture say."""
    edit(refreshed, "config/campaigns/flu_vaccine.yaml", "channels: [email, sms]", "channels: [letter, email]")
    plan = refreshed.plan("r1", "flu_vaccine")["flu_vaccine"]
    assert plan.channels["letter"] > 50
    assert "流感" in "".join(one.text for one in plan.samples if one.channel == "letter" and one.locale == "zh_CN")
    delivery.dispatch_partition.fn("r1", 0, 1, refreshed.root, Channel.LETTER)
    house = refreshed.house
    with house.ledger.reading() as connection:
        (day,) = letter_list.days(connection, 5)
        letters = letter_list.of_day(connection, day.day)
        words = letter_list.words_of(connection, house.vault, [one.letter_id for one in letters])
    assert len(letters) == plan.channels["letter"]
    person = refreshed.project.var / "snapshots" / "snapshot-r1" / "tables" / "person.parquet"
    facts = duckdb.sql(f"SELECT person_id, age, postal_state FROM read_parquet('{person}')").fetchall()
    known = {row[0]: row[1:] for row in facts}
    for one in letters:
        age, postal_state = known[one.person_id]
        assert postal_state == "valid"
        assert (' class="large"' in words[one.letter_id].html) == (age is not None and age >= 65)
        assert any("青禾市" in line or "云麓市" in line or "白沙市" in line for line in words[one.letter_id].lines)
    states = [state for _, state in known.values()]
    assert states.count("valid") > len(states) / 2  # relatives and callers of the CRM have told nobody where they live
    assert 0 < states.count("invalid") < states.count("missing")


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


@pytest.mark.parametrize(
    ("old", "new", "because"),
    [
        (r"expires: 20..-..-..", "expires: 2026-01-01", "expired on 2026-01-01"),
        (r"\Z", "\napproved: {hash: " + "f" * 64 + ", role: gp, day: 2026-01-01}\n", "edited after it was signed"),
    ],
    ids=["expired", "edited"],
)
def test_a_text_that_its_reviewers_must_look_at_waits_for_them(
    refreshed: Played, old: str, new: str, because: str
) -> None:
    file = Path(refreshed.root) / "templates/prevention/flu_vaccine/message.yaml"
    file.write_text(re.sub(old, new, file.read_text("utf-8"), count=1), "utf-8")
    plan = refreshed.plan("r1", "flu_vaccine")["flu_vaccine"]
    assert plan.state == "held"
    assert because in plan.reason
    assert _messages(refreshed) == []


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
