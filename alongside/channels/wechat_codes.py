"""Error codes of WeChat's official accounts: what the answer to a message means for its sender.

Source: the vendor's list of global return codes and of each interface (developers.weixin.qq.com).
"""

from __future__ import annotations

from enum import Enum


class Meaning(Enum):
    """Whom a refusal concerns; decides what the sender does next."""

    RECIPIENT = "recipient"  # this message cannot reach this follower
    CLOSED = "closed"  # nothing can, any more
    LETTER = "letter"  # nobody can be sent this
    TOKEN = "token"  # noqa: S105 - the access token is not taken: nothing was looked at
    ACCOUNT = "account"  # nothing of this channel can be sent
    LOAD = "load"  # later
    UNKNOWN = "unknown"  # it may have been taken


#: code -> (whom it concerns, words for operators)
CODES: dict[int, tuple[Meaning, str]] = {
    -1: (Meaning.UNKNOWN, "the system was busy"),
    40001: (Meaning.TOKEN, "the access token or the secret is not accepted"),
    40014: (Meaning.TOKEN, "the access token is not valid"),
    42001: (Meaning.TOKEN, "the access token has ended"),
    40003: (Meaning.CLOSED, "the openid is not of this account"),
    43004: (Meaning.CLOSED, "the patient does not follow the account"),
    43101: (Meaning.CLOSED, "the patient refuses messages of this account"),
    47003: (Meaning.RECIPIENT, "a value has not the form of its field"),
    45015: (Meaning.RECIPIENT, "the patient wrote more than 48 hours ago: no answer may be sent any more"),
    45047: (Meaning.RECIPIENT, "the answers that one message of the patient allows are used up"),
    45002: (Meaning.RECIPIENT, "the text is too long"),
    40037: (Meaning.LETTER, "the template is not registered"),
    41028: (Meaning.LETTER, "the template is not registered"),
    47001: (Meaning.LETTER, "the request was not understood"),
    40013: (Meaning.ACCOUNT, "the app id is not valid"),
    40125: (Meaning.ACCOUNT, "the app secret is not valid"),
    40164: (Meaning.ACCOUNT, "this machine's address is not on the account's list"),
    48001: (Meaning.ACCOUNT, "the account may not send template messages"),
    48004: (Meaning.ACCOUNT, "the interface is blocked for the account"),
    50002: (Meaning.ACCOUNT, "the account is restricted"),
    45009: (Meaning.LOAD, "the account's messages of today are used up"),
    45011: (Meaning.LOAD, "too many requests a minute"),
}
#: Codes after which the address gets nothing more by this channel -> the reason of the suppression.
CLOSING: dict[int, str] = {40003: "hard_bounce", 43004: "unfollowed", 43101: "refused"}
#: The wait for a code of load, in seconds: until the next day begins there is no use in asking every second.
WAITS: dict[int, float] = {45009: 900.0}


def meaning_of(code: int) -> tuple[Meaning, str]:
    """Whom a code concerns, and its words. One that is not listed concerns the recipient, unless it is negative."""
    if found := CODES.get(code):
        return found
    if code < 0:
        return Meaning.UNKNOWN, "the vendor failed"
    return Meaning.RECIPIENT, "refused for a reason that is not in our table"
