"""Daily looks: a verdict as soon as one is earned, and no more false ones for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from alongside.analysis import ExperimentResult, evaluate
from alongside.analysis.evaluation import record
from alongside.analysis.judging.looking import looks_taken
from alongside.analysis.showing.boundary import boundary_svg
from alongside.analysis.showing.section import section
from alongside.ledger import Ledger, schema
from alongside.model.enums import Locale, Verdict
from alongside.outreach.experiments import Calendar, ExperimentDefinition
from alongside.stats.proportions import Proportion, compare_proportions
from tests.analysis.test_report_parts import _sums
from tests.analysis.world import LAUNCH, World, definition, due, people

A_DAY = 60


def _daily(days: int = 28, **changes: object) -> ExperimentDefinition:
    design = {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": days, "looks": "daily"}
    return definition(design=design, margins={"unsubscribed": 0.05}, **changes)


def _hospital(ledger: Ledger, folder: Path, experiment: ExperimentDefinition, better: float, seed: int = 1) -> World:
    """60 people a day for four weeks, in turns in either arm; 15 % of control book the day after."""
    world = World(ledger, folder, experiment)
    luck = np.random.default_rng(seed)
    for day in range(experiment.design.planned_days):
        arms = {person: ("control", "personal")[place % 2] for place, person in enumerate(people(A_DAY, f"d{day}x"))}
        world.assign(arms, at=LAUNCH + timedelta(days=day))
        rates = {"control": 0.15, "personal": better}
        booked = [person for person, arm in arms.items() if luck.random() < rates[arm]]
        world.bookings += [(person, LAUNCH + timedelta(days=day + 1), "follow_up", "booked") for person in booked]
    world.write_bookings()
    return world


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.engine.dispose()


def _on_day(world: World, day: float, experiment: ExperimentDefinition | None = None) -> ExperimentResult:
    as_of = LAUNCH + timedelta(days=day)
    return evaluate(experiment or world.experiment, world.ledger, world.tables, as_of, world.warehouse)


def test_a_strong_effect_ends_early(store: Ledger, tmp_path: Path):
    world = _hospital(store, tmp_path, _daily(), better=0.30)
    results = [_on_day(world, day) for day in range(10, 30, 3)]
    verdicts = [result.verdict for result in results]
    assert Verdict.SHIP in verdicts
    first = verdicts.index(Verdict.SHIP)
    assert set(verdicts[:first]) == {Verdict.NOT_MATURE}
    goal = results[first].goals[0]
    assert goal.comparison.p_value is not None
    assert goal.comparison.interval.low is not None
    assert goal.comparison.p_value < 0.05
    assert goal.comparison.interval.low > 0


def test_within_a_day_every_look_is_the_same_look(store: Ledger, tmp_path: Path):
    world = _hospital(store, tmp_path, _daily(), better=0.22)
    late = people(50, "noon")
    world.assign(dict.fromkeys(late, "personal"), at=LAUNCH + timedelta(hours=5))
    morning, evening, next_day = (_on_day(world, day) for day in (12, 12.9, 13))
    assert morning.goals == evening.goals
    assert (
        next_day.arms["personal"].metrics["booked_follow_up"].n > evening.arms["personal"].metrics["booked_follow_up"].n
    )


def test_interval_and_p_value_agree_at_every_look(store: Ledger, tmp_path: Path):
    world = _hospital(store, tmp_path, _daily(), better=0.23, seed=5)
    for day in range(9, 37, 4):
        comparison = _on_day(world, day).goals[0].comparison
        assert comparison.p_value is not None
        assert (comparison.p_value < 0.05) == (not comparison.interval.holds(0.0))
        assert (comparison.p_value < 0.05) == (not comparison.relative.interval.holds(0.0))


def test_the_planned_day_has_all_that_is_left_of_alpha(store: Ledger, tmp_path: Path):
    """Everybody came on the first day: the only look that shows anything is as good as one look at the end."""
    experiment = _daily(12)
    world = World(store, tmp_path, experiment)
    control, personal = people(400, "c"), people(400, "v")
    world.assign({**dict.fromkeys(control, "control"), **dict.fromkeys(personal, "personal")})
    world.book([*control[:60], *personal[:82]], LAUNCH + timedelta(days=1))
    early, final = _on_day(world, 9), evaluate(experiment, store, world.tables, due(experiment), world.warehouse)
    plain = compare_proportions(Proportion(400, 82), Proportion(400, 60))
    assert early.verdict is Verdict.NOT_MATURE
    assert final.verdict is Verdict.SHIP
    assert final.goals[0].comparison.p_value == pytest.approx(plain.p_value, rel=1e-4)


def test_an_early_decision_stays_what_it_was(store: Ledger, tmp_path: Path):
    world = _hospital(store, tmp_path, _daily(), better=0.30)
    day = next(day for day in range(12, 37, 4) if _on_day(world, day).verdict is Verdict.SHIP)
    decided = _on_day(world, day)
    record(store, world.experiment, decided, LAUNCH + timedelta(days=day), "run")
    world.bookings = world.bookings[: len(world.bookings) // 2]  # whatever is learnt later
    world.write_bookings()
    later = _on_day(world, 40)
    assert (later.verdict, later.goals) == (decided.verdict, decided.goals)


def test_a_decided_verdict_outlives_what_is_changed_later(store: Ledger, tmp_path: Path):
    """Bookings are cancelled weeks later and a text is edited: who decided then did so on what was known then."""
    world = _hospital(store, tmp_path, _daily(decide="report_only"), better=0.30)
    day = next(day for day in range(12, 37, 4) if _on_day(world, day).verdict is Verdict.SHIP)
    decided = _on_day(world, day)
    record(store, world.experiment, decided, LAUNCH + timedelta(days=day), "run")
    for at, text in ((LAUNCH, "first"), (LAUNCH + timedelta(days=day + 1), "edited")):
        world.enrol({f"text {text}": "personal"}, at)
        with store.begin() as connection:
            mine = schema.message.c.person_id == f"text {text}"
            connection.execute(schema.message.update().where(mine).values(template_hash=text))
    assert _on_day(world, 40).exploratory == ()
    world.bookings = [(*booking[:3], "cancelled") for booking in world.bookings]
    world.write_bookings()
    later = _on_day(world, 40)
    assert (later.verdict, later.winner) == (Verdict.SHIP, "personal")
    assert later.verdict_text == decided.verdict_text
    assert later.goals[0].comparison.difference == 0
    assert later.looking is not None
    assert later.looking.next_at is None
    assert any("stands" in note for note in later.to_json()["notes"])


def test_an_edited_experiment_does_not_end_early(store: Ledger, tmp_path: Path):
    world = _hospital(store, tmp_path, _daily(), better=0.30)
    result = _on_day(world, 29, _daily(decide="report_only"))
    assert result.exploratory
    assert result.verdict is Verdict.NOT_MATURE


def test_the_calendar_is_fixed_at_launch():
    short, long = (Calendar.of(_daily(days), LAUNCH) for days in (28, 200))
    assert (short.every, short.planned) == (1, 36)
    assert (long.every, long.planned) == (4, 52)
    assert short.taken(LAUNCH + timedelta(days=3, hours=23)) == 3
    assert short.moment(short.planned) == short.due
    assert short.next_after(short.due) is None
    assert long.next_after(LAUNCH + timedelta(days=5)) == LAUNCH + timedelta(days=8)


def test_alphas_time_is_the_share_of_people_known():
    experiment = _daily()
    calendar = Calendar.of(experiment, LAUNCH)
    course = [(number, {"control": _sums(5, 30), "personal": _sums(5, 30)}) for number in range(8, 37)]
    arrivals = dict.fromkeys(range(28), 60)
    taken = looks_taken(experiment, calendar, course, arrivals, 800, calendar.due, "personal")
    fractions = [item.look.fraction for item in taken]
    assert fractions == sorted(fractions)
    assert fractions[:3] == pytest.approx([1 / 28, 2 / 28, 3 / 28])
    assert fractions[-1] == 1.0
    early = looks_taken(experiment, calendar, course, arrivals, 800, calendar.due - timedelta(days=1), "personal")
    assert early[-1].look.fraction < 1.0


def test_a_winner_that_waits_for_its_guardrails_is_said_to_wait(store: Ledger, tmp_path: Path):
    """And what a reader is told before the first look."""
    experiment = _daily().model_copy(update={"guardrails": definition(margins={"unsubscribed": 0.001}).guardrails})
    world = _hospital(store, tmp_path, experiment, better=0.30)
    result = _on_day(world, 29)
    assert result.verdict is Verdict.NOT_MATURE
    meaning = result.goals[0].meaning
    assert result.goals[0].significant
    assert (meaning.corrected, meaning.chance_better > 0.9) == (None, True)  # it did not end where it crossed
    for locale, goal, rail in (
        (Locale.EN, "proved better on “booked a follow-up visit” already", "unharmed: “unsubscribed”."),
        (Locale.ZH_CN, "在“预约了复诊”上已证实更好", "未受损：“退订”。"),
    ):
        words = section(result, locale).next_steps[-1]
        assert goal in words
        assert rail in words
    assert section(_on_day(world, 0.5), Locale.EN).next_steps == (
        "The first of at most 36 looks is on 2026-03-02, and the verdict comes on 2026-04-06 at the latest.",
    )


def test_json_and_report_show_the_path(store: Ledger, tmp_path: Path):
    world = _hospital(store, tmp_path, _daily(), better=0.17)
    result = _on_day(world, 20)
    assert result.verdict is Verdict.NOT_MATURE
    looks = result.to_json()["looks"]
    assert (looks["taken"], looks["planned"]) == (20, 36)
    points = looks["paths"][0]["points"]
    seen = [point for point in points if point["z"] is not None]
    assert [point["number"] for point in seen] == list(range(8, 21))
    assert points[-1]["number"] == 36
    assert all(one["bound"] >= other["bound"] for one, other in pairwise(points))
    for locale in Locale:
        page = section(result, locale)
        assert len(page.paths) == 1
        assert "2026-03-22" in page.next_steps[0]
        drawn = boundary_svg(result.looking.paths[0], locale, 760)  # type: ignore[union-attr]
        assert drawn.count("<circle") == len(seen)
