"""Who is in an experiment, who only gets its campaign's message, and who gets none: on a real snapshot."""

from __future__ import annotations

import sqlalchemy as sa

from alongside.ledger.experiments import assignments
from alongside.ledger.schema import message
from alongside.outreach.experiments import Layer
from alongside.outreach.experiments.assignment import in_slice
from alongside.outreach.plan import OUTSIDE
from tests.end_to_end.conftest import Played, edit

CAMPAIGN = "hypertension_follow_up"
EXPERIMENT = "hypertension_review_wording"
FILE = f"config/experiments/{EXPERIMENT}.yaml"


def _messages(played: Played) -> dict[str, tuple[str, str | None, str | None]]:
    """person -> template, experiment and variant of their message of the campaign."""
    query = sa.select(message.c.subject_person_id, message.c.template, message.c.experiment, message.c.variant)
    with played.house.ledger.reading() as connection:
        return {row[0]: tuple(row[1:]) for row in connection.execute(query.where(message.c.campaign == CAMPAIGN))}


def _arms(played: Played) -> dict[str, str]:
    table = assignments(played.house.ledger, EXPERIMENT)
    return dict(zip(table.column("person_id").to_pylist(), table.column("variant").to_pylist(), strict=True))


def test_who_lies_outside_the_slice_gets_the_controls_message_and_is_in_no_arm(refreshed: Played) -> None:
    edit(refreshed, FILE, "control: control", "control: control\nlayer: {name: reminders, from: 0.1, to: 0.8}")
    edit(refreshed, FILE, "minimum_effect: 0.5", "minimum_effect: 0.7")
    plan = refreshed.plan("r1", CAMPAIGN)[CAMPAIGN]
    assert plan.state == "planned", plan.reason
    messages, arms = _messages(refreshed), _arms(refreshed)
    layer = Layer.model_validate({"name": "reminders", "from": 0.1, "to": 0.8})
    people = sorted(messages)
    inside = in_slice(refreshed.house.ledger.info.secret, layer, people).to_pylist()
    assert set(arms) == {person for person, is_in in zip(people, inside, strict=True) if is_in}
    outside = messages.keys() - arms.keys()
    assert len(arms) > len(outside) > 0
    assert {messages[person] for person in outside} == {("follow_up/hypertension_review", None, None)}
    assert all(messages[person][1:] == (EXPERIMENT, arm) for person, arm in arms.items())
    assert plan.variants[OUTSIDE] == len(outside)
    assert plan.variants["control"] + plan.variants["personal"] == len(arms)


def test_only_the_slice_counts_for_the_launch(refreshed: Played) -> None:
    """The whole audience would be enough for the effect; a twentieth of it is not."""
    edit(refreshed, FILE, "control: control", "control: control\nlayer: {name: reminders, from: 0.1, to: 0.15}")
    plan = refreshed.plan("r1", CAMPAIGN)[CAMPAIGN]
    assert plan.state == "held"
    assert "underpowered" in plan.reason
    assert _messages(refreshed) == {}
