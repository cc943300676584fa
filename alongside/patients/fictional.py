"""`--fictional-contacts`: addresses and consents for hospitals of synthetic patients that have none.

Every address stands in a reserved domain and is recognised by `model.addresses.is_fictional`, so that a real provider
can refuse it. Every consent names its evidence as fictional, also that of a patient with a real address: a run refuses
to invent any outside the sandbox, and a ledger that holds one never leaves the sandbox (`outreach.run`).
"""

from __future__ import annotations

from pathlib import Path

from alongside.ledger.consent import CROSS_BORDER, FICTIONAL
from alongside.model.addresses import FICTIONAL_DOMAIN
from alongside.model.canonical import CONSENT
from alongside.model.enums import Purpose
from alongside.patients import keyed, scripts
from alongside.warehouse import Warehouse
from alongside.warehouse.duck import quoted

#: Before any decision that a patient of these extracts really took: a real one always comes later.
DECIDED_AT = "2000-01-01"


def fictional_contacts(clean: Path, *, secret: bytes, warehouse: Warehouse) -> int:
    """Give every patient of `clean` without an e-mail an invented one, and every patient consents; before `resolve`.

    Rewrites `patient.parquet` and `consent.parquet`. Running it again changes nothing more. Returns how many addresses
    were invented.
    """
    patients, consents = clean / "patient.parquet", clean / "consent.parquet"
    with warehouse.connect() as duck:
        keyed.install_parts(duck)
        keyed.install(duck, "fictional_hash", secret)
        duck.execute(
            "CREATE TEMP TABLE patient AS SELECT * REPLACE ("
            "CASE WHEN coalesce(trim(email), '') <> '' THEN email ELSE 'p' || fictional_hash("
            "hash_part('fictional') || hash_part(source) || hash_part(source_id), 16) "
            f"|| '@{FICTIONAL_DOMAIN}' END AS email) FROM read_parquet({quoted(patients)})"
        )
        duck.execute(f"CREATE TEMP TABLE consent AS FROM read_parquet({quoted(consents)})")
        duck.execute(_invented_consents())
        for name, path in (("patient", patients), ("consent", consents)):
            fresh = path.with_suffix(".fresh")
            duck.execute(f"COPY {name} TO {quoted(fresh)} (FORMAT parquet, COMPRESSION zstd)")
            fresh.chmod(0o600)
            fresh.replace(path)
        return scripts.count(duck, f"SELECT count(*) FROM patient WHERE email LIKE 'p%@{FICTIONAL_DOMAIN}'")


def _invented_consents() -> str:
    purposes = ", ".join(f"'{purpose}'" for purpose in (*Purpose, CROSS_BORDER))
    values = {
        "source": "p.source",
        "source_id": "'fictional:' || p.source_id || ':' || purpose",
        "extract_date": "p.extract_date",
        "patient_source_id": "p.source_id",
        "purpose": "purpose",
        "channel": "'*'",
        "decision": "'permit'",
        "decided_at": f"TIMESTAMP '{DECIDED_AT}'",
        "evidence": f"'{FICTIONAL}'",
    }
    columns = ", ".join(f"{values.get(name, 'NULL')} AS {name}" for name in CONSENT.column_names)
    return (
        f"INSERT INTO consent BY NAME SELECT {columns} FROM patient AS p CROSS JOIN "
        f"(SELECT unnest([{purposes}]) AS purpose) "
        "WHERE NOT EXISTS (SELECT 1 FROM consent AS c WHERE c.source = p.source "
        "AND c.source_id = 'fictional:' || p.source_id || ':' || purpose)"
    )
