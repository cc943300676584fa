"""A small hospital for delivery tests: its own project folder, people in the vault with consent, planned messages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from alongside.content import ContentCatalogue
from alongside.content import load as load_content
from alongside.delivery import DispatchReport, ReconcileReport, dispatch, reconcile
from alongside.delivery.recheck import Checked, recheck
from alongside.ledger import Ledger, schema
from alongside.ledger.claims import Claim
from alongside.ledger.consent import ConsentEvent
from alongside.ledger.messages import Planned, count_states, plan_batches
from alongside.ledger.relations import fact_of
from alongside.ledger.vault import Identity, Vault
from alongside.model.clock import RunClock
from alongside.model.enums import Channel, Decision, DeliveryMode, Locale
from alongside.model.postal import PostalAddress
from alongside.sandbox.aliyun.options import DEFAULT_KEY_ID, DEFAULT_SECRET
from alongside.sandbox.twilio.options import DEFAULT_ACCOUNT_SID, DEFAULT_AUTH_TOKEN, DEFAULT_NUMBER
from alongside.sandbox.wechat import options as wechat
from alongside.sandbox.wechat.options import DEFAULT_APP_ID
from alongside.settings import Environment, HospitalSettings, Project, read_model
from tests.fakes import NOON, key_of, plan_rows

ROOT = Path(__file__).resolve().parents[2]
VAULT_KEY = bytes(range(32))
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
GIVEN_NAMES = ("Anna", "Yusuf", "Ingrid", "Mateo", "Aoife", "Tomasz", "Lakshmi", "Kofi", "Hana", "Pierre", "Olga")
FAMILY_NAMES = ("Smith", "Novak", "Garcia", "Okafor", "Silva", "Haddad", "Larsen", "Murphy", "Rossi", "Tanaka")
#: Renders into one text for everybody, with the salutation as its only substitution.
SHARED = "prevention/heart"
#: Has a loop, so that every recipient needs a request of their own.
PERSONAL = "prevention/steps"

_DEFINITION = """
purpose: education
stage: prevention
audience: Everybody who takes part in this test
channels: [email, sms, wechat, push, call, letter]
subject: {zh_CN: 心脏健康一分钟, en: A minute for your heart}
variables:
  steps: {value: "1", example: [walk, rest], description: what to do, optional: true}
reviewers: [cardiologist]
expires: 2035-12-31
"""
_MJML = """{{% extends "_layout/email.{locale}.mjml.j2" %}}
{{% block preview %}}{title}{{% endblock %}}
{{% block title %}}{title}{{% endblock %}}
{{% block content %}}
    <mj-section><mj-column><mj-text>{body}</mj-text></mj-column></mj-section>
{{% endblock %}}
"""
_TEXT = """{{% extends "_layout/text.{locale}.txt.j2" %}}
{{% block title %}}{title}{{% endblock %}}
{{% block content %}}
{body}
{{% endblock %}}
"""
_SMS = "{{{{ hospital.name }}}}: {title}. {body}"
_LETTER = """{{% extends "_layout/letter.{locale}.html.j2" %}}
{{% block title %}}{title}{{% endblock %}}
{{% block content %}}
<p>{body}</p>
{{% endblock %}}
"""
_WECHAT = "{title}\nWhat to do: A short walk today"
_PUSH = "{{{{ hospital.name }}}}\n{title}. {body}"
_TITLE = {"zh_CN": "心脏健康一分钟", "en": "A minute for your heart"}
#: How the clinic is set up to send text messages, through the stand-in of Twilio.
TEXT_MESSAGES: dict[str, Any] = {
    "provider": "twilio",
    "senders": {"care": {"address": DEFAULT_NUMBER, "name": {"zh_CN": "青禾", "en": "Qinghe"}}},
}
_LOOP = "{% for step in steps or [] %}{{ step }}. {% endfor %}"


def write_project(root: Path, **changes: Mapping[str, Any]) -> Project:
    """The project's own configuration with changes (section -> fields), and two messages in its layout."""
    (root / "config").mkdir(parents=True)
    for entry in (ROOT / "config").iterdir():
        if entry.name != "alongside.yaml":
            (root / "config" / entry.name).symlink_to(entry)
    settings = yaml.safe_load((ROOT / "config" / "alongside.yaml").read_text("utf-8"))
    settings["delivery"].update({"lease_seconds": 5, **changes.get("delivery", {})})
    settings["channels"]["email"].update(changes.get("email", {}))
    settings["channels"]["sms"] = {**TEXT_MESSAGES, **changes.get("sms", {})}
    settings["channels"]["letter"].update(changes.get("letter", {}))
    for channel in ("wechat", "push"):  # only where a test is about it
        settings["channels"].pop(channel, None)
        settings["channels"] |= {channel: changes[channel]} if channel in changes else {}
    settings["gates"].update(changes.get("gates", {}))
    (root / "config" / "alongside.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")
    (root / "templates" / "prevention").mkdir(parents=True)
    shutil.copytree(ROOT / "templates" / "_layout", root / "templates" / "_layout")
    _write_message(root / "templates" / SHARED, "A short walk today is worth more than a long one some day.")
    _write_message(root / "templates" / PERSONAL, _LOOP + "A short walk today.")
    return Project.at(root, root / "var")


