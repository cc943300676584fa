"""Simulated patients must never reach a real server: everything stays on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from alongside.model.errors import Refused


def is_loopback_host(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and is_loopback_host(parts.hostname or "")
    except ValueError:
        return False


def require_loopback_host(host: str) -> str:
    """The host, or a refusal: the stand-in takes any content from anyone and must not be reachable."""
    if not is_loopback_host(host):
        raise Refused(
            f"the stand-in listens on loopback only, not on {host!r}",
            where="--host",
            remedy="Use 127.0.0.1 or ::1.",
        )
    return "127.0.0.1" if host == "localhost" else host


def require_loopback_url(url: str) -> str:
    """The URL, or a refusal: events of simulated patients must not reach a real server."""
    if not is_loopback_url(url):
        raise Refused(
            f"the stand-in posts events to loopback only, not to {url!r}",
            where="--webhook",
            remedy="Give a URL such as http://127.0.0.1:8021/webhooks/sendgrid.",
        )
    return url
