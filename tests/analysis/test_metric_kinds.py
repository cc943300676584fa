"""Ratios, capped counts, the time before assignment and subgroups, against the same made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import statsmodels.formula.api as smf

from alongside.analysis import ExperimentResult, evaluate
from alongside.analysis.observing.observation import observe
from alongside.analysis.showing.section import section
from alongside.ledger import Ledger
from alongside.model.enums import Locale, Verdict
from alongside.outreach.experiments import ExperimentDefinition, Metric, MetricKind
from alongside.stats.means import Mean, compare_means
from alongside.stats.quantiles import compare_ordered
from alongside.stats.ratios import RatioArm, compare_ratios
from alongside.stats.stratification import compare_stratified_means
from tests.analysis.world import LAUNCH, METRICS, World, definition, due, moments, people

PEOPLE = people(600)
AGES = ("18-39", "40-64", "65+")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.engine.dispose()


def _metric(**fields: object) -> Metric:
    base = {"name": "bookings", "label": {"en": "bookings", "zh_CN": "预约次数"}, "from": "appointment",
            "time": "booked_at", "where": "service = 'follow_up'", "within_days": 7, "deviation": 1.0}  # fmt: skip
    return Metric.model_validate({**base, **fields})


def _with_goal(metric: Metric, **changes: object) -> ExperimentDefinition:
    plain = definition(margins={}, **changes)
    return plain.model_copy(update={"goals": (metric,)})


class Hospital:
    """Bookings before and after assignment that hang together, and ages; everything also as a data frame."""

    def __init__(self, store: Ledger, folder: Path, experiment: ExperimentDefinition) -> None:
        self.world = World(store, folder, experiment)
        random = np.random.default_rng(7)
        keen = random.gamma(1.0, 1.0, len(PEOPLE))
        frame = pd.DataFrame({"person": PEOPLE, "arm": ["control", "personal"] * 300, "age": random.choice(AGES, 600)})
        frame["before"] = random.poisson(keen)
        frame["after"] = random.poisson(keen * np.where(frame.arm == "personal", 1.4, 1.0))
        frame["visits"] = frame.after + random.poisson(1.0, 600)
        self.frame = frame
        self.world.assign(dict(zip(frame.person, frame.arm, strict=True)))
        for row in frame.itertuples():
            for service, count in (("follow_up", row.after), ("visit", row.visits)):
                at = LAUNCH + timedelta(days=2)
                self.world.bookings += [
                    (row.person, at + timedelta(minutes=n), service, "booked") for n in range(count)
                ]
            early = LAUNCH - timedelta(days=3)
            self.world.bookings += [
                (row.person, early - timedelta(hours=n), "follow_up", "booked") for n in range(row.before)
            ]
        self.world.write_bookings()
        table = pa.table({"person_id": frame.person.tolist(), "age_band": frame.age.tolist()})
        pq.write_table(table, self.world.tables / "person.parquet")

    def evaluate(self, experiment: ExperimentDefinition | None = None) -> ExperimentResult:
        chosen = experiment or self.world.experiment
        return evaluate(chosen, self.world.ledger, self.world.tables, due(chosen), self.world.warehouse)

    def arm(self, name: str) -> pd.DataFrame:
        return self.frame[self.frame.arm == name]


def test_a_ratio_is_that_of_the_sums_with_the_delta_methods_error(store: Ledger, tmp_path: Path):
    per = {"from": "appointment", "time": "booked_at", "where": "service = 'visit'"}
    metric = _metric(kind="ratio", per=per)
    hospital = Hospital(store, tmp_path, _with_goal(metric))
    result = hospital.evaluate()
    arms = [
        RatioArm.of(part.after.tolist(), part.visits.tolist()) for part in map(hospital.arm, ("personal", "control"))
    ]
    expected = compare_ratios(*arms)
    found = result.goals[0].comparison
    assert found.difference == pytest.approx(expected.difference)
    assert found.p_value == pytest.approx(expected.p_value)
    control = hospital.arm("control")
    assert result.arms["control"].metrics["bookings"].mean == pytest.approx(control.after.sum() / control.visits.sum())


def test_a_ratio_of_hardly_any_events_is_refused(store: Ledger, tmp_path: Path):
    per = {"from": "appointment", "time": "booked_at", "where": "service = 'visit'"}
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="ratio", per=per, where="service = 'screening'")))
    hospital.world.book(PEOPLE[:4], LAUNCH + timedelta(days=1), service="screening")
    comparison = hospital.evaluate().goals[0].comparison
    assert (comparison.p_value, comparison.reason) == (None, "too_few_conversions")


def test_a_cap_holds_for_each_person(store: Ledger, tmp_path: Path):
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count", cap=2)))
    found = hospital.evaluate().goals[0].comparison
    one, other = (Mean.of(np.minimum(hospital.arm(arm).after, 2)) for arm in ("personal", "control"))
    expected = compare_means(one, other)
    assert (found.difference, found.p_value) == pytest.approx((expected.difference, expected.p_value))


def test_the_time_before_narrows_the_interval_as_regression_does(store: Ledger, tmp_path: Path):
    plain = _with_goal(_metric(kind="count"))
    adjusted = _with_goal(_metric(kind="count", before_days=30))
    hospital = Hospital(store, tmp_path, plain)
    wide, narrow = (hospital.evaluate(each).goals[0].comparison for each in (plain, adjusted))
    model = smf.ols("after ~ I(arm == 'personal') + before", hospital.frame).fit()
    assert narrow.difference == pytest.approx(model.params.iloc[1], rel=1e-6)
    assert narrow.standard_error == pytest.approx(model.bse.iloc[1], rel=0.03)
    assert narrow.standard_error < 0.9 * wide.standard_error
    assert narrow.method == "adjusted"


def test_the_time_before_adds_up_over_looks(store: Ledger, tmp_path: Path):
    """Daily looks see the same sums in parts."""
    design = {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": 12, "looks": "daily"}
    metric = _metric(kind="count", before_days=30)
    once, daily = _with_goal(metric), _with_goal(metric, design=design)
    hospital = Hospital(store, tmp_path, once)
    late = people(200, "late")
    hospital.world.assign(
        {person: ("control", "personal")[n % 2] for n, person in enumerate(late)}, LAUNCH + timedelta(days=5)
    )
    hospital.world.book(late[::3], LAUNCH + timedelta(days=6))
    hospital.world.book(late[::4], LAUNCH + timedelta(days=2))
    one, other = (hospital.evaluate(each).goals[0].comparison for each in (once, daily))
    assert one.difference == pytest.approx(other.difference)
    assert one.standard_error == pytest.approx(other.standard_error)


def test_a_rare_event_keeps_its_exact_test(store: Ledger, tmp_path: Path):
    metric = _metric(kind="binary", before_days=30, where="service = 'screening'")
    hospital = Hospital(store, tmp_path, _with_goal(metric))
    hospital.world.book(PEOPLE[:9], LAUNCH + timedelta(days=1), service="screening")
    assert hospital.evaluate().goals[0].comparison.method == "exact"


def test_subgroups_are_compared_together_and_decide_nothing(store: Ledger, tmp_path: Path):
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count"), subgroups=["age_band"]))
    result = hospital.evaluate()
    division = result.divisions[0]
    assert {part.value: part.people for part in division.parts} == hospital.frame.age.value_counts().to_dict()
    for part in division.parts:
        chosen = hospital.frame[hospital.frame.age == part.value]
        arms = (Mean.of(chosen[chosen.arm == arm].after) for arm in ("personal", "control"))
        expected = compare_means(*arms, 0.05 / 3)
        assert part.comparison.interval.low == pytest.approx(expected.interval.low)
    assert division.p_value is not None
    shape = result.to_json()
    assert [part["value"] for part in shape["subgroups"][0]["parts"]] == [part.value for part in division.parts]
    assert set(shape["sample_ratio"]["by_subgroup"]["age_band"]) == set(AGES)
    for locale in Locale:
        page = section(result, locale)
        assert len(page.breakdowns[0].rows) == 3
        assert ("age" in page.breakdowns[0].title) == (locale is Locale.EN)


def test_a_mismatch_within_one_subgroup_voids_everything(store: Ledger, tmp_path: Path):
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count"), subgroups=["age_band"]))
    arms = hospital.frame.arm.tolist()
    skewed = ["65+" if arm == "control" else "18-39" for arm in arms]
    pq.write_table(pa.table({"person_id": PEOPLE, "age_band": skewed}), hospital.world.tables / "person.parquet")
    assert hospital.evaluate().verdict is Verdict.INVALID


def _treated(hospital: Hospital, departments: list[str], days_before: float = 30) -> None:
    """Everybody's last encounter before their assignment, and one after it, somewhere else."""
    before, after = LAUNCH - timedelta(days=days_before), LAUNCH + timedelta(days=1)
    table = {
        "person_id": [*PEOPLE, *PEOPLE],
        "department": [*departments, *(f"after {arm}" for arm in hospital.frame.arm)],
        "started_at": moments([before] * len(PEOPLE) + [after] * len(PEOPLE)),
    }
    pq.write_table(pa.table(table), hospital.world.tables / "encounter.parquet")


