"""Bring an existing ledger to this release's schema; opening one never does."""

from __future__ import annotations

from alongside.ledger import migrations
from alongside.ledger.engine import Ledger


def upgrade(url: str) -> tuple[str | None, str]:
    """Bring the ledger behind a SQLAlchemy URL to the newest revision; returns its revision before and after.

    Raises
    ------
    Refused : the ledger is newer than this release
    StoreUnavailable : the store does not answer
    """
    ledger = Ledger.connect(url)
    try:
        with ledger.begin() as connection:
            migrations.lock(connection)
            before = migrations.revision(connection)
            if before is not None and before > migrations.HEAD:
                migrations.require_current(before, ledger.where)
            migrations.migrate(connection)
            ledger.introduce(connection)
        return before, migrations.HEAD
    finally:
        ledger.engine.dispose()
