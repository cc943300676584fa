"""An index of complaints alone: a dispatch asks for them again and again.

Revision ID: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"


def upgrade() -> None:
    op.create_index(
        op.f("ix_delivery_event_complaints"),
        "delivery_event",
        ["kind", "message_key"],
        sqlite_where=sa.text("kind = 'complaint'"),
        postgresql_where=sa.text("kind = 'complaint'"),
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
