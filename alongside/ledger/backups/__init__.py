"""Backups of the ledger, and what a restored one may still do: see `docs/operator.md`, "Backup and restore"."""

from alongside.ledger.backups.backup import BackupReport, backup
from alongside.ledger.backups.restore import Prospect, RestoreReport, inspect, restore

__all__ = ["BackupReport", "Prospect", "RestoreReport", "backup", "inspect", "restore"]
