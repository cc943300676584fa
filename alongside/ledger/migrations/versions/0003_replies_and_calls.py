"""What patients write back and are answered, messages that follow others, and the list of calls.

Revision ID: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "thread",
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("address_blind", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=True),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("owner", sa.String(length=120), nullable=True),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("thread_id", name=op.f("pk_thread")),
    )
    op.create_index(op.f("ix_thread_status_due_at"), "thread", ["status", "due_at"])
    op.create_index(op.f("ix_thread_channel_address_blind"), "thread", ["channel", "address_blind"])
    op.create_table(
        "inbound",
        sa.Column("inbound_id", sa.String(length=80), nullable=False),
        sa.Column("thread_id", sa.String(length=40), nullable=True),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("address_blind", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=True),
        sa.Column("keyword", sa.String(length=12), nullable=True),
        sa.Column("message_key", sa.String(length=32), nullable=True),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("inbound_id", name=op.f("pk_inbound")),
    )
    op.create_index(op.f("ix_inbound_thread_id_recorded_at"), "inbound", ["thread_id", "recorded_at"])
    op.create_index(op.f("ix_inbound_recorded_at"), "inbound", ["recorded_at"])
    op.create_table(
        "answer",
        sa.Column("message_key", sa.String(length=32), nullable=False),
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("author", sa.String(length=120), nullable=False),
        sa.Column("written_at", MOMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("message_key", name=op.f("pk_answer")),
    )
    op.create_index(op.f("ix_answer_thread_id_written_at"), "answer", ["thread_id", "written_at"])
    op.add_column("message", sa.Column("follows", sa.String(length=32), nullable=True))
    op.create_index(
        op.f("ix_message_follows"),
        "message",
        ["follows"],
        sqlite_where=sa.text("follows IS NOT NULL"),
        postgresql_where=sa.text("follows IS NOT NULL"),
    )
    op.create_table(
        "call_task",
        sa.Column("task_id", sa.String(length=32), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("owner", sa.String(length=120), nullable=True),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("listed_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("notes", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_call_task")),
    )
    op.create_index(op.f("ix_call_task_status_due_at"), "call_task", ["status", "due_at"])
    op.create_index(op.f("ix_call_task_batch_id"), "call_task", ["batch_id"])


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