def test_a_mismatch_within_one_clinic_voids_everything(store: Ledger, tmp_path: Path):
    """The clinic before assignment, always; where people went afterwards, the message may have decided."""
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count")))
    _treated(hospital, ["cardiology", "cardiology", "eyes", "eyes"] * 150)
    sound = hospital.evaluate()
    assert sound.verdict is not Verdict.INVALID
    by_clinic = sound.sample_ratio_by_subgroup["clinic"]
    assert {name: sum(ratio.observed.values()) for name, ratio in by_clinic.items()} == {"cardiology": 300, "eyes": 300}
    _treated(hospital, ["cardiology" if arm == "control" else "eyes" for arm in hospital.frame.arm])
    broken = hospital.evaluate()
    assert broken.verdict is Verdict.INVALID
    assert "in one part of the people (clinic: cardiology) the arms got" in broken.verdict_text[Locale.EN]
    assert "在“科室：cardiology”这部分人中" in broken.verdict_text[Locale.ZH_CN]


def test_the_clinic_divides_like_any_other_part(store: Ledger, tmp_path: Path):
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count"), subgroups=["clinic"], stratify_by="clinic"))
    _treated(hospital, ["cardiology"] * 400 + ["eyes"] * 200)
    result = hospital.evaluate()
    assert [(part.value, part.people) for part in result.divisions[0].parts] == [("cardiology", 400), ("eyes", 200)]
    assert result.goals[0].comparison.method == "stratified"
    for locale in Locale:
        assert section(result, locale).breakdowns


