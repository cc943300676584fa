"""Reading a request as the gateway does: its signature, its freshness, its parameters; and refusing it.

The signature is worked out here anew rather than with the adapter's own function, so that a mistake there shows.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote

import orjson
from aiohttp import web

from alongside.sandbox.common.http import JSON

MAX_SKEW_SECONDS = 15 * 60
_NONCES = 100_000
_AUTHORIZATION = re.compile(
    r"ACS3-HMAC-SHA256 Credential=(?P<key>[^,]+),SignedHeaders=(?P<signed>[^,]+),Signature=(?P<signature>[0-9a-f]{64})"
)


class VendorRefusal(Exception):
    """Ends a request with one of the provider's error documents."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        self.status, self.code, self.message = status, code, message or code
        super().__init__(code)

    def response(self) -> web.Response:
        body = orjson.dumps({"Code": self.code, "Message": self.message, "RequestId": "stand-in"})
        return web.Response(status=self.status, body=body, content_type=JSON)


@dataclass
class Gate:
    """Lets signed, fresh requests through, each once."""

    key_id: str
    secret: str = field(repr=False)
    _seen: OrderedDict[str, None] = field(default_factory=OrderedDict)

    async def parameters(self, request: web.Request) -> dict[str, str]:
        """The request's parameters, of query and body.

        Raises
        ------
        VendorRefusal : it is not signed with the key, too old, or a copy
        """
        body = await request.read()
        found = _AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
        if found is None:
            raise VendorRefusal(400, "IncompleteSignature")
        if found["key"] != self.key_id:
            raise VendorRefusal(404, "InvalidAccessKeyId.NotFound")
        headers = {name.lower(): value for name, value in request.headers.items()}
        if headers.get("x-acs-content-sha256") != hashlib.sha256(body).hexdigest():
            raise VendorRefusal(400, "SignatureDoesNotMatch")
        pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
        if not hmac.compare_digest(
            self._signature(request.method, pairs, headers, found["signed"]), found["signature"]
        ):
            raise VendorRefusal(400, "SignatureDoesNotMatch")
        self._require_fresh(headers)
        if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            pairs += parse_qsl(body.decode(), keep_blank_values=True)
        return dict(pairs)

    def _signature(self, method: str, pairs: list[tuple[str, str]], headers: Mapping[str, str], signed: str) -> str:
        query = "&".join(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in sorted(pairs))
        names = signed.split(";")
        required = {"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"}
        if not required <= set(names) or any(name not in headers for name in names):
            raise VendorRefusal(400, "IncompleteSignature")
        lines = "".join(f"{name}:{headers[name].strip()}\n" for name in names)
        whole = f"{method}\n/\n{query}\n{lines}\n{signed}\n{headers['x-acs-content-sha256']}"
        text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(whole.encode()).hexdigest()
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def _require_fresh(self, headers: Mapping[str, str]) -> None:
        try:
            moment = datetime.strptime(headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        except ValueError as error:
            raise VendorRefusal(400, "InvalidTimeStamp.Format") from error
        if abs(moment.timestamp() - time.time()) > MAX_SKEW_SECONDS:
            raise VendorRefusal(400, "InvalidTimeStamp.Expired")
        nonce = headers["x-acs-signature-nonce"]
        if nonce in self._seen:
            raise VendorRefusal(400, "SignatureNonceUsed")
        self._seen[nonce] = None
        while len(self._seen) > _NONCES:
            self._seen.popitem(last=False)
