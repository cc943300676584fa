"""What DNS says of a domain that mail is sent from: SPF (RFC 7208), DKIM (RFC 6376), DMARC (RFC 7489), bounces.

Gmail and Yahoo want all three of whoever sends in bulk (Email sender guidelines, 2024). Read only; nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import dns.exception
import dns.name
import dns.resolver

from alongside.model.errors import AlongsideError, Refused

_SECONDS = 5.0


class NoAnswer(AlongsideError):
    """The resolver did not answer: ask again later."""


@dataclass(frozen=True)
class Fault:
    """What is wrong, with what to publish. `grave`: mailbox providers refuse or hide mail for it."""

    grave: bool
    text: str


def resolver_at(place: str = "") -> dns.resolver.Resolver:
    """The machine's resolver, or the one at `place`.

    Parameters
    ----------
    place : IP address, with or without a port: `10.0.0.53`, `127.0.0.1:5353`, `[::1]:5353`

    Raises
    ------
    Refused : `place` is no address of a resolver, or the machine has none
    """
    try:
        if not place:
            found = dns.resolver.Resolver()
        else:
            parts = urlsplit(f"//{place}")
            found = dns.resolver.Resolver(configure=False)
            found.nameservers = [parts.hostname or ""]
            found.port = parts.port or 53
    except (ValueError, dns.exception.DNSException) as error:
        remedy = "An IP address with or without a port, for example 10.0.0.53:53."
        raise Refused("no DNS resolver to ask", where="ALONGSIDE_RESOLVER", remedy=remedy) from error
    found.lifetime = found.timeout = _SECONDS
    return found


def faults_of(
    domain: str, resolver: dns.resolver.Resolver, *, selectors: Sequence[str], bounces_by_mail: bool = False
) -> list[Fault]:
    """What a mailbox provider would hold against mail from `domain`; empty when all is well.

    Parameters
    ----------
    selectors : under which a DKIM key may lie; one that is there is enough
    bounces_by_mail : undeliverable mail comes back to the domain, which therefore needs a mail server

    Raises
    ------
    NoAnswer : the resolver does not answer; nothing is known
    """
    asked = _Zone(domain, resolver)
    found = [*_spf(asked), *_dkim(asked, selectors), *_dmarc(asked)]
    if bounces_by_mail and not asked.look_up(domain, "MX"):
        found.append(Fault(False, f"{domain} has no MX record: mail that comes back is lost"))
    return found


@dataclass(frozen=True)
class _Zone:
    domain: str
    resolver: dns.resolver.Resolver

    def look_up(self, name: str, kind: str) -> list[str]:
        """Records as text; none when the name or the kind is not there."""
        try:
            answer = self.resolver.resolve(name, kind)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return []
        except dns.exception.DNSException as error:
            raise NoAnswer(
                f"DNS does not answer for {name} ({type(error).__name__})", where="ALONGSIDE_RESOLVER"
            ) from error
        if kind == "TXT":  # one record may be cut into strings, which belong together without a space
            return [b"".join(record.strings).decode("utf-8", "replace") for record in answer]
        return [record.to_text() for record in answer]


def _spf(asked: _Zone) -> list[Fault]:
    policies = [text for text in asked.look_up(asked.domain, "TXT") if re.match(r"v=spf1(?: |$)", text, re.IGNORECASE)]
    if not policies:
        return [Fault(False, f"{asked.domain} has no SPF record: publish the one that your mail provider names")]
    if len(policies) > 1:
        return [Fault(True, f"{asked.domain} has {len(policies)} SPF records, which counts as none: merge them")]
    terms = policies[0].lower().split()
    if "+all" in terms or "all" in terms:
        return [Fault(True, f"the SPF record of {asked.domain} ends in +all: everybody may send in its name")]
    return []


def _dkim(asked: _Zone, selectors: Sequence[str]) -> list[Fault]:
    revoked = []
    for selector in selectors:
        for text in asked.look_up(f"{selector}._domainkey.{asked.domain}", "TXT"):
            tags = _tags(text)
            if tags.get("p"):
                return []
            revoked += [selector] if "p" in tags else []
    if revoked:
        return [Fault(True, f"the DKIM key of {asked.domain} is revoked ({', '.join(revoked)}: p is empty)")]
    tried = ", ".join(selectors) or "none given"
    return [
        Fault(True, f"{asked.domain} has no DKIM key (selectors {tried}): channels.email.dkim_selectors names yours")
    ]


def _dmarc(asked: _Zone) -> list[Fault]:
    """The policy of the domain, else of the nearest domain above that has one."""
    labels = asked.domain.split(".")
    for start in range(len(labels) - 1):
        name = ".".join(labels[start:])
        policies = [text for text in asked.look_up(f"_dmarc.{name}", "TXT") if re.match(r"v=DMARC1\s*(;|$)", text)]
        if len(policies) > 1:
            return [Fault(True, f"_dmarc.{name} has {len(policies)} records, which counts as none: keep one")]
        if policies:
            tags = _tags(policies[0])
            policy = tags.get("p", "").lower() if start == 0 else tags.get("sp", tags.get("p", "")).lower()
            if policy not in ("none", "quarantine", "reject"):
                return [Fault(True, f"the DMARC record of {name} says no p=none, quarantine or reject")]
            if policy == "none" and not tags.get("rua"):
                return [Fault(False, f"DMARC of {name} is p=none without rua: nobody hears of forged mail")]
            return []
    return [Fault(True, f"{asked.domain} has no DMARC record: publish v=DMARC1; p=none; rua=mailto:... to begin with")]


def _tags(text: str) -> dict[str, str]:
    """`k=rsa; p=...` as a dict. Spaces within a key's value mean nothing."""
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): re.sub(r"\s+", "", value) for name, _, value in pairs}
