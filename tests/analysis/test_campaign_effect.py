"""A campaign against the people whom its hold-out kept without it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from alongside.analysis.campaign_effect import campaign_effect
from alongside.ledger import Ledger, schema
from alongside.ledger import runs as run_store
from alongside.ledger.runs import RunPins
from alongside.model.enums import Gate
from alongside.model.errors import Refused
from alongside.outreach.campaigns import Campaign
from alongside.stats.proportions import Proportion, compare_proportions
from alongside.warehouse import Snapshot, Warehouse
from tests.analysis.world import LAUNCH, METRICS, moments, people

NAME = "flu_vaccine"
GOAL = METRICS["booked_follow_up"]
NOW = LAUNCH + timedelta(days=20)
HELD, CLOSED = Gate.CAMPAIGN_HOLDOUT, Gate.NO_CONSENT
Row = tuple[str, Gate]


class Campaigning:
    """Runs of one campaign with their decisions, and bookings in a snapshot."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger.open(f"sqlite:///{folder / 'ledger.db'}")
        self.folder = folder / "runs"
        self.warehouse = Warehouse(folder, "500MB", 1)
        self.tables = folder / "snapshot" / "tables"
        self.tables.mkdir(parents=True)
        self.book([])

    def run(self, day: int, rows: Sequence[Row], state: str = "dispatched") -> None:
        run_id, at = f"r{day}", LAUNCH + timedelta(days=day)
        with self.ledger.begin() as connection:
            run_store.pin_run(connection, RunPins(run_id, at, "c", "c", "sandbox", False, False, at))
            run_store.record_campaign(connection, run_id, NAME, state, {}, planned_at=at)
        path = self.folder / run_id / "decisions" / f"{NAME}.parquet"
        path.parent.mkdir(parents=True)
        table = {
            "person_id": [person for person, _ in rows],
            "mask": pa.array([gates.value for _, gates in rows], pa.int64()),
            "kept_without": [bool(gates & HELD) for _, gates in rows],
            "channel": ["email"] * len(rows),
        }
        pq.write_table(pa.table(table), path)

    def book(self, who: Sequence[tuple[str, float]]) -> None:
        """(person, days after launch)."""
        table = {
            "person_id": pa.array([person for person, _ in who], pa.string()),
            "booked_at": moments([LAUNCH + timedelta(days=day) for _, day in who]),
            "service": pa.array(["follow_up"] * len(who), pa.string()),
            "status": pa.array(["booked"] * len(who), pa.string()),
        }
        pq.write_table(pa.table(table), self.tables / "appointment.parquet")

    def effect(self, metric=GOAL, holdout: float = 0.2):
        about = {"name": NAME, "description": {"en": "flu"}, "segment": "s", "message": "prevention/flu_vaccine",
                 "holdout": holdout, "envelope": {"max_audience": 1, "max_change": 0.1}}  # fmt: skip
        snapshot = Snapshot("s", self.tables.parent, NOW, {})
        return campaign_effect(
            Campaign.model_validate(about), [metric], self.ledger, self.folder, snapshot, self.warehouse
        )


@pytest.fixture
def campaigning(tmp_path: Path) -> Iterator[Campaigning]:
    world = Campaigning(tmp_path)
    yield world
    world.ledger.engine.dispose()


REACHED, KEPT = people(400, "r"), people(100, "k")
EVERYBODY = [*((person, Gate(0)) for person in REACHED), *((person, HELD) for person in KEPT)]


def test_the_reached_are_compared_with_the_kept(campaigning: Campaigning):
    campaigning.run(0, EVERYBODY)
    campaigning.run(1, [*((person, Gate.ALREADY_SENT) for person in REACHED), *((person, HELD) for person in KEPT)])
    campaigning.book([(person, 2) for person in [*REACHED[:80], *KEPT[:8]]] + [(KEPT[9], 7.5)])
    found = campaigning.effect()
    expected = compare_proportions(Proportion(400, 80), Proportion(100, 8))
    assert found.comparisons[0].comparison == expected  # a booking on the eighth day is after the week
    assert (found.arms["campaign"].n, found.arms["without"].n, found.since) == (400, 100, LAUNCH)
    assert not found.sample_ratio.mismatch
    shape = found.to_json()
    assert shape["arms"]["without"]["mean"] == {GOAL.name: 0.08}
    assert shape["comparisons"][0]["ci_low"] == expected.interval.low


