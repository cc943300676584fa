"""Closed vocabularies of canonical columns, and the names that code systems go by."""

from __future__ import annotations

from alongside.model.enums import Relationship

#: What a canonical column may hold; a value outside is refused by `check` and quarantined by `ingest`.
ALLOWED: dict[tuple[str, str], frozenset[str]] = {
    ("patient", "gender"): frozenset({"male", "female", "other", "unknown"}),
    ("patient", "language"): frozenset({"zh_CN", "en"}),
    ("patient", "role"): frozenset({"patient", "contact"}),
    ("related_person", "relationship"): frozenset(Relationship),
    ("related_person", "decides"): frozenset({"yes", "no"}),
    ("related_person", "decision"): frozenset({"permit", "deny"}),
    ("encounter", "class"): frozenset({"AMB", "IMP", "EMER", "HH", "VR", "WELLNESS"}),
    ("observation", "context"): frozenset({"lab", "clinic", "home"}),
    ("procedure", "status"): frozenset({"preparation", "in-progress", "completed", "not-done"}),
    ("medication_request", "status"): frozenset({"active", "completed", "stopped"}),
    ("appointment", "status"): frozenset({"booked", "fulfilled", "noshow", "cancelled"}),
    ("consent", "purpose"): frozenset({"care", "education", "survey", "marketing", "research", "cross_border"}),
    ("consent", "decision"): frozenset({"permit", "deny"}),
    ("consent", "channel"): frozenset({"*", "email", "sms", "wechat", "push", "call", "letter"}),
    ("preference", "language"): frozenset({"zh_CN", "en"}),
    ("preference", "channel"): frozenset({"email", "sms", "wechat", "push", "call", "letter"}),
    ("interaction", "kind"): frozenset(
        {"page_view", "article_read", "video_watched", "search", "booking_started", "login"}
    ),
}

#: Tables whose codes get clinical meanings, and the kind of concept that is meant there.
KIND_OF_TABLE: dict[str, str] = {
    "condition": "condition",
    "observation": "observation",
    "procedure": "procedure",
    "medication_request": "medication",
    "immunization": "immunization",
    "allergy_intolerance": "allergy",
}

#: Code systems by canonical name; hospitals' own codes are `local:<source>`.
SYSTEMS = frozenset({"icd10", "icd9cm3", "snomed", "loinc", "atc", "rxnorm", "cvx"})

#: FHIR's URIs (http://terminology.hl7.org) and the spellings seen in extracts, lower-case.
SYSTEM_ALIASES: dict[str, str] = {
    "http://hl7.org/fhir/sid/icd-10": "icd10",
    "http://hl7.org/fhir/sid/icd-10-cm": "icd10",
    "http://snomed.info/sct": "snomed",
    "http://loinc.org": "loinc",
    "http://www.whocc.no/atc": "atc",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "rxnorm",
    "http://hl7.org/fhir/sid/cvx": "cvx",
    "icd-10": "icd10",
    "icd-10-cm": "icd10",
    "snomed-ct": "snomed",
    "snomed ct": "snomed",
}


def system_name(name: str, source: str) -> str:
    """The canonical name of a code system; what is not known is the source's own (`local:<source>`)."""
    lowered = name.strip().lower()
    if lowered in SYSTEMS or lowered.startswith("local:"):
        return lowered
    return SYSTEM_ALIASES.get(lowered, f"local:{source}")
