"""The last look at a message to a relative: may they still hear of the patient, and what is the patient called?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import consent
from alongside.ledger.groups import in_keys
from alongside.ledger.recipients import Recipient
from alongside.ledger.relations import Pair, may_hear
from alongside.ledger.schema import message
from alongside.ledger.vault import Contact, Vault
from alongside.model.enums import Decision, Written


@dataclass(frozen=True)
class Relatives:
    """Messages of a batch that are about somebody other than their recipient.

    Attributes
    ----------
    asked : message key -> patient and relative, and as whom the relative reads
    patients : names of the patients, by the id that the message has
    """

    asked: Mapping[str, tuple[Pair, Written]] = field(default_factory=dict)
    patients: Mapping[str, Contact] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, connection: Connection, waiting: Sequence[Recipient], vault: Vault) -> Relatives:
        """Nearly every batch has none, and costs nothing."""
        about = [(one, one.subject_id) for one in waiting if one.subject_id]
        if not about:
            return NONE
        asked = {one.key: ((subject, one.person_id), _written(one)) for one, subject in about}
        return cls(asked, vault.address_book(connection, {subject for _, subject in about}))

    @classmethod
    def of_messages(cls, connection: Connection, keys: Collection[str]) -> Relatives:
        """The same of messages that left long ago, without the patients' names."""
        query = sa.select(
            message.c.message_key, message.c.subject_person_id, message.c.person_id, message.c.variables
        ).where(in_keys(connection, message.c.message_key, sorted(keys)))
        return cls(
            {
                row.message_key: ((row.subject_person_id, row.person_id), _read_as(row.variables))
                for row in connection.execute(query)
            }
        )

    def patient_of(self, key: str) -> Contact | None:
        """The patient whom the message is about; None where that is the recipient."""
        found = self.asked.get(key)
        return self.patients.get(found[0][0], Contact()) if found else None

    def untold(self, connection: Connection, purpose: str, now: datetime) -> Collection[str]:
        """Keys of messages that may not leave: the relation does not stand any more, or the patient wants none of this.

        Parameters
        ----------
        now : patient time
        """
        if not self.asked:
            return ()
        heard = may_hear(connection, list(self.asked.values()), now)
        subjects = {subject for (subject, _), _ in self.asked.values()}
        said = consent.decide(connection, sorted(subjects), purpose, consent.ANY_CHANNEL, now)
        refusing = {subject for subject, (decision, _) in said.items() if decision is not Decision.PERMIT}
        return {key for key, (pair, _) in self.asked.items() if pair not in heard or pair[0] in refusing}


NONE = Relatives()


def _written(one: Recipient) -> Written:
    return _read_as(orjson.loads(one.written))


def _read_as(variables: Any) -> Written:
    found: Mapping[str, Any] = variables if isinstance(variables, dict) else orjson.loads(variables)
    return Written((found.get("kin") or {}).get("as", Written.FAMILY))
