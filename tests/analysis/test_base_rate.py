"""What the hospital's own data say about a goal, before anybody is in an experiment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from alongside.analysis.observing.base_rate import BaseRate, measured_base_rate
from alongside.outreach.experiments import ExperimentDefinition, Metric
from alongside.warehouse import Snapshot, Warehouse
from tests.analysis.world import definition, moments, people

NOW = datetime(2026, 3, 20, tzinfo=UTC)
SINCE = NOW - timedelta(days=8)  # seven of window, one for the extract
PEOPLE = people(200)
Booking = tuple[str, datetime]


def _snapshot(
    house: Warehouse, as_of: datetime, members: Sequence[str], bookings: Sequence[Booking] | None = ()
) -> Snapshot:
    draft = house.begin(f"s-{as_of:%Y%m%d}", as_of)
    draft.table("membership").parent.mkdir(parents=True, exist_ok=True)
    segments = ["due"] * len(members) + ["others"]
    table = pa.table({"person_id": [*members, "somebody-else"], "segment": segments})
    pq.write_table(table, draft.table("membership"))
    if bookings is not None:
        rows = {
            "person_id": pa.array([person for person, _ in bookings], pa.string()),
            "booked_at": moments([at for _, at in bookings]),
            "service": pa.array(["follow_up"] * len(bookings), pa.string()),
            "status": pa.array(["booked"] * len(bookings), pa.string()),
        }
        pq.write_table(pa.table(rows), draft.table("appointment"))
    return house.publish(draft, {})


@pytest.fixture
def house(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path, "500MB", 1)


def _with_goal(**changes: object) -> ExperimentDefinition:
    plain = definition(margins={})
    goal = Metric.model_validate({**plain.goals[0].model_dump(by_alias=True), **changes})
    return plain.model_copy(update={"goals": (goal,)})


def test_the_segments_people_of_today_over_the_last_whole_window(house: Warehouse):
    early, inside, late = SINCE - timedelta(hours=1), SINCE + timedelta(days=1), SINCE + timedelta(days=7)
    bookings = [(person, inside) for person in PEOPLE[:30]]
    bookings += [(PEOPLE[40], early), (PEOPLE[41], late), (PEOPLE[0], inside), ("somebody-else", inside)]
    found = measured_base_rate(definition(), "due", _snapshot(house, NOW, PEOPLE, bookings), house)
    assert found is not None
    assert (found.value, found.people, found.since, found.then) == (0.15, 200, SINCE, False)
    assert found.error == pytest.approx((0.15 * 0.85 / 199) ** 0.5)


def test_people_of_an_earlier_snapshot_include_who_left_the_segment_by_booking(house: Warehouse):
    """Among today's people nobody is left who booked: their rate would be 0."""
    then = NOW - timedelta(days=10)
    _snapshot(house, then - timedelta(days=5), PEOPLE[:10])
    _snapshot(house, then, PEOPLE)
    _snapshot(house, NOW - timedelta(days=3), PEOPLE[:100])
    today = _snapshot(house, NOW, PEOPLE[50:], [(person, then + timedelta(days=2)) for person in PEOPLE[:50]])
    found = measured_base_rate(definition(), "due", today, house)
    assert found is not None
    assert (found.value, found.people, found.since, found.then) == (0.25, 200, then, True)


def test_a_wait_is_measured_with_its_own_error(house: Warehouse):
    """Of 200 people 80 booked, one every two hours: a quarter had by the 50th of them."""
    bookings = [(person, SINCE + timedelta(hours=2 * n)) for n, person in enumerate(PEOPLE[:80], start=1)]
    today = _snapshot(house, NOW, PEOPLE, bookings)
    wait = measured_base_rate(_with_goal(kind="quantile", quantile=0.25), "due", today, house)
    assert wait is not None
    assert (wait.value, wait.people) == (pytest.approx(50.0 * 2 / 24, rel=0.02), 200)
    # Six persons more or fewer of fifty, at twelve a day.
    assert wait.error == pytest.approx((200 * 0.25 * 0.75) ** 0.5 * 2 / 24, rel=0.1)
    assert measured_base_rate(_with_goal(kind="quantile", quantile=0.5), "due", today, house) is None


def test_a_ratio_and_a_count_are_measured_in_their_own_unit(house: Warehouse):
    inside = SINCE + timedelta(days=1)
    bookings = [(person, inside + timedelta(hours=n)) for person in PEOPLE[:50] for n in range(3)]
    today = _snapshot(house, NOW, PEOPLE, bookings)
    count = measured_base_rate(_with_goal(kind="count", before_days=30), "due", today, house)
    assert count is not None
    assert count.value == 0.75
    early = {"from": "appointment", "where": f"booked_at < '{inside + timedelta(minutes=30):%Y-%m-%d %H:%M:%S}'"}
    ratio = measured_base_rate(_with_goal(kind="ratio", per={**early, "time": "booked_at"}), "due", today, house)
    assert ratio is not None
    assert ratio.value == 3
    assert ratio.error == pytest.approx(0, abs=1e-6)  # everybody who booked at all booked three times


def test_what_the_data_do_not_hold_is_not_made_up(house: Warehouse):
    today = _snapshot(house, NOW, PEOPLE, None)
    assert measured_base_rate(definition(), "due", today, house) is None
    assert measured_base_rate(definition(goals=("clicked",)), "due", today, house) is None
    full = _snapshot(house, NOW + timedelta(days=1), PEOPLE, [])
    assert measured_base_rate(definition(), "nobody", full, house) is None
    zero = measured_base_rate(definition(), "due", full, house)
    assert zero is not None
    assert zero.value == 0


@pytest.mark.parametrize(
    ("value", "error", "warned"),
    [(0.15, 0.01, False), (0.19, 0.01, False), (0.21, 0.01, True), (0.09, 0.01, True), (0.21, 0.05, False)],
)
def test_a_guess_is_doubted_beyond_a_third_and_beyond_chance(value: float, error: float, warned: bool):
    found = BaseRate("booked_follow_up", value, 200, 0.3, error, SINCE, then=True)
    text = found.warning(0.15)
    assert (text is not None) is warned
    if text is not None:
        assert f"had {value:g} on 'booked_follow_up' since 2026-03-12" in text
