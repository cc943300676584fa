"""What patients have wished since a message was planned, at the last look before it leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import schema, wishes
from alongside.ledger.claims import Claim
from alongside.ledger.groups import members
from alongside.ledger.protocol import TAKEN
from alongside.model.enums import Gate, Pace, Purpose, WishKind
from alongside.settings import HospitalSettings

Said = Mapping[WishKind, str]
_NOTHING: Said = {}


@dataclass(frozen=True)
class Fresh:
    """Wishes since planning, by living person; nearly always there are none.

    Attributes
    ----------
    topics : those that hold the message back for who switched them off
    too_soon : people who want fewer messages and have had another one too recently
    """

    said: Mapping[str, Said] = field(default_factory=dict)
    topics: frozenset[str] = frozenset()
    too_soon: frozenset[str] = frozenset()

    def gate(self, person_id: str, variables: Mapping[str, Any]) -> Gate:
        """The gate that a wish has closed since planning, or NONE."""
        said = self.said.get(person_id, _NOTHING)
        if self.topics & frozenset(said.get(WishKind.TOPICS_OFF, "").split("|")):
            return Gate.TOPIC_OFF
        if said.get(WishKind.GENERAL_ONLY) == "yes" and variables.get("selective"):
            return Gate.GENERAL_ONLY
        return Gate.OWN_PACE if person_id in self.too_soon and not variables.get("urgent") else Gate.NONE

    def hours(self, person_id: str, planned: Any) -> Any:
        """Quiet hours as wished since, else those that the message was planned with: `[from, to]` or None."""
        if not self.said or (quiet := self.said.get(person_id, _NOTHING).get(WishKind.QUIET)) is None:
            return planned
        return None if quiet == wishes.AS_USUAL else quiet.split("/")


def fresh_wishes(
    connection: Connection,
    held: Claim,
    planned_at: datetime,
    patient_now: datetime,
    settings: HospitalSettings,
    topics: Collection[str],
) -> Fresh:
    """What was wished since the batch was planned. It costs what was wished since, not what the batch holds."""
    said = wishes.since(connection, planned_at)
    return fresh(connection, said, held.batch_id, held.purpose, patient_now, settings, topics)


def of_batch(connection: Connection, batch_id: str, planned_at: datetime) -> dict[str, Said]:
    """What the batch's recipients have wished since it was planned, by living person; nearly always nothing."""
    said = wishes.since(connection, planned_at)
    if not said:
        return {}
    table, person = schema.message, schema.person
    living = sa.func.coalesce(person.c.survivor_id, table.c.person_id)
    people = sa.select(living).select_from(table.outerjoin(person, person.c.person_id == table.c.person_id))
    return {one: said[one] for one in connection.scalars(people.where(table.c.batch_id == batch_id)) if one in said}


def fresh(
    connection: Connection,
    said: Mapping[str, Said],
    batch_id: str,
    purpose: str,
    patient_now: datetime,
    settings: HospitalSettings,
    topics: Collection[str],
) -> Fresh:
    """What these wishes mean for messages of one batch.

    Parameters
    ----------
    said : by living person
    topics : those that hold the messages back for who switched them off
    """
    if not said:
        return Fresh()
    exempt = settings.gates.frequency_cap.exempt
    paced = {
        person: days
        for person, own in said.items()
        if (days := Pace(own.get(WishKind.PACE, Pace.NORMAL)).days) and Purpose(purpose) not in exempt
    }
    return Fresh(
        said,
        frozenset(topics),
        frozenset(one for one, days in paced.items() if _had(connection, batch_id, one, patient_now, days, exempt)),
    )


def _had(
    connection: Connection, batch_id: str, person_id: str, now: datetime, days: int, exempt: Collection[Purpose]
) -> bool:
    """Whether another message that counts has left for this person within the days."""
    table = schema.message
    query = sa.select(sa.literal(1)).where(
        table.c.person_id.in_(sorted(members(connection, [person_id]))),
        table.c.planned_at > now - timedelta(days=days),
        table.c.batch_id != batch_id,
        table.c.state.in_([state.value for state in TAKEN]),
        table.c.purpose.not_in([purpose.value for purpose in exempt]),
    )
    return connection.execute(query.limit(1)).first() is not None
