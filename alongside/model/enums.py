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
    """Where one message stands; it only moves forward (see `FORWARD_ORDER` in `ledger.messages`)."""

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
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"


class Decision(StrEnum):
    """A consent decision, in FHIR's words."""

    PERMIT = "permit"
    DENY = "deny"


class Gate(IntFlag):
    """Why a candidate is withheld. Stored as one bit mask per candidate; every gate is evaluated."""

    NONE = 0
    DECEASED = 1
    DATA_QUALITY = 2
    NO_ADDRESS = 4
    INVALID_ADDRESS = 8
    NO_CONSENT = 16
    CROSS_BORDER = 32
    SUPPRESSED = 64
    FREQUENCY_CAP = 128
    DUPLICATE_ADDRESS = 256
    ALREADY_SENT = 512
    RENDER_FAILED = 1024
    CLAIMS_LINT = 2048
    HOLDOUT = 4096
    QUIET_HOURS = 8192  # postpones rather than withholds: the batch waits for `not_before`
    ADMITTED = 16384  # an in-patient gets no out-patient invitation (G8)
    FULFILLED = 32768  # the thing that was asked for has already happened (G8)
    UNDER_AGE = 65536
    PAUSED = 131072


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
