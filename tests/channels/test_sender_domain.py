"""SPF, DKIM and DMARC as a real resolver on loopback tells them, and what `doctor` makes of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import yaml

from alongside.bootstrap import build
from alongside.channels.sender_domain import Fault, NoAnswer, faults_of, resolver_at
from alongside.diagnosis import Check, examine
from alongside.model.errors import Refused
from alongside.settings import Environment, Project
from tests.delivery.clinic import write_project

DOMAIN = "mail.hospital.test"
KEY = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAx" * 8
GOOD = {
    (DOMAIN, "TXT"): ['"verification=1"', '"v=spf1 include:vendor.test -all"'],
    (f"s1._domainkey.{DOMAIN}", "CNAME"): ["s1.domainkey.vendor.test."],
    ("s1.domainkey.vendor.test", "TXT"): [f'"k=rsa; t=s; p={KEY[:200]}" "{KEY[200:]}"'],
    (f"_dmarc.{DOMAIN}", "TXT"): ['"v=DMARC1; p=quarantine; rua=mailto:dmarc@hospital.test"'],
    (DOMAIN, "MX"): ["10 mx.hospital.test."],
}
Records = dict[tuple[str, str], list[str]]


@dataclass
class Zone:
    """A DNS server on loopback: answers what it holds, with a CNAME in front where there is one."""

    records: Records
    silent: bool = False
    server: socket.socket = field(default_factory=lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.server.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                wire, client = self.server.recvfrom(4096)
            except OSError:
                return
            if wire == b"end":
                return
            if not self.silent:
                self.server.sendto(self.answer(dns.message.from_wire(wire)).to_wire(), client)

    def answer(self, asked: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        (question,) = asked.question
        name, kind = question.name.to_text(omit_final_dot=True).lower(), question.rdtype.name
        while alias := self.records.get((name, "CNAME")):
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "CNAME", *alias))
            name = alias[0].rstrip(".")
        if found := self.records.get((name, kind)):
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", kind, *found))
        elif not any(known == name for known, _ in self.records):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer


@pytest.fixture
def zone() -> Iterator[Zone]:
    found = Zone(dict(GOOD))
    found.server.bind(("127.0.0.1", 0))
    thread = threading.Thread(target=found.serve)
    thread.start()
    yield found
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as farewell:
        farewell.sendto(b"end", found.server.getsockname())
    thread.join(10)
    found.server.close()


def faults(zone: Zone, changes: Mapping[tuple[str, str], list[str] | None] | None = None) -> list[Fault]:
    """With these records instead; None takes one away."""
    for name, records in (changes or {}).items():
        if records is None:
            zone.records.pop(name)
        else:
            zone.records[name] = records
    return faults_of(DOMAIN, resolver_at(zone.place), selectors=["s0", "s1"], bounces_by_mail=True)


def test_a_domain_that_is_in_order_has_no_fault(zone: Zone) -> None:
    assert faults(zone) == []


@pytest.mark.parametrize(
    ("name", "records", "grave", "says"),
    [
        ((DOMAIN, "TXT"), ['"verification=1"'], False, "no SPF record"),
        ((DOMAIN, "TXT"), ['"v=spf1 -all"', '"v=spf1 include:other.test -all"'], True, "2 SPF records"),
        ((DOMAIN, "TXT"), ['"v=spf1 mx +all"'], True, "everybody may send"),
        ((DOMAIN, "TXT"), ['"v=spf10 -all"'], False, "no SPF record"),
        ((f"s1._domainkey.{DOMAIN}", "CNAME"), None, True, "no DKIM key (selectors s0, s1)"),
        (("s1.domainkey.vendor.test", "TXT"), ['"v=DKIM1; p="'], True, "revoked (s1"),
        ((f"_dmarc.{DOMAIN}", "TXT"), None, True, "no DMARC record"),
        ((f"_dmarc.{DOMAIN}", "TXT"), ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"'], True, "2 records"),
        ((f"_dmarc.{DOMAIN}", "TXT"), ['"v=DMARC1; p=none"'], False, "without rua"),
        ((f"_dmarc.{DOMAIN}", "TXT"), ['"v=DMARC1; p=nothing"'], True, "no p=none"),
        ((DOMAIN, "MX"), None, False, "no MX record"),
    ],
)
def test_each_lack_is_named(
    zone: Zone, name: tuple[str, str], records: list[str] | None, grave: bool, says: str
) -> None:
    (fault,) = faults(zone, {name: records})
    assert says in fault.text
    assert fault.grave is grave


@pytest.mark.parametrize(("policy", "well"), [("p=reject", True), ("p=reject; sp=none; rua=mailto:a@b.test", True),
                                              ("p=reject; sp=none", False)])  # fmt: skip
def test_a_policy_of_the_domain_above_holds_below(zone: Zone, policy: str, well: bool) -> None:
    found = faults(
        zone, {(f"_dmarc.{DOMAIN}", "TXT"): None, ("_dmarc.hospital.test", "TXT"): [f'"v=DMARC1; {policy}"']}
    )
    assert (found == []) is well


def test_a_resolver_that_says_nothing_is_no_verdict(zone: Zone) -> None:
    zone.silent = True
    resolver = resolver_at(zone.place)
    resolver.lifetime = 0.2
    with pytest.raises(NoAnswer, match=r"does not answer for mail\.hospital\.test"):
        faults_of(DOMAIN, resolver, selectors=["s1"])


@pytest.mark.parametrize("place", ["resolver.test", "10.0.0.53:port", "10.0.0.53:99999", ":53"])
def test_what_is_no_resolver_is_refused(place: str) -> None:
    with pytest.raises(Refused, match="no DNS resolver"):
        resolver_at(place)


def of_doctor(root: Path, zone: Zone, mode: str) -> Check:
    senders = {
        name: {"address": f"{name}@{DOMAIN.upper()}", "name": {"zh_CN": "青禾", "en": "Qinghe"}}
        for name in ("care", "marketing")
    }
    delivery = {"mode": mode, "staging_allow": ["me@hospital.test"]}
    project = write_project(root, delivery=delivery, email={"senders": senders, "dkim_selectors": ["s1"]})
    environment = {"ALONGSIDE_RESOLVER": zone.place, "ALONGSIDE_KEY_DIR": str(root / "keys")}
    checks = examine(build(Project.at(project.root), Environment.read(environment)))
    return next(one for one in checks if one.name == "sender domains")


def test_doctor_asks_for_every_domain_before_anything_leaves(tmp_path: Path, zone: Zone) -> None:
    assert of_doctor(tmp_path / "well", zone, "staging") == Check(
        "sender domains", "ok", f"SPF, DKIM and DMARC of {DOMAIN}"
    )
    del zone.records[(f"_dmarc.{DOMAIN}", "TXT")]
    found = of_doctor(tmp_path / "ill", zone, "live")
    assert (found.state, "no DMARC record" in found.found) == ("failed", True)
    zone.records.clear()
    assert of_doctor(tmp_path / "sandbox", zone, "sandbox").state == "ok"


def test_shipped_senders_have_domains_of_their_own() -> None:
    """Care and marketing are judged apart by mailbox providers."""
    settings = yaml.safe_load((Path(__file__).resolve().parents[2] / "config" / "alongside.yaml").read_text("utf-8"))
    senders = settings["channels"]["email"]["senders"]
    assert len({one["address"].rpartition("@")[2] for one in senders.values()}) == len(senders)