def test_everybody_counts_from_the_day_on_which_nothing_else_held_them_back(campaigning: Campaigning):
    campaigning.run(0, [*EVERYBODY, ("late", CLOSED), ("late_kept", CLOSED | HELD)])
    campaigning.run(9, [("late", Gate(0)), ("late_kept", HELD)])
    campaigning.book([("late", 5), ("late_kept", 10)])  # before and after the day on which they were first open
    found = campaigning.effect()
    assert (found.arms["campaign"].n, found.arms["without"].n) == (401, 101)
    assert found.arms["campaign"].metrics[GOAL.name].mean == 0
    assert found.arms["without"].metrics[GOAL.name].mean == pytest.approx(1 / 101)


def test_what_only_one_side_can_meet_keeps_nobody_out(campaigning: Campaigning):
    """Nothing is rendered for the hold-out, and it takes nobody's address."""
    unrendered = [(person, Gate.RENDER_FAILED) for person in REACHED[:10]]
    shared = [(person, Gate.DUPLICATE_ADDRESS) for person in REACHED[10:20]]
    campaigning.run(0, [*unrendered, *shared, *EVERYBODY[20:]])
    assert campaigning.effect().arms["campaign"].n == 400


def test_who_was_reached_before_there_was_a_hold_out_is_in_neither_group(campaigning: Campaigning):
    campaigning.run(0, [(person, Gate(0)) for person in people(50, "old")])
    campaigning.run(3, [*EVERYBODY, (people(50, "old")[0], Gate(0)), (people(50, "old")[1], HELD)])
    found = campaigning.effect()
    assert (found.arms["campaign"].n, found.arms["without"].n, found.since) == (400, 100, LAUNCH + timedelta(days=3))


def test_open_windows_wait_and_plans_that_were_refused_do_not_count(campaigning: Campaigning):
    campaigning.run(0, EVERYBODY, state="held")
    campaigning.run(2, EVERYBODY[:450])
    campaigning.run(18, EVERYBODY)
    campaigning.run(20, [*EVERYBODY, ("newest", HELD)])
    found = campaigning.effect()
    assert (found.arms["without"].n, found.arms["without"].metrics[GOAL.name].n) == (101, 50)


def test_two_records_of_one_person_are_one_person_as_they_were_first_open(campaigning: Campaigning):
    campaigning.run(0, [*EVERYBODY, ("one", HELD)])
    campaigning.run(1, [("other", Gate(0))])
    with campaigning.ledger.begin() as connection:
        connection.execute(
            sa.insert(schema.person),
            [
                {"person_id": name, "survivor_id": survivor, "minted_at": datetime(2026, 1, 1, tzinfo=UTC)}
                for name, survivor in (("other", None), ("one", "other"))
            ],
        )
    campaigning.book([("other", 3)])
    found = campaigning.effect()
    assert (found.arms["campaign"].n, found.arms["without"].n) == (400, 101)
    assert found.arms["without"].metrics[GOAL.name].mean == pytest.approx(1 / 101)


def test_groups_of_another_size_are_told(campaigning: Campaigning):
    campaigning.run(0, EVERYBODY)
    assert campaigning.effect(holdout=0.05).sample_ratio.mismatch


@pytest.mark.parametrize(
    ("metric", "words"),
    [("clicked", "the hold-out gets none"), ("visits", "is a mean or count"), ("clicks_per_message", "gets none")],
)
def test_what_cannot_be_compared_is_refused(campaigning: Campaigning, metric: str, words: str):
    campaigning.run(0, EVERYBODY)
    with pytest.raises(Refused, match=words):
        campaigning.effect(METRICS[metric])


def test_without_a_hold_out_there_is_nothing_to_compare(campaigning: Campaigning):
    campaigning.run(0, EVERYBODY[:400])
    with pytest.raises(Refused, match="nobody has been kept without it yet"):
        campaigning.effect()
    with pytest.raises(Refused, match="it has no hold-out"):
        campaigning.effect(holdout=0.0)
