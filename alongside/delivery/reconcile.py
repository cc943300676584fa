"""Reconciliation: messages of which nobody knows whether they left. Step 6 of the protocol."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from alongside.channels.aliyun import Aliyun
from alongside.channels.base import Channel as Vendor
from alongside.channels.capabilities import Lookup, provider_of
from alongside.channels.twilio import Twilio
from alongside.content import load as load_content
from alongside.delivery.clocks import patient_now
from alongside.delivery.letters import Press
from alongside.delivery.tracing import Tracer
from alongside.delivery.vendors import Books, open_vendor, public_url, require_usable
from alongside.ledger import Ledger, calls, unknowns
from alongside.ledger.failpoints import failpoint
from alongside.ledger.messages import count_unknown
from alongside.ledger.protocol import TAKEN
from alongside.ledger.resolving import BY_HAND
from alongside.ledger.schema import message
from alongside.ledger.unknowns import Resolution, UnknownBatch
from alongside.ledger.vault import Vault
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, MessageState, Purpose
from alongside.model.errors import Refused, Retryable, Throttled
from alongside.settings import Environment, HospitalSettings, Project

_SINGLE_LOOKUPS = 8  # questions under way at a time


@dataclass(frozen=True)
class ReconcileReport:
    """What was learnt about unknown messages.

    Attributes
    ----------
    expired : messages that became unknown just now: their worker died while calling
    found : the vendor has them
    again : the vendor has never seen them (or policy takes the risk for `care`): planned again
    unresolved : may not be sent again; counted apart for ever
    unknown : still unknown: the grace period runs, or the vendor did not answer
    trouble : why nothing more could be learnt
    """

    expired: int = 0
    found: int = 0
    again: int = 0
    unresolved: int = 0
    unknown: int = 0
    trouble: str = ""


#: Asks about one batch of unknown outcome.
Learn = Callable[[UnknownBatch], Awaitable[Resolution]]


def reconcile(
    ledger: Ledger,
    project: Project,
    settings: HospitalSettings,
    environment: Environment,
    *,
    clock: RunClock,
    run_id: str | None = None,
    grace: timedelta | None = None,
) -> ReconcileReport:
    """Ask the vendors about messages that are unknown for longer than the grace period, and act on the answers.

    A vendor that does not answer does not keep the others from being asked.

    Parameters
    ----------
    run_id : None means of any run
    grace : by default the channel's `unknown_grace_minutes`; events and the vendor's feed need that time

    Raises
    ------
    StoreUnavailable : the ledger does not answer
    """
    counts: Counter[str] = Counter(expired=calls.expire_calls(ledger, datetime.now(UTC)))
    troubles = []
    for channel in settings.channels.set_up:
        wait = timedelta(minutes=settings.channels.of(channel).unknown_grace_minutes) if grace is None else grace
        asked = Asked(ledger, project, settings, environment, channel)
        found, trouble = asyncio.run(_reconcile(asked, clock, run_id, wait))
        counts += found
        troubles += [trouble] if trouble else []
    with ledger.reading() as connection:
        unknown = count_unknown(connection, run_id)
    return ReconcileReport(**counts, unknown=unknown, trouble="; ".join(troubles))


@dataclass(frozen=True)
class Asked:
    """One channel, whose provider is asked."""

    ledger: Ledger
    project: Project
    settings: HospitalSettings
    environment: Environment
    channel: Channel

    def closed(self) -> str:
        """Why nobody can be asked about this channel's messages; empty where somebody can."""
        if self.channel is Channel.EMAIL and not self.settings.channels.email.activity_lookup:
            return "the account may not read the vendor's feed (channels.email.activity_lookup)"
        provider = provider_of(self.settings, self.channel)
        return f"{provider.provider} keeps no list that could be asked" if provider.lookup is Lookup.NONE else ""

    def open(self) -> Vendor | None:
        """The provider; None where it cannot be asked."""
        if self.closed():
            return None
        require_usable(self.settings.delivery.mode, self.settings, self.environment, self.channel)
        books = Books(self.ledger, self.environment)
        return open_vendor(self.settings, self.environment, self.channel, books=books, connections=_SINGLE_LOOKUPS)

    def how(self, vendor: Vendor | None) -> Learn:
        """By key where the provider knows our keys, else by number and text."""
        if isinstance(vendor, Twilio | Aliyun):
            tracer = self._tracer()
            return lambda of: tracer.learn(vendor, of)
        return lambda of: learn(self.ledger, vendor, of)

    def how_of_planned(self, vendor: Vendor, since: datetime) -> Learn:
        """The same about messages that are planned here, and may have left since then without the ledger's knowing."""
        if isinstance(vendor, Twilio | Aliyun):
            tracer = self._tracer()
            return lambda of: tracer.learn(vendor, of, state=MessageState.PLANNED, since=since)
        return lambda of: learn(self.ledger, vendor, of)

    def _tracer(self) -> Tracer:
        return Tracer(self.ledger, Vault.open(self.ledger, self.environment), self._press())

    def _press(self) -> Press:
        address = public_url(self.settings, self.environment)
        content = load_content(self.project)
        return Press(self.settings, content, self.ledger.info.secret, address, self.settings.delivery.mode)


