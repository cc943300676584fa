"""Signature V3 of Alibaba Cloud's OpenAPI (ACS3-HMAC-SHA256): over the query, some headers and the body's hash.

Source: https://help.aliyun.com/zh/sdk/product-overview/v3-request-structure-and-signature; checked in tests against the
vendor's own SDK.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
_SIGNED = ("host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version")


def canonical_query(parameters: Mapping[str, str]) -> str:
    """Sorted and percent-encoded (RFC 3986), as it is both signed and sent."""
    return "&".join(f"{_encoded(name)}={_encoded(value)}" for name, value in sorted(parameters.items()))


def signed_headers(
    action: str, version: str, *, host: str, query: str, key_id: str, secret: str, date: str, nonce: str
) -> dict[str, str]:
    """The headers of a POST without body.

    Parameters
    ----------
    query : canonical (`canonical_query`)
    date : UTC, `YYYY-MM-DDThh:mm:ssZ`
    nonce : never the same again
    """
    headers = {
        "host": host,
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-version": version,
    }
    signature = signature_of("POST", query, headers, _SIGNED, secret)
    credential = f"{ALGORITHM} Credential={key_id},SignedHeaders={';'.join(_SIGNED)},Signature={signature}"
    return {**headers, "Authorization": credential}


def signature_of(method: str, query: str, headers: Mapping[str, str], signed: Iterable[str], secret: str) -> str:
    """Hex digest over a request for `/` without body; `headers` by lower-case names."""
    names = list(signed)
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
    request = "\n".join([method, "/", query, lines, ";".join(names), headers["x-acs-content-sha256"]])
    text = f"{ALGORITHM}\n{hashlib.sha256(request.encode()).hexdigest()}"
    return hmac.digest(secret.encode(), text.encode(), "sha256").hex()


def _encoded(text: str) -> str:
    return quote(text, safe="~")
