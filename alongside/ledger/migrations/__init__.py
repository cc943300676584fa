"""How the ledger's tables came to be what they are. A ledger is created and upgraded by these, never by `create_all`.

A new step: change `alongside/ledger/schema.py`, add `versions/000N_what.py`, raise `HEAD`; a test compares the two on
both stores.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.model.errors import Refused

#: The newest revision. Kept here so that opening a ledger does not load Alembic.
HEAD = "0011"
_LOCK = 0x616C6F6E67  # "along": one creator or upgrader at a time


def revision(connection: Connection) -> str | None:
    """The ledger's revision; None when there are no tables of ours yet."""
    inspector = sa.inspect(connection)
    if inspector.has_table("alembic_version"):
        found: str | None = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        return found
    if inspector.has_table("ledger_info"):
        return "0000"
    return None


def migrate(connection: Connection) -> None:
    """Bring the store behind an open transaction to `HEAD`; concurrent callers wait for one another."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def lock(connection: Connection) -> None:
    """Hold the ledger's shape until the transaction ends. SQLite's own write lock is held already."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def require_current(found: str | None, where: str) -> None:
    """Refuse a ledger that this release does not understand."""
    if found == HEAD:
        return
    if found is not None and found > HEAD:
        raise Refused(
            f"the ledger has schema {found}, this release of Alongside knows {HEAD}",
            where=where,
            remedy="Install the release that upgraded it, or a newer one.",
        )
    raise Refused(
        f"the ledger has schema {found}, this release needs {HEAD}",
        where=where,
        remedy="Run 'alongside ledger backup FILE', then 'alongside ledger upgrade'.",
    )
