"""Delivery modes: who may be reached at all, and where a message really goes."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from alongside.model.addresses import is_fictional, special_domains
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import Refused
from alongside.settings.environment import Account

#: A channel of the hospital's own: there is nobody outside who could be asked with a wrong key.
INTERNAL = Account("", "", "", "")
#: Keys of stand-ins: a real provider must never be asked with one, nor a patient be thought reached.
DEMO_KEYS = frozenset({"SG.stand-in", "SG.demo", "SG.test", "stand-in"})
#: Domains for documentation (RFC 2606), which `special_domains` leaves out.
_DOCUMENTATION = ("example", "example.com", "example.net", "example.org")


def require_mode(mode: DeliveryMode, channel: Channel, account: Account, staging_allow: Sequence[str]) -> None:
    """Refuse a set-up that contradicts its mode.

    Raises
    ------
    Refused : sandbox towards a host that is not loopback, staging without an address of this channel in its
        allow-list, live with a demo key, or live towards a stand-in
    """
    where = f"delivery.mode {mode.value}, channel {channel.value}"
    if account is INTERNAL and mode is not DeliveryMode.STAGING:
        return
    if mode is DeliveryMode.SANDBOX and not is_loopback(account.url):
        remedy = (
            f"Start the stand-in with 'alongside sandbox' and set {account.url_from} to it, or choose another mode."
        )
        raise Refused("the sandbox talks to loopback only", where=where, remedy=remedy)
    if mode is DeliveryMode.STAGING and not allowed_addresses(staging_allow, channel):
        remedy = f"Name at least one of your own in delivery.staging_allow: {_LOOKS_LIKE[channel.address]}."
        raise Refused(f"there is no {channel.address} that staging may write to", where=where, remedy=remedy)
    if mode is DeliveryMode.LIVE and (not account.secret or account.secret in DEMO_KEYS):
        remedy = f"Set {account.secret_from} to the hospital's own key."
        raise Refused("the key is a demonstration key", where=where, remedy=remedy)
    if mode is DeliveryMode.LIVE and is_loopback(account.url):
        raise Refused("a stand-in delivers nothing", where=where, remedy=f"Unset {account.url_from}.")


#: How an address of each kind is written in the allow-list.
_LOOKS_LIKE = {
    "email": "a mail address",
    "phone": "a number such as '+8613800000000'",
    "openid": "your own openid, as 'openid:oAbC...'",
    "device_token": "your own device's token, as 'device_token:fXyZ...'",
    "postal": "an address such as '1 Demonstration Road, Qinghe'",
}
_NUMBER = re.compile(r"\+?[\d\s()./;=ext-]+")


def allowed_addresses(staging_allow: Sequence[str], channel: Channel) -> list[str]:
    """Those of the allow-list that this channel can write to; `kind:` stands before what its looks do not tell."""
    told = [_kind(entry) for entry in staging_allow]
    return [address for kind, address in told if kind == channel.address]


def _kind(entry: str) -> tuple[str, str]:
    kind, named, address = entry.partition(":")
    if named and kind in ("openid", "device_token"):
        return kind, address
    return "email" if "@" in entry else "phone" if _NUMBER.fullmatch(entry) else "postal", entry


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


def destinations(mode: DeliveryMode, channel: Channel, staging_allow: Sequence[str]) -> Destination:
    """Where messages of a channel go in this mode.

    Staging rewrites every address to one of the allow-list, the same one for the same message. Live refuses what can
    reach nobody; the function that it answers with raises `Refused` for a contact that `--fictional-contacts` invented.
    """
    if mode is DeliveryMode.STAGING:
        own = allowed_addresses(staging_allow, channel)
        return lambda address, key: (own[int(key[:8], 16) % len(own)], "")
    return _live if mode is DeliveryMode.LIVE else lambda address, key: (address, "")


def _live(address: str, _key: str) -> tuple[str, str]:
    if is_fictional(address):
        remedy = "Contacts made by --fictional-contacts work with the stand-in only: run on the hospital's own."
        raise Refused("the recipient is fictional", where="delivery.mode live", remedy=remedy)
    return ("", "invalid_address") if is_reserved(address) else (address, "")


def is_reserved(address: str) -> bool:
    """Whether mail to this domain can reach nobody (RFC 2606 and IANA special-use names); False for a number."""
    return "@" in address and _is_reserved_domain(address.rpartition("@")[2].strip().lower())


@lru_cache(maxsize=1024)
def _is_reserved_domain(domain: str) -> bool:
    """Patients share a handful of domains, and asking costs as much as opening the vault for each of them."""
    names = (*special_domains(), *_DOCUMENTATION)
    return any(domain == name or domain.endswith("." + name) for name in names)
