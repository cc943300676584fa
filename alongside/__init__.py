"""Alongside: workflow-orchestrated marketing and care communication for hospitals.

Rules and I/O live here; `flows/` and `tasks/` only order and observe them. See `docs/architecture.md`.
"""

__version__ = "0.1.0"