async def _reconcile(asked: Asked, clock: RunClock, run_id: str | None, grace: timedelta) -> tuple[Counter[str], str]:
    """What was learnt about one channel's messages, and why nothing more could be."""
    ledger, counts, vendor = asked.ledger, Counter[str](), None
    try:
        how: Learn | None = None
        for of in _batches(ledger, asked.channel, datetime.now(UTC) - grace, run_id):
            if how is None:  # nothing is opened where nothing is unknown
                vendor = asked.open()
                how = asked.how(vendor)
            learnt = await how(of)
            failpoint("reconcile.asked")
            moment = datetime.now(UTC)
            with ledger.begin() as connection:
                unknowns.resolve(connection, of, learnt, now=moment, patient_now=patient_now(clock, moment))
                failpoint("reconcile.before_commit")
            failpoint("reconcile.after")
            counts += Counter(found=len(learnt.found), again=len(learnt.again), unresolved=len(learnt.unresolved))
    except (Retryable, Throttled, Refused) as error:
        return counts, str(error)
    finally:
        if vendor is not None:
            await vendor.close()
    return counts, ""


def _batches(ledger: Ledger, channel: Channel, before: datetime, run_id: str | None) -> Iterator[UnknownBatch]:
    after = ""
    while True:
        with ledger.reading() as connection:
            portion = unknowns.unknown_batches(
                connection, channel=channel, before=before, run_id=run_id, after=after, limit=20
            )
        yield from portion
        if not portion:
            return
        after = portion[-1].batch_id


async def learn(ledger: Ledger, vendor: Vendor | None, of: UnknownBatch) -> Resolution:
    """What is known of a batch's unknown messages, and what policy makes of those the vendor cannot tell about.

    One question for the batch settles the usual cases: the request arrived as a whole or not at all. Only a batch of
    several requests, some of which arrived, is asked for message by message.

    Raises
    ------
    Retryable, Throttled, Refused : the vendor did not tell
    """
    keys = list(of.messages)
    if not keys:
        return Resolution({})
    if of.restored:
        return await _learn_of_restored(ledger, vendor, of)
    if vendor is None:  # nobody can tell: care must not be missing, everything else must not be repeated
        care = of.purpose == Purpose.CARE
        return Resolution({}, again=keys if care else (), unresolved=() if care else keys)
    seen = await vendor.lookup("b", of.batch_id)
    if not seen:
        return Resolution({}, again=keys)
    if _has_arrived(ledger, of, len(seen)):
        return Resolution(dict.fromkeys(keys, MessageState.ACCEPTED))
    return await _one_by_one(vendor, keys)


async def _learn_of_restored(ledger: Ledger, vendor: Vendor | None, of: UnknownBatch) -> Resolution:
    """What a backup held as open: found or unresolved, never planned again.

    A feed that does not have a message proves nothing here: the backup may be older than what the feed keeps.
    """
    keys = list(of.messages)
    if vendor is None:
        return Resolution({}, unresolved=keys)
    seen = await vendor.lookup("b", of.batch_id)
    if _has_arrived(ledger, of, len(seen)):
        return Resolution(dict.fromkeys(keys, MessageState.ACCEPTED))
    learnt = await _one_by_one(vendor, keys)  # it may have left in another batch, if it was postponed meanwhile
    return Resolution(learnt.found, unresolved=learnt.again)


def _has_arrived(ledger: Ledger, of: UnknownBatch, seen: int) -> bool:
    """Whether the vendor has all of the batch, told by number alone.

    The number proves nothing once a person has settled some of it: what they planned again may be among those seen.
    """
    return BY_HAND not in of.called_by and seen == len(of.messages) + _taken(ledger, of.batch_id)


def _taken(ledger: Ledger, batch_id: str) -> int:
    """Messages of the batch that are known to have arrived."""
    with ledger.reading() as connection:
        query = sa.select(sa.func.count()).where(
            message.c.batch_id == batch_id, message.c.state.in_([state.value for state in TAKEN])
        )
        return connection.execute(query).scalar_one()


async def _one_by_one(vendor: Vendor, keys: list[str]) -> Resolution:
    found: dict[str, MessageState] = {}
    slots = asyncio.Semaphore(_SINGLE_LOOKUPS)

    async def ask(key: str) -> None:
        async with slots:
            if states := await vendor.lookup("m", key):
                found[key] = states[0]

    asked = await asyncio.gather(*(ask(key) for key in keys), return_exceptions=True)
    for error in asked:
        if isinstance(error, BaseException):
            raise error
    return Resolution(found, again=[key for key in keys if key not in found])
