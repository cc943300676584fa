"""What patients say on their pages: wishes, requests about their data, answers to surveys and about appointments.

Revision ID: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision: str | None = "0007"

MOMENT = sa.DateTime(timezone=True)
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _wishes()
    _requests()
    _survey_responses()
    _appointment_answers()
    op.add_column("thread", sa.Column("kind", sa.String(length=16), server_default="reply", nullable=False))


def _wishes() -> None:
    op.create_table(
        "wish_event",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=1000), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("origin", sa.String(length=80), nullable=False),
        sa.Column("evidence", sa.String(length=200), nullable=False),
        sa.Column("fact", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_wish_event")),
        sa.UniqueConstraint("fact", name=op.f("uq_wish_event_fact")),
    )
    op.create_index(op.f("ix_wish_event_person_id_kind"), "wish_event", ["person_id", "kind"])
    op.create_index(op.f("ix_wish_event_decided_at"), "wish_event", ["decided_at"])


def _requests() -> None:
    op.create_table(
        "data_request",
        sa.Column("request_id", sa.String(length=40), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("message_key", sa.String(length=32), nullable=False),
        sa.Column("thread_id", sa.String(length=40), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_data_request")),
    )
    op.create_index(op.f("ix_data_request_person_id_kind"), "data_request", ["person_id", "kind"])


def _survey_responses() -> None:
    op.create_table(
        "survey_response",
        sa.Column("message_key", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("survey", sa.String(length=60), nullable=False),
        sa.Column("scores", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("comment", sa.LargeBinary(), nullable=True),
        sa.Column("thread_id", sa.String(length=40), nullable=True),
        sa.Column("answered_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("message_key", name=op.f("pk_survey_response")),
    )
    op.create_index(op.f("ix_survey_response_person_id"), "survey_response", ["person_id"])
    op.create_index(op.f("ix_survey_response_answered_at"), "survey_response", ["answered_at"])


def _appointment_answers() -> None:
    op.create_table(
        "appointment_answer",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        sa.Column("message_key", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("appointment", sa.String(length=80), nullable=False),
        sa.Column("start_at", MOMENT, nullable=False),
        sa.Column("answer", sa.String(length=12), nullable=False),
        sa.Column("answered_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_appointment_answer")),
    )
    op.create_index(op.f("ix_appointment_answer_source_appointment"), "appointment_answer", ["source", "appointment"])
    op.create_index(op.f("ix_appointment_answer_recorded_at"), "appointment_answer", ["recorded_at"])


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
