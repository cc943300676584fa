"""The clinic's vendor, as the tests of delivery have it."""

from __future__ import annotations

from tests.delivery.conftest import contract, vendor

__all__ = ["contract", "vendor"]
