"""Of which household or clinic an assignment is, where those are what an experiment assigns.

Revision ID: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"


def upgrade() -> None:
    op.add_column("assignment", sa.Column("cluster_id", sa.String(16)))


def downgrade() -> None:
    raise NotImplementedError("a ledger only moves forward: restore a backup instead")
