"""Columns of `person` that expressions may use, and the canonical fields that each is made from.

`reads` is the lineage: when one of these fields fails its expectation, what reads the column stops.
"""

from __future__ import annotations

from dataclasses import dataclass

from alongside.segments.types import Type

#: Columns of canonical tables whose meaning depends on further columns of the same row.
MEANING = {
    "concepts": ("concepts", "code", "system"),
    "value": ("value", "unit"),
}


@dataclass(frozen=True)
class PersonColumn:
    """One column of `tables/person.parquet`.

    Attributes
    ----------
    reads : canonical fields, `table.column`
    values : every value it can take, where the list is closed
    names : kind of name it holds (a concept kind, or a list of config/vocabulary.yaml), else empty
    usable : whether expressions may read it; identifiers and keyed hashes decide nothing
    """

    name: str
    type: Type
    sql_type: str
    description: str
    reads: frozenset[str]
    values: tuple[str, ...] = ()
    names: str = ""
    usable: bool = True


_SQL = {Type.TEXT: "VARCHAR", Type.BOOLEAN: "BOOLEAN", Type.MOMENT: "TIMESTAMP", Type.LIST: "VARCHAR[]"}


def fields(table: str, *columns: str) -> frozenset[str]:
    """`table.column` of each column and of what gives it its meaning; a history also by whose row it is."""
    named = {part for column in columns for part in MEANING.get(column, (column,))}
    if table != "patient":
        named.add("patient_source_id")
    return frozenset(f"{table}.{name}" for name in named)


def _text(
    name: str, description: str, reads: frozenset[str], values: tuple[str, ...] = (), names: str = ""
) -> PersonColumn:
    return PersonColumn(name, Type.TEXT, "VARCHAR", description, reads, values, names)


def _hidden(name: str, description: str, reads: frozenset[str]) -> PersonColumn:
    return PersonColumn(name, Type.TEXT, "VARCHAR", description, reads, usable=False)


def _number(name: str, description: str, reads: frozenset[str], sql_type: str = "INTEGER") -> PersonColumn:
    return PersonColumn(name, Type.NUMBER, sql_type, description, reads)


def _column(name: str, kind: Type, description: str, reads: frozenset[str], names: str = "") -> PersonColumn:
    return PersonColumn(name, kind, _SQL[kind], description, reads, names=names)


_IDENTITY = fields("patient", "national_id", "mrn", "full_name", "birth_date", "phone", "email")
_BIRTH = fields("patient", "birth_date")
_HOME = fields("patient", "address_line", "district", "city", "state", "postal_code", "country")
_NEXT = fields("appointment", "status", "start_at", "booked_at")
_AGE_BANDS = ("0-13", "14-34", "35-44", "45-59", "60-74", "75+")
_ADDRESS_STATES = ("valid", "invalid", "missing")
_CHANNELS = ("email", "sms", "wechat", "push", "call", "letter")

