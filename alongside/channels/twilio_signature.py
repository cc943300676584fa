"""The signature of Twilio's webhooks: HMAC-SHA1 with the account's auth token over the address and the form fields.

It carries no time, so a copy sent later verifies too: whoever takes a callback in must know its id (`twilio_events`).
Source: https://www.twilio.com/docs/usage/security#validating-requests
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import parse_qsl, urlsplit, urlunsplit

SIGNATURE_HEADER = "X-Twilio-Signature"
#: A webhook has some thirty fields; more are somebody's attempt to keep us busy.
MAX_FIELDS = 200

Fields = tuple[tuple[str, str], ...]
_PORTS = {"https": 443, "http": 80}


def read_form(body: bytes) -> Fields | None:
    """The fields of a form-encoded body in their order, empty ones too; None when it is not a form in UTF-8."""
    try:
        text = body.decode("ascii")  # everything else is percent-encoded
        found = parse_qsl(text, True, bool(text), errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        return None
    return tuple(found)


def sign(auth_token: str, url: str, fields: Iterable[tuple[str, str]]) -> str:
    """The header's value. A field given more than once is taken in the order of its values, equal ones once."""
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return b64encode(hmac.digest(auth_token.encode(), text.encode("utf-8", "surrogatepass"), "sha1")).decode()


def verify(auth_token: str, url: str, fields: Iterable[tuple[str, str]], signature: str) -> bool:
    """Whether the vendor signed these fields for this address. False for anything malformed or forged.

    Parameters
    ----------
    auth_token : the account's primary token, also where requests are made with an API key; an empty one never verifies
    url : as the vendor called it: public scheme and host, path, query; without a fragment
    fields : of the body, all of them (`read_form`)
    signature : the header's text
    """
    if not auth_token or not signature.isascii():
        return False
    given = signature.encode()
    pairs = frozenset(fields)
    # The vendor signs with or without the default port, depending on the product.
    valid = [hmac.compare_digest(sign(auth_token, spelling, pairs).encode(), given) for spelling in _spellings(url)]
    return any(valid)


def _spellings(url: str) -> list[str]:
    """The address as given, and with the default port added or taken away."""
    try:
        parts = urlsplit(url)
        port, default = parts.port, _PORTS.get(parts.scheme)
    except ValueError:
        return [url]
    found = [urlunsplit(parts._replace(fragment=""))]
    if default and port is None:
        found.append(urlunsplit(parts._replace(netloc=f"{parts.netloc}:{default}", fragment="")))
    elif port == default and default:
        found.append(urlunsplit(parts._replace(netloc=parts.netloc.removesuffix(f":{port}"), fragment="")))
    return found
