"""The inbox: what patients write back, in threads that a person answers. Words are sealed; the ledger is the history.

A webhook comes more than once: what is known by the provider's id changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from alongside.ledger.groups import in_keys
from alongside.ledger.schema import answer, inbound, message, run, thread
from alongside.ledger.vault import Vault
from alongside.model.enums import Channel, DeliveryMode, Locale, ThreadKind, ThreadStatus
from alongside.model.errors import Refused
from alongside.model.ids import keyed_hash

#: Answers are messages of this campaign; their words come from the inbox, not from a template.
CAMPAIGN = "inbox"
TEMPLATE = "inbox/answer"
STOP = "stop"
_LIVE = (ThreadStatus.OPEN.value, ThreadStatus.ANSWERED.value)


@dataclass(frozen=True)
class Said:
    """One message from a patient.

    Attributes
    ----------
    inbound_id : `<provider>:<its own id>`
    keyword : `stop`, or None for words that a person has to read
    received_at : patient time
    """

    inbound_id: str
    channel: Channel
    address_blind: str
    words: str = field(repr=False)
    received_at: datetime
    keyword: str | None = None


@dataclass(frozen=True)
class Sender:
    """Who probably wrote: the recipient of the last message to that address, or the only person known by it.

    Attributes
    ----------
    message_key : that message
    staged : it was staging that wrote to this address, which is one of our own
    """

    person_id: str | None
    message_key: str | None = None
    staged: bool = False


@dataclass(frozen=True)
class Thread:
    """A conversation, as a list shows it."""

    thread_id: str
    channel: Channel
    address_blind: str
    person_id: str | None
    status: ThreadStatus
    owner: str | None
    due_at: datetime
    opened_at: datetime
    updated_at: datetime
    kind: ThreadKind = ThreadKind.REPLY


@dataclass(frozen=True)
class Entry:
    """One turn of a conversation.

    Attributes
    ----------
    author : None for the patient
    state : of an answer's message
    """

    at: datetime
    author: str | None
    words: str = field(repr=False)
    message_key: str | None = None
    state: str | None = None


@dataclass(frozen=True)
class Task:
    """Something that a page of ours puts before a person.

    Attributes
    ----------
    task_id : what it is known by: the same one is opened once
    message_key : whose link was used
    words : what the person has to do, or what the patient wrote
    due_at : wall time
    """

    task_id: str
    kind: ThreadKind
    channel: Channel
    address_blind: str
    person_id: str | None
    message_key: str
    words: str = field(repr=False)
    due_at: datetime


# ---------------------------------------------------------------------------------------------------------- listening
def sender_of(connection: Connection, channel: Channel, address_blind: str, known: Sequence[str]) -> Sender:
    """Who probably wrote from this address.

    Parameters
    ----------
    known : living people whom the vault knows by it
    """
    query = (
        sa.select(message.c.message_key, message.c.person_id, run.c.mode)
        .select_from(message.outerjoin(run, run.c.run_id == message.c.run_id))
        .where(message.c.channel == channel.value, message.c.address_blind == address_blind)
        .where(message.c.accepted_at.is_not(None))
        .order_by(message.c.accepted_at.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    if row is None:
        return Sender(known[0] if len(known) == 1 else None)
    return Sender(row.person_id, row.message_key, row.mode == DeliveryMode.STAGING)


def hear(
    connection: Connection, vault: Vault, said: Said, sender: Sender, *, now: datetime, due_at: datetime, secret: bytes
) -> bool:
    """Write down what a patient said, and open or continue its thread unless it is a keyword; False when known before.

    Parameters
    ----------
    now : wall time
    due_at : wall time by which a thread should be answered
    """
    if connection.execute(sa.select(inbound.c.inbound_id).where(inbound.c.inbound_id == said.inbound_id)).first():
        return False
    thread_id = None if said.keyword else _thread_for(connection, said, sender, now, due_at, secret)
    connection.execute(
        inbound.insert().values(
            inbound_id=said.inbound_id,
            thread_id=thread_id,
            channel=said.channel.value,
            address_blind=said.address_blind,
            person_id=sender.person_id,
            keyword=said.keyword,
            message_key=sender.message_key,
            received_at=said.received_at,
            recorded_at=now,
            sealed=vault.seal_words(said.inbound_id, said.words),
        )
    )
    return True


def open_task(
    connection: Connection, vault: Vault, task: Task, *, patient_now: datetime, now: datetime, secret: bytes
) -> str:
    """A thread of its own for the task; returns its id. Where its words have changed, they are added to the thread.

    Parameters
    ----------
    now : wall time
    """
    thread_id = "t" + keyed_hash(secret, "thread", task.task_id, length=6)
    inbound_id = f"page:{keyed_hash(secret, 'words', task.task_id, task.words)}"
    if connection.execute(sa.select(inbound.c.inbound_id).where(inbound.c.inbound_id == inbound_id)).first():
        return thread_id
    known = connection.execute(sa.select(thread.c.status).where(thread.c.thread_id == thread_id)).scalar()
    if known is not None:
        _reopen(connection, thread_id, known, task.due_at, now)
    else:
        values = {"status": ThreadStatus.OPEN.value, "due_at": task.due_at, "opened_at": now, "updated_at": now}
        who = {"channel": task.channel.value, "address_blind": task.address_blind, "person_id": task.person_id}
        connection.execute(thread.insert().values(thread_id=thread_id, kind=task.kind.value, **who, **values))
    connection.execute(
        inbound.insert().values(
            inbound_id=inbound_id,
            thread_id=thread_id,
            channel=task.channel.value,
            address_blind=task.address_blind,
            person_id=task.person_id,
            message_key=task.message_key,
            received_at=patient_now,
            recorded_at=now,
            sealed=vault.seal_words(inbound_id, task.words),
        )
    )
    return thread_id


def _thread_for(
    connection: Connection, said: Said, sender: Sender, now: datetime, due_at: datetime, secret: bytes
) -> str:
    """The live thread with this address, waiting for a person again; a new one where the last was closed."""
    found = connection.execute(
        sa.select(thread.c.thread_id, thread.c.status)
        .where(thread.c.channel == said.channel.value, thread.c.address_blind == said.address_blind)
        .where(thread.c.status.in_(_LIVE), thread.c.kind == ThreadKind.REPLY.value)
        .order_by(thread.c.opened_at.desc())
        .limit(1)
        .with_for_update()
    ).first()
    if found is None:
        thread_id = "t" + keyed_hash(secret, "thread", said.inbound_id, length=6)
        values = {
            "channel": said.channel.value,
            "address_blind": said.address_blind,
            "person_id": sender.person_id,
            "status": ThreadStatus.OPEN.value,
            "due_at": due_at,
            "opened_at": now,
            "updated_at": now,
        }
        connection.execute(thread.insert().values(thread_id=thread_id, **values))
        return thread_id
    _reopen(connection, found.thread_id, found.status, due_at, now)
    return str(found.thread_id)


def _reopen(connection: Connection, thread_id: str, status: str, due_at: datetime, now: datetime) -> None:
    """A deadline that runs already is not moved by writing again; one that was met, or let go, begins anew."""
    fresh = {} if status == ThreadStatus.OPEN else {"due_at": due_at}
    connection.execute(
        thread.update()
        .where(thread.c.thread_id == thread_id)
        .values(status=ThreadStatus.OPEN.value, updated_at=now, **fresh)
    )


# ------------------------------------------------------------------------------------------------------------ reading
def threads(connection: Connection, statuses: Collection[ThreadStatus], *, limit: int = 50) -> list[Thread]:
    """Conversations of these states, the most urgent first."""
    wanted = [status.value for status in statuses]
    query = sa.select(thread).where(thread.c.status.in_(wanted)).order_by(thread.c.due_at, thread.c.thread_id)
    return [_thread(row) for row in connection.execute(query.limit(limit))]


def find(connection: Connection, thread_id: str) -> Thread:
    """One conversation.

    Raises
    ------
    Refused : there is none of this id
    """
    row = connection.execute(sa.select(thread).where(thread.c.thread_id == thread_id)).first()
    if row is None:
        raise Refused(f"no thread {thread_id!r}", where="inbox", remedy="'alongside inbox list' shows their ids.")
    return _thread(row)


def locale_of(connection: Connection, thread_id: str) -> Locale | None:
    """The language of the last message that the patient answered; None where nothing is known."""
    found = connection.execute(
        sa.select(message.c.locale)
        .select_from(inbound.join(message, message.c.message_key == inbound.c.message_key))
        .where(inbound.c.thread_id == thread_id)
        .order_by(inbound.c.recorded_at.desc())
        .limit(1)
    ).scalar()
    return Locale(found) if found in set(Locale) else None


def last_heard(connection: Connection, thread_id: str) -> datetime | None:
    """When the patient last wrote in this conversation, by the wall."""
    query = sa.select(sa.func.max(inbound.c.recorded_at)).where(inbound.c.thread_id == thread_id)
    found: datetime | None = connection.execute(query).scalar()
    return found


def entries(connection: Connection, vault: Vault, thread_id: str) -> list[Entry]:
    """The conversation in the order in which it took place."""
    heard = connection.execute(sa.select(inbound).where(inbound.c.thread_id == thread_id))
    found = [
        Entry(row.recorded_at, None, vault.unseal_words(row.inbound_id, bytes(row.sealed)), row.message_key)
        for row in heard
    ]
    answered = connection.execute(
        sa.select(answer, message.c.state)
        .select_from(answer.outerjoin(message, message.c.message_key == answer.c.message_key))
        .where(answer.c.thread_id == thread_id)
    )
    found += [
        Entry(
            row.written_at,
            row.author,
            vault.unseal_words(row.message_key, bytes(row.sealed)),
            row.message_key,
            row.state,
        )
        for row in answered
    ]
    return sorted(found, key=lambda entry: entry.at)


def _thread(row: Row[Any]) -> Thread:
    return Thread(
        thread_id=row.thread_id,
        channel=Channel(row.channel),
        address_blind=row.address_blind,
        person_id=row.person_id,
        status=ThreadStatus(row.status),
        owner=row.owner,
        due_at=row.due_at,
        opened_at=row.opened_at,
        updated_at=row.updated_at,
        kind=ThreadKind(row.kind),
    )


# ------------------------------------------------------------------------------------------------------------ keeping
def assign(connection: Connection, thread_id: str, owner: str | None, now: datetime) -> None:
    """Say who answers; None gives it back to everybody."""
    find(connection, thread_id)
    connection.execute(
        thread.update().where(thread.c.thread_id == thread_id).values(owner=owner and owner[:120], updated_at=now)
    )


def set_status(connection: Connection, thread_id: str, status: ThreadStatus, now: datetime) -> None:
    """Close a conversation that needs no answer (any more), or open it again."""
    find(connection, thread_id)
    connection.execute(
        thread.update().where(thread.c.thread_id == thread_id).values(status=status.value, updated_at=now)
    )


def write_answer(
    connection: Connection, vault: Vault, thread_id: str, message_key: str, author: str, words: str, now: datetime
) -> None:
    """Keep an answer's words beside its message, which the caller plans in the same transaction."""
    connection.execute(
        answer.insert().values(
            message_key=message_key,
            thread_id=thread_id,
            author=author[:120],
            written_at=now,
            sealed=vault.seal_words(message_key, words),
        )
    )
    set_status(connection, thread_id, ThreadStatus.ANSWERED, now)


def words_of(connection: Connection, vault: Vault, keys: Sequence[str]) -> Mapping[str, str]:
    """The words of answers by their message keys."""
    query = sa.select(answer.c.message_key, answer.c.sealed).where(in_keys(connection, answer.c.message_key, keys))
    return {
        row.message_key: vault.unseal_words(row.message_key, bytes(row.sealed)) for row in connection.execute(query)
    }
