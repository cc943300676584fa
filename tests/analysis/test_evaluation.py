"""A running experiment, evaluated from ledger and snapshot.

What reads the ledger in its own way runs on both stores (`ledger`), what only decides runs on SQLite (`local`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from alongside.analysis import ExperimentResult, evaluate
from alongside.analysis.showing.decided import decision_words
from alongside.ledger import Ledger, experiments, schema
from alongside.model.enums import Locale, Verdict
from alongside.model.errors import Refused, StoreUnavailable
from alongside.outreach.experiments import ExperimentDefinition
from alongside.stats.proportions import Proportion, compare_proportions
from tests.analysis.world import LAUNCH, World, definition, due, people

NEXT_DAY = LAUNCH + timedelta(days=1)


def _arms(control: int, personal: int) -> tuple[list[str], list[str]]:
    return people(control, "c"), people(personal, "v")


def _enrol(world: World, control: list[str], personal: list[str]) -> None:
    world.enrol({**dict.fromkeys(control, "control"), **dict.fromkeys(personal, "personal")})


def _evaluate(world: World, experiment: ExperimentDefinition | None = None, **late: int) -> ExperimentResult:
    chosen = experiment or world.experiment
    as_of = due(chosen) + timedelta(**late)
    return evaluate(chosen, world.ledger, world.tables, as_of, world.warehouse)


def _world(ledger: Ledger, folder: Path) -> World:
    """400 an arm; 60 of control book, 96 of the personal variant."""
    world = World(ledger, folder, definition())
    control, personal = _arms(400, 400)
    _enrol(world, control, personal)
    world.book([*control[:60], *personal[:96]], NEXT_DAY)
    return world


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Ledger]:
    store = Ledger.open(f"sqlite:///{tmp_path / 'local.db'}")
    yield store
    store.engine.dispose()


@pytest.fixture
def world(local: Ledger, tmp_path: Path) -> World:
    return _world(local, tmp_path)


@pytest.fixture
def anywhere(ledger: Ledger, tmp_path: Path) -> World:
    """The same world on either store."""
    return _world(ledger, tmp_path)


def test_the_winner_ships_with_the_right_numbers(anywhere: World):
    result = _evaluate(anywhere)
    expected = compare_proportions(Proportion(400, 96), Proportion(400, 60))
    assert (result.verdict, result.winner) == (Verdict.SHIP, "personal")
    assert result.goals[0].comparison == expected
    assert {name: arm.n for name, arm in result.arms.items()} == {"control": 400, "personal": 400}
    assert result.verdict_text[Locale.EN] == (
        "Use “personal”: “booked a follow-up visit” is 24.0 % with it and 15.0 % with “control” "
        "(difference +9.0 points, 95 % interval +3.5 to +14.5), and no guardrail is harmed."
    )
    assert "24.0 %" in result.verdict_text[Locale.ZH_CN]


def test_json_has_the_documented_shape(anywhere: World):
    shape = json.loads(json.dumps(_evaluate(anywhere).to_json()))
    assert shape["arms"]["personal"]["n"] == 400
    assert shape["arms"]["personal"]["mean"]["booked_follow_up"] == pytest.approx(0.24)
    comparison = shape["comparisons"][0]
    assert {"variant", "metric", "difference", "standard_error", "ci_low", "ci_high", "p_value"} <= set(comparison)
    assert set(comparison["relative_difference"]) >= {"estimate", "ci_low", "ci_high"}
    assert comparison["difference"] == pytest.approx(0.09)
    assert shape["sample_ratio"]["p_value"] == 1.0
    assert {item["metric"] for item in shape["guardrails"]} == {"unsubscribed", "complained", "delivered"}
    assert shape["delivery"]["control"]["delivered"] == 400
    assert shape["maturity"]["mature"] == 800


def test_only_bookings_of_the_right_kind_within_the_window_count(ledger: Ledger, tmp_path: Path):
    world = World(ledger, tmp_path, definition())
    control, personal = _arms(300, 300)
    _enrol(world, control, personal)
    world.book(personal[:1], LAUNCH)  # at the very moment: counts
    world.book(personal[1:2], LAUNCH + timedelta(days=7, seconds=-1))  # last second: counts
    world.book(personal[2:3], LAUNCH + timedelta(days=7))  # too late
    world.book(personal[3:4], LAUNCH - timedelta(seconds=1))  # before
    world.book(personal[4:5], NEXT_DAY, service="screening")
    world.book(personal[5:6], NEXT_DAY, status="cancelled")
    world.book([personal[0]], NEXT_DAY)  # a second one of the same person
    world.book(["nobody"], NEXT_DAY)
    assert _evaluate(world).arms["personal"].metrics["booked_follow_up"].mean == pytest.approx(2 / 300)


def test_before_the_planned_day_there_is_no_verdict(world: World):
    result = _evaluate(world, seconds=-1)
    assert result.verdict is Verdict.NOT_MATURE
    assert "the verdict is due by 2026-03-21" in result.verdict_text[Locale.EN]


def test_open_windows_do_not_count_and_are_counted(world: World):
    late = people(50, "late")
    world.enrol(dict.fromkeys(late, "control"), at=LAUNCH + timedelta(days=5))
    as_of = LAUNCH + timedelta(days=9)  # the first are past seven days and one for the extract, the late are not
    result = evaluate(world.experiment, world.ledger, world.tables, as_of, world.warehouse)
    assert result.maturity is not None
    assert (result.maturity.mature, result.maturity.open) == (800, 50)
    assert result.arms["control"].n == 450
    assert result.arms["control"].metrics["booked_follow_up"].n == 400


def test_people_who_come_after_enrolment_never_count(world: World):
    world.enrol(dict.fromkeys(people(500, "late"), "control"), at=LAUNCH + timedelta(days=12))
    result = _evaluate(world, days=30)
    assert result.maturity is not None
    assert result.maturity.late == 500
    assert (result.arms["control"].n, result.verdict) == (400, Verdict.SHIP)


def test_a_sample_ratio_mismatch_voids_everything(local: Ledger, tmp_path: Path):
    world = World(local, tmp_path, definition())
    control, personal = _arms(500, 350)
    _enrol(world, control, personal)
    world.book(personal[:300], NEXT_DAY)
    result = _evaluate(world)
    assert (result.verdict, result.winner) == (Verdict.INVALID, None)
    assert "500 : 350" in result.verdict_text[Locale.EN]


def test_a_mismatch_within_one_channel_voids_everything(local: Ledger, tmp_path: Path):
    """Equal overall, but one arm's people came by e-mail and the other's by text message."""
    world = World(local, tmp_path, definition())
    control, personal = _arms(400, 400)
    by_mail = {**dict.fromkeys(control[:260], "control"), **dict.fromkeys(personal[:140], "personal")}
    by_text = {**dict.fromkeys(control[260:], "control"), **dict.fromkeys(personal[140:], "personal")}
    world.enrol(by_mail)
    world.enrol(by_text, channel="sms")
    world.book(personal[:300], NEXT_DAY)
    result = _evaluate(world)
    assert result.verdict is Verdict.INVALID
    assert "260 : 140" in result.verdict_text[Locale.EN]


def test_a_lost_guardrail_stops_a_better_variant(world: World):
    world.hear("unsubscribe", people(400, "v")[:40], NEXT_DAY)
    result = _evaluate(world)
    assert (result.verdict, result.winner) == (Verdict.STOP_FOR_HARM, None)
    assert "unsubscribed" in result.verdict_text[Locale.EN]


def test_grave_harm_stops_early(world: World):
    world.hear("complaint", people(400, "v")[:60], NEXT_DAY)
    result = evaluate(world.experiment, world.ledger, world.tables, LAUNCH + timedelta(days=9), world.warehouse)
    assert result.verdict is Verdict.STOP_FOR_HARM


def test_a_guardrail_that_is_not_shown_unharmed_keeps_control(world: World):
    """Ten opt-outs against four prove no harm, but do not exclude one beyond a margin of two points either."""
    strict = definition(margins={"unsubscribed": 0.02})
    world.hear("unsubscribe", [*people(400, "v")[:10], *people(400, "c")[:4]], NEXT_DAY)
    result = _evaluate(world, strict)
    assert (result.verdict, result.winner) == (Verdict.INCONCLUSIVE, None)


def test_machines_neither_click_nor_leave(world: World):
    world.hear("unsubscribe", people(400, "v")[:40], NEXT_DAY, machine=True)
    assert _evaluate(world).verdict is Verdict.SHIP


def test_a_worse_variant_keeps_control(local: Ledger, tmp_path: Path):
    world = World(local, tmp_path, definition())
    control, personal = _arms(400, 400)
    _enrol(world, control, personal)
    world.book([*control[:96], *personal[:60]], NEXT_DAY)
    result = _evaluate(world)
    assert result.verdict is Verdict.KEEP_CONTROL
    assert result.verdict_text[Locale.EN].startswith("Keep “control”: “personal” does worse")


def test_no_difference_keeps_control(local: Ledger, tmp_path: Path):
    world = World(local, tmp_path, definition())
    control, personal = _arms(400, 400)
    _enrol(world, control, personal)
    world.book([*control[:60], *personal[:63]], NEXT_DAY)
    result = _evaluate(world)
    assert (result.verdict, result.winner) == (Verdict.INCONCLUSIVE, None)
    assert "may be chance" in result.verdict_text[Locale.EN]


def test_an_edited_definition_is_exploratory_and_says_so(world: World):
    edited = definition(design={"base_rate": 0.15, "minimum_effect": 0.05, "planned_days": 12})
    result = _evaluate(world, edited)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.verdict_text[Locale.EN].startswith("Exploratory only")
    assert result.verdict_text[Locale.ZH_CN].startswith("仅供探索")
    assert result.to_json()["exploratory"] == ["the definition was edited after launch"]


def test_a_text_edited_under_way_is_exploratory(anywhere: World):
    with anywhere.ledger.begin() as connection:
        changed = schema.message.update().where(schema.message.c.person_id == people(1, "v")[0])
        connection.execute(changed.values(template_hash="edited"))
    assert any("personal" in text for text in _evaluate(anywhere).to_json()["exploratory"])


def test_three_arms_are_one_family(local: Ledger, tmp_path: Path):
    world = World(local, tmp_path, definition(variants={"control": 0.4, "personal": 0.3, "short": 0.3}))
    arms = {"control": people(400, "c"), "personal": people(300, "v"), "short": people(300, "s")}
    world.enrol({person: name for name, members in arms.items() for person in members})
    world.book([*arms["control"][:60], *arms["personal"][:75], *arms["short"][:62]], NEXT_DAY)
    result = _evaluate(world)
    by_variant = {goal.variant: goal for goal in result.goals}
    personal = by_variant["personal"]
    assert personal.adjusted_p == pytest.approx(2 * personal.comparison.p_value)
    assert (result.verdict, result.winner) == (Verdict.SHIP, "personal")
    assert not by_variant["short"].significant


def test_a_merged_person_counts_once_with_the_survivors_outcome(anywhere: World):
    """The person of record c…0 turns out to be v…0: one unit, in the arm that came first."""
    one, other = people(1, "c")[0], people(1, "v")[0]
    with anywhere.ledger.begin() as connection:
        rows = [
            {"person_id": one, "minted_at": LAUNCH, "survivor_id": other},
            {"person_id": other, "minted_at": LAUNCH, "survivor_id": None},
        ]
        connection.execute(schema.person.insert(), rows)
    result = _evaluate(anywhere)
    assert sum(arm.n for arm in result.arms.values()) == 799


def test_counts_and_continuous_metrics(local: Ledger, tmp_path: Path):
    """Home readings: the mean of each person's own values; who has none is left out, and that is said."""
    world = World(local, tmp_path, definition(goals=("home_systolic", "articles_read"), margins={}))
    control, personal = _arms(40, 40)
    _enrol(world, control, personal)
    readings = [(p, 140.0 + i % 5) for i, p in enumerate(control[:30])]
    readings += [(p, 130.0 + i % 5 + extra) for i, p in enumerate(personal[:30]) for extra in (-2.0, 2.0)]
    table = pa.table(
        {
            "person_id": [row[0] for row in readings],
            "value": [row[1] for row in readings],
            "concepts": [["systolic_bp"]] * len(readings),
            "context": ["home"] * len(readings),
            "effective_at": pa.array([NEXT_DAY.replace(tzinfo=None)] * len(readings), pa.timestamp("us")),
        }
    )
    pq.write_table(table, world.tables / "observation.parquet")
    articles = pa.table(
        {
            "person_id": [control[0], control[0], personal[0]],
            "kind": ["article_read", "article_read", "page_view"],
            "occurred_at": pa.array([NEXT_DAY.replace(tzinfo=None)] * 3, pa.timestamp("us")),
        }
    )
    pq.write_table(articles, world.tables / "interaction.parquet")
    result = _evaluate(world)
    assert result.arms["control"].metrics["home_systolic"].mean == pytest.approx(142.0)
    assert result.arms["personal"].metrics["home_systolic"].mean == pytest.approx(132.0)
    assert result.arms["control"].metrics["articles_read"].mean == pytest.approx(2 / 40)
    assert result.arms["personal"].metrics["articles_read"].mean == 0
    assert (result.verdict, result.winner) == (Verdict.SHIP, "personal")  # lower pressure is better
    assert any("20 people have no value" in note for note in result.to_json()["notes"])