def test_many_parts_are_taken_together(store: Ledger, tmp_path: Path):
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count"), subgroups=["age_band"]))
    bands = [f"band {n % 30:02}" for n in range(len(PEOPLE))]
    pq.write_table(pa.table({"person_id": PEOPLE, "age_band": bands}), hospital.world.tables / "person.parquet")
    parts = hospital.evaluate().divisions[0].parts
    assert len(parts) == 13
    assert (parts[-1].value, sum(part.people for part in parts)) == ("*", 600)


def test_a_winners_effect_is_shown_without_its_luck(store: Ledger, tmp_path: Path):
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count")))
    result = hospital.evaluate()
    goal = result.goals[0]
    assert goal.significant
    assert goal.meaning is not None
    assert 0 < goal.meaning.corrected < goal.comparison.difference
    assert goal.meaning.chance_better > 0.95
    assert 0 <= goal.meaning.expected_loss < 0.01
    page = section(result, Locale.EN)
    assert any("Without the luck" in remark for remark in page.remarks)


def test_an_effect_that_wears_off_shows_by_time_of_enrolment(store: Ledger, tmp_path: Path):
    design = {"base_rate": 0.15, "minimum_effect": 0.08, "planned_days": 12}
    experiment = _with_goal(_metric(kind="binary"), design=design)
    world = World(store, tmp_path, experiment)
    for day in range(8):
        arms = {person: ("control", "personal")[n % 2] for n, person in enumerate(people(100, f"d{day}x"))}
        world.assign(arms, LAUNCH + timedelta(days=day))
        keen = 40 if day < 4 else 12
        booked = [person for n, person in enumerate(arms) if n < (24 if n % 2 == 0 else 2 * keen)]
        world.book(booked, LAUNCH + timedelta(days=day + 1 + day % 3))
    result = evaluate(experiment, store, world.tables, due(experiment), world.warehouse)
    periods = next(division for division in result.divisions if division.column == "period")
    assert [part.value for part in periods.parts] == [
        "2026-03-01/2026-03-02", "2026-03-03/2026-03-04", "2026-03-05/2026-03-06", "2026-03-07/2026-03-08"
    ]  # fmt: skip
    assert [part.people for part in periods.parts] == [200] * 4
    assert periods.parts[0].comparison.difference > 0.4
    assert abs(periods.parts[-1].comparison.difference) < 0.05
    assert periods.p_value < 0.001
    assert "seems to differ" in section(result, Locale.EN).breakdowns[0].note
    zone = ZoneInfo("Pacific/Pago_Pago")
    there = evaluate(experiment, store, world.tables, due(experiment), world.warehouse, zone=zone)
    named = next(division for division in there.divisions if division.column == "period").parts[0].value
    assert named == "2026-02-28/2026-03-01", "days are those of the hospital's zone"


