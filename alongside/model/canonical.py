"""Canonical tables, named after FHIR R4 resources: what every source is mapped to.

`identifying` columns exist only in staging (before identity resolution) and in the encrypted vault; they never
reach a snapshot. After identity resolution `person_id` replaces `patient_source_id`.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """`type` is a DuckDB type name; `required` values may not be null in a usable row.

    A row whose required value is missing or unreadable is removed; with `keeps_row` it stays without the value.
    """

    name: str
    type: str
    description: str
    identifying: bool = False
    required: bool = False
    keeps_row: bool = False


@dataclass(frozen=True)
class Table:
    name: str
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ("source", "source_id")
    #: the column that says when a row's fact happened (timeliness, as-of filtering); "" where there is none
    event_time: str = ""

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


#: Columns that every canonical row carries, filled by the reader.
PROVENANCE = (
    Column("source", "VARCHAR", "name of the source in config/sources", required=True),
    Column("source_id", "VARCHAR", "the row's identifier in that source", required=True),
    Column("extract_date", "DATE", "day of the extract that brought the row"),
    Column(
        "source_file",
        "VARCHAR",
        "file the row was read from, relative to the source's root",
    ),
    Column("source_row", "BIGINT", "1-based record number within that file"),
)

_PATIENT = Column("patient_source_id", "VARCHAR", "patient's identifier in that source", True, True)
_ENCOUNTER = Column("encounter_source_id", "VARCHAR", "encounter's identifier in that source")
_CODED = (
    Column(
        "system",
        "VARCHAR",
        "code system: icd10, snomed, loinc, atc, rxnorm, cvx or local:<source>",
    ),
    Column("code", "VARCHAR", "code in that system", required=True),
    Column("display", "VARCHAR", "the source's own words for the code"),
    Column("concepts", "VARCHAR[]", "clinical meanings of the code from config/concepts, filled by the reader"),
)


def _table(name: str, description: str, *columns: Column, event_time: str = "") -> Table:
    return Table(name, description, PROVENANCE + columns, event_time=event_time)


PATIENT = _table(
    "patient",
    "one person as one system knows them",
    Column("national_id", "VARCHAR", "national identity or social security number", True),
    Column("mrn", "VARCHAR", "medical record number shared between systems", True),
    Column("full_name", "VARCHAR", "name in the order in which it is written", True),
    Column(
        "gender",
        "VARCHAR",
        "male, female, other or unknown (FHIR administrative gender)",
    ),
    Column("birth_date", "DATE", "date of birth", True),
    Column("deceased_at", "TIMESTAMP", "moment of death, UTC; null while alive"),
    Column("phone", "VARCHAR", "telephone as written in the source", True),
    Column("email", "VARCHAR", "e-mail address as written in the source", True),
    Column("openid", "VARCHAR", "follower's id at the hospital's WeChat official account", True),
    Column("device_token", "VARCHAR", "address of the hospital's app on the patient's device, for push", True),
    Column("address_line", "VARCHAR", "street and house number", True),
    Column("district", "VARCHAR", "district or county"),
    Column("city", "VARCHAR", "city"),
    Column("state", "VARCHAR", "province or state"),
    Column("postal_code", "VARCHAR", "postal code", True),
    Column("country", "VARCHAR", "ISO 3166-1 alpha-2"),
    Column("language", "VARCHAR", "preferred language, zh_CN or en"),
    Column(
        "time_zone",
        "VARCHAR",
        "IANA zone the patient lives in; null means the hospital's",
    ),
    Column("registered_at", "TIMESTAMP", "moment of first registration, UTC"),
    Column("role", "VARCHAR", "contact: known only as somebody's relative; patient or null: treated here"),
)
RELATED_PERSON = _table(
    "related_person",
    "who is close to a patient and may hear about them (FHIR RelatedPerson)",
    _PATIENT,
    Column("relative_source_id", "VARCHAR", "the relative's identifier in that source's `patient`", True, True),
    Column(
        "relationship",
        "VARCHAR",
        "what they are to the patient: mother, father, guardian, spouse, child, sibling, grandparent or other",
        required=True,
    ),
    Column("decides", "VARCHAR", "yes: a legal guardian; no: a parent who may not decide"),
    Column("decision", "VARCHAR", "permit or deny: the patient's word on telling them; null: nobody asked"),
    Column("decided_at", "TIMESTAMP", "when that was said, or the relation became known, UTC", required=True),
    event_time="decided_at",
)
ENCOUNTER = _table(
    "encounter",
    "one visit or stay",
    _PATIENT,
    Column("class", "VARCHAR", "AMB, IMP, EMER, HH, VR or WELLNESS (FHIR v3-ActCode)"),
    Column("department", "VARCHAR", "department or clinic"),
    Column("clinician_id", "VARCHAR", "attending clinician's identifier"),
    Column("started_at", "TIMESTAMP", "UTC", required=True),
    Column("ended_at", "TIMESTAMP", "UTC; null while it lasts"),
    Column("system", "VARCHAR", "code system of the reason"),
    Column("code", "VARCHAR", "reason of the encounter"),
    Column("display", "VARCHAR", "the source's own words for the reason"),
    event_time="started_at",
)
CONDITION = _table(
    "condition",
    "a diagnosis or problem",
    _PATIENT,
    _ENCOUNTER,
    *_CODED,
    Column("onset_at", "TIMESTAMP", "UTC", required=True),
    Column("abated_at", "TIMESTAMP", "UTC; null while active"),
    event_time="onset_at",
)
OBSERVATION = _table(
    "observation",
    "a laboratory result, vital sign or home reading",
    _PATIENT,
    _ENCOUNTER,
    *_CODED,
    Column("value", "DOUBLE", "numeric value in `unit`"),
    Column("unit", "VARCHAR", "UCUM unit after conversion by the source's mapping"),
    Column("value_text", "VARCHAR", "non-numeric value"),
    Column("context", "VARCHAR", "lab, clinic or home"),
    Column("effective_at", "TIMESTAMP", "UTC", required=True),
    event_time="effective_at",
)
PROCEDURE = _table(
    "procedure",
    "an operation or intervention",
    _PATIENT,
    _ENCOUNTER,
    *_CODED,
    Column("status", "VARCHAR", "preparation, in-progress, completed, not-done"),
    Column("performed_at", "TIMESTAMP", "UTC", required=True),
    event_time="performed_at",
)
MEDICATION_REQUEST = _table(
    "medication_request",
    "a prescription",
    _PATIENT,
    _ENCOUNTER,
    *_CODED,
    Column("status", "VARCHAR", "active, completed, stopped"),
    Column("days_supply", "DOUBLE", "days that the dispensed amount lasts"),
    Column("authored_at", "TIMESTAMP", "UTC", required=True),
    Column("ended_at", "TIMESTAMP", "UTC; null while it runs"),
    event_time="authored_at",
)
IMMUNIZATION = _table(
    "immunization",
    "a vaccination",
    _PATIENT,
    _ENCOUNTER,
    *_CODED,
    Column("occurred_at", "TIMESTAMP", "UTC", required=True),
    event_time="occurred_at",
)
ALLERGY_INTOLERANCE = _table(
    "allergy_intolerance",
    "an allergy or intolerance",
    _PATIENT,
    *_CODED,
    Column("recorded_at", "TIMESTAMP", "UTC"),
    event_time="recorded_at",
)
APPOINTMENT = _table(
    "appointment",
    "a booked visit",
    _PATIENT,
    Column("department", "VARCHAR", "department or clinic"),
    Column(
        "service",
        "VARCHAR",
        "service booked, for example follow_up, screening, surgery, vaccination",
    ),
    Column("clinician_id", "VARCHAR", "clinician's identifier"),
    Column("booked_at", "TIMESTAMP", "moment of booking, UTC", required=True),
    Column("start_at", "TIMESTAMP", "agreed moment, UTC", required=True),
    Column(
        "status",
        "VARCHAR",
        "booked, fulfilled, noshow or cancelled (FHIR AppointmentStatus)",
    ),
    event_time="booked_at",
)
CONSENT = _table(
    "consent",
    "one decision of a patient about being contacted",
    _PATIENT,
    Column(
        "purpose",
        "VARCHAR",
        "care, education, survey, marketing, research or cross_border",
        required=True,
    ),
    # What cannot be read here may be a withdrawal: the row stays, and blocks (alongside.ledger.consent).
    Column("channel", "VARCHAR", "email, sms, ... or * for all", required=True, keeps_row=True),
    Column("decision", "VARCHAR", "permit or deny", required=True, keeps_row=True),
    Column("decided_at", "TIMESTAMP", "when the patient decided, UTC", required=True, keeps_row=True),
    Column("evidence", "VARCHAR", "form, call or page that proves it"),
    event_time="decided_at",
)
PREFERENCE = _table(
    "preference",
    "how a patient wishes to be contacted",
    _PATIENT,
    Column("channel", "VARCHAR", "preferred channel"),
    Column("language", "VARCHAR", "preferred language, zh_CN or en"),
    Column("quiet_from", "VARCHAR", "start of own quiet hours, HH:MM local"),
    Column("quiet_to", "VARCHAR", "end of own quiet hours, HH:MM local"),
    Column("topics_off", "VARCHAR", "topics not wanted, separated by |"),
    Column("updated_at", "TIMESTAMP", "UTC"),
    event_time="updated_at",
)
INTERACTION = _table(
    "interaction",
    "something a patient did on the web site or in the app",
    _PATIENT,
    Column(
        "kind",
        "VARCHAR",
        "page_view, article_read, video_watched, search, booking_started, login",
        required=True,
    ),
    Column("topic", "VARCHAR", "topic of the content, for example hypertension"),
    Column("occurred_at", "TIMESTAMP", "UTC", required=True),
    Column("duration_seconds", "DOUBLE", "time spent"),
    event_time="occurred_at",
)
QUESTIONNAIRE_RESPONSE = _table(
    "questionnaire_response",
    "an answered survey",
    _PATIENT,
    Column("questionnaire", "VARCHAR", "name of the survey", required=True),
    Column("score", "DOUBLE", "main numeric answer, for example 0-10 for NPS"),
    Column("answered_at", "TIMESTAMP", "UTC", required=True),
    event_time="answered_at",
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        PATIENT,
        RELATED_PERSON,
        ENCOUNTER,
        CONDITION,
        OBSERVATION,
        PROCEDURE,
        MEDICATION_REQUEST,
        IMMUNIZATION,
        ALLERGY_INTOLERANCE,
        APPOINTMENT,
        CONSENT,
        PREFERENCE,
        INTERACTION,
        QUESTIONNAIRE_RESPONSE,
    )
}


@dataclass(frozen=True)
class RejectColumns:
    """Columns of every `quarantine.parquet`: one row per (record, reason), never a patient value.

    The raw record stays in the hospital's own extract, found by `source_file` and `source_row`.
    """

    names: tuple[str, ...] = field(
        default=(
            "source",
            "table_name",
            "source_file",
            "source_row",
            "record_key",  # keyed hash of the record's source_id, to count distinct records
            "field",
            "rule",  # reader rule or expectation id
            "reason",  # words for a data engineer
            "action",  # row_removed | value_removed | reported
        )
    )


QUARANTINE = RejectColumns()
