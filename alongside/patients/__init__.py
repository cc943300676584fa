"""Who the patients are: identity resolution, consents of extracts, the golden record and the 360 snapshot."""

from alongside.patients.reports import BuildReport, ConsentReport, ResolutionReport
from alongside.patients.resolution import PERSON_MAP, resolve

__all__ = [
    "PERSON_MAP",
    "BuildReport",
    "ConsentReport",
    "ResolutionReport",
    "resolve",
]
