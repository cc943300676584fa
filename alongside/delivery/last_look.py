"""The last look at what people have in hand: letters before they are printed, calls before somebody makes them.

Both may wait for days after the message has left for the ledger. Meanwhile a patient may have died, withdrawn consent,
said that a relative may not be told, or wished something else.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alongside.delivery.events import ingest_within
from alongside.delivery.recheck import gate_name
from alongside.delivery.relatives import Relatives
from alongside.delivery.wishes import Fresh, fresh
from alongside.ledger import inbox, recipients, suppressions, wishes
from alongside.ledger.events import DeliveryEvent
from alongside.ledger.groups import in_keys, survivors
from alongside.ledger.schema import message
from alongside.model.enums import Channel, EventKind, Gate
from alongside.settings import HospitalSettings

if TYPE_CHECKING:
    from alongside.content import ContentCatalogue
    from alongside.warehouse import Warehouse

#: Those of some people (ids of the living) who have died.
Died = Callable[[Collection[str]], Collection[str]]
_SHARE = 16  # one small question to the snapshot needs a small part of the budget for analyses


@dataclass(frozen=True)
class LastLook:
    """What is looked at, besides the ledger.

    Attributes
    ----------
    content : messages with their topics, as they are configured now
    died : what the hospital's systems know of deaths
    """

    settings: HospitalSettings
    content: ContentCatalogue
    died: Died

    def closed(self, connection: Connection, channel: Channel, keys: Collection[str], now: datetime) -> dict[str, str]:
        """Message key -> name of the gate that has closed since it was planned."""
        rows = _waiting(connection, keys)
        living = survivors(connection, {one for row in rows for one in (row.person_id, row.subject_person_id)})
        dead = frozenset(self.died(sorted(set(living.values()))))
        closed = {row.message_key: gate_name(Gate.DECEASED) for row in rows if {*_people(row, living)} & dead}
        for purpose, some in groupby(rows, key=lambda row: row.purpose):
            closed = _unpermitted(connection, list(some), purpose, channel, living, now) | closed
        return self._unwished(connection, rows, living, now) | closed

    def _unwished(
        self, connection: Connection, rows: Sequence[Row[Any]], living: Mapping[str, str], now: datetime
    ) -> dict[str, str]:
        said = wishes.since(connection, min((row.planned_at for row in rows), default=now))
        found: dict[str, str] = {}
        concerned = sorted((row for row in rows if living[row.person_id] in said), key=lambda row: row.batch_id)
        for batch_id, some in groupby(concerned, key=lambda row: row.batch_id):
            batch = list(some)
            own = {person: said[person] for person in {living[row.person_id] for row in batch}}
            topics = self._topics_of(batch[0].template)
            wished = fresh(connection, own, batch_id, batch[0].purpose, now, self.settings, topics)
            found |= _gates(batch, wished, living)
        return found

    def _topics_of(self, template: str) -> Collection[str]:
        return self.content.message(template).definition.stopping_topics if template in self.content else ()


def died_by(warehouse: Warehouse) -> Died:
    """Deaths as the current snapshot has them; without a snapshot nobody is known to have died."""

    def died(people: Collection[str]) -> Collection[str]:
        from alongside.warehouse.duck import quoted

        snapshot = warehouse.current()
        if snapshot is None or not people:
            return ()
        with warehouse.connect(_SHARE) as duck:
            file = quoted(snapshot.table("person"))
            sql = f"SELECT person_id FROM read_parquet({file}) WHERE deceased AND person_id IN (SELECT unnest($people))"
            return {row[0] for row in duck.execute(sql, {"people": list(people)}).fetchall()}

    return died


def note_withheld(connection: Connection, kind: str, closed: Mapping[str, str], now: datetime) -> None:
    """The messages count as dropped, with the gate as their reason.

    Parameters
    ----------
    kind : of what was withheld: letter or call
    """
    events = [
        DeliveryEvent(f"{kind}:{key}.withheld", key, EventKind.DROPPED, now, detail=gate)
        for key, gate in closed.items()
    ]
    if events:
        ingest_within(connection, events, now)


def _waiting(connection: Connection, keys: Collection[str]) -> Sequence[Row[Any]]:
    """Messages by their purpose; what a person wrote to a patient is nobody's campaign."""
    columns = ("message_key", "person_id", "subject_person_id", "purpose", "address_blind", "template", "batch_id")
    query = (
        sa.select(*(message.c[name] for name in columns), message.c.planned_at, message.c.variables)
        .where(in_keys(connection, message.c.message_key, sorted(keys)), message.c.campaign != inbox.CAMPAIGN)
        .order_by(message.c.purpose, message.c.message_key)
    )
    return connection.execute(query).all()


def _people(row: Row[Any], living: Mapping[str, str]) -> Iterable[str]:
    return living[row.person_id], living[row.subject_person_id]


def _unpermitted(
    connection: Connection,
    rows: Sequence[Row[Any]],
    purpose: str,
    channel: Channel,
    living: Mapping[str, str],
    now: datetime,
) -> dict[str, str]:
    people = {living[row.person_id] for row in rows}
    agreed = recipients.by_whole_rule(connection, people, purpose, channel.value, now).permitted
    silent = suppressions.suppressed(connection, [row.address_blind for row in rows], channel.value, purpose)
    to_relatives = [row.message_key for row in rows if row.subject_person_id != row.person_id]
    untold = Relatives.of_messages(connection, to_relatives).untold(connection, purpose, now) if to_relatives else ()
    found = {}
    for row in rows:
        if row.message_key in untold:
            found[row.message_key] = gate_name(Gate.NO_RELATIVE)
        elif living[row.person_id] not in agreed:
            found[row.message_key] = gate_name(Gate.NO_CONSENT)
        elif row.address_blind in silent:
            found[row.message_key] = gate_name(Gate.SUPPRESSED)
    return found


def _gates(rows: Sequence[Row[Any]], wished: Fresh, living: Mapping[str, str]) -> dict[str, str]:
    gates = {row.message_key: wished.gate(living[row.person_id], row.variables or {}) for row in rows}
    return {key: gate_name(gate) for key, gate in gates.items() if gate}
