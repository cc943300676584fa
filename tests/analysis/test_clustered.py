"""Experiments that assign households or clinics: what is compared, what is counted, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from alongside.analysis import ExperimentResult, evaluate
from alongside.analysis.result import GuardrailStatus
from alongside.ledger import Ledger, schema
from alongside.model.enums import Locale, Verdict
from alongside.outreach.experiments import ExperimentDefinition, Metric
from alongside.stats.clusters import ClusterArm, compare_clusters
from alongside.stats.proportions import Proportion, compare_proportions
from tests.analysis.world import LAUNCH, METRICS, World, definition, due, people

NEXT_DAY = LAUNCH + timedelta(days=1)
ARMS = ("control", "personal")
SIZES = (1, 2, 3, 4)


def _experiment(unit: str = "household", goal: Metric | None = None) -> ExperimentDefinition:
    design = {"base_rate": 0.15, "minimum_effect": 0.1, "planned_days": 12, "cluster_size": 2.5, "cluster_icc": 0.2}
    made = definition(unit=unit, design=design)
    return made if goal is None else made.model_copy(update={"goals": (goal,)})


class Homes:
    """Households of one to four people, as many of each size in either arm; all of them got their message."""

    def __init__(self, ledger: Ledger, folder: Path, experiment: ExperimentDefinition, count: int = 80) -> None:
        self.world = World(ledger, folder, experiment)
        self.of: dict[str, dict[str, list[str]]] = {arm: {} for arm in ARMS}
        for arm in ARMS:
            for number in range(count):
                size = SIZES[number % len(SIZES)]
                self.of[arm][f"{arm[0]}{number:03}"] = people(size, f"{arm[0]}{number:03}x")
            homes = {person: home for home, members in self.of[arm].items() for person in members}
            self.world.enrol(dict.fromkeys(homes, arm), clusters=homes)
        self.world.write_bookings()

    def everybody(self, arm: str, homes: Iterable[int]) -> list[str]:
        """All people of these households of the arm."""
        every = list(self.of[arm].values())
        return [person for home in homes for person in every[home]]

    def arm(self, arm: str, booked: Iterable[str]) -> ClusterArm:
        happened = list(booked)
        members = self.of[arm].values()
        return ClusterArm.of([len(home) for home in members], [sum(map(happened.count, home)) for home in members])

    def evaluate(self, days: float | None = None) -> ExperimentResult:
        world = self.world
        as_of = due(world.experiment) if days is None else LAUNCH + timedelta(days=days)
        return evaluate(world.experiment, world.ledger, world.tables, as_of, world.warehouse)


def test_households_are_compared_not_people(ledger: Ledger, tmp_path: Path) -> None:
    """Whole households book or do not: as people the difference would be significant, as households it is not."""
    homes = Homes(ledger, tmp_path, _experiment())
    booked = {"control": homes.everybody("control", range(12)), "personal": homes.everybody("personal", range(20))}
    for who in booked.values():
        homes.world.book(who, NEXT_DAY)
    result = homes.evaluate()
    expected = compare_clusters(homes.arm("personal", booked["personal"]), homes.arm("control", booked["control"]))
    found = result.goals[0].comparison
    assert (found.difference, found.p_value) == pytest.approx((expected.difference, expected.p_value))
    assert (found.interval.low, found.interval.high) == pytest.approx((expected.interval.low, expected.interval.high))
    assert found.method == "cluster"
    alone = compare_proportions(*(Proportion(200, len(booked[arm])) for arm in ("personal", "control")))
    assert alone.p_value is not None
    assert alone.p_value < 0.05 < found.p_value
    assert {name: arm.n for name, arm in result.arms.items()} == {"control": 200, "personal": 200}
    assert result.verdict is Verdict.INCONCLUSIVE


def test_the_sample_ratio_counts_households(ledger: Ledger, tmp_path: Path) -> None:
    """Larger households in one arm are chance, and no sign of a broken assignment; missing households are."""
    homes = Homes(ledger, tmp_path, _experiment())
    crowd = {person: f"p{number:03}" for number in range(80) for person in people(6, f"g{number:03}x")}
    homes.world.assign(dict.fromkeys(crowd, "personal"), clusters=crowd)
    result = homes.evaluate()
    assert result.sample_ratio.observed == {"control": 80, "personal": 80}
    assert result.sample_ratio.p_value == 1.0
    assert result.arms["personal"].n == 200 + 480
    more = {person: f"new{place:03}" for place, person in enumerate(people(120, "more"))}
    homes.world.assign(dict.fromkeys(more, "personal"), clusters=more)
    void = homes.evaluate()
    assert void.verdict is Verdict.INVALID
    assert "the arms got 80 : 200 households where 140 : 140 were planned" in void.verdict_text[Locale.EN]
    assert "各组家庭数（80 : 200）" in void.verdict_text[Locale.ZH_CN]


def test_a_household_arrives_with_its_first_person(ledger: Ledger, tmp_path: Path) -> None:
    """Somebody who joins on another day, by another channel, brings no second household and has their own window."""
    homes = Homes(ledger, tmp_path, _experiment())
    homes.world.assign({"late": "control"}, at=LAUNCH + timedelta(days=9), channel="sms", clusters={"late": "c000"})
    result = homes.evaluate(days=12)
    assert set(result.sample_ratio_by_channel) == {"email"}
    assert result.sample_ratio.observed == {"control": 80, "personal": 80}
    assert result.maturity is not None
    assert result.maturity.open == 1
    assert result.arms["control"].metrics["booked_follow_up"].n == 200
    assert homes.evaluate().arms["control"].metrics["booked_follow_up"].n == 201


def test_rare_events_are_compared_by_the_households_that_have_any(ledger: Ledger, tmp_path: Path) -> None:
    """Two of a family complain: one household more, not two people."""
    homes = Homes(ledger, tmp_path, _experiment())
    family = homes.everybody("personal", [3])
    homes.world.hear("complaint", [*family[:2], *homes.everybody("control", [0])], NEXT_DAY)
    result = homes.evaluate()
    complained = next(item for item in result.guardrails if item.metric.name == "complained")
    expected = compare_proportions(Proportion(80, 1), Proportion(80, 1))
    assert complained.comparison == expected
    assert complained.status is GuardrailStatus.UNCLEAR
    watched = next(item for item in result.harm if item.metric == "complained")
    assert (watched.affected.events, watched.affected.people) == (1, 80)


def test_nearly_everybody_is_rare_the_other_way_round(ledger: Ledger, tmp_path: Path) -> None:
    """Every message arrived but for those of one household."""
    homes = Homes(ledger, tmp_path, _experiment())
    homes.world.assign({"unheard": "personal"}, clusters={"unheard": "p000"})
    delivered = next(item for item in homes.evaluate().guardrails if item.metric.name == "delivered")
    assert delivered.comparison == compare_proportions(Proportion(80, 79), Proportion(80, 80))


def test_counts_and_ratios_are_those_of_the_households_sums(ledger: Ledger, tmp_path: Path) -> None:
    per = {"from": "appointment", "time": "booked_at", "where": "service = 'visit'"}
    base = {**METRICS["booked_follow_up"].model_dump(mode="json", by_alias=True), "kind": "ratio", "per": per}
    homes = Homes(ledger, tmp_path, _experiment(goal=Metric.model_validate(base)))
    luck = np.random.default_rng(3)
    sizes: dict[str, list[int]] = {}
    totals: dict[str, list[int]] = {}
    for arm, keen in (("control", 0.3), ("personal", 0.5)):
        sizes[arm], totals[arm] = [], []
        for members in homes.of[arm].values():
            visits = [person for person in members for _ in range(int(luck.integers(0, 3)))]
            booked = [person for person in visits if luck.random() < keen]
            homes.world.bookings += [(person, NEXT_DAY, "visit", "booked") for person in visits]
            homes.world.bookings += [(person, NEXT_DAY, "follow_up", "booked") for person in booked]
            sizes[arm].append(len(visits))
            totals[arm].append(len(booked))
    homes.world.write_bookings()
    result = homes.evaluate()
    expected = compare_clusters(*(ClusterArm.of(sizes[arm], totals[arm]) for arm in ("personal", "control")))
    found = result.goals[0].comparison
    assert (found.difference, found.p_value) == pytest.approx((expected.difference, expected.p_value))
    mean = result.arms["control"].metrics["booked_follow_up"].mean
    assert mean == pytest.approx(sum(totals["control"]) / sum(sizes["control"]))


def test_few_clinics_prove_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """Five clinics an arm with a hundred people each, every one of whom booked in one arm."""
    world = World(ledger, tmp_path, _experiment("clinic"))
    for arm in ARMS:
        clinic = {person: f"{arm[0]}{place % 5}" for place, person in enumerate(people(500, arm[0]))}
        world.enrol(dict.fromkeys(clinic, arm), clusters=clinic)
    world.book([*people(400, "p"), *people(100, "c")], NEXT_DAY)
    result = evaluate(world.experiment, ledger, world.tables, due(world.experiment), world.warehouse)
    assert result.goals[0].comparison.reason == "too_few_clusters"
    assert result.verdict is Verdict.INCONCLUSIVE


def test_a_merged_person_counts_once_in_one_household(ledger: Ledger, tmp_path: Path) -> None:
    homes = Homes(ledger, tmp_path, _experiment())
    one, other = homes.of["control"]["c001"][0], homes.of["personal"]["p003"][0]
    with ledger.begin() as connection:
        for person, survivor in ((one, other), (other, None)):
            connection.execute(schema.person.insert().values(person_id=person, minted_at=LAUNCH, survivor_id=survivor))
    homes.world.book([other], NEXT_DAY)
    result = homes.evaluate()
    assert {name: arm.n for name, arm in result.arms.items()} == {"control": 200, "personal": 199}
    assert result.arms["control"].metrics["booked_follow_up"].mean == pytest.approx(1 / 200)


def test_the_result_says_what_was_assigned_in_both_languages(ledger: Ledger, tmp_path: Path) -> None:
    result = Homes(ledger, tmp_path, _experiment()).evaluate()
    first, *others = result.notes
    assert "households were assigned as a whole (control 80, personal 80)" in first[Locale.EN]
    assert "按家庭整体分组：control 80、personal 80" in first[Locale.ZH_CN]
    rare = [note for note in others if "too rare" in note[Locale.EN]]
    assert len(rare) == 4  # nobody booked, left or complained, and every message arrived
    assert all("按家庭比较" in note[Locale.ZH_CN] for note in rare)


def test_people_are_still_compared_as_people(ledger: Ledger, tmp_path: Path) -> None:
    world = World(ledger, tmp_path, definition())
    world.enrol({**dict.fromkeys(people(100, "c"), "control"), **dict.fromkeys(people(100, "v"), "personal")})
    world.book(people(30, "v"), NEXT_DAY)
    result = evaluate(world.experiment, ledger, world.tables, due(world.experiment), world.warehouse)
    assert result.goals[0].comparison == compare_proportions(Proportion(100, 30), Proportion(100, 0))
    assert not any("assigned as a whole" in note[Locale.EN] for note in result.notes)
