"""Approvals: which configuration (or exact plan) a person has agreed to, within which envelope."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger.runs import write_audit
from alongside.ledger.schema import approval


@dataclass(frozen=True)
class Approval:
    campaign: str
    config_hash: str
    plan_hash: str | None
    envelope: Mapping[str, Any]
    approved_by: str
    approved_at: datetime
    expires_at: datetime | None


def approve(connection: Connection, wanted: Approval) -> None:
    """Record the approval and its line in the audit trail."""
    values = {name: getattr(wanted, name) for name in wanted.__dataclass_fields__}
    connection.execute(approval.insert().values(**{**values, "envelope": dict(wanted.envelope)}))
    details = {"config_hash": wanted.config_hash, "plan_hash": wanted.plan_hash, "envelope": dict(wanted.envelope)}
    write_audit(connection, wanted.approved_at, wanted.approved_by, "approve", f"campaign:{wanted.campaign}", details)


def standing_approval(connection: Connection, campaign: str, config_hash: str, at: datetime) -> Approval | None:
    """The newest approval of exactly this configuration that neither expired nor was revoked."""
    query = (
        sa.select(approval)
        .where(approval.c.campaign == campaign, approval.c.config_hash == config_hash)
        .where(approval.c.revoked_at.is_(None), sa.or_(approval.c.expires_at.is_(None), approval.c.expires_at > at))
        .order_by(approval.c.approved_at.desc(), approval.c.approval_id.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().first()
    return Approval(**{name: row[name] for name in Approval.__dataclass_fields__}) if row else None
