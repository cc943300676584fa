"""Who the patients are: identity resolution, consents of extracts, the golden record and the 360 snapshot."""

from alongside.patients.consents import record_consents
from alongside.patients.fictional import fictional_contacts
from alongside.patients.relations import record_relations
from alongside.patients.reports import BuildReport, ConsentReport, RelationReport, ResolutionReport
from alongside.patients.resolution import PERSON_MAP, resolve
from alongside.patients.snapshot import build_snapshot

__all__ = [
    "PERSON_MAP",
    "BuildReport",
    "ConsentReport",
    "RelationReport",
    "ResolutionReport",
    "build_snapshot",
    "fictional_contacts",
    "record_consents",
    "record_relations",
    "resolve",
]
