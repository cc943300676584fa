"""Ingest: every source's extract, as of a moment, to one Parquet file per canonical table.

Per source and table: files stream through Arrow into typed rows (`typed`), codes get their meanings and units their
conversion (`resolved`), later extracts replace earlier ones (`fates`), and what is kept and what is refused are two
queries over the same rows. Only typed rows are written in between; nothing is held in Python.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

import duckdb

from alongside.model.clock import require_utc
from alongside.model.errors import DataInvalid
from alongside.sources import outputs
from alongside.sources.concepts import Concepts
from alongside.sources.config import SourceConfig
from alongside.sources.locate import Extracts, find_extracts
from alongside.sources.report import IngestReport
from alongside.sources.staging import Staged, stage_tables
from alongside.warehouse import Warehouse


def ingest(
    configs: Mapping[str, SourceConfig],
    roots: Mapping[str, Path],
    concepts: Concepts,
    as_of: datetime,
    out: Path,
    warehouse: Warehouse,
    secret: bytes | None = None,
) -> IngestReport:
    """Read every source as of a moment into `out/<table>.parquet` and `out/quarantine.parquet`.

    Parameters
    ----------
    configs, roots : the sources to read, and the folder of each (see `source_roots`)
    as_of : extracts dated after its local day are left alone
    out : a private folder (identifying values!), created when missing; earlier output is replaced
    secret : key of `record_key` in the quarantine; without it keys are comparable within this ingest only

    Raises
    ------
    DataInvalid : a source or a file that must not be missing is missing or unreadable; nothing was written
    """
    as_of = require_utc(as_of)
    extracts = {name: find_extracts(source, roots[name], as_of) for name, source in configs.items()}
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    work = out / ".typed"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    try:
        with warehouse.connect() as connection:
            outputs.prepare(connection, concepts, secret or os.urandom(32))
            staged = list(_stage(connection, configs, extracts, concepts, as_of, work))
            return outputs.write(connection, staged, configs, extracts, concepts, as_of, out)
    except duckdb.Error as error:
        raise _plain(error) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _stage(
    connection: duckdb.DuckDBPyConnection,
    configs: Mapping[str, SourceConfig],
    extracts: Mapping[str, Extracts],
    concepts: Concepts,
    as_of: datetime,
    work: Path,
) -> Iterator[Staged]:
    for name, source in configs.items():
        if source.format == "fhir_r4":
            from alongside.sources.fhir.reader import stage_fhir

            yield stage_fhir(connection, source, extracts[name], concepts, as_of, work)
        else:
            yield stage_tables(connection, source, extracts[name], work)


def _plain(error: duckdb.Error) -> DataInvalid:
    """DuckDB's own words can quote a value, so only the kind of error is told."""
    kind = type(error).__name__
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.IOException):
        return DataInvalid(
            f"the ingest ran out of memory or disk ({kind})",
            remedy="Free space, or raise 'warehouse.memory_limit' in config/alongside.yaml.",
        )
    # These are raised before a row is read, so they speak of the mapping and of no patient.
    about_sql = isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException)
    words = f": {str(error).splitlines()[0]}" if about_sql else ""
    return DataInvalid(
        f"the ingest failed inside DuckDB ({kind}{words})",
        remedy="Look for a faulty 'sql' in the source's YAML, and report the case if there is none.",
    )
