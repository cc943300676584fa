"""Twilio's error codes that say something about a recipient, a sender or an account.

One table for both places where they appear: the answer to a request, and the `ErrorCode` of a status callback.
Source: https://www.twilio.com/docs/api/errors. The vendor adds and refines codes without notice (changelog of
2024-07-10), so an unknown code must still mean something: see `Fault.of`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class Blame(Enum):
    """Whom a refusal concerns; decides what the sender does next."""

    RECIPIENT = "recipient"  # this message cannot reach this number
    LETTER = "letter"  # nobody can be sent this: sender, callback address, text
    ACCOUNT = "account"  # nothing of this channel can be sent
    LOAD = "load"  # later


@dataclass(frozen=True)
class Fault:
    """What a code means.

    Attributes
    ----------
    words : for operators; contains no address
    suppress : reason for which the number should get nothing more; None when the code says nothing about the number
    """

    code: int
    blame: Blame
    words: str
    suppress: str | None = None

    @classmethod
    def of(cls, code: int) -> Fault:
        """The meaning of a code; an unknown one concerns the recipient and suppresses nothing."""
        return FAULTS.get(code) or cls(code, Blame.RECIPIENT, "refused for a reason that is not in our table")

    @property
    def reason(self) -> str:
        """As it is stored with a message: `21610 opted out`."""
        return f"{self.code} {self.words}"


def _table(*faults: Fault) -> dict[int, Fault]:
    found = {fault.code: fault for fault in faults}
    if len(found) != len(faults):
        raise ValueError("a code stands twice in the table")
    return found


_WHO, _LETTER, _ACCOUNT, _LOAD = Blame.RECIPIENT, Blame.LETTER, Blame.ACCOUNT, Blame.LOAD
HARD_BOUNCE, UNSUBSCRIBE = "hard_bounce", "unsubscribe"

FAULTS: dict[int, Fault] = _table(
    # The number. Suppressed only where the code says that no text message can ever reach it.
    Fault(21211, _WHO, "not a valid phone number", HARD_BOUNCE),
    Fault(21214, _WHO, "the number cannot be reached"),
    Fault(21217, _WHO, "not a valid phone number", HARD_BOUNCE),
    Fault(21265, _WHO, "the number is a short code", HARD_BOUNCE),
    Fault(21266, _WHO, "the number is the sender's own"),
    Fault(21604, _WHO, "no phone number"),
    Fault(21610, _WHO, "opted out", UNSUBSCRIBE),
    Fault(21614, _WHO, "the number is not a mobile number", HARD_BOUNCE),
    Fault(21635, _WHO, "the number is a landline", HARD_BOUNCE),
    # Neither the number's nor the account's fault for good: permission and routes are per country. Were it the
    # account's, one number abroad would stop the channel for everybody.
    Fault(21408, _WHO, "text messages to this country are not enabled for the account"),
    Fault(21612, _WHO, "no route from this sender to this number"),
    Fault(21602, _WHO, "the text is empty"),
    Fault(21605, _WHO, "the text is too long"),
    Fault(21617, _WHO, "the text is too long"),
    Fault(21619, _WHO, "the text is empty"),
    # The sender and what all recipients share.
    Fault(21212, _LETTER, "the sender's number is not valid"),
    Fault(21603, _LETTER, "no sender"),
    Fault(21606, _LETTER, "the sender's number cannot send text messages from this account"),
    Fault(21609, _LETTER, "the status callback address is not valid"),
    Fault(21618, _LETTER, "the text may not be sent by this vendor"),
    Fault(21659, _LETTER, "the sender's number is not one of the vendor's"),
    Fault(21660, _LETTER, "the sender's number belongs to another account"),
    Fault(21661, _LETTER, "the sender's number cannot send text messages"),
    Fault(21701, _LETTER, "the messaging service does not exist"),
    Fault(21703, _LETTER, "the messaging service has no sender for this country"),
    Fault(21705, _LETTER, "the messaging service is not valid"),
    # The account.
    Fault(20003, _ACCOUNT, "the credentials are not accepted"),
    Fault(20004, _ACCOUNT, "the method is not allowed"),
    Fault(20005, _ACCOUNT, "the account is not active"),
    Fault(20006, _ACCOUNT, "the account may not do this"),
    Fault(20008, _ACCOUNT, "these are test credentials"),
    Fault(20404, _ACCOUNT, "there is no such account"),
    Fault(21608, _ACCOUNT, "a trial account sends to verified numbers only"),
    Fault(30002, _ACCOUNT, "the account is suspended"),
    Fault(90010, _ACCOUNT, "the account is not active"),
    # Load.
    Fault(20429, _LOAD, "too many requests"),
    Fault(21611, _LOAD, "the sender's queue is full"),
    Fault(30001, _LOAD, "the sender's queue is full"),
    Fault(63038, _LOAD, "the account's messages of today are used up"),
    # What only callbacks tell: the message was accepted and did not arrive.
    Fault(30003, _WHO, "the phone is switched off or out of reach"),
    Fault(30004, _WHO, "the recipient or the carrier blocks this sender"),
    Fault(30005, _WHO, "the number is unknown or no longer in use", HARD_BOUNCE),
    Fault(30006, _WHO, "the number is a landline or its carrier cannot be reached", HARD_BOUNCE),
    Fault(30007, _WHO, "the carrier took the message for spam"),
    Fault(30008, _WHO, "not delivered, and the carrier does not say why"),
    Fault(30022, _LOAD, "more than the carrier takes from this sender"),
    Fault(30032, _LETTER, "the toll-free sender is not verified"),
    Fault(30034, _LETTER, "the sender is not registered with the carriers"),
    Fault(30036, _LOAD, "it waited longer than its validity"),
    Fault(30450, _LETTER, "the text may not be sent by this vendor"),
)  # fmt: skip

_REASON = re.compile(r"(\d{5}) ")


def suppression_of(reason: str | None) -> str | None:
    """What a stored reason says about the number: `hard_bounce`, `unsubscribe` or None."""
    found = _REASON.match(reason or "")
    return Fault.of(int(found[1])).suppress if found else None
