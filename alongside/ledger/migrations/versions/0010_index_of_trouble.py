"""Of the states of messages, only those that somebody looks for have an index.

Revision ID: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"

_TROUBLE = sa.text("state = 'bounced' OR state = 'rejected' OR state = 'unknown' OR state = 'unresolved'")


def upgrade() -> None:
    op.drop_index(op.f("ix_message_state"), table_name="message")
    op.create_index(
        op.f("ix_message_trouble"), "message", ["state", "campaign"], sqlite_where=_TROUBLE, postgresql_where=_TROUBLE
    )


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
