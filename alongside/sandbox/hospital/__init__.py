"""A made-up hospital: its first dump, its days, and the truth behind both. Nobody in it exists.

docs/demo-hospital.md describes what it writes. The product reads the extracts only, never the truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alongside.sandbox.hospital.bookings import Booking, read_bookings

if TYPE_CHECKING:
    from alongside.sandbox.hospital.days import DayReport, advance
    from alongside.sandbox.hospital.dump import HospitalReport, generate

__all__ = ["Booking", "DayReport", "HospitalReport", "advance", "generate", "read_bookings"]


def __getattr__(name: str) -> Any:
    """numpy and pyarrow are loaded when a hospital is made, not when a command's help is shown."""
    if name in {"generate", "HospitalReport"}:
        from alongside.sandbox.hospital import dump

        return getattr(dump, name)
    if name in {"advance", "DayReport"}:
        from alongside.sandbox.hospital import days

        return getattr(days, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
