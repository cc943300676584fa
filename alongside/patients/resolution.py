"""Identity resolution: which records of which systems are one person."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb

from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.clock import require_utc
from alongside.patients import details, keyed, known, matching, persistence, scripts
from alongside.patients.prepare import prepare
from alongside.patients.reports import ResolutionReport
from alongside.settings.hospital import HospitalSettings
from alongside.warehouse import Warehouse
from alongside.warehouse.duck import quoted

PERSON_MAP = "person_map.parquet"


def resolve(
    clean: Path,
    ledger: Ledger,
    vault: Vault,
    *,
    now: datetime,
    warehouse: Warehouse,
    settings: HospitalSettings,
) -> ResolutionReport:
    """Give every row of `clean/patient.parquet` its person, and write `person_map.parquet` beside `clean`.

    Only records that are new or whose identifying fields changed are compared, with each other and with all others.
    Everything is deterministic in the records, the ledger and its secret; running it again changes nothing.

    Parameters
    ----------
    clean : folder of canonical tables that passed validation (identifying values!)
    now : `as_of` of the run: the moment at which people are minted and merged
    settings : the order of `sources` is the order of trust; numbers are dialled from the hospital's country

    Notes
    -----
    `person_map.parquet` has `source, patient_source_id, person_id` (living people) and `since`, the moment at which the
    record's identifying fields last changed.
    """
    now = require_utc(now)
    details.forget(clean.parent)
    with warehouse.connect() as duck:
        prepare(duck, ledger.info.secret, settings.sources, now)
        patients = clean / "patient.parquet"
        duck.execute(f"CREATE OR REPLACE TEMP VIEW patient_row AS SELECT * FROM read_parquet({quoted(patients)})")
        known.load(duck, ledger)
        scripts.run(duck, "records")
        if not scripts.count(duck, "SELECT count(*) FROM record WHERE changed"):
            report = _summary(duck, "record")
        else:
            report = _compare_and_save(duck, ledger, vault, patients, now, settings)
            details.keep(duck, "final", clean.parent, now, settings.hospital.time_zone)
        _write_map(duck, "final" if report.changed_records or report.new_records else "record", clean.parent)
    return report


def _compare_and_save(
    duck: duckdb.DuckDBPyConnection,
    ledger: Ledger,
    vault: Vault,
    patients: Path,
    now: datetime,
    settings: HospitalSettings,
) -> ResolutionReport:
    hospital = settings.hospital
    details.prepare(duck, hospital.country, now, hospital.time_zone)
    keyed.install(duck, "blind_hash", vault.blind_key)
    duck.execute("CREATE OR REPLACE TEMP VIEW known AS SELECT source, source_id, person_id, since FROM record")
    details.load(duck, patients, hospital.country)
    matched = matching.match(duck)
    scripts.run(duck, "outcome", {"review": matching.REVIEW})
    scripts.run(duck, "golden")
    scripts.run(duck, "entries")
    reviews = persistence.save(duck, ledger, vault, now)
    return _summary(duck, "final", matched, reviews)


def _summary(
    duck: duckdb.DuckDBPyConnection, outcome: str, matched: matching.Matching | None = None, reviews: int = 0
) -> ResolutionReport:
    records, persons, fresh, changed = duck.execute(
        f"SELECT count(*), count(DISTINCT person_id), count_if(fresh), count_if(changed AND NOT fresh) FROM {outcome}"
    ).fetchall()[0]
    if matched is None:
        return ResolutionReport(records, persons)
    return ResolutionReport(
        records=records,
        persons=persons,
        new_records=fresh,
        changed_records=changed,
        minted=scripts.count(duck, "SELECT count(*) FROM final WHERE unminted AND own_id = person_id"),
        merged=scripts.count(duck, "SELECT count(*) FROM merge"),
        pairs=matched.pairs,
        rules=matched.rules,
        scored=matched.scored,
        to_review=reviews,
        contradictions=matched.contradictions,
    )


def _write_map(duck: duckdb.DuckDBPyConnection, outcome: str, folder: Path) -> None:
    target = folder / PERSON_MAP
    duck.execute(
        f"COPY (SELECT source, source_id AS patient_source_id, person_id, since FROM {outcome}) "
        f"TO {quoted(target)} (FORMAT parquet, COMPRESSION zstd)"
    )
    target.chmod(0o600)
