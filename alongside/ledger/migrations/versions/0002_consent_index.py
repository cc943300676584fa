"""The index on consents holds what the last look before a message leaves asks of everybody.

Revision ID: 0002
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision: str | None = "0001"

_OLD = "ix_consent_event_person_id_purpose_channel"
_NEW = "ix_consent_event_person_id_purpose_channel_decision_decided_at"


def upgrade() -> None:
    op.drop_index(_OLD, table_name="consent_event")
    op.create_index(_NEW, "consent_event", ["person_id", "purpose", "channel", "decision", "decided_at"])


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