def test_the_days_since_the_message_count_whole_windows(store: Ledger, tmp_path: Path):
    experiment = _with_goal(_metric(kind="binary"))
    world = World(store, tmp_path, experiment)
    control, personal, late = people(40, "c"), people(40, "v"), people(10, "late")
    world.assign({**dict.fromkeys(control, "control"), **dict.fromkeys(personal, "personal")})
    world.assign(dict.fromkeys(late, "personal"), LAUNCH + timedelta(days=11))
    world.book(personal[:10], LAUNCH + timedelta(days=1, hours=2))
    world.book([*personal[5:20], *control[:4]], LAUNCH + timedelta(days=4))
    world.book(late, LAUNCH + timedelta(days=11, hours=1))
    as_of = LAUNCH + timedelta(days=12)
    result = evaluate(experiment, store, world.tables, as_of, world.warehouse)
    assert result.since_message["personal"] == pytest.approx((0, 0.25, 0.25, 0.25, 0.5, 0.5, 0.5))
    assert result.since_message["control"][-1] == pytest.approx(0.1)
    for locale in Locale:
        page = section(result, locale)
        assert page.curve is not None
        assert page.curve[0].count("<polyline") == 2


def test_controlled_is_whose_latest_value_lies_below(store: Ledger, tmp_path: Path):
    """Also of somebody whose earlier reading was high; not of somebody who measured nothing."""
    experiment = definition(goals=("controlled_blood_pressure",), margins={})
    world = World(store, tmp_path, experiment)
    control, personal = people(30, "c"), people(30, "v")
    world.assign({**dict.fromkeys(control, "control"), **dict.fromkeys(personal, "personal")})
    readings = [(person, day, value) for person in personal[:20] for day, value in ((2, 160.0), (9, 130.0))]
    readings += [(person, day, value) for person in control[:20] for day, value in ((2, 120.0), (9, 150.0))]
    readings += [(control[0], 70, 110.0)]  # after the window
    pq.write_table(
        pa.table(
            {
                "person_id": [person for person, _, _ in readings],
                "effective_at": moments([LAUNCH + timedelta(days=day) for _, day, _ in readings]),
                "value": [value for _, _, value in readings],
                "context": ["home"] * len(readings),
                "concepts": [["systolic_bp"]] * len(readings),
            }
        ),
        world.tables / "observation.parquet",
    )
    result = evaluate(experiment, store, world.tables, due(experiment), world.warehouse)
    assert result.arms["personal"].metrics["controlled_blood_pressure"].mean == pytest.approx(20 / 30)
    assert result.arms["control"].metrics["controlled_blood_pressure"].mean == 0
    assert not result.since_message


def test_goals_are_compared_within_strata(store: Ledger, tmp_path: Path):
    metric = _metric(kind="count")
    hospital = Hospital(store, tmp_path, _with_goal(metric, stratify_by="age_band"))
    frame = hospital.frame
    pairs = {
        age: tuple(Mean.of(part[part.arm == arm].after) for arm in ("personal", "control"))
        for age, part in frame.groupby("age")
    }
    expected = compare_stratified_means(pairs).comparison
    found = hospital.evaluate().goals[0].comparison
    assert found.method == "stratified"
    assert (found.difference, found.standard_error) == pytest.approx((expected.difference, expected.standard_error))


def test_rates_are_compared_within_strata_that_explain_them(store: Ledger, tmp_path: Path):
    """Old and young differ much: within them the same difference stands out more."""
    plain, within = (_with_goal(_metric(kind="binary"), **more) for more in ({}, {"stratify_by": "age_band"}))
    hospital = Hospital(store, tmp_path, plain)
    old = hospital.frame.after > 0
    ages = ["65+" if each else "18-39" for each in old]
    pq.write_table(pa.table({"person_id": PEOPLE, "age_band": ages}), hospital.world.tables / "person.parquet")
    wide, narrow = (hospital.evaluate(each).goals[0].comparison for each in (plain, within))
    assert narrow.method == "stratified"
    assert narrow.standard_error < 0.8 * wide.standard_error