def _write_message(folder: Path, body: str) -> None:
    folder.mkdir()
    (folder / "message.yaml").write_text(_DEFINITION, "utf-8")
    for locale, title in _TITLE.items():
        words = {"locale": locale, "title": title, "body": body}
        (folder / f"email.{locale}.mjml.j2").write_text(_MJML.format(**words), "utf-8")
        (folder / f"email.{locale}.txt.j2").write_text(_TEXT.format(**words), "utf-8")
        (folder / f"letter.{locale}.html.j2").write_text(_LETTER.format(**words), "utf-8")
        for channel, text in {"sms": _SMS, "call": _SMS, "wechat": _WECHAT, "push": _PUSH}.items():
            (folder / f"{channel}.{locale}.txt.j2").write_text(text.format(**words), "utf-8")


def name_of(number: int) -> str:
    """A name that a salutation can be made of; numbers in names would be no names."""
    return f"{GIVEN_NAMES[number // len(FAMILY_NAMES) % len(GIVEN_NAMES)]} {FAMILY_NAMES[number % len(FAMILY_NAMES)]}"


def phone_of(number: int) -> str:
    """A number of the range that the demo hospital uses."""
    return f"+861990000{number:04d}"


def home_of(number: int) -> PostalAddress:
    """An address in the demo hospital's city, which is on no map."""
    return PostalAddress("CN", "999001", "", "青禾市", "东湖区", f"示范路{number + 1}号")


def openid_of(number: int) -> str:
    """A follower's id."""
    return f"oQh_{number:024d}"


def device_of(number: int) -> str:
    """An installation of the app."""
    return f"f{number:021d}:APA91b{'x' * 120}"


def registered(template: Mapping[str, Any]) -> wechat.Registered:
    """A template of the configuration, as the account has it."""
    fields = {one["name"]: one["label"] for one in template["fields"]}
    return wechat.Registered(template["template_id"], template["title"], fields)


