"""A Google service account: proves who we are with a signed JWT, and gets an access token for it (RFC 7523)."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from alongside.model.errors import Refused

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: The longest that Google allows.
_SECONDS = 3600
_WHERE = "FCM_SERVICE_ACCOUNT"
_REMEDY = "Give the JSON of a key of the service account, as the console downloads it."


@dataclass(frozen=True)
class ServiceAccount:
    """What a key file holds.

    Attributes
    ----------
    token_url : where tokens are given
    """

    project: str
    email: str
    key_id: str
    token_url: str
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def read(cls, text: str) -> ServiceAccount:
        """Of the JSON of a key.

        Raises
        ------
        Refused : it is none; the words repeat nothing of it
        """
        try:
            given = orjson.loads(text)
            names = ("project_id", "client_email", "private_key_id", "token_uri", "private_key")
            project, email, key_id, url, pem = (str(given[name]) for name in names)
            key = load_pem_private_key(pem.encode(), None)
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, UnsupportedAlgorithm):
            raise Refused("it is no key of a service account", where=_WHERE, remedy=_REMEDY) from None
        if not isinstance(key, RSAPrivateKey) or urlsplit(url).scheme not in ("http", "https"):
            raise Refused("its key is not RSA, or its token address is none", where=_WHERE, remedy=_REMEDY)
        return cls(project, email, key_id, url, key)

    def assertion(self, scope: str, now: float) -> str:
        """A JWT that the token address takes for one hour (RS256).

        Parameters
        ----------
        now : seconds since the epoch
        """
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key_id}
        begun = int(now)
        claims = {"iss": self.email, "scope": scope, "aud": self.token_url, "iat": begun, "exp": begun + _SECONDS}
        signed = b".".join(_base64(orjson.dumps(part)) for part in (header, claims))
        return b".".join((signed, _base64(self.key.sign(signed, PKCS1v15(), SHA256())))).decode()


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
