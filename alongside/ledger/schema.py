"""Tables of the ledger: the memory that decides what has been said to whom. Changed only by a migration.

Times are UTC. Keys are text that this project minted; no name, address or number stands outside `vault_*`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    literal_column,
    or_,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Utc(TypeDecorator[datetime]):
    """An aware moment. Stored as timestamptz (PostgreSQL) or UTC text (SQLite); naive values are refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"naive datetime {value!r}: the ledger keeps aware moments only")
        moment: datetime = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment


Json = JSON().with_variant(JSONB(), "postgresql")
#: SQLite numbers rows itself only in a column that is exactly INTEGER PRIMARY KEY.
Serial = BigInteger().with_variant(Integer(), "sqlite")

# ---------------------------------------------------------------------------------------------- the ledger itself
ledger_info = Table(
    "ledger_info",
    metadata,
    Column("ledger_id", String(32), primary_key=True),
    Column("secret", LargeBinary, nullable=False),  # derives person ids, message keys and experiment salts
    Column("vault_check", String(64)),  # proves that a vault key is the one this ledger was written with
    Column("epoch", Integer, nullable=False, default=1),  # raised by a restore: what the backup planned may be sent
    Column("created_at", Utc, nullable=False),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("actor", String(120), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("details", Json, nullable=False),
)

# ---------------------------------------------------------------------------------------------------- runs, plans
run = Table(
    "run",
    metadata,
    Column("run_id", String(64), primary_key=True),  # the root flow run's id
    Column("as_of", Utc, nullable=False),
    Column("snapshot_id", String(80)),
    Column("config_hash", String(64), nullable=False),
    Column("config_commit", String(64), nullable=False),
    Column("mode", String(12), nullable=False),  # DeliveryMode
    Column("replay", Boolean, nullable=False),
    Column("scheduled_at", Utc),
    Column("started_at", Utc, nullable=False),
    Column("finished_at", Utc),
    Column("state", String(16), nullable=False),  # running | completed | held | failed
    Column("held_because", Text),
    Column("late", Boolean, nullable=False, default=False),
)

run_campaign = Table(
    "run_campaign",
    metadata,
    Column("run_id", ForeignKey("run.run_id"), primary_key=True),
    Column("campaign", String(120), primary_key=True),
    Column("plan_hash", String(64)),  # set in the same transaction as the plan's messages: planned once
    Column("planned_at", Utc),
    Column("state", String(16), nullable=False),  # planned | blocked | held | dispatched | paused
    Column("reason", Text),
    Column("funnel", Json, nullable=False),  # stage -> count
)

approval = Table(
    "approval",
    metadata,
    Column("approval_id", Serial, primary_key=True, autoincrement=True),
    Column("campaign", String(120), nullable=False),
    Column("config_hash", String(64), nullable=False),  # hash of everything the campaign reads
    Column("plan_hash", String(64)),  # a one-off campaign may demand approval of its exact plan
    Column("envelope", Json, nullable=False),  # max_audience, max_change, max_cost
    Column("approved_by", String(120), nullable=False),
    Column("approved_at", Utc, nullable=False),
    Column("expires_at", Utc),
    Column("revoked_at", Utc),
    Index(None, "campaign", "config_hash"),
)

pause = Table(
    "pause",
    metadata,
    Column("scope", String(160), primary_key=True),  # all | channel:<name> | campaign:<name>
    Column("since", Utc, nullable=False),
    Column("by", String(120), nullable=False),
    Column("reason", Text, nullable=False),
)

# -------------------------------------------------------------------------------------------------------- people
person = Table(
    "person",
    metadata,
    Column("person_id", String(20), primary_key=True),
    Column("minted_at", Utc, nullable=False),
    Column("survivor_id", String(20)),  # set when merged into another: always a living person, never a chain
    Index(None, "survivor_id"),
)

person_alias = Table(
    "person_alias",
    metadata,
    # keyed hash of (source, source_id): which record of which system is which person
    Column("alias", String(32), primary_key=True),
    Column("source", String(60), nullable=False),
    Column("person_id", ForeignKey("person.person_id"), nullable=False),  # minted from this record; see survivor_id
    Column("fingerprint", String(32), nullable=False),  # keyed hash of what was last seen; '' = look again
    Column("since", Utc, nullable=False),  # when the identifying fields last changed
    Index(None, "person_id"),
)

person_event = Table(
    "person_event",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("at", Utc, nullable=False),
    Column("kind", String(12), nullable=False),  # merge | split
    Column("person_id", String(20), nullable=False),
    Column("other_id", String(20), nullable=False),
    Column("rule", String(60), nullable=False),
    Column("probability", Float),
)

match_review = Table(
    "match_review",
    metadata,
    Column("left_alias", String(32), primary_key=True),
    Column("right_alias", String(32), primary_key=True),
    Column("probability", Float, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("decision", String(12)),  # same | different, by a person
)

vault_person = Table(
    "vault_person",
    metadata,
    Column("person_id", String(20), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),  # AES-GCM of the JSON of names, addresses, numbers
    Column("updated_at", Utc, nullable=False),
)

vault_index = Table(
    "vault_index",
    metadata,
    Column("kind", String(80), primary_key=True),  # Channel.address | national_id | mrn | source:<name>
    Column("blind", String(32), primary_key=True),  # keyed hash of the normalised value
    Column("person_id", String(20), primary_key=True),
    Index(None, "person_id"),
)

consent_event = Table(
    "consent_event",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("person_id", String(20), nullable=False),
    Column("purpose", String(16), nullable=False),  # Purpose or cross_border
    Column("channel", String(12), nullable=False),  # Channel or *
    Column("decision", String(8), nullable=False),
    Column("decided_at", Utc, nullable=False),
    Column("recorded_at", Utc, nullable=False),
    Column("origin", String(80), nullable=False),  # ConsentEvent.origin
    Column("evidence", String(200), nullable=False, default=""),
    Column("fact", String(32), nullable=False),  # hash of the decision itself: an extract repeats it every night
    UniqueConstraint("fact"),
    # What the last look before a message leaves asks of everybody stands in the index itself.
    Index(None, "person_id", "purpose", "channel", "decision", "decided_at"),
)

relation_event = Table(
    "relation_event",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("person_id", String(20), nullable=False),  # the patient
    Column("related_id", String(20), nullable=False),  # the relative
    Column("relationship", String(16), nullable=False),  # Relationship: what the relative is to the patient
    Column("decides", Boolean),  # a legal guardian; false: a parent who may not decide
    Column("decision", String(8), nullable=False),  # may the relative be told: permit, deny or unknown
    Column("decided_at", Utc, nullable=False),
    Column("recorded_at", Utc, nullable=False),
    Column("origin", String(80), nullable=False),
    Column("evidence", String(200), nullable=False, default=""),
    Column("fact", String(32), nullable=False),  # hash of the statement itself: an extract repeats it every night
    UniqueConstraint("fact"),
    Index(None, "person_id"),
)

# How people wish to be written to: `alongside.ledger.wishes`.
wish_event = Table(
    "wish_event",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("person_id", String(20), nullable=False),
    Column("kind", String(16), nullable=False),  # WishKind
    Column("value", String(1000), nullable=False),
    Column("decided_at", Utc, nullable=False),  # patient time
    Column("recorded_at", Utc, nullable=False),
    Column("origin", String(80), nullable=False),
    Column("evidence", String(200), nullable=False, default=""),
    Column("fact", String(32), nullable=False),
    UniqueConstraint("fact"),
    Index(None, "person_id", "kind"),
    Index(None, "decided_at"),
)

suppression = Table(
    "suppression",
    metadata,
    Column("blind", String(32), primary_key=True),  # keyed hash of the address: survives the person's erasure
    Column("channel", String(12), primary_key=True),
    Column("scope", String(12), primary_key=True),  # all | marketing
    Column("reason", String(24), nullable=False),  # suppressions.REASONS
    Column("since", Utc, nullable=False),
    Column("origin", String(120), nullable=False),
)

# ------------------------------------------------------------------------------------------------------- delivery
batch = Table(
    "batch",
    metadata,
    Column("batch_id", String(40), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("campaign", String(120), nullable=False),
    Column("channel", String(12), nullable=False),
    Column("sender", String(40), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("template", String(160), nullable=False),  # <stage>/<topic>/<message>
    Column("locale", String(8), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("state", String(12), nullable=False),  # BatchState
    Column("attempts", Integer, nullable=False, default=0),
    Column("attempt_id", String(40)),
    Column("lease_until", Utc),
    Column("not_before", Utc),  # back-off, the end of quiet hours, or the next day of a warm-up
    Column("epoch", Integer, nullable=False, default=1),
    Column("updated_at", Utc, nullable=False),
    Column("waits_for", String(12)),  # `warm_up` where not_before is a new sender's next day
    Index(None, "state", "channel", "not_before"),
    Index(None, "run_id"),
)

_STATES_OF_TROUBLE = ("bounced", "rejected", "unknown", "unresolved")
# Not IN: SQLite would make a table of these for every message that it writes.
_TROUBLE = text(" OR ".join(f"state = '{state}'" for state in _STATES_OF_TROUBLE))
message = Table(
    "message",
    metadata,
    Column("message_key", String(32), primary_key=True),
    Column("batch_id", String(40), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("campaign", String(120), nullable=False),
    Column("occurrence", String(60), nullable=False),
    Column("person_id", String(20), nullable=False),  # recipient
    Column("subject_person_id", String(20), nullable=False),  # whom it is about
    Column("purpose", String(16), nullable=False),
    Column("channel", String(12), nullable=False),
    Column("template", String(160), nullable=False),
    Column("template_hash", String(64), nullable=False),
    Column("locale", String(8), nullable=False),
    Column("experiment", String(120)),
    Column("variant", String(60)),
    Column("address_blind", String(32), nullable=False),
    Column("variables", Json, nullable=False),  # pseudonymous; names and addresses are read from the vault
    Column("state", String(12), nullable=False),  # MessageState
    Column("reason", String(200)),
    Column("attempt_id", String(40)),
    Column("planned_at", Utc, nullable=False),  # patient time: as_of of the plan
    Column("accepted_at", Utc),  # patient time
    Column("updated_at", Utc, nullable=False),  # wall time
    Column("follows", String(32)),  # key of the message that came to nothing on another channel
    Index(None, "batch_id"),
    Index(
        None,
        "follows",
        sqlite_where=text("follows IS NOT NULL"),
        postgresql_where=text("follows IS NOT NULL"),
    ),
    Index(None, "run_id", "campaign"),
    Index(None, "person_id", "planned_at"),
    Index(None, "campaign", "address_blind", "occurrence"),
    Index("ix_message_trouble", "state", "campaign", sqlite_where=_TROUBLE, postgresql_where=_TROUBLE),
)
#: The few messages that somebody looks for by their state. Ask for this besides the state itself: only then is their
#: index used. The usual states have none: it would be written twice for every message that is sent.
IN_TROUBLE = or_(*(message.c.state == literal_column(f"'{state}'") for state in _STATES_OF_TROUBLE))

attempt = Table(
    "attempt",
    metadata,
    Column("attempt_id", String(40), primary_key=True),
    Column("batch_id", String(40), nullable=False),
    Column("worker", String(80), nullable=False),
    Column("claimed_at", Utc, nullable=False),
    Column("called_at", Utc),
    Column("finished_at", Utc),
    Column("outcome", String(16)),  # accepted | rejected | throttled | retryable | unknown | mixed
    Column("http_status", Integer),
    Column("accepted", Integer, nullable=False, default=0),
    Column("rejected", Integer, nullable=False, default=0),
    Column("detail", String(500)),
    Index(None, "batch_id"),
)

warm_up = Table(
    "warm_up",
    metadata,
    # What a new sender has sent of each day's allowance; see `ledger.warm_up`.
    Column("channel", String(12), primary_key=True),
    Column("ramp", String(40), primary_key=True),
    Column("day", String(10), primary_key=True),  # calendar day in the hospital's zone, patient time
    Column("taken", Integer, nullable=False),
)

seed_copy = Table(
    "seed_copy",
    metadata,
    Column("message_key", String(32), primary_key=True),  # its state and events stand with the message
    Column("seed", String(60), nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # AES-GCM of the address of a member of staff
    Column("written_at", Utc, nullable=False),
)

#: The vendor's own id of a message, where its events name no other.
receipt = Table(
    "receipt",
    metadata,
    Column("receipt_id", String(80), primary_key=True),  # <vendor>:<its id>
    Column("message_key", String(32), nullable=False),
)

delivery_event = Table(
    "delivery_event",
    metadata,
    Column("event_id", String(120), primary_key=True),  # the provider's own id: duplicates happen
    Column("message_key", String(32), nullable=False),
    Column("kind", String(16), nullable=False),  # EventKind
    Column("occurred_at", Utc, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("machine", Boolean, nullable=False, default=False),  # a proxy or scanner, not a person
    Column("detail", String(300), nullable=False, default=""),
    Index(None, "message_key", "kind"),
    Index(
        "ix_delivery_event_complaints",
        "kind",
        "message_key",
        sqlite_where=text("kind = 'complaint'"),
        postgresql_where=text("kind = 'complaint'"),
    ),
)

# ---------------------------------------------------------------------------------------------------------- inbox
thread = Table(
    "thread",
    metadata,
    Column("thread_id", String(40), primary_key=True),
    Column("channel", String(12), nullable=False),
    Column("address_blind", String(32), nullable=False),
    Column("person_id", String(20)),  # null where nobody, or more than one, is known by this address
    Column("status", String(12), nullable=False),  # ThreadStatus
    Column("owner", String(120)),
    Column("due_at", Utc, nullable=False),  # wall time by which a person should have answered
    Column("opened_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Column("kind", String(16), nullable=False, server_default="reply"),  # ThreadKind
    Index(None, "status", "due_at"),
    Index(None, "channel", "address_blind"),
)

inbound = Table(
    "inbound",
    metadata,
    Column("inbound_id", String(80), primary_key=True),  # the provider's own id: webhooks come more than once
    Column("thread_id", String(40)),  # null for a keyword, which needs no person
    Column("channel", String(12), nullable=False),
    Column("address_blind", String(32), nullable=False),
    Column("person_id", String(20)),
    Column("keyword", String(12)),  # stop
    Column("message_key", String(32)),  # the last message to that address, which this probably answers
    Column("received_at", Utc, nullable=False),  # patient time
    Column("recorded_at", Utc, nullable=False),  # wall time
    Column("sealed", LargeBinary, nullable=False),  # AES-GCM of the words
    Index(None, "thread_id", "recorded_at"),
    Index(None, "recorded_at"),
)

answer = Table(
    "answer",
    metadata,
    Column("message_key", String(32), primary_key=True),  # its state and events stand with the message
    Column("thread_id", String(40), nullable=False),
    Column("author", String(120), nullable=False),
    Column("written_at", Utc, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index(None, "thread_id", "written_at"),
)

# ------------------------------------------------------------------------------------------------- what patients ask
# A request about a person's own data. It is open as long as its thread is.
data_request = Table(
    "data_request",
    metadata,
    Column("request_id", String(40), primary_key=True),
    Column("person_id", String(20), nullable=False),
    Column("kind", String(12), nullable=False),  # access | erasure
    Column("message_key", String(32), nullable=False),  # whose link was used
    Column("thread_id", String(40), nullable=False),
    Column("asked_at", Utc, nullable=False),  # patient time
    Column("recorded_at", Utc, nullable=False),
    Column("due_at", Utc, nullable=False),  # wall time
    Index(None, "person_id", "kind"),
)

survey_response = Table(
    "survey_response",
    metadata,
    Column("message_key", String(32), primary_key=True),  # one answer a message
    Column("person_id", String(20), nullable=False),
    Column("survey", String(60), nullable=False),
    Column("scores", Json, nullable=False),  # question -> number
    Column("comment", LargeBinary),  # AES-GCM of the words, where there are any
    Column("thread_id", String(40)),  # where the words reached a person
    Column("answered_at", Utc, nullable=False),  # patient time
    Column("recorded_at", Utc, nullable=False),
    Index(None, "person_id"),
    Index(None, "answered_at"),
)

appointment_answer = Table(
    "appointment_answer",
    metadata,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("message_key", String(32), nullable=False),
    Column("person_id", String(20), nullable=False),
    Column("source", String(60), nullable=False),  # the system that holds the booking
    Column("appointment", String(80), nullable=False),  # its reference there
    Column("start_at", Utc, nullable=False),  # as the patient saw it
    Column("answer", String(12), nullable=False),  # confirm | cancel
    Column("answered_at", Utc, nullable=False),  # patient time
    Column("recorded_at", Utc, nullable=False),
    Index(None, "source", "appointment"),
    Index(None, "recorded_at"),
)

# ---------------------------------------------------------------------------------------------------------- calls
call_task = Table(
    "call_task",
    metadata,
    Column("task_id", String(32), primary_key=True),  # the message's key: a message is listed once
    Column("batch_id", String(40), nullable=False),
    Column("status", String(12), nullable=False),  # CallStatus
    Column("tries", Integer, nullable=False, default=0),
    Column("outcome", String(16)),  # CallOutcome of the last try
    Column("owner", String(120)),
    Column("due_at", Utc, nullable=False),  # wall time by which somebody should have called
    Column("listed_at", Utc, nullable=False),
    Column("updated_at", Utc, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # AES-GCM of number and script
    Column("notes", LargeBinary),  # AES-GCM of what the callers wrote
    Index(None, "status", "due_at"),
    Index(None, "batch_id"),
)

# -------------------------------------------------------------------------------------------------- staff's own alerts
staff_alert = Table(
    "staff_alert",
    metadata,
    Column("alert", String(200), primary_key=True),  # <kind>:<subject>
    Column("kind", String(24), nullable=False),
    Column("level", Integer, nullable=False),  # how bad it is: a count, or 1
    Column("since", Utc, nullable=False),
    Column("seen_at", Utc, nullable=False),
    Column("ended_at", Utc),
)

staff_notice = Table(
    "staff_notice",
    metadata,
    Column("alert", String(200), primary_key=True),
    Column("receiver", String(60), primary_key=True),  # name under `staff` of config/alongside.yaml
    Column("level", Integer, nullable=False),  # what was told last
    Column("told_at", Utc),
    Column("claimed_until", Utc),  # somebody is telling it
    Column("tries", Integer, nullable=False, default=0),
    Column("trouble", String(300)),
)

# -------------------------------------------------------------------------------------------------------- letters
printed_letter = Table(
    "printed_letter",
    metadata,
    Column("letter_id", String(32), primary_key=True),  # the message's key: a message is listed once
    Column("number", String(14), nullable=False),  # opaque, derived from the key: stands on letter and address sheet
    Column("batch_id", String(40), nullable=False),
    Column("day", String(10), nullable=False),  # the hospital's day on which it was listed, YYYY-MM-DD
    Column("stack", Integer),  # which PDF of the day holds it; null until it was first printed
    Column("place", Integer),  # within the stack
    Column("status", String(12), nullable=False),  # LetterStatus
    Column("printings", Integer, nullable=False, default=0),
    Column("pages", Integer),
    Column("reason", String(40)),  # ReturnReason, or the gate that withheld it
    Column("listed_at", Utc, nullable=False),
    Column("printed_at", Utc),  # for the first time
    Column("posted_at", Utc),
    Column("updated_at", Utc, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # AES-GCM of the letter as rendered, and of the envelope's lines
    UniqueConstraint("number"),
    Index(None, "day"),
    Index(None, "status", "listed_at"),
    Index(None, "batch_id"),
)

# ---------------------------------------------------------------------------------------------------- experiments
experiment = Table(
    "experiment",
    metadata,
    Column("experiment", String(120), primary_key=True),
    Column("definition_hash", String(64), nullable=False),
    Column("definition", Json, nullable=False),
    Column("config_commit", String(64), nullable=False),
    Column("analysis_version", String(20), nullable=False),
    Column("launched_at", Utc, nullable=False),
    Column("exploratory_since", Utc),  # the definition was edited after launch
    Column("decided_at", Utc),
    Column("decision", Json),
)

assignment = Table(
    "assignment",
    metadata,
    Column("experiment", String(120), primary_key=True),
    Column("person_id", String(20), primary_key=True),
    Column("variant", String(60), nullable=False),
    Column("assigned_at", Utc, nullable=False),  # patient time
    Column("run_id", String(64), nullable=False),
    Column("channel", String(12), nullable=False),
    Column("cluster_id", String(16)),  # keyed hash of the household or clinic, where that is what was assigned
)

experiment_result = Table(
    "experiment_result",
    metadata,
    Column("experiment", String(120), primary_key=True),
    Column("as_of", Utc, primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("result", Json, nullable=False),
)
