"""From the extracts of a hospital's systems to canonical tables.

Names that need DuckDB, Arrow or FHIR models are imported when they are called.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from alongside.sources.checking import check, load_sources, source_roots
from alongside.sources.concepts import Concept, Concepts, load_concepts
from alongside.sources.config import SourceConfig
from alongside.sources.report import IngestReport, TableReport, UnmappedCode

if TYPE_CHECKING:
    from alongside.warehouse import Warehouse

__all__ = [
    "Concept",
    "Concepts",
    "IngestReport",
    "SourceConfig",
    "TableReport",
    "UnmappedCode",
    "check",
    "ingest",
    "load_concepts",
    "load_sources",
    "source_roots",
]


def ingest(
    configs: Mapping[str, SourceConfig],
    roots: Mapping[str, Path],
    concepts: Concepts,
    as_of: datetime,
    out: Path,
    warehouse: Warehouse,
    secret: bytes | None = None,
) -> IngestReport:
    """Read every source as of a moment; see `alongside.sources.pipeline.ingest`."""
    from alongside.sources.pipeline import ingest as run

    return run(configs, roots, concepts, as_of, out, warehouse, secret)
