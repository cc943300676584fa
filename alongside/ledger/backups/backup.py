"""Making a backup: every row of one moment, while workers go on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import migrations, schema
from alongside.ledger.backups import archive, rows
from alongside.ledger.backups.archive import Manifest, Writer
from alongside.ledger.engine import Ledger
from alongside.ledger.runs import write_audit
from alongside.model.errors import Refused


@dataclass(frozen=True)
class BackupReport:
    """What a backup holds."""

    path: Path
    manifest: Manifest
    bytes: int


def backup(url: str, path: Path, *, now: datetime, actor: str) -> BackupReport:
    """Write the ledger behind a SQLAlchemy URL into one new file, as it is at one moment; nobody has to stop for it.

    A ledger of an older schema is taken as it is, so that it can be backed up before `ledger upgrade`. The vault stays
    sealed in the file and its key is not in it; the ledger's own secret is.

    Raises
    ------
    Refused : there is no ledger, its schema is newer than this release's, or the file exists or cannot be written
    StoreUnavailable : the store does not answer
    """
    ledger = Ledger.connect(url)
    try:
        with archive.writing(path) as writer, rows.snapshot(ledger) as (connection, read):
            manifest = _write(writer, connection, read, ledger, now)
        with ledger.begin() as connection:
            details = {"file": path.name, "made_at": now.isoformat(), "epoch": manifest.epoch, "rows": manifest.rows}
            write_audit(connection, now, actor, "backup", manifest.ledger_id, details)
    finally:
        ledger.engine.dispose()
    return BackupReport(path, manifest, path.stat().st_size)


def _write(writer: Writer, connection: Connection, read: rows.Read, ledger: Ledger, now: datetime) -> Manifest:
    found = migrations.revision(connection)
    if found is None:
        raise Refused("there is no ledger", where=ledger.where, remedy="Set ALONGSIDE_LEDGER_URL to the one you mean.")
    if found > migrations.HEAD:
        migrations.require_current(found, ledger.where)
    tables = rows.tables_of(connection)
    for table in tables:
        for batch in read(table):
            writer.add(str(table.name), batch)
    info = schema.ledger_info.c
    identity = connection.execute(sa.select(info.ledger_id, info.epoch, info.vault_check)).one()
    manifest = Manifest(
        ledger_id=identity.ledger_id,
        revision=found,
        epoch=identity.epoch,
        vault_check=identity.vault_check,
        made_at=now,
        store=connection.dialect.name,
        columns={str(table.name): [str(column.name) for column in table.columns] for table in tables},
        parts=tuple(writer.parts),
    )
    writer.finish(manifest)
    return manifest
