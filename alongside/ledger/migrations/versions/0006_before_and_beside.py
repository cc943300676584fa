"""What a new sender may send in a day, copies for seeds, and alerts that staff were told.

Revision ID: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("batch", sa.Column("waits_for", sa.String(length=12), nullable=True))
    op.create_table(
        "warm_up",
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("ramp", sa.String(length=40), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("channel", "ramp", "day", name=op.f("pk_warm_up")),
    )
    op.create_table(
        "seed_copy",
        sa.Column("message_key", sa.String(length=32), nullable=False),
        sa.Column("seed", sa.String(length=60), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("message_key", name=op.f("pk_seed_copy")),
    )
    op.create_table(
        "staff_alert",
        sa.Column("alert", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=24), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("alert", name=op.f("pk_staff_alert")),
    )
    op.create_table(
        "staff_notice",
        sa.Column("alert", sa.String(length=200), nullable=False),
        sa.Column("receiver", sa.String(length=60), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("told_at", MOMENT, nullable=True),
        sa.Column("claimed_until", MOMENT, nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.String(length=300), nullable=True),
        sa.PrimaryKeyConstraint("alert", "receiver", name=op.f("pk_staff_notice")),
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
