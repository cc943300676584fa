"""Putting a backup back: all of it or nothing, silent until a person has looked, and never able to send twice.

Between the backup and now, whatever it holds as waiting may have been sent, in batches that it does not know. So the
epoch is raised and every open message becomes `unknown`: events and the vendor may still tell that it was accepted, but
no look-up can prove any more that it was not (`delivery.reconcile`), and nothing plans it again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import migrations, pauses, schema
from alongside.ledger.backups import archive, rows
from alongside.ledger.backups.archive import Manifest, Reader
from alongside.ledger.engine import Ledger
from alongside.ledger.failpoints import failpoint
from alongside.ledger.protocol import TAKEN
from alongside.ledger.runs import write_audit
from alongside.ledger.unknowns import RESTORED
from alongside.ledger.vault import Vault
from alongside.model.enums import BatchState, Decision, MessageState
from alongside.model.errors import Refused
from alongside.settings import Environment

_OPEN_BATCHES = [
    state.value for state in (BatchState.PLANNED, BatchState.CLAIMED, BatchState.CALLING, BatchState.UNKNOWN)
]
_OPEN_MESSAGES = [MessageState.PLANNED.value, MessageState.UNKNOWN.value]
_TABLES = schema.metadata.sorted_tables


@dataclass(frozen=True)
class Loss:
    """What a ledger has learnt since a backup of it was made, and forgets when that is put in its place."""

    withdrawals: int
    suppressions: int
    accepted: int  # messages that the vendor has taken, or told about, since


@dataclass(frozen=True)
class Prospect:
    """What a restore would do.

    Attributes
    ----------
    replaces : id of the ledger that holds rows now, or None where there is none
    loss : None unless it is the ledger of which the backup was made
    """

    manifest: Manifest
    replaces: str | None
    loss: Loss | None


@dataclass(frozen=True)
class RestoreReport:
    """What a restore did.

    Attributes
    ----------
    epoch : of the restored ledger; batches of an earlier one are never claimed
    held : (campaign, channel, messages) of what was open in the backup and is `unknown` now
    """

    manifest: Manifest
    epoch: int
    restored_at: datetime
    held: tuple[tuple[str, str, int], ...]
    replaced: str | None
    loss: Loss | None


def inspect(url: str, path: Path, environment: Environment) -> Prospect:
    """Check a backup against this release, the vault key and itself, and look at the ledger it would go into.

    Raises
    ------
    Refused : the file is damaged or no backup, or its schema is not this release's
    VaultUnavailable : the vault key is missing or another one
    StoreUnavailable : the store does not answer
    """
    with archive.reading(path) as found:
        _require_fitting(found, environment)
        with _opened(url) as ledger, ledger.reading() as connection:
            return _prospect(connection, found.manifest)


def restore(
    url: str, path: Path, environment: Environment, *, now: datetime, actor: str, replace: bool = False
) -> RestoreReport:
    """Put a backup into the ledger behind a SQLAlchemy URL, in one transaction; afterwards everything is paused.

    Workers and web servers are stopped before: those that run on would hold the former ledger's secret and epoch.

    Parameters
    ----------
    replace : whether a ledger that holds rows is given up for it

    Raises
    ------
    Refused : as `inspect`; or the ledger is not empty and `replace` was not given
    VaultUnavailable, StoreUnavailable : as `inspect`; the ledger is as it was
    """
    with archive.reading(path) as found:
        _require_fitting(found, environment)
        with _opened(url) as ledger, ledger.begin() as connection:
            _lock(connection)
            prospect = _prospect(connection, found.manifest)
            if prospect.replaces is not None and not replace:
                raise Refused(
                    f"the ledger is not empty (id {prospect.replaces})",
                    where=ledger.where,
                    remedy="Back it up, then restore with --replace; or set ALONGSIDE_LEDGER_URL to an empty place.",
                )
            report = _put(connection, found, prospect, now, actor)
            failpoint("restore.before_commit")
    return report


@contextmanager
def _opened(url: str) -> Iterator[Ledger]:
    """Opened after the backup was found in order: in an empty place this makes a ledger."""
    ledger = Ledger.open(url)
    try:
        yield ledger
    finally:
        ledger.engine.dispose()


# ------------------------------------------------------------------------------------------------------------- checks
def _require_fitting(found: Reader, environment: Environment) -> None:
    manifest, where = found.manifest, str(found.path)
    if manifest.revision != migrations.HEAD:
        older = manifest.revision < migrations.HEAD
        raise Refused(
            f"the backup has schema {manifest.revision}, this release needs {migrations.HEAD}",
            where=where,
            remedy="Restore it with the release that made it, then install this one and run 'alongside ledger upgrade'."
            if older
            else "Install the release that made it, or a newer one.",
        )
    if manifest.columns != {table.name: list(table.columns.keys()) for table in _TABLES}:
        raise Refused(
            "the backup has other tables than this release", where=where, remedy="Make it with a release of ours."
        )
    found.verify()
    if manifest.vault_check is not None:
        Vault.require_key(environment, manifest.ledger_id, manifest.vault_check)


def _prospect(connection: Connection, manifest: Manifest) -> Prospect:
    filled = any(
        connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first()
        for table in _TABLES
        if table is not schema.ledger_info
    )
    if not filled:
        return Prospect(manifest, None, None)
    ledger_id: str = connection.execute(sa.select(schema.ledger_info.c.ledger_id)).scalar_one()
    return Prospect(manifest, ledger_id, _loss(connection, manifest) if ledger_id == manifest.ledger_id else None)


def _loss(connection: Connection, manifest: Manifest) -> Loss:
    consent, suppression, message = schema.consent_event.c, schema.suppression.c, schema.message.c
    since = manifest.made_at

    def count(*conditions: sa.ColumnElement[bool]) -> int:
        return connection.execute(sa.select(sa.func.count()).where(*conditions)).scalar_one()

    return Loss(
        withdrawals=count(consent.recorded_at >= since, consent.decision == Decision.DENY.value),
        suppressions=count(suppression.since >= since),
        accepted=count(message.updated_at >= since, message.state.in_([state.value for state in TAKEN])),
    )


# -------------------------------------------------------------------------------------------------------- restoration
def _lock(connection: Connection) -> None:
    """Nobody else reads or writes until the end. SQLite's own write lock is held already."""
    migrations.lock(connection)
    if connection.dialect.name == "postgresql":
        names = ", ".join(f'"{table.name}"' for table in _TABLES)
        connection.exec_driver_sql(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE")


def _put(connection: Connection, found: Reader, prospect: Prospect, now: datetime, actor: str) -> RestoreReport:
    manifest = found.manifest
    former = connection.execute(sa.select(schema.ledger_info.c.epoch)).scalar_one()
    rows.clear(connection, _TABLES)
    for table in _TABLES:
        for data in found.batches(table.name):
            rows.append(connection, table, data)
    rows.advance_counters(connection, _TABLES)
    epoch = max(manifest.epoch, former) + 1
    connection.execute(schema.ledger_info.update().values(epoch=epoch))
    held = _hold(connection, epoch, now)
    _silence(connection, manifest, now, actor)
    details = {
        "file": found.path.name,
        "made_at": manifest.made_at.isoformat(),
        "epoch": epoch,
        "unknown": sum(count for _, _, count in held),
        "replaced": prospect.replaces,
    }
    write_audit(connection, now, actor, "restore", manifest.ledger_id, details)
    return RestoreReport(manifest, epoch, now, held, prospect.replaces, prospect.loss)


def _hold(connection: Connection, epoch: int, now: datetime) -> tuple[tuple[str, str, int], ...]:
    """Whatever may have been sent since the backup is `unknown`; no worker of before holds anything any more."""
    batch, message, attempt = schema.batch, schema.message, schema.attempt
    unknown = MessageState.UNKNOWN.value
    connection.execute(
        message.update()
        .where(message.c.state.in_(_OPEN_MESSAGES))
        .values(state=unknown, reason=RESTORED, updated_at=now)
    )
    having = sa.select(message.c.batch_id).where(message.c.state == unknown)
    connection.execute(
        batch.update()
        .where(batch.c.state.in_(_OPEN_BATCHES) | batch.c.batch_id.in_(having))
        .values(
            state=BatchState.UNKNOWN.value,
            attempt_id=f"{RESTORED}-{epoch}",
            lease_until=None,
            not_before=None,
            updated_at=now,
        )
    )
    connection.execute(
        attempt.update()
        .where(attempt.c.finished_at.is_(None))
        .values(finished_at=now, outcome="unknown", detail="no answer was recorded before the ledger was restored")
    )
    kinds = (message.c.campaign, message.c.channel)
    query = sa.select(*kinds, sa.func.count()).where(message.c.state == unknown).group_by(*kinds).order_by(*kinds)
    return tuple((campaign, channel, count) for campaign, channel, count in connection.execute(query))


def _silence(connection: Connection, manifest: Manifest, now: datetime, actor: str) -> None:
    """Over whatever pause the backup held: nothing leaves before a person has looked."""
    pauses.lift_pause(connection, pauses.ALL)
    reason = f"restored from the backup of {manifest.made_at:%Y-%m-%d %H:%M} UTC"
    pauses.set_pause(connection, pauses.ALL, by=actor[:120], reason=reason, now=now)
