"""What the campaigns of a run ask of the ledger alike, copied once into the folder of the run.

Whatever changes in the ledger between two of them is caught by the recheck within the claim.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.ledger import Ledger, consent
from alongside.ledger.relations import all_relations
from alongside.warehouse.duck import quoted

if TYPE_CHECKING:
    import duckdb

#: How long a copy serves the campaigns that are planned one after the other.
FRESH_SECONDS = 600


def consents(duck: duckdb.DuckDBPyConnection, ledger: Ledger, folder: Path, channel: str) -> Path:
    """Parquet file of what everybody has decided about the channel (or `consent.ANY_CHANNEL`), see `decide_all`."""
    log = _kept(folder / "consent-log.parquet", lambda path: _copy_consent_log(duck, ledger, path))

    def decide(path: Path) -> None:
        source = f"read_parquet({quoted(log)})"
        duck.execute(f"CREATE OR REPLACE TEMP VIEW logged_consent AS SELECT * EXCLUDE (survivor_id) FROM {source}")
        duck.execute(
            "CREATE OR REPLACE TEMP VIEW logged_person AS"
            f" SELECT DISTINCT person_id, survivor_id FROM {source} WHERE survivor_id IS NOT NULL"
        )
        consent.decide_all(duck, channel)
        duck.execute(f"COPY decided TO {quoted(path)} (FORMAT parquet)")
        duck.execute("DROP TABLE decided; DROP VIEW logged_consent; DROP VIEW logged_person")

    name = "all" if channel == consent.ANY_CHANNEL else channel
    return _kept(folder / f"consent-{name}.parquet", decide, made_of=log)


def relations(duck: duckdb.DuckDBPyConnection, ledger: Ledger, folder: Path, as_of: datetime) -> Path:
    """Parquet file of `all_relations` at a moment."""

    def copy(path: Path) -> None:
        for earlier in folder.glob("relations-*.parquet"):  # a folder that serves many moments stays small
            if _age(earlier) > FRESH_SECONDS:
                earlier.unlink(missing_ok=True)
        duck.register("told", all_relations(ledger, as_of))
        duck.execute(f"COPY told TO {quoted(path)} (FORMAT parquet)")
        duck.unregister("told")

    return _kept(folder / f"relations-{as_of:%Y%m%dT%H%M%S}.parquet", copy)


def _copy_consent_log(duck: duckdb.DuckDBPyConnection, ledger: Ledger, path: Path) -> None:
    consent.copy_log(duck, ledger)
    duck.execute(
        "COPY (SELECT e.*, p.survivor_id FROM logged_consent AS e LEFT JOIN logged_person AS p USING (person_id))"
        f" TO {quoted(path)} (FORMAT parquet)"
    )
    duck.execute("DROP TABLE logged_consent; DROP TABLE logged_person")


def _kept(path: Path, make: Callable[[Path], None], made_of: Path | None = None) -> Path:
    """The file, made when it is missing, stale, or older than what it is made of; readers see whole files only."""
    limit = FRESH_SECONDS if made_of is None else min(_age(made_of), FRESH_SECONDS)
    if _age(path) > limit:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(f".{os.getpid()}")
        make(fresh)
        fresh.replace(path)
    return path


def _age(path: Path) -> float:
    """Seconds since the file was written; endless for one that is not there."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
