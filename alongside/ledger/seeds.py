"""Copies for seeds: messages to members of staff, beside those of the campaign that they are copies of.

A copy is a message of the campaign `seeds/<campaign>`, which no campaign of patients can be called: funnels,
experiments, budgets and brakes count by campaign or by person, and meet neither. Its address is sealed beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.groups import in_keys
from alongside.ledger.schema import batch, ledger_info, message, seed_copy
from alongside.ledger.vault import Vault
from alongside.model.enums import BatchState, MessageState
from alongside.model.ids import keyed_hash

PREFIX = "seeds/"
_PLANNERS = 7310001  # the lock of `messages.plan_batches`: two planners must not both find a key missing


def campaign_of(campaign: str) -> str:
    """The campaign whose messages are copies of this one's."""
    return PREFIX + campaign


def is_copy(campaign: str) -> bool:
    return campaign.startswith(PREFIX)


def of_patients(campaign: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """A condition: the message is no copy."""
    return ~campaign.startswith(PREFIX, autoescape=True)


@dataclass(frozen=True)
class Text:
    """One text that a campaign's plan holds: what one copy a seed is made of."""

    template: str
    channel: str
    locale: str
    sender: str
    purpose: str


@dataclass(frozen=True)
class Copy:
    """One copy that is to be sent.

    Attributes
    ----------
    person_id : of nobody: derived from the seed's name
    variables : as of any message
    """

    message_key: str
    text: Text
    seed: str
    person_id: str
    template_hash: str
    occurrence: str
    variables: Mapping[str, Any] = field(repr=False)
    address: str = field(repr=False)
    address_blind: str = ""


def reader(secret: bytes, seed: str) -> str:
    """The id under which a seed stands where a patient's person_id would: consent and suppression find it there."""
    return "seed" + keyed_hash(secret, "seed", seed, length=8)


def texts_of(connection: Connection, run_id: str, campaign: str) -> tuple[list[Text], int]:
    """What the campaign's plan of this run holds, and how many messages."""
    columns = [batch.c[name] for name in ("template", "channel", "locale", "sender", "purpose")]
    query = (
        sa.select(*columns, sa.func.sum(batch.c.size))
        .where(batch.c.run_id == run_id, batch.c.campaign == campaign)
        .group_by(*columns)
        .order_by(*columns)
    )
    rows = connection.execute(query).all()
    return [Text(*row[:5]) for row in rows], sum(int(row[5]) for row in rows)


def write_copies(
    connection: Connection,
    vault: Vault,
    copies: Sequence[Copy],
    *,
    run_id: str,
    campaign: str,
    planned_at: datetime,
    now: datetime,
) -> int:
    """Plan these copies; those whose key is known already are left as they are. Returns how many are new.

    Their batches come before the campaign's own in the order of claims (`batch_id`), where both may leave at once.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _PLANNERS})
    known = _known(connection, [one.message_key for one in copies])
    fresh = [one for one in copies if one.message_key not in known]
    epoch = connection.execute(sa.select(ledger_info.c.epoch)).scalar_one()
    for text, several in _by_text(fresh).items():
        keys = "\x00".join(one.message_key for one in several)
        batch_id = "a" + hashlib.sha256(keys.encode()).hexdigest()[:32]
        shared = {
            "batch_id": batch_id, "run_id": run_id, "campaign": campaign_of(campaign), "channel": text.channel,
            "purpose": text.purpose, "template": text.template, "locale": text.locale, "updated_at": now,
        }  # fmt: skip
        connection.execute(
            batch.insert().values(
                **shared,
                sender=text.sender,
                partition=0,
                size=len(several),
                state=BatchState.PLANNED.value,
                epoch=epoch,
            )
        )
        connection.execute(message.insert(), [_row(one, shared, planned_at) for one in several])
        connection.execute(seed_copy.insert(), [_sealed(one, vault, now) for one in several])
    return len(fresh)


def _known(connection: Connection, keys: Collection[str]) -> set[str]:
    return set(
        connection.scalars(sa.select(message.c.message_key).where(in_keys(connection, message.c.message_key, keys)))
    )


def _by_text(copies: Iterable[Copy]) -> dict[Text, list[Copy]]:
    found: dict[Text, list[Copy]] = {}
    for one in copies:
        found.setdefault(one.text, []).append(one)
    return found


def _row(one: Copy, shared: Mapping[str, Any], planned_at: datetime) -> dict[str, Any]:
    return {
        **shared,
        "message_key": one.message_key,
        "occurrence": one.occurrence,
        "person_id": one.person_id,
        "subject_person_id": one.person_id,
        "template_hash": one.template_hash,
        "address_blind": one.address_blind,
        "variables": one.variables,
        "state": MessageState.PLANNED.value,
        "planned_at": planned_at,
    }


def _sealed(one: Copy, vault: Vault, now: datetime) -> dict[str, Any]:
    sealed = vault.seal_words(one.message_key, one.address)
    return {"message_key": one.message_key, "seed": one.seed, "sealed": sealed, "written_at": now}


@dataclass(frozen=True)
class Waiting:
    """A copy that waits in a batch."""

    message_key: str
    person_id: str
    template_hash: str
    address_blind: str
    variables: Mapping[str, Any] = field(repr=False)
    address: str = field(repr=False)


def waiting_copies(connection: Connection, vault: Vault, batch_id: str) -> list[Waiting]:
    """The batch's copies that have not left."""
    columns = [message.c[name] for name in ("message_key", "person_id", "template_hash", "address_blind", "variables")]
    query = (
        sa.select(*columns, seed_copy.c.sealed)
        .join(seed_copy, seed_copy.c.message_key == message.c.message_key)
        .where(message.c.batch_id == batch_id, message.c.state == MessageState.PLANNED.value)
        .order_by(message.c.message_key)
    )
    return [
        Waiting(
            row.message_key, row.person_id, row.template_hash, row.address_blind, row.variables,
            vault.unseal_words(row.message_key, bytes(row.sealed)),
        )
        for row in connection.execute(query)
    ]  # fmt: skip
