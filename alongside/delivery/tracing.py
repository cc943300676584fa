"""Messages of unknown outcome at a provider that knows neither our keys nor our batches: found by number and text.

The text is composed once more, exactly as it was planned; so nothing about the patient has to be kept for this, and
nothing has to travel that would mark a message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alongside.channels.base import Letter
from alongside.channels.texts import Traces, personal_text
from alongside.delivery.letters import Press
from alongside.delivery.modes import destinations
from alongside.delivery.recheck import Checked, Ready
from alongside.ledger import Ledger, inbox
from alongside.ledger.claims import Claim
from alongside.ledger.groups import survivors
from alongside.ledger.schema import attempt, batch, message
from alongside.ledger.unknowns import Resolution, UnknownBatch
from alongside.ledger.vault import Vault
from alongside.model.enums import Channel, MessageState, Purpose
from alongside.model.errors import Refused


@dataclass(frozen=True)
class Tracer:
    """Composes what a batch said, and asks the provider for it."""

    ledger: Ledger
    vault: Vault
    press: Press

    async def learn(
        self,
        vendor: Traces,
        of: UnknownBatch,
        *,
        state: MessageState = MessageState.UNKNOWN,
        since: datetime | None = None,
    ) -> Resolution:
        """What the provider shows of each message, and what policy makes of those that it cannot tell about.

        Parameters
        ----------
        state : of the batch's messages that are asked about
        since : when they can have left at the earliest; by default when the batch was first claimed

        Raises
        ------
        Retryable, Throttled, Refused : the provider did not tell
        """
        with self.ledger.reading() as connection:
            sent, claimed = self._sent(connection, of, state)
        since = since or claimed
        found: dict[str, MessageState] = {}
        again: list[str] = []
        doubtful = [key for key in of.messages if key not in sent]
        for key, (number, text) in sorted(sent.items()):
            trace = await vendor.trace(number, key, text, since)
            if trace.states:
                found[key] = trace.states[0]
            else:
                (again if trace.conclusive and not of.restored else doubtful).append(key)
        if of.purpose == Purpose.CARE and not of.restored:  # must not be missing; everything else must not be repeated
            return Resolution(found, again=[*again, *doubtful])
        return Resolution(found, again=again, unresolved=doubtful)

    def _sent(
        self, connection: Connection, of: UnknownBatch, state: MessageState
    ) -> tuple[dict[str, tuple[str, str]], datetime]:
        """Key -> number and text as they went, for messages of which both can still be told; and when it was.

        Whose number has changed, or whose text was edited, is left out.
        """
        head = connection.execute(sa.select(batch).where(batch.c.batch_id == of.batch_id)).one()
        called = sa.select(sa.func.min(attempt.c.claimed_at)).where(attempt.c.batch_id == of.batch_id)
        since = connection.execute(called).scalar() or head.updated_at
        rows = connection.execute(
            sa.select(message).where(message.c.batch_id == of.batch_id, message.c.state == state.value)
        ).all()
        letters = self._letters(head, Checked(self._ready(connection, head, rows), _planned_at(rows, since)), since)
        sent = {one.key: (one.address, personal_text(letter, one)) for letter in letters for one in letter.addressees}
        return sent, since

    def _ready(self, connection: Connection, head: Row[Any], rows: Sequence[Row[Any]]) -> list[Ready]:
        kind = Channel(head.channel).address
        living = survivors(connection, [row.person_id for row in rows])
        contacts = self.vault.address_book(connection, set(living.values()))
        route = destinations(self.press.mode, Channel(head.channel), self.press.settings.delivery.staging_allow)
        said = inbox.words_of(connection, self.vault, [row.message_key for row in rows])  # of answers; mostly none
        found = []
        for row in rows:
            contact = contacts.get(living[row.person_id])
            address = contact.address(kind) if contact else ""
            if contact is None or not address or self.vault.blind_index(kind, address) != row.address_blind:
                continue
            found.append(
                Ready(
                    row.message_key,
                    route(address, row.message_key)[0],
                    contact,
                    {**_values(row), "answer": said.get(row.message_key, "")},
                    row.template_hash,
                )
            )
        return sorted(found, key=lambda one: one.key)

    def _letters(self, head: Row[Any], checked: Checked, since: datetime) -> list[Letter]:
        held = Claim(
            batch_id=head.batch_id,
            attempt_id=head.attempt_id or "",
            run_id=head.run_id,
            campaign=head.campaign,
            channel=Channel(head.channel),
            sender=head.sender,
            purpose=head.purpose,
            template=head.template,
            locale=head.locale,
            size=head.size,
            attempts=head.attempts,
            lease_until=since,
        )
        try:
            return self.press.compose(held, checked)
        except Refused:  # the text was edited: nobody knows any more what was sent
            return []


def _planned_at(rows: Sequence[Row[Any]], otherwise: datetime) -> datetime:
    return rows[0].planned_at if rows else otherwise


def _values(row: Row[Any]) -> Mapping[str, Any]:
    written = row.variables
    return written if isinstance(written, dict) else orjson.loads(written)
