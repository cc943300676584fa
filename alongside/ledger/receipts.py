"""The vendor's own ids of messages: for vendors whose events name nothing of ours."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from alongside.ledger.schema import receipt


def keep(connection: Connection, receipts: Mapping[str, str]) -> None:
    """Remember which message is which.

    Parameters
    ----------
    receipts : message key -> `<vendor>:<its id>`
    """
    if not receipts:
        return
    rows = [{"receipt_id": name, "message_key": key} for key, name in receipts.items()]
    insert = sqlite.insert(receipt) if connection.dialect.name == "sqlite" else postgresql.insert(receipt)
    connection.execute(insert.on_conflict_do_nothing(), rows)


def key_of(connection: Connection, receipt_id: str) -> str | None:
    """The message that a vendor knows by this id; None for one that is not of this ledger, or not written down yet."""
    query = sa.select(receipt.c.message_key).where(receipt.c.receipt_id == receipt_id)
    return connection.execute(query).scalar_one_or_none()