_COLUMNS = (
    _hidden("person_id", "the person, minted once in the ledger", _IDENTITY),
    PersonColumn(
        "is_patient",
        Type.BOOLEAN,
        "BOOLEAN",
        "treated here, not only somebody's relative",
        fields("patient", "role"),
        usable=False,
    ),
    _text("gender", "administrative gender", fields("patient", "gender"), ("male", "female", "other", "unknown")),
    _text(
        "language",
        "language to write in",
        fields("patient", "language") | fields("preference", "language", "updated_at"),
        ("zh_CN", "en"),
    ),
    _text("time_zone", "IANA zone the person lives in", fields("patient", "time_zone")),
    _text("country", "ISO 3166-1 alpha-2", fields("patient", "country")),
    _text("city", "city", fields("patient", "city")),
    _text("district", "district or county", fields("patient", "district")),
    _number("age", "whole years today", _BIRTH),
    _text("age_band", "age in six bands", _BIRTH, _AGE_BANDS),
    _number("days_to_birthday", "0 on the day", _BIRTH),
    _column("deceased", Type.BOOLEAN, "has died", fields("patient", "deceased_at")),
    _text("email_state", "state of the e-mail address", fields("patient", "email"), _ADDRESS_STATES),
    _text("phone_state", "state of the telephone number", fields("patient", "phone"), _ADDRESS_STATES),
    _text("text_state", "whether the number takes text messages", fields("patient", "phone"), _ADDRESS_STATES),
    _text("postal_state", "whether letters arrive at the postal address", _HOME, _ADDRESS_STATES),
    _hidden("email_blind", "keyed hash of the e-mail address", fields("patient", "email")),
    _hidden("phone_blind", "keyed hash of the telephone number", fields("patient", "phone")),
    _hidden("postal_blind", "keyed hash of the postal address", _HOME),
    _text("openid_state", "whether the person follows on WeChat", fields("patient", "openid"), _ADDRESS_STATES),
    _hidden("openid_blind", "keyed hash of the follower's id", fields("patient", "openid")),
    _text("device_token_state", "whether the app can be reached", fields("patient", "device_token"), _ADDRESS_STATES),
    _hidden("device_token_blind", "keyed hash of the app's address", fields("patient", "device_token")),
    _text(
        "preferred_channel", "channel the person asked for", fields("preference", "channel", "updated_at"), _CHANNELS
    ),
    _text("quiet_from", "start of own quiet hours, HH:MM", fields("preference", "quiet_from", "updated_at")),
    _text("quiet_to", "end of own quiet hours, HH:MM", fields("preference", "quiet_to", "updated_at")),
    _column(
        "topics_off", Type.LIST, "topics not wanted", fields("preference", "topics_off", "updated_at"), names="topic"
    ),
    _column("registered_at", Type.MOMENT, "first registration", fields("patient", "registered_at")),
    _column("first_encounter_at", Type.MOMENT, "first visit or stay", fields("encounter", "started_at")),
    _column("last_encounter_at", Type.MOMENT, "latest visit or stay", fields("encounter", "started_at")),
    _column("last_discharge_at", Type.MOMENT, "end of the latest stay", fields("encounter", "class", "ended_at")),
    _number("encounters_12m", "visits and stays in 12 months", fields("encounter", "started_at")),
    _number("emergency_visits_12m", "emergency visits in 12 months", fields("encounter", "class", "started_at")),
    _number("noshows_12m", "appointments missed in 12 months", fields("appointment", "status", "start_at")),
    _column("inpatient_now", Type.BOOLEAN, "is in hospital", fields("encounter", "class", "started_at", "ended_at")),
    _text(
        "last_department",
        "department of the latest visit",
        fields("encounter", "department", "started_at"),
        names="department",
    ),
    _column("next_appointment_at", Type.MOMENT, "earliest booked appointment to come", _NEXT),
    _text(
        "next_appointment_department", "its department", _NEXT | fields("appointment", "department"), names="department"
    ),
    _text("next_appointment_service", "its service", _NEXT | fields("appointment", "service"), names="service"),
    _column(
        "last_appointment_booked_at",
        Type.MOMENT,
        "when an appointment was last booked",
        fields("appointment", "booked_at"),
    ),
    _column(
        "conditions",
        Type.LIST,
        "active conditions",
        fields("condition", "concepts", "onset_at", "abated_at"),
        "condition",
    ),
    _column(
        "conditions_ever",
        Type.LIST,
        "conditions, past ones too",
        fields("condition", "concepts", "onset_at"),
        "condition",
    ),
    _column(
        "medications",
        Type.LIST,
        "active medicines",
        fields("medication_request", "concepts", "status", "authored_at", "ended_at"),
        "medication",
    ),
    _column(
        "procedures",
        Type.LIST,
        "completed procedures",
        fields("procedure", "concepts", "status", "performed_at"),
        "procedure",
    ),
    _column("allergies", Type.LIST, "allergies", fields("allergy_intolerance", "concepts"), "allergy"),
    _text(
        "last_procedure_concept",
        "the latest completed procedure",
        fields("procedure", "concepts", "status", "performed_at"),
        names="procedure",
    ),
    _column(
        "last_procedure_at",
        Type.MOMENT,
        "when it was",
        fields("procedure", "concepts", "status", "performed_at"),
    ),
    _number("interactions_30d", "visits to web site and app in 30 days", fields("interaction", "occurred_at")),
    _number("articles_read_90d", "articles read in 90 days", fields("interaction", "kind", "occurred_at")),
    _number(
        "last_nps",
        "latest answer to the NPS question, 0-10",
        fields("questionnaire_response", "questionnaire", "score", "answered_at"),
        "DOUBLE",
    ),
    _column("sources", Type.LIST, "systems that know this person", fields("patient", "source")),
)

PERSON: dict[str, PersonColumn] = {column.name: column for column in _COLUMNS}
USABLE: frozenset[str] = frozenset(name for name, column in PERSON.items() if column.usable)
