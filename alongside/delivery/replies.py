"""What patients answer: leaving takes effect at once, everything else reaches a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from alongside.channels.acceptance import acceptance_of
from alongside.content.standard import HospitalWords
from alongside.delivery.keywords import is_stop
from alongside.ledger import Ledger, consent, inbox, suppressions
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.events import record_events, was_read
from alongside.ledger.groups import survivors
from alongside.ledger.inbox import Said, Sender
from alongside.ledger.messages import plan_batches
from alongside.ledger.suppressions import Suppression
from alongside.ledger.vault import Vault
from alongside.model.addresses import normalise
from alongside.model.enums import Channel, Decision, Locale, Purpose
from alongside.model.errors import Refused
from alongside.model.ids import message_key
from alongside.settings import HospitalSettings

ORIGIN = "unsubscribe"
#: Run of answers: they belong to no plan.
ANSWERS = "inbox"


@dataclass(frozen=True)
class Inbound:
    """A message to one of our numbers or accounts.

    Attributes
    ----------
    inbound_id : `<provider>:<its own id>`
    stop : the provider took it for a wish to leave
    """

    inbound_id: str
    channel: Channel
    address: str = field(repr=False)
    words: str = field(repr=False)
    stop: bool = False


def take_in(
    ledger: Ledger, vault: Vault, said: Inbound, *, wall: datetime, patient_now: datetime, answer_within: timedelta
) -> str:
    """Take one message in; returns `known`, `stop` or `thread`.

    Raises
    ------
    StoreUnavailable : answer the provider with an error, it may come again
    """
    address = normalise(said.channel.address, said.address) or said.address
    blind = vault.blind_index(said.channel.address, address)
    stop = said.stop or is_stop(said.words)
    with ledger.begin() as connection:
        known = vault.find(connection, said.channel.address, address)
        sender = inbox.sender_of(connection, said.channel, blind, known)
        fresh = inbox.hear(
            connection,
            vault,
            Said(said.inbound_id, said.channel, blind, said.words, patient_now, inbox.STOP if stop else None),
            sender,
            now=wall,
            due_at=wall + answer_within,
            secret=ledger.info.secret,
        )
        if fresh and sender.message_key is not None:
            record_events(connection, [was_read(sender.message_key, "reply", patient_now)], received_at=wall)
        if fresh and stop and not sender.staged:
            _leave(connection, said, blind, sender, wall, patient_now)
    return "known" if not fresh else "stop" if stop else "thread"


# ---------------------------------------------------------------------------------------------------------- following
def unfollow(ledger: Ledger, vault: Vault, channel: Channel, address: str, at: datetime) -> None:
    """Somebody stopped following the hospital's account: nothing can reach this address, until they follow again.

    No consent is withdrawn: they did not say anything about what we may tell them by other ways.

    Raises
    ------
    StoreUnavailable : answer the provider with an error, it may come again
    """
    blind = vault.blind_index(channel.address, address)
    with ledger.begin() as connection:
        gone = Suppression(blind, channel.value, "all", "unfollowed", at, f"{channel.value} event")
        suppressions.add(connection, [gone])


def follow(ledger: Ledger, vault: Vault, channel: Channel, address: str, at: datetime) -> None:
    """Somebody follows the account again; a wish to get nothing that they had written stands."""
    with ledger.begin() as connection:
        suppressions.reopen(connection, vault.blind_index(channel.address, address), channel.value, at)


def _leave(
    connection: Connection, said: Inbound, blind: str, sender: Sender, wall: datetime, patient_now: datetime
) -> None:
    """Nothing more to this address by this channel, whoever shares it; and the sender's own consent is withdrawn."""
    channel, evidence = said.channel.value, f"inbound {said.inbound_id}"
    suppressions.add(connection, [Suppression(blind, channel, "all", ORIGIN, patient_now, evidence[:120])])
    if sender.person_id is not None:
        events = [
            ConsentEvent(sender.person_id, purpose, channel, Decision.DENY, patient_now, ORIGIN, evidence)
            for purpose in Purpose
        ]
        consent.record(connection, events, wall)


# ---------------------------------------------------------------------------------------------------------- answering
def answer(
    ledger: Ledger,
    vault: Vault,
    settings: HospitalSettings,
    thread_id: str,
    words: str,
    *,
    by: str,
    sender: str,
    locale: Locale,
    now: datetime,
) -> str:
    """Plan an answer by the thread's own channel; returns its message key. It leaves with the next dispatch.

    An answer to a question needs no consent of its own; an address on the suppression list gets none.

    Parameters
    ----------
    sender : name of the channel's sender
    locale : language of the hospital's name in front of it

    Raises
    ------
    Refused : there is no such thread, nothing is said, nobody knows whom the address belongs to, or the provider may
        not carry these words
    """
    if not words.strip():
        raise Refused("the answer is empty", where="inbox", remedy="Give it with --text.")
    secret = ledger.info.secret
    with ledger.begin() as connection:
        found = inbox.find(connection, thread_id)
        heard_at = inbox.last_heard(connection, thread_id) or now
        _require_carried(settings, found.channel, answer_text(settings, words.strip(), locale), sender, heard_at, now)
        if found.person_id is None:
            raise Refused(
                "nobody, or more than one person, is known by this number",
                where=f"inbox, thread {thread_id}",
                remedy="Answer by another way, then close it with 'alongside inbox close'.",
            )
        living = survivors(connection, [found.person_id])[found.person_id]
        number = len(inbox.entries(connection, vault, thread_id))
        key = message_key(secret, living, living, inbox.CAMPAIGN, thread_id, str(number))
        inbox.write_answer(connection, vault, thread_id, key, by, words.strip(), now)
        _plan(connection, found.channel, living, key, found.address_blind, f"{thread_id}.{number}", sender, locale, now)
    return key


def answer_text(settings: HospitalSettings, words: str, locale: Locale) -> str:
    """An answer as the patient reads it: with the hospital's name in front."""
    name = HospitalWords.of(settings.hospital, locale).name
    return f"【{name}】{words}" if locale is Locale.ZH_CN else f"{name}: {words}"


def _require_carried(
    settings: HospitalSettings, channel: Channel, text: str, sender: str, heard_at: datetime, now: datetime
) -> None:
    """Refuse what the provider would refuse."""
    if fault := acceptance_of(settings, channel).answer_fault(sender, text, heard_at, now):
        raise Refused(fault.what, where="inbox", remedy=fault.remedy)


def _plan(
    connection: Connection,
    channel: Channel,
    person_id: str,
    key: str,
    blind: str,
    occurrence: str,
    sender: str,
    locale: Locale,
    now: datetime,
) -> None:
    import pyarrow as pa

    row: dict[str, Any] = {
        "message_key": key,
        "occurrence": occurrence,
        "person_id": person_id,
        "subject_person_id": person_id,
        "purpose": Purpose.CARE.value,
        "channel": channel.value,
        "template": inbox.TEMPLATE,
        "template_hash": "",
        "locale": locale.value,
        "address_blind": blind,
        "variables": '{"urgent": true}',  # somebody waits for it: no quiet hours
        "sender": sender,
    }
    plan_batches(
        connection,
        pa.Table.from_pylist([row]),
        run_id=ANSWERS,
        campaign=inbox.CAMPAIGN,
        planned_at=now,
        now=now,
        batch_size=1,
    )
