"""Delivery modes: who may be reached at all, and where a message really goes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from alongside.model.addresses import is_fictional, special_domains
from alongside.model.enums import DeliveryMode
from alongside.model.errors import Refused

#: Keys of stand-ins: a real provider must never be asked with one, nor a patient be thought reached.
DEMO_KEYS = frozenset({"SG.stand-in", "SG.demo", "SG.test"})
#: Domains for documentation (RFC 2606), which `special_domains` leaves out.
_DOCUMENTATION = ("example", "example.com", "example.net", "example.org")


def require_mode(mode: DeliveryMode, url: str, api_key: str, staging_allow: Sequence[str]) -> None:
    """Refuse a set-up that contradicts its mode.

    Raises
    ------
    Refused : sandbox towards a host that is not loopback, staging without an allow-list, live with a demo key, or
        live towards a stand-in
    """
    where = f"delivery.mode {mode.value}"
    if mode is DeliveryMode.SANDBOX and not is_loopback(url):
        remedy = "Start the stand-in with 'alongside sandbox' and set SENDGRID_URL to it, or choose another mode."
        raise Refused("the sandbox talks to loopback only", where=where, remedy=remedy)
    if mode is DeliveryMode.STAGING and not staging_allow:
        remedy = "Name at least one of your own addresses in delivery.staging_allow."
        raise Refused("there is no address that staging may write to", where=where, remedy=remedy)
    if mode is DeliveryMode.LIVE and (not api_key or api_key in DEMO_KEYS):
        remedy = "Set SENDGRID_API_KEY to the hospital's own key."
        raise Refused("the key is a demonstration key", where=where, remedy=remedy)
    if mode is DeliveryMode.LIVE and is_loopback(url):
        raise Refused("a stand-in delivers nothing", where=where, remedy="Unset SENDGRID_URL.")


def is_loopback(url: str) -> bool:
    """Whether the URL names this machine by loopback address or as `localhost`."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


#: (address, message key) -> the address that the message really goes to, and why it goes nowhere; one of them is empty.
Destination = Callable[[str, str], tuple[str, str]]


def destinations(mode: DeliveryMode, staging_allow: Sequence[str]) -> Destination:
    """Where messages go in this mode.

    Staging rewrites every address to one of the allow-list, the same one for the same message. Live refuses what can
    reach nobody; the function that it answers with raises `Refused` for a contact that `--fictional-contacts` invented.
    """
    if mode is DeliveryMode.STAGING:
        return lambda address, key: (staging_allow[int(key[:8], 16) % len(staging_allow)], "")
    return _live if mode is DeliveryMode.LIVE else lambda address, key: (address, "")


def _live(address: str, _key: str) -> tuple[str, str]:
    if is_fictional(address):
        remedy = "Contacts made by --fictional-contacts work with the stand-in only: run on the hospital's own."
        raise Refused("the recipient is fictional", where="delivery.mode live", remedy=remedy)
    return ("", "invalid_address") if is_reserved(address) else (address, "")


def is_reserved(address: str) -> bool:
    """Whether mail to this domain can reach nobody (RFC 2606 and IANA special-use names)."""
    domain = address.rpartition("@")[2].strip().lower()
    names = (*special_domains(), *_DOCUMENTATION)
    return any(domain == name or domain.endswith("." + name) for name in names)