@dataclass
class Clinic:
    """What a test needs to plan, dispatch and look at the ledger."""

    ledger: Ledger
    project: Project
    settings: HospitalSettings
    environment: Environment
    vault: Vault
    as_of: datetime = NOON

    @classmethod
    def open(cls, url: str, root: Path, vendor_url: str, *, account: str = "", **changes: Mapping[str, Any]) -> Clinic:
        """A new hospital in an empty folder; `account` is a key of Google's, where it notifies an app."""
        write_project(root, **changes)
        return cls.attach(url, root, vendor_url, account)

    @classmethod
    def attach(cls, url: str, root: Path, vendor_url: str, account: str = "") -> Clinic:
        """The same hospital from another process."""
        project = Project.at(root, root / "var")
        environment = Environment(
            ledger_url=url,
            vault_key=VAULT_KEY,
            sendgrid_api_key="SG.stand-in",
            sendgrid_url=vendor_url,
            twilio_account_sid=DEFAULT_ACCOUNT_SID,
            twilio_auth_token=DEFAULT_AUTH_TOKEN,
            twilio_url=vendor_url,
            smtp_url=vendor_url,
            aliyun_access_key_id=DEFAULT_KEY_ID,
            aliyun_access_key_secret=DEFAULT_SECRET,
            aliyun_sms_url=vendor_url,
            wechat_app_id=DEFAULT_APP_ID,
            wechat_app_secret=wechat.DEFAULT_SECRET,
            wechat_url=vendor_url,
            fcm_service_account=account,
            fcm_url=vendor_url,
        )
        ledger = Ledger.open(url)
        settings = read_model(HospitalSettings, project.config / "alongside.yaml")
        return cls(ledger, project, settings, environment, Vault.open(ledger, environment))

    @cached_property
    def content(self) -> ContentCatalogue:
        """Read when something is planned: processes that only send read their own."""
        return load_content(self.project)

    @property
    def clock(self) -> RunClock:
        return RunClock(self.as_of, datetime.now(UTC), replay=True)

    def admit(
        self,
        numbers: Sequence[int],
        *,
        consent: bool = True,
        domain: str = "example.com",
        channels: Sequence[str] = ("email",),
    ) -> None:
        """People with a name, an address and consent to everything."""
        people = {
            f"p{number:016x}": Identity(
                name=name_of(number),
                email=f"patient{number}@{domain}",
                phone=phone_of(number),
                gender="female",
                postal=home_of(number).kept,
                openid=openid_of(number),
                device_token=device_of(number),
            )
            for number in numbers
        }
        with self.ledger.begin() as connection:
            self.vault.store(connection, people, NOON)
        if consent:
            self._consent(list(people), channels)

    def _consent(self, people: Sequence[str], channels: Sequence[str]) -> None:
        events = [
            ConsentEvent(person, purpose, channel, Decision.PERMIT, LONG_AGO, "extract:crm", "form")
            for person in people
            for channel in channels
            for purpose in ("education", "marketing", "care", "survey")
        ]
        rows = [
            {
                "person_id": event.person_id,
                "purpose": event.purpose,
                "channel": event.channel,
                "decision": event.decision.value,
                "decided_at": event.decided_at,
                "recorded_at": NOON,
                "origin": event.origin,
                "evidence": event.evidence,
                "fact": event.fact,
            }
            for event in events
        ]
        self.ledger.insert_arrow(schema.consent_event, pa.Table.from_pylist(rows))

    def relate(self, patients: Sequence[int], relatives: Sequence[int]) -> None:
        """Each patient lets the relative of the same place know."""
        rows = []
        for patient, relative in zip(patients, relatives, strict=True):
            said = (f"p{patient:016x}", f"p{relative:016x}", "child", None, "permit", LONG_AGO, "extract:crm")
            names = ("person_id", "related_id", "relationship", "decides", "decision", "decided_at", "origin")
            rows.append(
                {**dict(zip(names, said, strict=True)), "recorded_at": NOON, "evidence": "", "fact": fact_of(*said)}
            )
        with self.ledger.begin() as connection:
            connection.execute(schema.relation_event.insert(), rows)

    def plan(
        self,
        numbers: Sequence[int],
        *,
        template: str = SHARED,
        batch_size: int = 100,
        run_id: str = "run-1",
        channel: Channel = Channel.EMAIL,
        **columns: Any,
    ) -> Planned:
        """Messages to these people, as planning writes them."""
        hashes = {locale.value: self.content.compiled(template, channel, locale).hash for locale in Locale}
        rows = plan_rows(
            numbers,
            **{
                "template": template,
                "template_hash": hashes[columns.get("locale", "en")],
                "channel": channel.value,
                "address_blind": [self.blind(number, channel=channel) for number in numbers],
                "variables": json.dumps(
                    {"v": {"steps": ["walk", "rest"]}, "zone": "Asia/Shanghai", "quiet": [None, None]}
                ),
                **columns,
            },
        )
        with self.ledger.begin() as connection:
            return plan_batches(
                connection,
                rows,
                run_id=run_id,
                campaign="hello",
                planned_at=self.as_of,
                now=datetime.now(UTC),
                batch_size=batch_size,
            )

    def blind(self, number: int, domain: str = "example.com", channel: Channel = Channel.EMAIL) -> str:
        mine = {
            "email": f"patient{number}@{domain}",
            "phone": phone_of(number),
            "openid": openid_of(number),
            "device_token": device_of(number),
            "postal": home_of(number).kept,
        }
        return self.vault.blind_index(channel.address, mine[channel.address])

    def dispatch(self, **options: Any) -> DispatchReport:
        options.setdefault("mode", DeliveryMode.SANDBOX)
        options.setdefault("workers", 0)
        return dispatch(self.ledger, self.project, self.settings, self.environment, **{"clock": self.clock, **options})

    def recheck(self, held: Claim, topics: Sequence[str] = ()) -> Checked:
        """The last look at a batch that a worker holds."""
        with self.ledger.reading() as connection:
            return recheck(
                connection,
                held,
                vault=self.vault,
                settings=self.settings,
                mode=DeliveryMode.SANDBOX,
                patient_now=self.as_of,
                topics=topics,
            )

    def reconcile(self, **options: Any) -> ReconcileReport:
        return reconcile(self.ledger, self.project, self.settings, self.environment, clock=self.clock, **options)

    def towards(self, vendor_url: str) -> Clinic:
        urls = {f"{vendor}_url": vendor_url for vendor in ("sendgrid", "twilio", "aliyun_sms", "smtp", "wechat", "fcm")}
        return replace(self, environment=replace(self.environment, **urls))

    @property
    def states(self) -> dict[str, int]:
        """Messages by state; only states that occur, without `taken`."""
        with self.ledger.reading() as connection:
            counts = count_states(connection)
        return {name: count for name, count in counts.items() if count and name != "taken"}

    def states_of(self, numbers: Sequence[int]) -> list[tuple[str, str | None]]:
        """State and reason of these messages."""
        rows = self.ledger.read_arrow("SELECT message_key, state, reason FROM message").to_pylist()
        found = {row["message_key"]: (row["state"], row["reason"]) for row in rows}
        return [found[key_of(number)] for number in numbers]
