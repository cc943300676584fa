"""How WeChat proves that a callback is its own: a digest over a shared token, a time and a number used once.

The digest does not cover the body, so whoever has seen one could send another body with it: it is believed while it is
fresh, and with one body only (`alongside.web.wechat_callbacks`).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime

#: How far the vendor's clock and ours may be apart, and for how long a digest is believed.
MAX_AGE_SECONDS = 300


def digest(token: str, timestamp: str, nonce: str) -> str:
    """SHA-1, in hex, of the three parts in the order of the alphabet."""
    return hashlib.sha1("".join(sorted((token, timestamp, nonce))).encode(), usedforsecurity=False).hexdigest()


def verify(token: str, timestamp: str, nonce: str, signature: str, *, now: datetime) -> bool:
    """Whether whoever knows the token has signed these just now; an empty token verifies nothing."""
    if not token or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12 or len(nonce) > 128:
        return False
    if abs(now.timestamp() - int(timestamp)) > MAX_AGE_SECONDS:
        return False
    return hmac.compare_digest(digest(token, timestamp, nonce).encode(), signature.encode())
