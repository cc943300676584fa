"""The first tables.

Revision ID: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision: str | None = None

# Written out, not taken from the schema module: a migration must go on meaning what it meant when it was released.
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _ledger()
    _runs()
    _people()
    _vault_and_consent()
    _batches()
    _messages()
    _experiments()


def _ledger() -> None:
    op.create_table(
        "ledger_info",
        sa.Column("ledger_id", sa.String(length=32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("vault_check", sa.String(length=64), nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("ledger_id", name=op.f("pk_ledger_info")),
    )
    op.create_table(
        "audit",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("actor", sa.String(length=120), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("details", JSON, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )


def _runs() -> None:
    op.create_table(
        "run",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("snapshot_id", sa.String(length=80), nullable=True),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("config_commit", sa.String(length=64), nullable=False),
        sa.Column("mode", sa.String(length=12), nullable=False),
        sa.Column("replay", sa.Boolean(), nullable=False),
        sa.Column("scheduled_at", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("held_because", sa.Text(), nullable=True),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_run")),
    )
    op.create_table(
        "run_campaign",
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("campaign", sa.String(length=120), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=True),
        sa.Column("planned_at", MOMENT, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("funnel", JSON, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["run.run_id"], name=op.f("fk_run_campaign_run_id")),
        sa.PrimaryKeyConstraint("run_id", "campaign", name=op.f("pk_run_campaign")),
    )
    op.create_table(
        "approval",
        sa.Column("approval_id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("campaign", sa.String(length=120), nullable=False),
        sa.Column("config_hash", sa.String(length=64), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=True),
        sa.Column("envelope", JSON, nullable=False),
        sa.Column("approved_by", sa.String(length=120), nullable=False),
        sa.Column("approved_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("revoked_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("approval_id", name=op.f("pk_approval")),
    )
    op.create_index(op.f("ix_approval_campaign_config_hash"), "approval", ["campaign", "config_hash"], unique=False)
    op.create_table(
        "pause",
        sa.Column("scope", sa.String(length=160), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("by", sa.String(length=120), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name=op.f("pk_pause")),
    )


def _people() -> None:
    op.create_table(
        "person",
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("minted_at", MOMENT, nullable=False),
        sa.Column("survivor_id", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_person")),
    )
    op.create_index(op.f("ix_person_survivor_id"), "person", ["survivor_id"], unique=False)
    op.create_table(
        "person_alias",
        sa.Column("alias", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=60), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("fingerprint", sa.String(length=32), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.person_id"], name=op.f("fk_person_alias_person_id")),
        sa.PrimaryKeyConstraint("alias", name=op.f("pk_person_alias")),
    )
    op.create_index(op.f("ix_person_alias_person_id"), "person_alias", ["person_id"], unique=False)
    op.create_table(
        "person_event",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.String(length=12), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("other_id", sa.String(length=20), nullable=False),
        sa.Column("rule", sa.String(length=60), nullable=False),
        sa.Column("probability", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_person_event")),
    )
    op.create_table(
        "match_review",
        sa.Column("left_alias", sa.String(length=32), nullable=False),
        sa.Column("right_alias", sa.String(length=32), nullable=False),
        sa.Column("probability", sa.Float(), nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("decision", sa.String(length=12), nullable=True),
        sa.PrimaryKeyConstraint("left_alias", "right_alias", name=op.f("pk_match_review")),
    )


def _vault_and_consent() -> None:
    op.create_table(
        "vault_person",
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_vault_person")),
    )
    op.create_table(
        "vault_index",
        sa.Column("kind", sa.String(length=80), nullable=False),
        sa.Column("blind", sa.String(length=32), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.PrimaryKeyConstraint("kind", "blind", "person_id", name=op.f("pk_vault_index")),
    )
    op.create_index(op.f("ix_vault_index_person_id"), "vault_index", ["person_id"], unique=False)
    op.create_table(
        "consent_event",
        sa.Column("seq", SERIAL, autoincrement=True, nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("decision", sa.String(length=8), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.Column("origin", sa.String(length=80), nullable=False),
        sa.Column("evidence", sa.String(length=200), nullable=False),
        sa.Column("fact", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_consent_event")),
        sa.UniqueConstraint("fact", name=op.f("uq_consent_event_fact")),
    )
    op.create_index(
        op.f("ix_consent_event_person_id_purpose_channel"),
        "consent_event",
        ["person_id", "purpose", "channel"],
        unique=False,
    )
    op.create_table(
        "suppression",
        sa.Column("blind", sa.String(length=32), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("scope", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=24), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("origin", sa.String(length=120), nullable=False),
        sa.PrimaryKeyConstraint("blind", "channel", "scope", name=op.f("pk_suppression")),
    )


def _batches() -> None:
    op.create_table(
        "batch",
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("campaign", sa.String(length=120), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("sender", sa.String(length=40), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("template", sa.String(length=160), nullable=False),
        sa.Column("locale", sa.String(length=8), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("attempt_id", sa.String(length=40), nullable=True),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column("not_before", MOMENT, nullable=True),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_batch")),
    )
    op.create_index(op.f("ix_batch_run_id"), "batch", ["run_id"], unique=False)
    op.create_index(
        op.f("ix_batch_state_channel_not_before"), "batch", ["state", "channel", "not_before"], unique=False
    )
    op.create_table(
        "attempt",
        sa.Column("attempt_id", sa.String(length=40), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("worker", sa.String(length=80), nullable=False),
        sa.Column("claimed_at", MOMENT, nullable=False),
        sa.Column("called_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("http_status", sa.Integer(), nullable=True),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=True),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_attempt")),
    )
    op.create_index(op.f("ix_attempt_batch_id"), "attempt", ["batch_id"], unique=False)


def _messages() -> None:
    op.create_table(
        "message",
        sa.Column("message_key", sa.String(length=32), nullable=False),
        sa.Column("batch_id", sa.String(length=40), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("campaign", sa.String(length=120), nullable=False),
        sa.Column("occurrence", sa.String(length=60), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("subject_person_id", sa.String(length=20), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.Column("template", sa.String(length=160), nullable=False),
        sa.Column("template_hash", sa.String(length=64), nullable=False),
        sa.Column("locale", sa.String(length=8), nullable=False),
        sa.Column("experiment", sa.String(length=120), nullable=True),
        sa.Column("variant", sa.String(length=60), nullable=True),
        sa.Column("address_blind", sa.String(length=32), nullable=False),
        sa.Column("variables", JSON, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=True),
        sa.Column("attempt_id", sa.String(length=40), nullable=True),
        sa.Column("planned_at", MOMENT, nullable=False),
        sa.Column("accepted_at", MOMENT, nullable=True),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("message_key", name=op.f("pk_message")),
    )
    op.create_index(op.f("ix_message_batch_id"), "message", ["batch_id"], unique=False)
    op.create_index(
        op.f("ix_message_campaign_address_blind_occurrence"),
        "message",
        ["campaign", "address_blind", "occurrence"],
        unique=False,
    )
    op.create_index(op.f("ix_message_person_id_planned_at"), "message", ["person_id", "planned_at"], unique=False)
    op.create_index(op.f("ix_message_run_id_campaign"), "message", ["run_id", "campaign"], unique=False)
    op.create_index(op.f("ix_message_state"), "message", ["state"], unique=False)
    op.create_table(
        "delivery_event",
        sa.Column("event_id", sa.String(length=120), nullable=False),
        sa.Column("message_key", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("occurred_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("machine", sa.Boolean(), nullable=False),
        sa.Column("detail", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_delivery_event")),
    )
    op.create_index(op.f("ix_delivery_event_message_key_kind"), "delivery_event", ["message_key", "kind"], unique=False)


def _experiments() -> None:
    op.create_table(
        "experiment",
        sa.Column("experiment", sa.String(length=120), nullable=False),
        sa.Column("definition_hash", sa.String(length=64), nullable=False),
        sa.Column("definition", JSON, nullable=False),
        sa.Column("config_commit", sa.String(length=64), nullable=False),
        sa.Column("analysis_version", sa.String(length=20), nullable=False),
        sa.Column("launched_at", MOMENT, nullable=False),
        sa.Column("exploratory_since", MOMENT, nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.Column("decision", JSON, nullable=True),
        sa.PrimaryKeyConstraint("experiment", name=op.f("pk_experiment")),
    )
    op.create_table(
        "assignment",
        sa.Column("experiment", sa.String(length=120), nullable=False),
        sa.Column("person_id", sa.String(length=20), nullable=False),
        sa.Column("variant", sa.String(length=60), nullable=False),
        sa.Column("assigned_at", MOMENT, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=12), nullable=False),
        sa.PrimaryKeyConstraint("experiment", "person_id", name=op.f("pk_assignment")),
    )
    op.create_table(
        "experiment_result",
        sa.Column("experiment", sa.String(length=120), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("verdict", sa.String(length=20), nullable=False),
        sa.Column("result", JSON, nullable=False),
        sa.PrimaryKeyConstraint("experiment", "as_of", name=op.f("pk_experiment_result")),
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
