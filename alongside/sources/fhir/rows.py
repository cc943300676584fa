"""One FHIR resource to rows of a canonical table, as text by canonical column.

A resource whose own status says that its statement does not hold (entered in error, refuted, planned, ...) yields
one row with the fault `not_usable`: it is refused and counted, never silently dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from alongside.sources.concepts import Concepts
from alongside.sources.config import SourceConfig
from alongside.sources.fhir.documents import Found
from alongside.sources.fhir.elements import (
    Coded,
    coded,
    first,
    full_name,
    identifier,
    mappings,
    moment,
    quantity_unit,
    status_code,
    string,
    telecom,
    when,
    words,
)
from alongside.sources.rules import fault

Json = dict[str, Any]
Row = dict[str, str | None]
FAULT = "__fault"
#: Where a row goes that does not belong to the table of its resource.
TABLE = "__table"
_LANGUAGES = {"zh": "zh_CN", "en": "en"}


@dataclass(frozen=True)
class Context:
    """What every row needs beside its resource."""

    source: SourceConfig
    concepts: Concepts
    as_of: datetime

    def coded(self, value: Any, kind: str) -> Coded:
        return coded(value, kind, self.concepts, self.source.name)


def refused(found: Found, field: str, rule: str) -> Row:
    """A row that says why its resource is not taken."""
    return {"source_id": found.id, FAULT: fault(field, rule, fatal=True)}


def subject_of(found: Found, element: str) -> Row:
    """patient_source_id, or the fault that the subject is no patient."""
    reference = found.directory.find(found.resource, found.resource.get(element))
    if reference is not None and reference.type not in {"", "Patient"}:
        return refused(found, "patient_source_id", "not_a_patient")
    return {"source_id": found.id, "patient_source_id": reference.id if reference and reference.id else None}


def _encounter(found: Found) -> Row:
    reference = found.directory.find(found.resource, found.resource.get("encounter"))
    return {"encounter_source_id": reference.id if reference and reference.id else None}


def _code(value: Coded) -> Row:
    return {"system": value.system, "code": value.code, "display": value.display}


def patient(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    if any("patient-animal" in str(item.get("url")) for item in mappings(resource.get("extension"))):
        yield refused(found, "", "not_a_patient")
        return
    if any(link.get("type") == "replaced-by" for link in mappings(resource.get("link"))):
        yield refused(found, "", "not_usable")
        return
    address = _home(resource)
    birth = string(resource.get("birthDate"))
    partial = birth is not None and len(birth) < len("YYYY-MM-DD")
    yield {
        "source_id": found.id,
        "national_id": identifier(
            resource.get("identifier"), ("SS", "NI", "NNCHN"), ("http://hl7.org/fhir/sid/us-ssn",)
        ),
        "mrn": identifier(resource.get("identifier"), ("MR",)),
        "full_name": full_name(resource.get("name")),
        "gender": string(resource.get("gender")),
        "birth_date": None if partial else birth,
        "deceased_at": _deceased(resource, context.as_of),
        "phone": telecom(resource.get("telecom"), "phone"),
        "email": telecom(resource.get("telecom"), "email"),
        "address_line": ", ".join(line for line in address.get("line") or [] if isinstance(line, str)) or None,
        "district": string(address.get("district")),
        "city": string(address.get("city")),
        "state": string(address.get("state")),
        "postal_code": string(address.get("postalCode")),
        "country": _country(address),
        "language": language_of(resource),
        FAULT: fault("birth_date", "partial_date", fatal=False) if partial else None,
    }


def _home(resource: Json) -> Json:
    """Where letters go: no former address, and one for visits only where there is no other."""
    present = [one for one in mappings(resource.get("address")) if one.get("use") != "old"]
    return next(iter(sorted(present, key=lambda one: one.get("type") == "physical")), {})


def _deceased(resource: Json, as_of: datetime) -> str | None:
    """A death without a date still is one: it is dated by the record's last change, else by the ingest."""
    if resource.get("deceasedBoolean") is True:
        meta = resource.get("meta") or {}
        return moment(meta.get("lastUpdated")) or as_of.isoformat(sep=" ", timespec="seconds")
    return moment(resource.get("deceasedDateTime"))


