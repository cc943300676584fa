"""Webhook events in SendGrid's shape, and their signature (ECDSA P-256 over time stamp and raw body)."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from alongside.sandbox.sendgrid.behaviour import Act

SIGNATURE_HEADER = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP_HEADER = "X-Twilio-Email-Event-Webhook-Timestamp"
PRIVATE_KEY_FILE = "webhook-key.pem"
PUBLIC_KEY_FILE = "webhook-public-key.txt"

_PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
_PROXY = "Mozilla/5.0"
_SCANNER = "Mozilla/5.0 (compatible; LinkScanner/1.0)"
#: What each act adds to an event, and under which name it is reported.
_SHAPES: dict[Act, dict[str, Any]] = {
    Act.PROCESSED: {"event": "processed"},
    Act.DEFERRED: {"event": "deferred", "response": "451 4.7.1 try again later", "attempt": "1"},
    Act.DELIVERED: {"event": "delivered", "response": "250 OK"},
    Act.BOUNCE: {
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 mailbox does not exist",
        "bounce_classification": "Invalid Address",
    },
    Act.BLOCKED: {
        "event": "bounce",
        "type": "blocked",
        "status": "4.7.0",
        "reason": "421 4.7.0 temporarily refused",
        "bounce_classification": "Reputation",
    },
    Act.DROPPED: {"event": "dropped"},
    Act.MACHINE_OPEN: {"event": "open", "sg_machine_open": True, "useragent": _PROXY, "ip": "192.0.2.10"},
    Act.OPEN: {"event": "open", "sg_machine_open": False, "useragent": _PHONE, "ip": "198.51.100.7"},
    Act.BOT_CLICK: {"event": "click", "useragent": _SCANNER, "ip": "192.0.2.44"},
    Act.CLICK: {"event": "click", "useragent": _PHONE, "ip": "198.51.100.7"},
    Act.UNSUBSCRIBE: {"event": "unsubscribe"},
    Act.COMPLAINT: {"event": "spamreport"},
}


def event(record: Mapping[str, Any], act: Act, index: int, moment: float) -> dict[str, Any]:
    """One event of an accepted message.

    Parameters
    ----------
    record : the message's line in `accepted.ndjson`
    index : which step of the message it is; makes `sg_event_id` the same after a restart
    moment : seconds since the epoch; the vendor reports whole seconds
    """
    shape = _SHAPES[act]
    message = f"{record['request_id']}.{record['n']}"
    found: dict[str, Any] = {name: record[name] for name in ("m", "b") if record.get(name) is not None}
    found |= record.get("args", {})
    found |= {
        "email": record["to"],
        "timestamp": int(moment),
        "smtp-id": f"<{message}@stand-in.example>",
        "sg_message_id": f"{message}.recvd-stand-in",
        "sg_event_id": _event_id(message, index),
    }
    found |= shape
    if act is Act.DROPPED:
        found["reason"] = record["dropped"]
    if act in (Act.CLICK, Act.BOT_CLICK):
        found["url"] = record.get("link", "https://hospital.example/")
        found["url_offset"] = {"index": 0, "type": "html"}
    if categories := record.get("categories"):
        found["category"] = categories[0] if len(categories) == 1 else categories
    return found


def _event_id(message: str, index: int) -> str:
    digest = hashlib.blake2b(f"{message}|{index}".encode(), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True)
class Signer:
    """The webhook's key pair. `public_key` is what the vendor's settings page shows: base64 of the SPKI."""

    private_key: ec.EllipticCurvePrivateKey
    public_key: str

    @classmethod
    def load(cls, folder: Path) -> Signer:
        """The key pair of this folder, made on first use; the public key also stands in a text file."""
        path = folder / PRIVATE_KEY_FILE
        if not path.exists():
            _write_private(path, ec.generate_private_key(ec.SECP256R1()))
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{path.name} holds no elliptic-curve key")
        spki = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        public = base64.b64encode(spki).decode()
        (folder / PUBLIC_KEY_FILE).write_text(public + "\n", "utf-8")
        return cls(key, public)

    def headers(self, payload: bytes, timestamp: int) -> dict[str, str]:
        """The two headers that go with a payload sent at `timestamp` (wall time, seconds)."""
        stamp = str(timestamp)
        signature = self.private_key.sign(stamp.encode() + payload, ec.ECDSA(hashes.SHA256()))
        return {SIGNATURE_HEADER: base64.b64encode(signature).decode(), TIMESTAMP_HEADER: stamp}


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem)
    temporary.replace(path)
