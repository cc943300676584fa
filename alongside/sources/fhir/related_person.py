"""A RelatedPerson to two rows: somebody who can be written to, and what they are to the patient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from alongside.sources.fhir.documents import Found
from alongside.sources.fhir.elements import full_name, mappings, moment, string, telecom
from alongside.sources.fhir.rows import TABLE, Context, Row, language_of, subject_of

#: v3-RoleCode and v2-0131 to our words; codes that are not here are `other`.
_RELATIONSHIPS = {
    **dict.fromkeys(("MTH", "STPMTH", "NMTH", "ADOPTM"), "mother"),
    **dict.fromkeys(("FTH", "STPFTH", "NFTH", "ADOPTF"), "father"),
    **dict.fromkeys(("GUARD", "POWATT"), "guardian"),
    **dict.fromkeys(("SPS", "HUSB", "WIFE", "DOMPART"), "spouse"),
    **dict.fromkeys(("CHILD", "DAU", "SON", "DAUC", "SONC", "NCHILD", "SDAU", "SSON"), "child"),
    **dict.fromkeys(("SIB", "BRO", "SIS", "NSIB", "HSIB"), "sibling"),
    **dict.fromkeys(("GRPRN", "GRMTH", "GRFTH", "MGRMTH", "MGRFTH", "PGRMTH", "PGRFTH"), "grandparent"),
}
_PARENTS = {"female": "mother", "male": "father"}
#: A relation of which nobody says since when counts before everything else that is said of it.
_ALWAYS = "1900-01-01T00:00:00Z"


def related_person(found: Found, context: Context) -> Iterator[Row]:
    """FHIR says who they are and not whether they may be told: nobody has been asked, and a Consent decides.

    One that is not active any more is a no, dated by the end of its period, else by its last change.
    """
    resource = found.resource
    row = subject_of(found, "patient")
    own = f"RelatedPerson/{found.id}"
    changed = moment((resource.get("meta") or {}).get("lastUpdated"))
    period = resource.get("period") or {}
    over = resource.get("active") is False
    yield row | {
        "relative_source_id": own,
        "relationship": _relationship(resource),
        "decision": "deny" if over else None,
        "decided_at": (moment(period.get("end")) or changed if over else moment(period.get("start")) or changed)
        or (context.as_of.isoformat() if over else _ALWAYS),
    }
    yield {
        TABLE: "patient",
        "source_id": own,
        "full_name": full_name(resource.get("name")),
        "gender": string(resource.get("gender")),
        "birth_date": _whole(resource.get("birthDate")),
        "phone": telecom(resource.get("telecom"), "phone"),
        "email": telecom(resource.get("telecom"), "email"),
        "language": language_of(resource),
        "role": "contact",
    }


def _relationship(resource: dict[str, Any]) -> str:
    codes = [
        str(coding.get("code", "")).upper()
        for concept in mappings(resource.get("relationship"))
        for coding in mappings(concept.get("coding"))
    ]
    if "PRN" in codes:
        return _PARENTS.get(str(resource.get("gender")), "guardian")
    return next((_RELATIONSHIPS[code] for code in codes if code in _RELATIONSHIPS), "other")


def _whole(birth: Any) -> str | None:
    """A date of birth with its day; a year alone tells nobody apart."""
    text = string(birth)
    return text if text and len(text) == len("YYYY-MM-DD") else None
