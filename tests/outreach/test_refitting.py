"""Whose text does not fit one channel is written to on the next one that is open to them, in the same run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import duckdb
import pytest

from alongside.model.enums import Gate, Purpose
from alongside.outreach.refitting import Refitting
from tests.outreach.test_gates import SETTINGS, World, campaign, person

WAYS = ["wechat", "sms", "email"]


@dataclass
class Rendering:
    """In place of `Deciding`: what rendering would say, by person and channel."""

    duck: duckdb.DuckDBPyConnection
    says: dict[tuple[str, str], Gate]
    asked: list[tuple[str, str]] = field(default_factory=list)

    def decide(self, which: str) -> None:
        self.duck.execute("CREATE TEMP TABLE IF NOT EXISTS decided (person_id VARCHAR, late INTEGER)")
        for who, channel in self.duck.execute(
            f"SELECT c.person_id, c.channel FROM candidate AS c WHERE c.gates = 0 AND ({which}) ORDER BY 1"
        ).fetchall():
            self.asked.append((who, channel))
            late = int(self.says.get((who, channel), Gate.NONE))
            self.duck.execute("INSERT INTO decided VALUES (?, ?)", [who, late])


def refit(
    world: World, says: dict[tuple[str, str], Gate], purpose: Purpose = Purpose.CARE, **changes: Any
) -> dict[str, tuple[str, Gate]]:
    """Person -> channel, and the gates that stand after everything."""
    world.masks(campaign(**{"channels": WAYS, **changes}), purpose)
    rendering = Rendering(world.duck, says)
    rendering.decide("TRUE")
    Refitting(world.duck, rendering, world.wanted, SETTINGS).run()  # type: ignore[arg-type]  # a stand-in for Deciding
    world.read()
    late = dict(world.duck.execute("SELECT person_id, late FROM decided").fetchall())
    assert len(late) == world.duck.execute("SELECT count(*) FROM decided").fetchone()[0], "everybody is decided once"
    return {who: (channel, mask | Gate(late.get(who, 0))) for who, (channel, mask, _) in world.decided.items()}


def people(*names: str, **changes: Any) -> list[dict[str, Any]]:
    reached = ("email_blind", "phone_blind", "openid_blind")
    return [
        person(person_id=one, **{"age": 30, **{kind: f"{kind[0]}{one}" for kind in reached}, **changes})
        for one in names
    ]


@pytest.mark.parametrize("gate", [Gate.RENDER_FAILED, Gate.NOT_CARRIED])
def test_the_next_channel_of_the_order_is_taken(gate: Gate) -> None:
    world = World(people("p1", "p2"))
    assert refit(world, {("p1", "wechat"): gate}) == {"p1": ("sms", Gate.NONE), "p2": ("wechat", Gate.NONE)}
    # `alongside why` tells which channel was closed, and by what.
    assert world.decided["p1"][2] == {"wechat": gate, "sms": Gate.NONE, "email": Gate.NONE}


def test_a_patients_own_order_counts() -> None:
    world = World(people("p1", preferred_channel="sms"))
    assert refit(world, {("p1", "sms"): Gate.RENDER_FAILED}) == {"p1": ("wechat", Gate.NONE)}


def test_what_fits_nowhere_stays_withheld_and_is_counted_once() -> None:
    world = World(people("p1"))
    nowhere = {("p1", channel): Gate.RENDER_FAILED for channel in WAYS}
    assert refit(world, nowhere) == {"p1": ("email", Gate.RENDER_FAILED)}


def test_a_closed_channel_is_not_opened_by_it() -> None:
    world = World(people("p1"), denied_on={("p1", "sms")})
    assert refit(world, {("p1", "wechat"): Gate.RENDER_FAILED}) == {"p1": ("email", Gate.NONE)}


def test_without_another_open_channel_nothing_is_asked_again() -> None:
    world = World(people("p1"), denied_on={("p1", "sms"), ("p1", "email")})
    assert refit(world, {("p1", "wechat"): Gate.RENDER_FAILED}) == {"p1": ("wechat", Gate.RENDER_FAILED)}


def test_an_inadmissible_claim_is_said_nowhere() -> None:
    world = World(people("p1"))
    assert refit(world, {("p1", "wechat"): Gate.CLAIMS_LINT}) == {"p1": ("wechat", Gate.CLAIMS_LINT)}


def test_two_who_share_an_address_are_still_asked_once() -> None:
    world = World([*people("p1"), *people("p2", openid_state="missing")])
    for one in world.people:
        one["phone_blind"] = "f1"
    found = refit(world, {("p1", "wechat"): Gate.RENDER_FAILED}, Purpose.SURVEY, channels=["wechat", "sms"])
    assert found == {"p1": ("wechat", Gate.RENDER_FAILED), "p2": ("sms", Gate.NONE)}