def test_the_result_is_stored_and_the_decision_written_down_once(anywhere: World):
    for late in (0, 1):
        evaluate(
            anywhere.experiment, anywhere.ledger, anywhere.tables, due(anywhere.experiment) + timedelta(days=late),
            anywhere.warehouse, run_id=f"run-{late}",
        )  # fmt: skip
    with anywhere.ledger.begin() as connection:
        stored = experiments.results(connection, "wording")
        registration = experiments.read(connection, "wording")
    assert [item.verdict for item in stored] == ["ship", "ship"]
    assert stored[0].result["comparisons"][0]["difference"] == pytest.approx(0.09)
    assert registration is not None
    assert (registration.winner, registration.decided_at) == ("personal", due(anywhere.experiment))


def test_an_early_look_decides_nothing(world: World):
    as_of = LAUNCH + timedelta(days=9)
    evaluate(world.experiment, world.ledger, world.tables, as_of, world.warehouse, run_id="run")
    with world.ledger.begin() as connection:
        registration = experiments.read(connection, "wording")
    assert registration is not None
    assert registration.decided_at is None


def test_report_only_names_no_winner_for_the_campaign(world: World):
    report = definition(decide="report_only")
    evaluate(report, world.ledger, world.tables, due(report), world.warehouse, run_id="run")
    with world.ledger.begin() as connection:
        registration = experiments.read(connection, "wording")
    assert registration is not None
    assert registration.winner is None


