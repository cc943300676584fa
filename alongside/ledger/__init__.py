"""The transactional store: what was intended, said, heard and agreed. SQLite by default, PostgreSQL in production."""

from alongside.ledger.engine import Ledger, LedgerInfo

__all__ = ["Ledger", "LedgerInfo"]
