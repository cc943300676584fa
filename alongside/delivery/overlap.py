"""After a restore: what a run plans now and the vendor has already, because it left after the backup was made.

The ledger has forgotten it, but not the vendor; and its key is the same, since the ledger's secret came back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.channels.capabilities import provider_of
from alongside.delivery.clocks import patient_now
from alongside.delivery.reconcile import Asked
from alongside.ledger import Ledger, pauses
from alongside.ledger.groups import in_keys
from alongside.ledger.protocol import states_before
from alongside.ledger.schema import audit, batch, ledger_info, message
from alongside.ledger.unknowns import RESTORED, UnknownBatch
from alongside.model.clock import RunClock
from alongside.model.enums import BatchState, Channel, MessageState
from alongside.model.errors import Refused, Retryable, Throttled
from alongside.settings import Environment, HospitalSettings, Project

#: How far back is looked where no restore is written down: what providers of texts keep at least.
_FARTHEST = timedelta(days=30)


@dataclass(frozen=True)
class OverlapReport:
    """Planned messages by what the vendors said of them.

    Attributes
    ----------
    asked, found : messages; found ones are `accepted` now
    not_asked : channel -> why nobody can be asked about what is planned on it
    trouble : why the rest was not asked about, or empty
    """

    asked: int = 0
    found: int = 0
    not_asked: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


def compare(
    ledger: Ledger, project: Project, settings: HospitalSettings, environment: Environment, *, clock: RunClock
) -> OverlapReport:
    """Ask the vendors about every message that is planned, and take note of those they have; nothing is sent.

    Of e-mail a plan that equals the forgotten one costs a question a batch, any other one a question a message. Texts
    cost a question a message: by our key where the provider keeps it (Aliyun), else by number and text (Twilio), which
    finds nothing where the text has changed, and cannot tell two equal texts to one number apart: then both count as
    sent, rather than that one is sent again.

    Raises
    ------
    Refused : sending is not paused
    StoreUnavailable : the ledger does not answer
    """
    with ledger.reading() as connection:
        if pauses.ALL not in pauses.active_pauses(connection):
            raise Refused(
                "sending is not paused", remedy="Run 'alongside pause all' first: what leaves meanwhile is not seen."
            )
        since = _backup_made_at(connection) or clock.wall - _FARTHEST
    counts, not_asked, troubles = Counter[str](), dict[str, str](), []
    for channel in settings.channels.set_up:
        if not any(_planned(ledger, channel)):
            continue
        of = Asked(ledger, project, settings, environment, channel)
        if why := _closed(of):
            not_asked[channel.value] = why
            continue
        found, trouble = asyncio.run(_compare(of, clock, since))
        counts += found
        troubles += [trouble] if trouble else []
    return OverlapReport(counts["asked"], counts["found"], not_asked, "; ".join(troubles))


def _closed(of: Asked) -> str:
    if provider_of(of.settings, of.channel).internal:
        return "people work this list, and nobody keeps another: ask them whom they have reached since the backup"
    return of.closed()


def _backup_made_at(connection: Connection) -> datetime | None:
    """When the backup was made that this ledger was last restored from."""
    query = sa.select(audit.c.details).where(audit.c.action == "restore").order_by(audit.c.seq.desc()).limit(1)
    details = connection.execute(query).scalar()
    return None if details is None else datetime.fromisoformat(details["made_at"])


async def _compare(asked: Asked, clock: RunClock, since: datetime) -> tuple[Counter[str], str]:
    """What was learnt about one channel's messages, and why nothing more could be."""
    counts: Counter[str] = Counter()
    vendor = asked.open()
    assert vendor is not None  # noqa: S101 - `_closed` has looked
    try:
        how = asked.how_of_planned(vendor, since)
        for of in _planned(asked.ledger, asked.channel):
            learnt = await how(of)
            counts += Counter(asked=len(of.messages), found=_note(asked.ledger, list(learnt.found), clock))
    except (Retryable, Throttled, Refused) as error:
        return counts, str(error)
    finally:
        await vendor.close()
    return counts, ""


def _planned(ledger: Ledger, channel: Channel) -> Iterator[UnknownBatch]:
    """Batches that wait, as if they came out of a backup: of those only what is found counts."""
    after = ""
    while True:
        with ledger.reading() as connection:
            waiting = connection.execute(
                sa.select(batch)
                .where(batch.c.state == BatchState.PLANNED.value, batch.c.batch_id > after)
                .where(batch.c.epoch == sa.select(ledger_info.c.epoch).scalar_subquery())
                .where(batch.c.channel == channel.value)
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
        yield UnknownBatch(after, RESTORED, waiting.run_id, channel, waiting.purpose, messages)


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
