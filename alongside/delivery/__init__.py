"""Sending what was planned, exactly once, and listening to what comes back."""

from alongside.delivery.calling import record_call
from alongside.delivery.dispatch import DispatchReport, dispatch
from alongside.delivery.events import IngestReport
from alongside.delivery.events import ingest as ingest_events
from alongside.delivery.job import Progress
from alongside.delivery.reconcile import ReconcileReport, reconcile

__all__ = [
    "DispatchReport",
    "IngestReport",
    "Progress",
    "ReconcileReport",
    "dispatch",
    "ingest_events",
    "reconcile",
    "record_call",
]