def test_each_window_counts_from_its_first_moment_to_just_before_its_end(store: Ledger, tmp_path: Path) -> None:
    """Of the first and of the last person, too: rows outside all windows are not even joined."""
    metric = _metric(kind="count", before_days=30)
    world = World(store, tmp_path, _with_goal(metric))
    first, last = LAUNCH, LAUNCH + timedelta(days=3)
    world.assign({"a": "control"}, first)
    world.assign({"b": "personal"}, last)
    instant = timedelta(microseconds=1)
    for person, at in (("a", first), ("b", last)):
        end, past = at + metric.window, at - timedelta(days=30)
        for moment in (past - instant, past, at - instant, at, end - instant, end):
            world.bookings.append((person, moment, "follow_up", "booked"))
    world.write_bookings()
    end = due(world.experiment)
    sums = observe(world.experiment, LAUNCH, store, world.tables, end, world.warehouse).sums[metric.name]
    assert {arm: (part.total, part.beside_mean) for arm, part in sums.items()} == {
        "control": (2.0, 2.0),
        "personal": (2.0, 2.0),
    }


def test_nobodys_sum_lies_below_a_limit_above_nothing(store: Ledger, tmp_path: Path) -> None:
    """A sum of no rows is 0; a mean of none is no value, which has not reached the limit."""
    table = {
        "kind": "binary",
        "from": "encounter",
        "time": "started_at",
        "where": None,
        "value": "amount",
        "below": 5.0,
    }
    found = {}
    for aggregate in ("sum", "mean"):
        metric = _metric(**table, aggregate=aggregate)
        world = World(store, tmp_path, _with_goal(metric))
        world.assign({"a": "control", "b": "personal"})
        at = LAUNCH + timedelta(days=1)
        rows = {"person_id": ["a"], "started_at": moments([at]), "department": ["eyes"], "amount": [7.0]}
        pq.write_table(pa.table(rows), world.tables / "encounter.parquet")
        end = due(world.experiment)
        sums = observe(world.experiment, LAUNCH, store, world.tables, end, world.warehouse).sums[metric.name]
        found[aggregate] = {arm: part.total for arm, part in sums.items()}
    assert found == {"sum": {"control": 0.0, "personal": 1.0}, "mean": {"control": 0.0, "personal": 0.0}}


class Waiting:
    """400 people on two days; how many days each waits until they book, infinite for who does not within the window."""

    def __init__(self, store: Ledger, folder: Path, experiment: ExperimentDefinition) -> None:
        self.world = World(store, folder, experiment)
        random = np.random.default_rng(11)
        frame = pd.DataFrame({"person": people(400), "arm": ["control", "personal"] * 200, "day": [0, 0, 3, 3] * 100})
        frame["age"] = random.choice(AGES, 400)
        waits = random.exponential(np.where(frame.arm == "personal", 8.0, 16.0))
        frame["wait"] = np.where(waits < 7, waits, np.inf)
        self.frame = frame
        for day in (0, 3):
            some = frame[frame.day == day]
            self.world.assign(dict(zip(some.person, some.arm, strict=True)), LAUNCH + timedelta(days=day))
        for row in frame.itertuples():
            for later in (0, 1) if row.wait < 7 else ():
                at = LAUNCH + timedelta(days=row.day + row.wait + later)
                self.world.bookings.append((row.person, at, "follow_up", "booked"))
        self.world.write_bookings()
        table = pa.table({"person_id": frame.person.tolist(), "age_band": frame.age.tolist()})
        pq.write_table(table, self.world.tables / "person.parquet")

    def waits(self, arm: str, **chosen: object) -> np.ndarray:
        frame = self.frame[self.frame.arm == arm]
        for column, value in chosen.items():
            frame = frame[frame[column] == value]
        return np.sort(frame.wait.to_numpy())


def test_a_quantile_of_waits_counts_who_never_came_as_last(store: Ledger, tmp_path: Path):
    experiment = _with_goal(
        _metric(kind="quantile", quantile=0.25, direction="lower_is_better"), subgroups=["age_band"]
    )
    waiting = Waiting(store, tmp_path, experiment)
    result = evaluate(experiment, store, waiting.world.tables, due(experiment), waiting.world.warehouse)
    found, expected = (
        result.goals[0].comparison,
        compare_ordered(waiting.waits("personal"), waiting.waits("control"), 0.25),
    )
    assert found.difference == pytest.approx(expected.difference, abs=1e-6)
    assert (found.p_value, found.interval.low) == pytest.approx((expected.p_value, expected.interval.low), rel=1e-4)
    assert result.arms["personal"].metrics["bookings"].mean == pytest.approx(
        np.quantile(waiting.waits("personal"), 0.25)
    )
    assert (result.verdict, result.winner) == (Verdict.SHIP, "personal")
    part = next(part for part in result.divisions[0].parts if part.value == "65+")
    old = compare_ordered(waiting.waits("personal", age="65+"), waiting.waits("control", age="65+"), 0.25, 0.05 / 3)
    assert part.comparison.difference == pytest.approx(old.difference, abs=1e-6)


