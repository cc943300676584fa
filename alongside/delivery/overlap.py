"""After a restore: what a run plans now and the vendor has already, because it left after the backup was made.

The ledger has forgotten it, but not the vendor; and its key is the same, since the ledger's secret came back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from alongside.channels.base import Channel
from alongside.delivery.clocks import patient_now
from alongside.delivery.reconcile import learn
from alongside.delivery.vendors import Books, open_vendor
from alongside.ledger import Ledger, pauses
from alongside.ledger.groups import in_keys
from alongside.ledger.protocol import states_before
from alongside.ledger.schema import batch, ledger_info, message
from alongside.ledger.unknowns import RESTORED, UnknownBatch
from alongside.model import enums
from alongside.model.clock import RunClock
from alongside.model.enums import BatchState, MessageState
from alongside.model.errors import Refused, Retryable, Throttled
from alongside.settings import Environment, HospitalSettings

_QUESTIONS = 8  # under way at a time


@dataclass(frozen=True)
class OverlapReport:
    """Planned messages by what the vendor said of them.

    Attributes
    ----------
    asked, found : messages; found ones are `accepted` now
    trouble : why the rest was not asked about, or empty
    """

    asked: int = 0
    found: int = 0
    trouble: str = ""


def compare(ledger: Ledger, settings: HospitalSettings, environment: Environment, *, clock: RunClock) -> OverlapReport:
    """Ask the vendor about every message that is planned, and take note of those it has; nothing is sent.

    A plan that equals the forgotten one costs a question a batch, any other one a question a message.

    Raises
    ------
    Refused : sending is not paused, or the account cannot read the vendor's feed
    StoreUnavailable : the ledger does not answer
    """
    email = settings.channels.email
    with ledger.reading() as connection:
        if pauses.ALL not in pauses.active_pauses(connection):
            raise Refused(
                "sending is not paused", remedy="Run 'alongside pause all' first: what leaves meanwhile is not seen."
            )
    if not email.activity_lookup:
        raise Refused(
            "the vendor's feed is not to be read",
            where="channels.email.activity_lookup",
            remedy="Let the account read it, or pause the campaigns that sent since the backup.",
        )
    books = Books(ledger, environment)
    vendor = open_vendor(settings, environment, enums.Channel.EMAIL, books=books, connections=_QUESTIONS)
    return asyncio.run(_compare(ledger, vendor, clock))


async def _compare(ledger: Ledger, vendor: Channel, clock: RunClock) -> OverlapReport:
    counts: Counter[str] = Counter()
    trouble = ""
    try:
        for of in _planned(ledger):
            learnt = await learn(ledger, vendor, of)
            counts += Counter(asked=len(of.messages), found=_note(ledger, list(learnt.found), clock))
    except (Retryable, Throttled, Refused) as error:
        trouble = str(error)
    finally:
        await vendor.close()
    return OverlapReport(**counts, trouble=trouble)


def _planned(ledger: Ledger) -> Iterator[UnknownBatch]:
    """Batches that wait, as if they came out of a backup: of those only what is found counts."""
    after = ""
    while True:
        with ledger.reading() as connection:
            waiting = connection.execute(
                sa.select(batch)
                .where(batch.c.state == BatchState.PLANNED.value, batch.c.batch_id > after)
                .where(batch.c.epoch == sa.select(ledger_info.c.epoch).scalar_subquery())
                .where(batch.c.channel == enums.Channel.EMAIL.value)
                .order_by(batch.c.batch_id)
                .limit(1)
            ).first()
            if waiting is None:
                return
            keys = sa.select(message.c.message_key, message.c.person_id).where(
                message.c.batch_id == waiting.batch_id, message.c.state == MessageState.PLANNED.value
            )
            messages = {row.message_key: row.person_id for row in connection.execute(keys)}
        after = waiting.batch_id
        yield UnknownBatch(after, RESTORED, waiting.run_id, enums.Channel(waiting.channel), waiting.purpose, messages)


def _note(ledger: Ledger, keys: list[str], clock: RunClock) -> int:
    moment = datetime.now(UTC)
    accepted = MessageState.ACCEPTED
    with ledger.begin() as connection:
        changed = connection.execute(
            message.update()
            .where(in_keys(connection, message.c.message_key, keys), message.c.state.in_(states_before(accepted)))
            .values(state=accepted.value, accepted_at=patient_now(clock, moment), updated_at=moment)
        )
    return changed.rowcount
