"""Worlds that no plan foresees: the numbers have to be the right ones there, too, and no verdict a false one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alongside.analysis import ExperimentResult, evaluate
from alongside.analysis.observing.first_events import Affected
from alongside.ledger import Ledger, experiments
from alongside.model.enums import Locale, Verdict
from tests.analysis.world import LAUNCH, World, definition, due, moments, people

NEXT_DAY = LAUNCH + timedelta(days=1)
CONTROL, PERSONAL = people(400, "c"), people(400, "v")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.engine.dispose()


def _in_turns(prefix: str, count: int) -> dict[str, str]:
    return {person: ("control", "personal")[place % 2] for place, person in enumerate(people(count, prefix))}


def _on_day(world: World, day: float) -> ExperimentResult:
    as_of = LAUNCH + timedelta(days=day)
    return evaluate(world.experiment, world.ledger, world.tables, as_of, world.warehouse)


def _registered(store: Ledger) -> experiments.Registration:
    with store.begin() as connection:
        found = experiments.read(connection, "wording")
    assert found is not None
    return found


def _read_articles(world: World, who: list[str]) -> None:
    table = pa.table(
        {"person_id": who, "kind": ["article_read"] * len(who), "occurred_at": moments([NEXT_DAY] * len(who))}
    )
    pq.write_table(table, world.tables / "interaction.parquet")


def test_a_guardrail_that_is_a_count_waits_for_the_planned_day(store: Ledger, tmp_path: Path):
    """Read at every run as if it were the only time, it would stop many variants that do no harm."""
    world = World(store, tmp_path, definition(margins={"articles_read": 0.01}))
    world.assign({**dict.fromkeys(CONTROL, "control"), **dict.fromkeys(PERSONAL, "personal")})
    world.write_bookings()
    _read_articles(world, [*CONTROL[:200], *PERSONAL[:160]])
    assert [_on_day(world, day).verdict for day in (16, 18, 20)] == [Verdict.NOT_MATURE] * 3
    assert evaluate(world.experiment, store, world.tables, due(world.experiment), world.warehouse).verdict is (
        Verdict.STOP_FOR_HARM
    )


def test_the_last_fraction_of_a_second_belongs_to_the_window(store: Ledger, tmp_path: Path):
    world = World(store, tmp_path, definition())
    at = LAUNCH + timedelta(seconds=0.9)
    world.enrol({**dict.fromkeys(CONTROL, "control"), **dict.fromkeys(PERSONAL, "personal")}, at=at)
    last = at + timedelta(days=7, seconds=-0.4)
    world.book(PERSONAL[:4], last)
    world.hear("unsubscribe", PERSONAL[:50], last)
    result = _on_day(world, 15)
    assert result.since_message["personal"] == pytest.approx([0.0] * 6 + [0.01])
    assert result.harm[0].affected == Affected(50, 400)
    assert result.verdict is Verdict.STOP_FOR_HARM


def test_as_of_an_earlier_moment_nobody_is_there_who_came_later(store: Ledger, tmp_path: Path):
    world = World(store, tmp_path, definition())
    world.assign(_in_turns("first", 100))
    world.assign(dict.fromkeys(people(100, "later"), "control"), at=LAUNCH + timedelta(days=6))
    world.assign(_in_turns("late", 10), at=LAUNCH + timedelta(days=13))
    world.write_bookings()
    early, late = _on_day(world, 5), _on_day(world, 30)
    assert early.sample_ratio.observed == {"control": 50, "personal": 50}
    assert early.verdict is Verdict.NOT_MATURE
    assert early.maturity is not None
    assert (early.maturity.open, early.maturity.late) == (100, 0)
    assert late.maturity is not None
    assert (late.verdict, late.maturity.late) == (Verdict.INVALID, 10)


def test_harm_to_somebody_who_joined_a_household_later_is_weighed(store: Ledger, tmp_path: Path):
    design = {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": 12, "cluster_size": 2, "cluster_icc": 0.1}
    world = World(store, tmp_path, definition(unit="household", design=design))
    first, second = _in_turns("one", 80), _in_turns("two", 80)
    homes = {person: f"{place:x}" for place, person in enumerate(first)}
    world.assign(first, clusters=homes)
    joined = LAUNCH + timedelta(days=9)
    world.enrol(second, at=joined, clusters=dict(zip(second, homes.values(), strict=True)))
    world.write_bookings()
    world.hear("complaint", [person for person, arm in second.items() if arm == "personal"], joined)
    complained = next(item for item in _on_day(world, 11).harm if item.metric == "complained")
    assert complained.affected == Affected(40, 40)
    assert complained.stop
    # Nobody of the first ones got the message; what reached the others too late for them is no news about them.
    reached = [next(item for item in _on_day(world, day).harm if item.metric == "delivered") for day in (8, 17)]
    assert [item.affected for item in reached] == [Affected(40, 40)] * 2


def test_harm_ends_an_experiment_whose_result_is_void(store: Ledger, tmp_path: Path):
    """Whatever made the arms unequal: nobody should go on getting what makes people complain."""
    world = World(store, tmp_path, definition())
    world.enrol({**dict.fromkeys(CONTROL, "control"), **dict.fromkeys(PERSONAL[:250], "personal")})
    world.write_bookings()
    quiet = evaluate(world.experiment, store, world.tables, LAUNCH + timedelta(days=5), world.warehouse, run_id="quiet")
    assert quiet.verdict is Verdict.INVALID
    assert _registered(store).decided_at is None
    world.hear("complaint", PERSONAL[:40], NEXT_DAY)
    loud = evaluate(world.experiment, store, world.tables, LAUNCH + timedelta(days=6), world.warehouse, run_id="loud")
    assert loud.verdict is Verdict.INVALID
    assert any("harm is proved" in note for note in loud.to_json()["notes"])
    assert _registered(store).winner == "control"


def test_a_variant_that_wins_here_and_loses_there_is_not_called_chance(store: Ledger, tmp_path: Path):
    shares = {"control": 0.4, "mixed": 0.3, "plain": 0.3}
    world = World(store, tmp_path, definition(goals=("booked_follow_up", "clicked"), variants=shares, margins={}))
    arms = {"control": CONTROL, "mixed": PERSONAL[:300], "plain": people(300, "s")}
    world.enrol({person: name for name, members in arms.items() for person in members})
    world.book([*CONTROL[:60], *arms["mixed"][:90], *arms["plain"][:48]], NEXT_DAY)
    world.hear("click", [*CONTROL[:120], *arms["mixed"][:30], *arms["plain"][:88]], NEXT_DAY)
    result = evaluate(world.experiment, store, world.tables, due(world.experiment), world.warehouse)
    assert {(goal.variant, goal.metric.name) for goal in result.goals if goal.significant} == {
        ("mixed", "booked_follow_up"),
        ("mixed", "clicked"),
    }
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "16.0 % with “plain”" in result.verdict_text[Locale.EN]


def test_an_arm_that_is_taken_out_leaves_its_people_out_and_says_so(store: Ledger, tmp_path: Path):
    """Also where shares followed the results, and earlier runs shared out their people among more arms."""
    shares = {"control": 0.34, "good": 0.33, "bad": 0.33}
    world = World(store, tmp_path, definition(margins={}, variants=shares, bandit={"minimum_share": 0.1}))
    for run in range(2):
        at = LAUNCH + timedelta(days=9 * run)
        who = people(300, f"run{run}x")
        world.assign({person: list(shares)[place % 3] for place, person in enumerate(who)}, at)
        world.book(who[:60], at + timedelta(days=1))
        then = at + timedelta(days=8.5)
        evaluate(world.experiment, store, world.tables, then, world.warehouse, run_id=f"run-{run}")
    reduced = definition(margins={}, variants={"control": 0.5, "good": 0.5}, bandit={"minimum_share": 0.1})
    result = evaluate(reduced, store, world.tables, due(reduced), world.warehouse)
    assert {name: arm.n for name, arm in result.arms.items()} == {"control": 200, "good": 200}
    assert any("200 people are in arms that the experiment no longer has" in note for note in result.to_json()["notes"])
    assert result.exploratory


def test_evidence_of_harm_never_falls(store: Ledger, tmp_path: Path):
    """Two runs a day at odd hours: what becomes known later is a later part of the bet, whoever was assigned first."""
    world = World(store, tmp_path, definition(margins={"unsubscribed": 0.05}))
    late, early = LAUNCH + timedelta(days=0.9), LAUNCH + timedelta(days=1.1)
    world.enrol(_in_turns("late", 100), at=late)
    world.enrol(_in_turns("early", 100), at=early)
    world.write_bookings()
    world.hear("unsubscribe", people(100, "early")[1:21:2], early + timedelta(hours=1))
    world.hear("unsubscribe", people(100, "late")[0:20:2], late + timedelta(days=1.1))
    seen, later = (_on_day(world, day).harm[0].evidence for day in (2.4, 3.4))
    assert seen > 20
    assert later == pytest.approx(seen)