def test_daily_looks_at_a_quantile_see_the_same_in_parts(store: Ledger, tmp_path: Path):
    design = {"base_rate": 4.0, "minimum_effect": 2.0, "planned_days": 12, "looks": "daily"}
    experiment = _with_goal(_metric(kind="quantile", quantile=0.25, direction="lower_is_better"), design=design)
    waiting = Waiting(store, tmp_path, experiment)

    def seen(days: float) -> ExperimentResult:
        as_of = LAUNCH + timedelta(days=days)
        return evaluate(experiment, store, waiting.world.tables, as_of, waiting.world.warehouse)

    half, whole = seen(8.5), seen(20.5)
    assert half.arms["control"].metrics["bookings"].n == 100
    early = [waiting.waits(arm, day=0) for arm in ("personal", "control")]
    assert half.goals[0].comparison.difference == pytest.approx(compare_ordered(*early, 0.25).difference, abs=1e-6)
    assert half.verdict is Verdict.NOT_MATURE
    assert whole.goals[0].comparison.difference == pytest.approx(
        compare_ordered(waiting.waits("personal"), waiting.waits("control"), 0.25).difference, abs=1e-6
    )
    points = [point for point in whole.looking.paths[0].points if point.z is not None]
    assert len(points) == 2
    assert points[-1].z > points[0].z > 0


def test_a_quantile_that_too_few_reach_is_not_given(store: Ledger, tmp_path: Path):
    experiment = _with_goal(_metric(kind="quantile", quantile=0.95, direction="lower_is_better"))
    waiting = Waiting(store, tmp_path, experiment)
    result = evaluate(experiment, store, waiting.world.tables, due(experiment), waiting.world.warehouse)
    assert (result.goals[0].comparison.reason, result.arms["control"].metrics["bookings"].mean) == ("not_finite", None)
    assert "too few people have reached it" in result.verdict_text[Locale.EN]
    assert "没有有限的数值" in result.verdict_text[Locale.ZH_CN]
    for locale in Locale:
        assert section(result, locale)


def test_a_value_that_everybody_shares_is_said_to_be_shared(store: Ledger, tmp_path: Path):
    hospital = Hospital(store, tmp_path, _with_goal(_metric(kind="count", where="service = 'screening'")))
    hospital.world.book(PEOPLE, LAUNCH + timedelta(days=1), service="screening")
    words = hospital.evaluate().verdict_text
    assert "everybody in both arms has the same value of “bookings”" in words[Locale.EN]
    assert "数值都相同" in words[Locale.ZH_CN]


def test_a_quantile_of_a_value_leaves_out_who_has_none(store: Ledger, tmp_path: Path):
    metric = METRICS["home_systolic"].model_copy(update={"kind": MetricKind.QUANTILE, "quantile": 0.5})
    experiment = _with_goal(metric)
    world = World(store, tmp_path, experiment)
    control, personal = people(60, "c"), people(60, "v")
    world.assign({**dict.fromkeys(control, "control"), **dict.fromkeys(personal, "personal")})
    readings = [(person, 120.0 + n) for n, person in enumerate([*personal[:40], *control[:30]])]
    pq.write_table(
        pa.table(
            {
                "person_id": [person for person, _ in readings],
                "effective_at": moments([LAUNCH + timedelta(days=3)] * len(readings)),
                "value": [value for _, value in readings],
                "context": ["home"] * len(readings),
                "concepts": [["systolic_bp"]] * len(readings),
            }
        ),
        world.tables / "observation.parquet",
    )
    result = evaluate(experiment, store, world.tables, due(experiment), world.warehouse)
    arm = result.arms["personal"].metrics["home_systolic"]
    assert (arm.mean, arm.n, arm.missing) == (139.5, 40, 20)
    assert result.goals[0].comparison.difference == pytest.approx(139.5 - 174.5)
