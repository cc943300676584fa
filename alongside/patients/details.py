"""Every record's identifying details in one comparable form.

Most spellings are settled in SQL; what the plain patterns do not cover (foreign numbers, extensions, unusual addresses,
compatibility characters) goes through the validating libraries once per distinct value.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa

from alongside.model import addresses, postal
from alongside.patients import scripts
from alongside.warehouse.duck import quoted

_BATCH = 10_000
_FULL_WIDTH = "".join(chr(code) for code in range(0xFF01, 0xFF5F)) + "\u3000"
_HALF_WIDTH = "".join(chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)) + " "


def prepare(duck: duckdb.DuckDBPyConnection, region: str, now: datetime, zone: str) -> None:
    """Install the macros that the details are made with. `region` is where numbers without country code are dialled."""
    code, pattern = addresses.mobile_numbers(region) or ("", "(?!)")
    special = "|".join(name.replace(".", r"\.") for name in addresses.special_domains())
    values = {
        "home": region,
        "postal_from": postal.KEY_FROM,
        "postal_to": postal.KEY_TO,
        "full_width": _FULL_WIDTH,
        "half_width": _HALF_WIDTH,
        "phone_code": code,
        # `(?!)` is not RE2; an empty alternative of digits matches no number either
        "phone_pattern": pattern if pattern != "(?!)" else "[^0-9]",
        "email_pattern": addresses.PLAIN_EMAIL,
        "email_special": rf"[@.](?:{special})$",
        "openid_pattern": addresses.OPENID,
        "device_token_pattern": addresses.DEVICE_TOKEN,
        "fictional_domain": addresses.FICTIONAL_DOMAIN,
        "today": now.astimezone(ZoneInfo(zone)).date(),
    }
    scripts.run(duck, "details_macros", values)


def load(duck: duckdb.DuckDBPyConnection, patients: Path, region: str) -> None:
    """Temp table `detail`: one row for every row of relation `known` (`source, source_id, person_id, since`)."""
    duck.execute(f"CREATE OR REPLACE TEMP VIEW patient_row AS SELECT * FROM read_parquet({quoted(patients)})")
    duck.execute("CREATE OR REPLACE TEMP TABLE spelling (kind VARCHAR, raw VARCHAR, normal VARCHAR)")
    _load_postal_rules(duck)
    scripts.run(duck, "plain")
    _spell(duck, "name", "full_name", addresses.normalise_text)
    _spell(duck, "email", "email", addresses.normalise_email)
    _spell(duck, "phone", "phone", lambda text: addresses.normalise_phone(text, region))
    scripts.run(duck, "details")


def _load_postal_rules(duck: duckdb.DuckDBPyConnection) -> None:
    """Relation `postal_rule` for the countries that occur: what each post wants of a postal code."""
    rows = duck.execute(
        "SELECT DISTINCT upper(trim(country)) FROM patient_row WHERE trim(country) <> '' "
        "UNION SELECT getvariable('home')"
    ).fetchall()
    duck.execute("CREATE OR REPLACE TEMP TABLE postal_rule (country VARCHAR, code VARCHAR, needed BOOLEAN)")
    if rules := postal.of_countries(sorted(country for (country,) in rows)):
        duck.executemany("INSERT INTO postal_rule VALUES (?, ?, ?)", rules)


def keep(duck: duckdb.DuckDBPyConnection, outcome: str, folder: Path, now: datetime, zone: str) -> None:
    """Leave `detail` for the step that builds the snapshot, with the people of relation `outcome`.

    The file holds identifying values, beside the canonical tables that hold them too, and goes with them.
    """
    target = _kept(folder, now, zone)
    duck.execute(
        f"COPY (SELECT d.* REPLACE (o.person_id AS person_id) FROM detail AS d JOIN {outcome} AS o USING (source, "
        f"source_id)) TO {quoted(target)} (FORMAT parquet)"
    )
    target.chmod(0o600)


def forget(folder: Path) -> None:
    """Remove what an earlier try has kept."""
    for path in folder.glob("detail-*.parquet"):
        path.unlink()


def load_kept(duck: duckdb.DuckDBPyConnection, folder: Path, now: datetime, zone: str) -> bool:
    """Relation `detail` from what `keep` left for this day; False when there is nothing."""
    source = _kept(folder, now, zone)
    if source.exists():
        duck.execute(f"CREATE OR REPLACE TEMP VIEW detail AS FROM read_parquet({quoted(source)})")
    return source.exists()


def _kept(folder: Path, now: datetime, zone: str) -> Path:
    """Named by the day, because a birth date in the future is none: another day may judge otherwise."""
    return folder / f"detail-{now.astimezone(ZoneInfo(zone)).date()}.parquet"


def _spell(duck: duckdb.DuckDBPyConnection, kind: str, column: str, normalise: Callable[[str], str | None]) -> None:
    """Add the normal forms of the values that SQL could not settle."""
    odd: pa.Table = duck.sql(
        f"SELECT DISTINCT {column} AS raw FROM plain WHERE trim({column}) <> '' AND plain_{kind} IS NULL"
    ).to_arrow_table()
    for batch in odd.to_batches(max_chunksize=_BATCH):
        raws = batch.column(0).to_pylist()
        spelt = pa.table(
            {"kind": [kind] * len(raws), "raw": raws, "normal": pa.array([normalise(raw) for raw in raws], pa.string())}
        )
        duck.register("spelt", spelt)
        duck.execute("INSERT INTO spelling SELECT kind, raw, normal FROM spelt")
        duck.unregister("spelt")
