"""The service account of the stand-in, and the address that gives tokens for what it has signed.

The JWT is checked here anew rather than with the adapter's own functions, so that a mistake there shows.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from alongside.sandbox.common.http import json_response

FILE = "service-account-key.pem"
#: As `private_key_id` it can be told from every real key.
KEY_ID = "stand-in"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_SECONDS = 3599
#: Google's own libraries name this address whatever the key file says.
_AUDIENCE = "https://oauth2.googleapis.com/token"


@dataclass
class Tokens:
    """Gives access tokens, and knows which hold; by the wall, as JWTs do."""

    key: rsa.RSAPrivateKey = field(repr=False)
    project: str
    url: str = ""
    given: int = 0
    _until: dict[str, float] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, project: str) -> Tokens:
        """With the key of an earlier life, or a new one."""
        path = folder / FILE
        if not path.exists():
            fresh = rsa.generate_private_key(65537, 2048)
            path.write_bytes(fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
            path.chmod(0o600)
        key = load_pem_private_key(path.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - what was written
        return cls(key, project)

    @property
    def email(self) -> str:
        return f"sender@{self.project}.iam.example"

    @property
    def account(self) -> str:
        """The JSON of the account's key, as a console would download it."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return json.dumps(
            {
                "type": "service_account",
                "project_id": self.project,
                "private_key_id": KEY_ID,
                "private_key": pem,
                "client_email": self.email,
                "client_id": "1",
                "token_uri": self.url,
            }
        )

    async def give(self, request: web.Request) -> web.Response:
        form = await request.post()
        if form.get("grant_type") != _GRANT:
            return _refused("unsupported_grant_type", "grant_type")
        if fault := self._fault(str(form.get("assertion", "")), time.time()):
            return _refused("invalid_grant", fault)
        value = f"ya29.{secrets.token_urlsafe(40)}"
        self._until[value] = time.time() + _SECONDS
        self.given += 1
        return json_response({"access_token": value, "expires_in": _SECONDS, "token_type": "Bearer"})

    def _fault(self, assertion: str, now: float) -> str:
        parts = assertion.split(".")
        try:
            header, claims = (json.loads(_unbase64(part)) for part in parts[:2])
            signature = _unbase64(parts[2])
            self.key.public_key().verify(signature, ".".join(parts[:2]).encode(), padding.PKCS1v15(), SHA256())
        except (ValueError, IndexError, binascii.Error, InvalidSignature):
            return "Invalid JWT Signature."
        wanted: dict[str, Any] = {"iss": self.email, "scope": _SCOPE}
        if header.get("alg") != "RS256" or header.get("kid") != KEY_ID:
            return "Invalid JWT: header."
        if wrong := [name for name, value in wanted.items() if claims.get(name) != value]:
            return f"Invalid JWT: {wrong[0]}."
        if claims.get("aud") not in (self.url, _AUDIENCE):
            return "Invalid JWT: aud."
        begun, ends = claims.get("iat", 0), claims.get("exp", 0)
        if not begun - 60 <= now < ends or ends - begun > 3600:
            return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
        return ""

    def holds(self, value: str) -> bool:
        return self._until.get(value, 0.0) > time.time()

    def forget(self) -> None:
        """As after the key was changed: nothing that was given holds any more."""
        self._until.clear()


def _refused(error: str, description: str) -> web.Response:
    body = json.dumps({"error": error, "error_description": description}).encode()
    return web.Response(status=400, body=body, content_type="application/json")


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
