"""The vendor's own ids of messages, where its events name no other.

Revision ID: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"


def upgrade() -> None:
    op.create_table(
        "receipt",
        sa.Column("receipt_id", sa.String(80), nullable=False),
        sa.Column("message_key", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("receipt_id", name=op.f("pk_receipt")),
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
