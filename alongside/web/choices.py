"""What a patient may choose about e-mails, and what choosing writes: decisions in the consent log, nothing else.

A link proves the mailbox, so what it says is evidence: a later yes lifts an earlier no by the log's own rule. An
address that is suppressed (a bounce, a complaint, one-click) stays suppressed: no page lifts that.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import Ledger
from alongside.ledger.consent import ANY_CHANNEL, CROSS_BORDER, ConsentEvent, events_of, record, standing
from alongside.ledger.events import DeliveryEvent, record_events
from alongside.ledger.schema import message
from alongside.ledger.suppressions import is_suppressed
from alongside.model.enums import Decision, EventKind, Purpose
from alongside.web.withdrawal import ORIGIN as UNSUBSCRIBED
from alongside.web.withdrawal import Sent

ORIGIN = "preferences"
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Choice:
    """One thing that a patient decides.

    Attributes
    ----------
    purpose : a Purpose, or `cross_border`
    permitted : consent stands
    stopped : nothing of it is sent to this address, whatever consent says
    """

    purpose: str
    permitted: bool
    stopped: bool = False

    @property
    def offered(self) -> bool:
        """Whether there is something to decide here.

        A consent that stands can always be withdrawn. A new one is not asked for where it would change nothing, nor for
        a vendor abroad: that consent needs more to be told than a page of preferences tells (PIPL 39).
        """
        return self.permitted or not (self.stopped or self.purpose == CROSS_BORDER)


@dataclass(frozen=True)
class Change:
    """What became of a wish.

    Attributes
    ----------
    withdrawn, granted : purposes whose standing is now another
    refused : a withdrawal stands that this page cannot lift, for example one that is dated later
    choices : what stands now
    """

    withdrawn: tuple[str, ...]
    granted: tuple[str, ...]
    refused: tuple[str, ...]
    choices: tuple[Choice, ...]


def read_choices(ledger: Ledger, sent: Sent, purposes: Sequence[str]) -> tuple[Choice, ...]:
    """What stands for the recipient of this message on its channel, in the order of `purposes`."""
    with ledger.begin() as connection:
        return _choices(connection, sent, purposes, events_of(connection, sent.person_id))


def change(
    ledger: Ledger,
    sent: Sent,
    purposes: Sequence[str],
    *,
    grant: Collection[str],
    withdraw: Collection[str],
    evidence: str,
    now: datetime,
    wall: datetime,
) -> Change:
    """Record what differs from what stands, in one transaction; the same wish again records nothing.

    Parameters
    ----------
    purposes : what the page offers, in its order; other names in `grant` and `withdraw` are ignored
    evidence : what proves a grant
    now : patient time: when the decision was taken
    wall : wall time: when it was recorded
    """
    with ledger.begin() as connection:
        # PostgreSQL: two clicks at once queue here; SQLite has one writer anyway.
        connection.execute(sa.select(message.c.message_key).where(message.c.message_key == sent.key).with_for_update())
        events = events_of(connection, sent.person_id)
        before = _choices(connection, sent, purposes, events)
        if sent.staged:  # an address of our own: a click there says nothing about the patient
            return Change((), (), (), before)
        no = [one.purpose for one in before if one.purpose in withdraw and _may_withdraw(one, events, sent)]
        yes = [one.purpose for one in before if one.purpose in grant and one.offered and not one.permitted]
        said = [_decision(events, sent, purpose, Decision.DENY, now, f"message {sent.key}") for purpose in no]
        said += [_decision(events, sent, purpose, Decision.PERMIT, now, evidence) for purpose in yes]
        record(connection, said, wall)
        if sent.purpose in no:
            record_events(connection, [_outcome(sent, now)], received_at=wall)
        after = _choices(connection, sent, purposes, events_of(connection, sent.person_id))
    stands = {one.purpose: one.permitted for one in after}
    return Change(
        withdrawn=tuple(no),
        granted=tuple(purpose for purpose in yes if stands[purpose]),
        refused=tuple(purpose for purpose in yes if not stands[purpose]),
        choices=after,
    )


def open_channels(ledger: Ledger, sent: Sent, channels: Sequence[str]) -> tuple[str, ...]:
    """Those of `channels` on which the recipient of this message has agreed to anything."""
    with ledger.begin() as connection:
        events = events_of(connection, sent.person_id)
    return tuple(
        channel
        for channel in channels
        if any(_standing(events, purpose, channel) is Decision.PERMIT for purpose in Purpose)
    )


def read_others(ledger: Ledger, sent: Sent, channel: str, blind: str) -> tuple[Choice, ...]:
    """What stands on another channel than the message's, of the purposes that the patient ever agreed to there.

    A page in an e-mail does not prove a phone: only what was agreed to for it once can be switched on again.

    Parameters
    ----------
    blind : blind index of the patient's address there; empty where none is known
    """
    with ledger.begin() as connection:
        events = events_of(connection, sent.person_id)
        return tuple(
            Choice(
                purpose.value,
                _standing(events, purpose, channel) is Decision.PERMIT,
                not blind or bool(is_suppressed(connection, [blind], channel, purpose)),
            )
            for purpose in Purpose
            if any(
                event.purpose == purpose
                and event.channel in (channel, ANY_CHANNEL)
                and event.decision is Decision.PERMIT
                for event in events
            )
        )


def change_others(
    connection: Connection,
    sent: Sent,
    choices: Sequence[Choice],
    channel: str,
    *,
    grant: Collection[str],
    withdraw: Collection[str],
    evidence: str,
    now: datetime,
    wall: datetime,
) -> int:
    """Record what differs from what stands on another channel; returns how many decisions were news.

    Parameters
    ----------
    choices : what the page offers there (`read_others`)
    now : patient time
    wall : wall time
    """
    there, events = replace(sent, channel=channel), events_of(connection, sent.person_id)
    no = [one.purpose for one in choices if one.permitted and one.purpose in withdraw]
    yes = [one.purpose for one in choices if not one.permitted and one.offered and one.purpose in grant]
    said = [_decision(events, there, purpose, Decision.DENY, now, f"message {sent.key}") for purpose in no]
    said += [_decision(events, there, purpose, Decision.PERMIT, now, evidence) for purpose in yes]
    return record(connection, said, wall)


def leave_channel(ledger: Ledger, sent: Sent, channel: str, *, now: datetime, wall: datetime) -> bool:
    """Withdraw every purpose on another channel than the message's; returns whether that was news.

    The message itself drew no unsubscribe: experiments count nothing.

    Parameters
    ----------
    now : patient time: when the decision was taken
    wall : wall time: when it was recorded
    """
    if sent.staged:
        return False
    there = replace(sent, channel=channel)
    with ledger.begin() as connection:
        # PostgreSQL: two clicks at once queue here; SQLite has one writer anyway.
        connection.execute(sa.select(message.c.message_key).where(message.c.message_key == sent.key).with_for_update())
        events = events_of(connection, sent.person_id)
        said = [
            _decision(events, there, purpose, Decision.DENY, now, f"message {sent.key}")
            for purpose in Purpose
            if _standing(events, purpose, channel) is not Decision.DENY
        ]
        return record(connection, said, wall) > 0


def _choices(
    connection: Connection, sent: Sent, purposes: Sequence[str], events: Sequence[ConsentEvent]
) -> tuple[Choice, ...]:
    return tuple(
        Choice(
            purpose,
            _standing(events, purpose, sent.channel) is Decision.PERMIT,
            bool(is_suppressed(connection, [sent.address_blind], sent.channel, purpose)),
        )
        for purpose in purposes
    )


def _standing(events: Sequence[ConsentEvent], purpose: str, channel: str) -> Decision | None:
    return standing([event for event in events if event.purpose == purpose], channel)


def _may_withdraw(choice: Choice, events: Sequence[ConsentEvent], sent: Sent) -> bool:
    """Unless it was withdrawn already. A no to what was never asked is kept, too: it answers a later question."""
    if choice.purpose == CROSS_BORDER:
        return choice.permitted
    return _standing(events, choice.purpose, sent.channel) is not Decision.DENY


def _decision(
    events: Sequence[ConsentEvent], sent: Sent, purpose: str, decision: Decision, now: datetime, evidence: str
) -> ConsentEvent:
    """Dated so that it follows what the same patient clicked before.

    In a replay the patient's clock stands still for a day, and at the same instant a withdrawal wins.
    """
    own = [
        event.decided_at
        for event in events
        if event.purpose == purpose
        and event.channel in (sent.channel, ANY_CHANNEL)
        and event.origin in (ORIGIN, UNSUBSCRIBED)
    ]
    step = _INSTANT if decision is Decision.PERMIT else timedelta(0)
    # A click never dates from long after now; if it seems to, a clock was wrong, and this one is not to follow it.
    recent = [moment for moment in own if now <= moment < now + timedelta(seconds=1)]
    at = max(recent) + step if recent else now
    return ConsentEvent(sent.person_id, purpose, sent.channel, decision, at, ORIGIN, evidence)


def _outcome(sent: Sent, now: datetime) -> DeliveryEvent:
    """So that experiments count it, once, whichever of the message's two links was used."""
    return DeliveryEvent(f"one-click:{sent.key}", sent.key, EventKind.UNSUBSCRIBE, now, detail="preference page")


def offered_purposes(abroad: bool) -> tuple[str, ...]:
    """What the page asks about; `abroad`: the channel's vendor keeps its data in another country."""
    return (*(purpose.value for purpose in Purpose), *((CROSS_BORDER,) if abroad else ()))
