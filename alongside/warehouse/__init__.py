"""Immutable, pseudonymous Parquet snapshots, and DuckDB to run SQL over them."""

from alongside.warehouse.duck import connect
from alongside.warehouse.snapshots import Draft, Snapshot, Warehouse

__all__ = ["Draft", "Snapshot", "Warehouse", "connect"]
