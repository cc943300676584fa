"""Who is close to a patient and may hear about them.

Revision ID: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from alongside.ledger.schema import Serial, Utc

revision = "0005"
down_revision: str | None = "0004"


def upgrade() -> None:
    op.create_table(
        "relation_event",
        sa.Column("seq", Serial, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("related_id", sa.String(length=20), nullable=False),
        sa.Column("relationship", sa.String(length=16), nullable=False),
        sa.Column("decides", sa.Boolean(), nullable=True),
        sa.Column("decision", sa.String(length=8), nullable=False),
        sa.Column("decided_at", Utc(), nullable=False),
        sa.Column("recorded_at", Utc(), nullable=False),
        sa.Column("origin", sa.String(length=80), nullable=False),
        sa.Column("evidence", sa.String(length=200), nullable=False),
        sa.Column("fact", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_relation_event")),
        sa.UniqueConstraint("fact", name=op.f("uq_relation_event_fact")),
    )
    op.create_index(op.f("ix_relation_event_person_id"), "relation_event", ["person_id"], unique=False)


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
