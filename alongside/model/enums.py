"""Closed vocabularies. Values are what is stored; they never change meaning."""

from __future__ import annotations

from enum import IntFlag, StrEnum


class Purpose(StrEnum):
    """Why a patient is contacted; consent is given per purpose (PIPL 28/29)."""

    CARE = "care"
    EDUCATION = "education"
    SURVEY = "survey"
    MARKETING = "marketing"
    RESEARCH = "research"


class Channel(StrEnum):
    EMAIL = "email"
    SMS = "sms"
    WECHAT = "wechat"
    PUSH = "push"
    CALL = "call"
    LETTER = "letter"
    STAFF = "staff"

    @property
    def address(self) -> str:
        """Which of a person's identifiers the channel needs: the prefix of its columns and the kind of its index."""
        return _ADDRESSES.get(self.value, "phone")

    @property
    def keeps_quiet_hours(self) -> bool:
        """Whether it could wake somebody. A letter lies in its box until morning."""
        return self is not Channel.LETTER


#: Channel -> kind of address, where that is not the telephone number.
_ADDRESSES = {"email": "email", "wechat": "openid", "push": "device_token", "letter": "postal"}


class Relationship(StrEnum):
    """What a related person is to the patient (of HL7's v3 RoleCode what a hospital's letter can say)."""

    MOTHER = "mother"
    FATHER = "father"
    GUARDIAN = "guardian"
    SPOUSE = "spouse"
    CHILD = "child"
    SIBLING = "sibling"
    GRANDPARENT = "grandparent"
    OTHER = "other"


class Written(StrEnum):
    """Whom a message speaks to, and so who of those around a patient gets it."""

    PATIENT = "patient"
    GUARDIAN = "guardian"  # whoever decides for a child, or for an adult under guardianship
    FAMILY = "family"  # somebody whom the patient lets know


class Locale(StrEnum):
    ZH_CN = "zh_CN"
    EN = "en"


class Stage(StrEnum):
    """The five stages of the patient life cycle (L1-L5)."""

    PREVENTION = "prevention"
    DECISION = "decision"
    TREATMENT = "treatment"
    REHABILITATION = "rehabilitation"
    FOLLOW_UP = "follow_up"


class DeliveryMode(StrEnum):
    SANDBOX = "sandbox"
    STAGING = "staging"
    LIVE = "live"


class BatchState(StrEnum):
    PLANNED = "planned"
    CLAIMED = "claimed"
    CALLING = "calling"
    ACCEPTED = "accepted"  # settled: every message of it has its own outcome
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class MessageState(StrEnum):
    """Where one message stands; it only moves forward (see `FORWARD_ORDER` in `ledger.protocol`)."""

    PLANNED = "planned"
    WITHHELD = "withheld"  # fell out at the recheck within the claim; `reason` names the gate
    REJECTED = "rejected"  # the vendor refused it for good
    UNKNOWN = "unknown"  # the call was made and no answer is known
    UNRESOLVED = "unresolved"  # stayed unknown past the grace period and may not be sent again
    ACCEPTED = "accepted"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    DROPPED = "dropped"


class ThreadStatus(StrEnum):
    """Where a conversation with a patient stands."""

    OPEN = "open"  # a person has to answer
    ANSWERED = "answered"  # the next word is the patient's
    CLOSED = "closed"


class ThreadKind(StrEnum):
    """What somebody has to do with a conversation."""

    REPLY = "reply"  # a patient wrote
    ACCESS = "access"  # a patient wants to see everything that is held
    ERASURE = "erasure"  # a patient wants it deleted
    SURVEY = "survey"  # a patient told us what went wrong
    APPOINTMENT = "appointment"  # a patient cannot come


class CallStatus(StrEnum):
    """Where a call that somebody has to make stands."""

    OPEN = "open"
    DONE = "done"
    GIVEN_UP = "given_up"  # nobody was reached as often as it may be tried, or the number is another's
    WITHHELD = "withheld"  # since it was listed the patient has died, or does not want it any more


class CallOutcome(StrEnum):
    """What came of one try."""

    REACHED = "reached"
    NOT_REACHED = "not_reached"
    WRONG_NUMBER = "wrong_number"
    REFUSED = "refused"  # the patient wants no such calls


class LetterStatus(StrEnum):
    """Where a letter on paper stands. Whether it arrived nobody learns; that it came back, one may."""

    LISTED = "listed"  # waits to be printed
    PRINTED = "printed"
    POSTED = "posted"
    RETURNED = "returned"
    WITHHELD = "withheld"  # fell out at the last look before printing; `reason` names the gate


