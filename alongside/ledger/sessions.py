"""What every session with the ledger's store begins with, and what its silence means: for SQLAlchemy and ADBC alike."""

from __future__ import annotations

from sqlalchemy.engine import URL

from alongside.model.errors import Refused, StoreLocked, StoreUnavailable

#: Seconds for which another's lock is waited for; `?timeout=5` at the end of the ledger's URL says otherwise.
PATIENCE = 30.0
TIMEOUT = "timeout"  # as SQLite's own driver calls it


def patience(url: URL) -> float:
    """Seconds for which another's lock is waited for."""
    given = url.query.get(TIMEOUT, PATIENCE)
    try:
        return float(given if isinstance(given, str | float) else given[-1])
    except ValueError:
        remedy = "Give seconds, for example '?timeout=5'."
        raise Refused("timeout is not a number", where="ALONGSIDE_LEDGER_URL", remedy=remedy) from None


def for_libpq(url: URL) -> str:
    """The URL, with its password, as PostgreSQL's own library takes it."""
    return url.set(drivername="postgresql").difference_update_query([TIMEOUT]).render_as_string(hide_password=False)


def postgres_settings(url: URL) -> tuple[str, str]:
    """Statements that a session with PostgreSQL begins with."""
    milliseconds = max(1, round(patience(url) * 1000))  # 0 would wait for ever
    # A commit that a server's default would let go before it is on disk is no memory of what was sent.
    return "SET synchronous_commit = on", f"SET lock_timeout = {milliseconds}"


def unavailable(said: str, where: str) -> StoreUnavailable:
    """The error for a store that did not answer.

    Parameters
    ----------
    said : the store's or the driver's own words, without values of rows
    """
    if "locked" in said or "lock timeout" in said:
        return StoreLocked(
            f"the ledger is locked by another process: {said}",
            where=where,
            remedy="Nothing was lost. Wait for that process to end, or end it, then run again.",
        )
    return StoreUnavailable(
        f"the ledger did not answer: {said}", where=where, remedy="Check that it runs, then run again."
    )