def test_medical_content_waits_for_a_clinician_and_a_rollout_can_be_reversed(anywhere: World):
    """Until somebody agrees everybody gets the control; each change keeps what stood before, by whom and why."""
    as_of = due(anywhere.experiment)
    evaluate(
        anywhere.experiment, anywhere.ledger, anywhere.tables, as_of, anywhere.warehouse,
        run_id="run", clinical={"personal"},
    )  # fmt: skip
    with anywhere.ledger.begin() as connection:
        waiting = experiments.read(connection, "wording")
        experiments.apply(
            connection, "wording", "personal", by="Dr Example", reason="read and agreed", role="cardiologist", at=as_of
        )
        agreed = experiments.read(connection, "wording")
        later = as_of + timedelta(days=3)
        experiments.apply(connection, "wording", "control", by="ops", reason="calls went up", role=None, at=later)
        reversed_ = experiments.read(connection, "wording")
        audit = [row.action for row in connection.execute(sa.select(schema.audit).order_by(schema.audit.c.at))]
    assert waiting is not None
    assert (waiting.winner, waiting.waits) == ("control", "personal")
    assert waiting.decision["evidence"]["comparisons"][0]["difference"] == pytest.approx(0.09)
    assert (agreed.winner, agreed.waits) == ("personal", None)
    assert reversed_.winner == "control"
    assert [(each["from"], each["to"], each["by"]) for each in reversed_.decision["changes"]] == [
        ("control", "personal", "Dr Example"),
        ("personal", "control", "ops"),
    ]
    assert audit.count("experiment.apply") == 2
    for locale in Locale:
        assert "personal" in decision_words("wording", waiting.decision, as_of, locale)[0]
        words = decision_words("wording", reversed_.decision, as_of, locale)
        assert "control" in words[0]
        assert "calls went up" in words[-1]


def test_nothing_is_applied_before_a_decision(world: World):
    with world.ledger.begin() as connection:
        assert not experiments.apply(connection, "wording", "personal", by="ops", reason="hurry", role=None, at=LAUNCH)


def test_never_launched_is_refused(local: Ledger, tmp_path: Path):
    world = World(local, tmp_path, definition())
    with pytest.raises(Refused, match="has not been launched"):
        _evaluate(world, definition(name="another"))


def test_a_snapshot_without_the_table_says_which(local: Ledger, tmp_path: Path):
    world = World(local, tmp_path, definition())
    with pytest.raises(StoreUnavailable, match="no table 'appointment'"):
        _evaluate(world)


def test_nobody_enrolled_is_no_error(local: Ledger, tmp_path: Path):
    world = World(local, tmp_path, definition())
    world.write_bookings()
    result = _evaluate(world)
    assert (result.verdict, result.sample_ratio.p_value) == (Verdict.INCONCLUSIVE, None)
    assert "too few data" in result.verdict_text[Locale.EN]
