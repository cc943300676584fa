"""Messages: planned once, moved forward only, counted as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.failpoints import failpoint
from alongside.ledger.protocol import TAKEN
from alongside.ledger.schema import IN_TROUBLE, batch, message
from alongside.model.enums import Channel, MessageState

if TYPE_CHECKING:
    import pyarrow as pa


# -------------------------------------------------------------------------------------------------------------- plan
@dataclass(frozen=True)
class Planned:
    """What one call of `plan_batches` did, in numbers."""

    batches: int
    messages: int
    existing: int  # keys that were planned before, by this run or by another


#: Columns of `plan_batches`' rows and the columns of the ledger whose types they have.
PLAN_COLUMNS: dict[str, sa.Column[Any]] = {
    **{
        name: message.c[name]
        for name in (
            "message_key", "occurrence", "person_id", "subject_person_id", "purpose", "channel", "template",
            "template_hash", "locale", "experiment", "variant", "address_blind", "variables", "follows",
        )
    },
    **{name: batch.c[name] for name in ("sender", "partition", "not_before")},
}  # fmt: skip

# One batch has one channel, sender, message and variant, so that one request can carry it. Its people are neighbours:
# what is asked of them before they are written to lies side by side in the indexes, not one page apiece.
_GROUP = "channel, sender, purpose, template, template_hash, locale, variant, partition, not_before"
_NUMBERED = f"""
CREATE TEMPORARY TABLE plan_numbered AS
SELECT chunked.*, 'b' || min(message_key) OVER (PARTITION BY {_GROUP}, chunk) AS batch_id
FROM (
    SELECT fresh.*, (row_number() OVER (PARTITION BY {_GROUP} ORDER BY person_id, message_key) - 1) / {{size}} AS chunk
    FROM (
        SELECT staged.*, row_number() OVER (PARTITION BY message_key ORDER BY person_id) AS copy
        FROM plan_staged staged
        WHERE NOT EXISTS (SELECT 1 FROM message WHERE message.message_key = staged.message_key)
    ) fresh
    WHERE copy = 1
) chunked
"""
_BATCHES = """
INSERT INTO batch (batch_id, run_id, campaign, channel, sender, purpose, template, locale, partition, size, state,
                   attempts, not_before, epoch, updated_at)
SELECT batch_id, :run_id, :campaign, min(channel), min(sender), min(purpose), min(template), min(locale),
       COALESCE(min(partition), 0), count(*), 'planned', 0, min(not_before), (SELECT epoch FROM ledger_info), :now
FROM plan_numbered GROUP BY batch_id
"""
_MESSAGES = """
INSERT INTO message (message_key, batch_id, run_id, campaign, occurrence, person_id, subject_person_id, purpose,
                     channel, template, template_hash, locale, experiment, variant, address_blind, variables, state,
                     planned_at, updated_at, follows)
SELECT message_key, batch_id, :run_id, :campaign, occurrence, person_id, subject_person_id, purpose, channel, template,
       template_hash, locale, experiment, variant, address_blind, variables, 'planned', :planned_at, :now, follows
FROM plan_numbered
"""


def plan_batches(
    connection: Connection,
    rows: pa.Table | pa.RecordBatchReader,
    *,
    run_id: str,
    campaign: str,
    planned_at: datetime,
    now: datetime,
    batch_size: int | Mapping[str, int],
) -> Planned:
    """Write intentions: messages in state `planned`, in batches that one claim each will carry.

    Idempotent: a key that the ledger knows already is skipped and joins no batch. The caller's transaction decides,
    so that the run's plan hash is committed together with the messages or not at all.

    Parameters
    ----------
    rows : `PLAN_COLUMNS`; `experiment`, `variant`, `follows`, `partition` and `not_before` may be left out.
        `variables` is JSON text; `not_before` a timestamp, the end of the recipient's quiet hours
    planned_at : patient time
    now : wall time
    batch_size : messages of one claim, or channel -> messages: the vendor's limit when one request carries them, else
        the chunk size
    """
    from alongside.ledger import bulk

    if connection.dialect.name == "postgresql":  # two planners must not both find a key missing
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(7310001)"))
    bulk.stage(connection, "plan_staged", PLAN_COLUMNS, rows)
    connection.exec_driver_sql("DROP TABLE IF EXISTS plan_numbered")
    connection.execute(sa.text(_NUMBERED.format(size=_size_sql(batch_size))))
    moment = sa.bindparam("now", now, batch.c.updated_at.type)
    names = {"run_id": run_id, "campaign": campaign}
    connection.execute(sa.text(_BATCHES).bindparams(moment), names)
    as_of = sa.bindparam("planned_at", planned_at, message.c.planned_at.type)
    connection.execute(sa.text(_MESSAGES).bindparams(moment, as_of), names)
    planned = _planned(connection)
    for name in ("plan_staged", "plan_numbered"):
        connection.exec_driver_sql(f"DROP TABLE {name}")
    failpoint("plan.before_commit")
    return planned


def _size_sql(batch_size: int | Mapping[str, int]) -> str:
    """SQL of the batch size of a row, by its channel where there are several."""
    if not isinstance(batch_size, Mapping):
        return str(int(batch_size))
    return (
        "CASE channel " + " ".join(f"WHEN '{Channel(name)}' THEN {int(n)}" for name, n in batch_size.items()) + " END"
    )


def _planned(connection: Connection) -> Planned:
    fresh, batches, staged = connection.execute(
        sa.text(
            "SELECT (SELECT count(*) FROM plan_numbered), (SELECT count(DISTINCT batch_id) FROM plan_numbered),"
            " (SELECT count(*) FROM plan_staged)"
        )
    ).one()
    return Planned(batches, fresh, staged - fresh)


# ------------------------------------------------------------------------------------------------------------- count
def count_messages(
    connection: Connection, *, run_id: str | None = None, campaign: str | None = None, follow_ups: bool | None = None
) -> dict[tuple[str, MessageState], int]:
    """Messages by (campaign, state).

    Parameters
    ----------
    follow_ups : True counts only those that follow others, False only the others, None all
    """
    query = sa.select(message.c.campaign, message.c.state, sa.func.count()).group_by(
        message.c.campaign, message.c.state
    )
    if run_id is not None:
        query = query.where(message.c.run_id == run_id)
    if campaign is not None:
        query = query.where(message.c.campaign == campaign)
    if follow_ups is not None:
        query = query.where(message.c.follows.is_not(None) if follow_ups else message.c.follows.is_(None))
    return {(name, MessageState(state)): count for name, state, count in connection.execute(query)}


def count_states(connection: Connection, *, run_id: str | None = None, campaign: str | None = None) -> dict[str, int]:
    """Messages by state, every state named; and `taken`: what the vendor has accepted, whatever came of it."""
    counts = dict.fromkeys((state.value for state in MessageState), 0)
    for (_, state), count in count_messages(connection, run_id=run_id, campaign=campaign).items():
        counts[state.value] += count
    counts["taken"] = sum(counts[state.value] for state in TAKEN)
    return counts


def count_unknown(connection: Connection, run_id: str | None = None) -> int:
    """Messages of which nobody knows whether they left: zero once all events have arrived and were reconciled."""
    query = sa.select(sa.func.count()).where(IN_TROUBLE, message.c.state == MessageState.UNKNOWN.value)
    if run_id is not None:
        query = query.where(message.c.run_id == run_id)
    return connection.execute(query).scalar_one()