class ReturnReason(StrEnum):
    """Why the post brought a letter back."""

    MOVED = "moved"
    UNKNOWN = "unknown"  # nobody of this name there
    ADDRESS = "address"  # incomplete, or no such place
    DECEASED = "deceased"
    REFUSED = "refused"
    UNCLAIMED = "unclaimed"  # nobody fetched it: says nothing about the address
    OTHER = "other"


class WishKind(StrEnum):
    """What a patient may say about the way in which messages reach them; the values are those of `ledger.wishes`."""

    TOPICS_OFF = "topics_off"
    LANGUAGE = "language"
    QUIET = "quiet"
    CHANNEL = "channel"
    PACE = "pace"
    GENERAL_ONLY = "general_only"


class AppointmentAnswer(StrEnum):
    """What a patient says about an appointment."""

    CONFIRM = "confirm"
    CANCEL = "cancel"


class Pace(StrEnum):
    """How often at most a patient wants to be written to, beyond what their care needs."""

    NORMAL = "normal"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    @property
    def days(self) -> int | None:
        """One message in any so many days; None: the hospital's own budget alone."""
        return {Pace.WEEKLY: 7, Pace.MONTHLY: 30}.get(self)


class Ruled(StrEnum):
    """What a person has found out about a message whose outcome nobody knew."""

    ACCEPTED = "accepted"
    NOT_SENT = "not-sent"


class EventKind(StrEnum):
    """What a provider or a patient told us about one message."""

    PROCESSED = "processed"
    DEFERRED = "deferred"
    DELIVERED = "delivered"
    BOUNCE = "bounce"
    BLOCKED = "blocked"
    DROPPED = "dropped"
    OPEN = "open"
    CLICK = "click"
    READ = "read"  # a read receipt, or an answer
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


class Decision(StrEnum):
    """A consent decision, in FHIR's words; `unknown` and `read` are said of a record, by `alongside.ledger.consent`."""

    PERMIT = "permit"
    DENY = "deny"
    UNKNOWN = "unknown"
    READ = "read"


class Gate(IntFlag):
    """Why a candidate is withheld. Stored as one bit mask per candidate; every gate is evaluated.

    The order of values is the order of the funnel: a candidate is counted at the first gate that stops it.
    """

    NONE = 0
    DECEASED = 1
    UNDER_AGE = 2  # a guardian decides, for a child or for an adult under guardianship
    ADMITTED = 4  # an in-patient gets no out-patient invitation (G8)
    FULFILLED = 8  # what was asked for has already happened (G8)
    NO_ADDRESS = 16
    INVALID_ADDRESS = 32
    NO_CONSENT = 64
    CROSS_BORDER = 128  # the vendor stores abroad and the patient has not agreed to that
    TOPIC_OFF = 256
    SUPPRESSED = 512
    ALREADY_SENT = 1024
    FREQUENCY_CAP = 2048
    DUPLICATE_ADDRESS = 4096
    HOLDOUT = 8192
    RENDER_FAILED = 16384
    CLAIMS_LINT = 32768
    QUIET_HOURS = 65536  # postpones; withholds only at the recheck of a message that may not wait
    PAUSED = 131072
    NO_RELATIVE = 524288  # nobody is known who may be told about this patient
    NOT_CARRIED = 262144  # the provider does not deliver to the recipient's country, or may not carry this there
    OWN_PACE = 1048576  # the patient wants to be written to less often
    GENERAL_ONLY = 2097152  # the patient wants nothing that was chosen by health or conduct, care aside
    TOO_LATE = 4194304  # it would arrive after what it is about: a letter, the day before an appointment
    CAMPAIGN_HOLDOUT = 8388608  # kept without this campaign's messages, so that its effect can be measured


class StaffEvent(StrEnum):
    """What the engine tells staff of by itself; see `alongside.alerts`."""

    CAMPAIGN_PAUSED = "campaign_paused"  # a campaign paused itself
    CAMPAIGN_HELD = "campaign_held"  # the last run held or blocked it
    RUN_HELD = "run_held"  # a run began too late, and waits for a person
    INBOX_OVERDUE = "inbox_overdue"
    CALLS_OVERDUE = "calls_overdue"
    UNKNOWN_OVERDUE = "unknown_overdue"  # longer unknown than the grace period and an hour
    DEAD_LETTERS = "dead_letters"  # many messages given up within a day
    EXPERIMENT_HARMS = "experiment_harms"  # harm is proved, and people are to decide
    EXPERIMENT_WAITS = "experiment_waits"  # a variant won, and waits for people


class Severity(StrEnum):
    """Great Expectations' own words."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Verdict(StrEnum):
    SHIP = "ship"
    KEEP_CONTROL = "keep_control"
    STOP_FOR_HARM = "stop_for_harm"
    INCONCLUSIVE = "inconclusive"
    NOT_MATURE = "not_mature"
    INVALID = "invalid"
