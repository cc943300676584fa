"""Codes of Aliyun's SMS service: what the answer to a request means, and what a report says of a number.

Sources: the service's lists of API error codes and of report codes (help.aliyun.com/zh/sms). A code of tomorrow must
still mean something: see `meaning_of`.
"""

from __future__ import annotations

from enum import Enum


class Meaning(Enum):
    """Whom a refusal concerns; decides what the sender does next."""

    RECIPIENT = "recipient"  # this message cannot reach this number
    LETTER = "letter"  # nobody can be sent this: template, signature, parameters
    ACCOUNT = "account"  # nothing of this channel can be sent
    LOAD = "load"  # later
    UNKNOWN = "unknown"  # it may have been taken


#: code of the API -> (whom it concerns, words for operators)
REFUSALS: dict[str, tuple[Meaning, str]] = {
    "isv.MOBILE_NUMBER_ILLEGAL": (Meaning.RECIPIENT, "not a valid mobile number"),
    "isv.MOBILE_COUNT_OVER_LIMIT": (Meaning.RECIPIENT, "too many numbers in one request"),
    "isv.BUSINESS_LIMIT_CONTROL": (Meaning.RECIPIENT, "the number has had its share of today"),
    "isv.BLACK_KEY_CONTROL_LIMIT": (Meaning.RECIPIENT, "a value holds a forbidden word"),
    "isv.PARAM_LENGTH_LIMIT": (Meaning.RECIPIENT, "a value is too long"),
    "isv.PARAM_NOT_SUPPORT_URL": (Meaning.RECIPIENT, "a value holds a link"),
    "isv.BLACK_LIST": (Meaning.RECIPIENT, "the number is on the provider's black list"),
    "isv.SMS_TEMPLATE_ILLEGAL": (Meaning.LETTER, "the template is not registered or not approved"),
    "isv.SMS_SIGNATURE_ILLEGAL": (Meaning.LETTER, "the signature is not registered or not approved"),
    "isv.SMS_SIGN_ILLEGAL": (Meaning.LETTER, "the signature may not send this kind of text"),
    "isv.TEMPLATE_MISSING_PARAMETERS": (Meaning.LETTER, "the registered template has other variables"),
    "isv.TEMPLATE_PARAMS_ILLEGAL": (Meaning.LETTER, "the registered template has other variables"),
    "isv.INVALID_PARAMETERS": (Meaning.LETTER, "a parameter is not valid"),
    "isv.INVALID_JSON_PARAM": (Meaning.LETTER, "the variables are not JSON"),
    "isv.OUT_OF_SERVICE": (Meaning.ACCOUNT, "the service is stopped"),
    "isv.PRODUCT_UN_SUBSCRIPT": (Meaning.ACCOUNT, "the product is not subscribed to"),
    "isv.PRODUCT_UNSUBSCRIBE": (Meaning.ACCOUNT, "the product is not subscribed to"),
    "isv.ACCOUNT_NOT_EXISTS": (Meaning.ACCOUNT, "there is no such account"),
    "isv.ACCOUNT_ABNORMAL": (Meaning.ACCOUNT, "the account is not in order"),
    "isv.AMOUNT_NOT_ENOUGH": (Meaning.ACCOUNT, "the account has no money left"),
    "isv.DENY_IP_RANGE": (Meaning.ACCOUNT, "this address may not call"),
    "isp.RAM_PERMISSION_DENY": (Meaning.ACCOUNT, "the key may not send"),
    "isv.DAY_LIMIT_CONTROL": (Meaning.LOAD, "the account's messages of today are used up"),
    "isv.MONTH_LIMIT_CONTROL": (Meaning.LOAD, "the account's messages of this month are used up"),
    "isp.SYSTEM_ERROR": (Meaning.UNKNOWN, "the provider failed after it had the message"),
    "isp.UNKNOWN_ERROR": (Meaning.UNKNOWN, "the provider failed after it had the message"),
}
#: Beginnings of the gateway's own codes.
_GATEWAY: tuple[tuple[str, Meaning, str], ...] = (
    ("Throttling", Meaning.LOAD, "too many requests"),
    ("SignatureDoesNotMatch", Meaning.ACCOUNT, "the secret is not accepted"),
    ("IncompleteSignature", Meaning.ACCOUNT, "the secret is not accepted"),
    ("InvalidAccessKeyId", Meaning.ACCOUNT, "the key is not accepted"),
    ("InvalidTimeStamp", Meaning.ACCOUNT, "this machine's clock is wrong"),
    ("Forbidden", Meaning.ACCOUNT, "the key may not send"),
    ("NoPermission", Meaning.ACCOUNT, "the key may not send"),
)
#: Codes of reports that say something about the number for good; of all others it can be tried again some day.
CLOSING: dict[str, str] = {
    "INVALID_NUMBER": "hard_bounce",
    "isv.MOBILE_NUMBER_ILLEGAL": "hard_bounce",
    "USER_REJECT": "unsubscribe",
    "MOBILE_IN_BLACK": "unsubscribe",
}
DELIVERED = "DELIVERED"


def meaning_of(code: str) -> tuple[Meaning, str]:
    """Whom a code concerns, and its words. An unknown one of the service concerns the recipient; any other one is
    taken for a failure after which the message may have been taken.
    """
    if found := REFUSALS.get(code):
        return found
    for begin, meaning, words in _GATEWAY:
        if code.startswith(begin):
            return meaning, words
    if code.startswith("isv."):
        return Meaning.RECIPIENT, "refused for a reason that is not in our table"
    return Meaning.UNKNOWN, "the provider failed after it had the message"
