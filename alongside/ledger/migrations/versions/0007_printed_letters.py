"""Letters on paper: what waits to be printed, was printed, posted and came back.

Revision ID: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision: str | None = "0006"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "printed_letter",
        sa.Column("letter_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.String(length=14), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("stack", sa.Integer(), nullable=True),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("printings", sa.Integer(), nullable=False),
        sa.Column("pages", sa.Integer(), nullable=True),
        sa.Column("reason", sa.String(length=40), nullable=True),
        sa.Column("listed_at", MOMENT, nullable=False),
        sa.Column("printed_at", MOMENT, nullable=True),
        sa.Column("posted_at", MOMENT, nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("letter_id", name=op.f("pk_printed_letter")),
        sa.UniqueConstraint("number", name=op.f("uq_printed_letter_number")),
    )
    op.create_index(op.f("ix_printed_letter_day"), "printed_letter", ["day"])
    op.create_index(op.f("ix_printed_letter_status_listed_at"), "printed_letter", ["status", "listed_at"])
    op.create_index(op.f("ix_printed_letter_batch_id"), "printed_letter", ["batch_id"])


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