def _country(address: Json) -> str | None:
    country = (string(address.get("country")) or "").upper()
    return country if len(country) == 2 and country.isalpha() else None


def language_of(resource: Json) -> str | None:
    options = sorted(mappings(resource.get("communication")), key=lambda item: item.get("preferred") is not True)
    code = status_code(options[0].get("language")) if options else ""
    return _LANGUAGES.get(code.split("-")[0].lower())


_CLASSES = {"ACUTE": "IMP", "NONAC": "IMP", "OBSENC": "IMP", "SS": "AMB", "FLD": "AMB"}


def encounter(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    row = subject_of(found, "subject")
    if resource.get("status") in {"planned", "cancelled", "entered-in-error", "unknown"}:
        row = refused(found, "status", "not_usable")
    period = resource.get("period") or {}
    kind = string((resource.get("class") or {}).get("code")) or ""
    reason = context.coded(first(resource.get("reasonCode")) or first(resource.get("type")), "condition")
    attending = found.directory.find(resource, first(resource.get("participant")).get("individual"))
    yield (
        row
        | {
            "class": _CLASSES.get(kind, kind) or None,
            "department": words(resource.get("serviceType")),
            "clinician_id": attending.id if attending else None,
            "started_at": moment(period.get("start")),
            "ended_at": moment(period.get("end")),
        }
        | _code(reason)
    )


def condition(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    row = subject_of(found, "subject")
    if status_code(resource.get("verificationStatus")) not in {"", "confirmed"}:
        row = refused(found, "verificationStatus", "not_usable")
    recorded = moment(resource.get("recordedDate"))
    onset = when(resource, "onset") or recorded
    over = status_code(resource.get("clinicalStatus")) in {"inactive", "remission", "resolved"}
    period = resource.get("abatementPeriod") or {}
    abated = when(resource, "abatement") or moment(period.get("end"))
    # An ended condition without its day must not look active: it ended by the day on which that was recorded.
    yield (
        row
        | _encounter(found)
        | _code(context.coded(resource.get("code"), "condition"))
        | {
            "onset_at": onset,
            "abated_at": abated or ((recorded or onset) if over else None),
        }
    )


_CONTEXTS = {"laboratory": "lab"}


def observation(found: Found, context: Context) -> Iterator[Row]:
    """The measurement itself where it has a value, and each component (systolic, diastolic) as a row of its own."""
    resource = found.resource
    row = subject_of(found, "subject")
    if resource.get("status") in {"registered", "cancelled", "entered-in-error", "unknown"}:
        yield refused(found, "status", "not_usable")
        return
    categories = {status_code(item) for item in mappings(resource.get("category"))}
    row |= _encounter(found) | {
        "effective_at": when(resource, "effective") or moment(resource.get("issued")),
        "context": next((_CONTEXTS[item] for item in categories if item in _CONTEXTS), "clinic"),
    }
    components = list(mappings(resource.get("component")))
    own = _value(resource)
    if any(own.values()) or not components:
        yield row | _code(context.coded(resource.get("code"), "observation")) | own
    for index, component in enumerate(components, start=1):
        coded_row = _code(context.coded(component.get("code"), "observation"))
        yield row | coded_row | _value(component) | {"source_id": f"{found.id}#{index}"}


def _value(element: Json) -> Row:
    quantity = element.get("valueQuantity")
    if isinstance(quantity, dict):
        number, unit = string(quantity.get("value")), quantity_unit(quantity)
        if quantity.get("comparator") and number is not None:
            # "< 5" is no 5: it stays a text.
            return {
                "value": None,
                "unit": unit,
                "value_text": f"{quantity['comparator']} {number} {unit or ''}".strip(),
            }
        return {"value": number, "unit": unit, "value_text": None}
    if (number := string(element.get("valueInteger"))) is not None:
        return {"value": number, "unit": None, "value_text": None}
    text = words(element.get("valueCodeableConcept"))
    for kind in ("String", "Boolean", "DateTime", "Time"):
        text = text or string(element.get(f"value{kind}"))
    return {"value": None, "unit": None, "value_text": text}


_PROCEDURES = {"on-hold": "in-progress", "stopped": "not-done"}


def procedure(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    status = string(resource.get("status")) or ""
    row = subject_of(found, "subject")
    if status in {"entered-in-error", "unknown"}:
        row = refused(found, "status", "not_usable")
    yield (
        row
        | _encounter(found)
        | _code(context.coded(resource.get("code"), "procedure"))
        | {
            "status": _PROCEDURES.get(status, status),
            "performed_at": when(resource, "performed"),
        }
    )


_ORDERS = {
    "active": "active",
    "completed": "completed",
    "stopped": "stopped",
    "on-hold": "stopped",
    "cancelled": "stopped",
}
_INTENTS = {"order", "original-order", "reflex-order", "filler-order", "instance-order"}


def medication_request(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    status = _ORDERS.get(string(resource.get("status")) or "")
    row = subject_of(found, "subject")
    if status is None or resource.get("intent") not in _INTENTS:
        row = refused(found, "status", "not_usable")
    reference = resource.get("medicationReference")
    target = found.directory.target(resource, str((reference or {}).get("reference", "")))
    medicine = resource.get("medicationCodeableConcept") or (target or {}).get("code")
    dispense = resource.get("dispenseRequest") or {}
    supply = dispense.get("expectedSupplyDuration") or {}
    in_days = quantity_unit(supply) in {"d", "day", "days"}
    yield (
        row
        | _encounter(found)
        | _code(context.coded(medicine, "medication"))
        | {
            "status": status,
            "days_supply": string(supply.get("value")) if in_days else None,
            "authored_at": moment(resource.get("authoredOn")),
            "ended_at": moment((dispense.get("validityPeriod") or {}).get("end")),
        }
    )


def immunization(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    row = subject_of(found, "patient")
    if resource.get("status") != "completed":
        row = refused(found, "status", "not_usable")
    yield (
        row
        | _encounter(found)
        | _code(context.coded(resource.get("vaccineCode"), "immunization"))
        | {
            "occurred_at": when(resource, "occurrence"),
        }
    )


def allergy(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    row = subject_of(found, "patient")
    denied = status_code(resource.get("verificationStatus")) in {"refuted", "entered-in-error"}
    if denied or status_code(resource.get("clinicalStatus")) in {"inactive", "resolved"}:
        row = refused(found, "clinicalStatus", "not_usable")
    yield (
        row
        | _code(context.coded(resource.get("code"), "allergy"))
        | {
            "recorded_at": moment(resource.get("recordedDate")) or when(resource, "onset"),
        }
    )


_BOOKINGS = {
    **{"booked": "booked", "arrived": "fulfilled", "checked-in": "fulfilled", "fulfilled": "fulfilled"},
    **{"noshow": "noshow", "cancelled": "cancelled"},
}
_SERVICES = {"FOLLOWUP": "follow_up", "CHECKUP": "screening", "ROUTINE": "consultation", "WALKIN": "consultation"}


def appointment(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    actors = [
        actor
        for item in mappings(resource.get("participant"))
        if (actor := found.directory.find(resource, item.get("actor"))) is not None
    ]
    who = next((actor.id for actor in actors if actor.type == "Patient" and actor.id), None)
    status = _BOOKINGS.get(string(resource.get("status")) or "")
    row: Row = {"source_id": found.id, "patient_source_id": who}
    if status is None:
        row = refused(found, "status", "not_usable")
    meta = resource.get("meta") or {}
    yield row | {
        "department": words(first(resource.get("specialty"))),
        "service": _SERVICES.get(status_code(resource.get("appointmentType"))),
        "clinician_id": next((actor.id for actor in actors if actor.type == "Practitioner"), None),
        "booked_at": moment(resource.get("created")) or moment(meta.get("lastUpdated")),
        "start_at": moment(resource.get("start")),
        "status": status,
    }


_PURPOSES = {"TREAT": "care", "CAREMGT": "care", "HMARKT": "marketing", "HRESCH": "research"}
_POLICIES = {"OPTIN": "permit", "OPTOUT": "deny"}
#: A provision with one of these speaks of data, people or times, not of whether the patient may be contacted.
_LIMITS = ("provision", "actor", "action", "securityLabel", "class", "code", "dataPeriod", "data", "period")


def consent(found: Found, context: Context) -> Iterator[Row]:
    """Only a plain decision about purposes is understood; anything finer about them is kept as undecided: it blocks.

    A draft has decided nothing yet, and what names no purpose of ours touches none: both are refused.
    """
    resource = found.resource
    provision = resource.get("provision") or {}
    decision = string(provision.get("type")) or _POLICIES.get(status_code(resource.get("policyRule")))
    known = _PURPOSES | {code: str(purpose) for code, purpose in context.source.consent_purposes.items()}
    purposes = [known.get(string(item.get("code")) or "") for item in mappings(provision.get("purpose"))]
    if resource.get("status") in {"draft", "proposed"} or not purposes or None in purposes:
        yield refused(found, "provision", "not_understood")
        return
    plain = resource.get("status") == "active" and not any(provision.get(item) for item in _LIMITS)
    for index, purpose in enumerate(purposes):
        yield subject_of(found, "patient") | {
            "source_id": f"{found.id}#{index}" if index else found.id,
            "purpose": purpose,
            "channel": "*",
            "decision": decision if plain else None,
            "decided_at": moment(resource.get("dateTime")),
            "evidence": f"Consent/{found.id}",
        }


def questionnaire_response(found: Found, context: Context) -> Iterator[Row]:
    resource = found.resource
    row = subject_of(found, "subject")
    if resource.get("status") not in {"completed", "amended"}:
        row = refused(found, "status", "not_usable")
    survey = (string(resource.get("questionnaire")) or "").split("|")[0].rstrip("/").rsplit("/", 1)[-1]
    yield row | {
        "questionnaire": survey or None,
        "score": _score(resource),
        "answered_at": moment(resource.get("authored")),
    }


def _score(resource: Json) -> str | None:
    """The answer that calls itself the score, else the only number that was given."""
    answers = list(_numbers(resource))
    named = [number for link, number in answers if any(word in link.lower() for word in ("score", "total", "nps"))]
    if named:
        return named[0]
    return answers[0][1] if len(answers) == 1 else None


def _numbers(item: Json) -> Iterator[tuple[str, str]]:
    for inner in mappings(item.get("item")):
        for answer in mappings(inner.get("answer")):
            for kind in ("valueInteger", "valueDecimal"):
                if (number := string(answer.get(kind))) is not None:
                    yield str(inner.get("linkId", "")), number
            yield from _numbers(answer)
        yield from _numbers(inner)


#: FHIR resource type -> canonical table and its reader. Types that are not here are counted as not used.
READERS: dict[str, tuple[str, Callable[[Found, Context], Iterator[Row]]]] = {
    "Patient": ("patient", patient),
    "Encounter": ("encounter", encounter),
    "Condition": ("condition", condition),
    "Observation": ("observation", observation),
    "Procedure": ("procedure", procedure),
    "MedicationRequest": ("medication_request", medication_request),
    "Immunization": ("immunization", immunization),
    "AllergyIntolerance": ("allergy_intolerance", allergy),
    "Appointment": ("appointment", appointment),
    "Consent": ("consent", consent),
    "QuestionnaireResponse": ("questionnaire_response", questionnaire_response),
}
