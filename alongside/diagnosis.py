"""`alongside doctor`: is everything there that a run needs?"""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

from alongside import telemetry
from alongside.bootstrap import Services
from alongside.channels.acceptance import registered_templates
from alongside.channels.aliyun import Aliyun
from alongside.channels.capabilities import provider_of
from alongside.channels.google_account import ServiceAccount
from alongside.channels.registered import registered_texts
from alongside.channels.sender_domain import NoAnswer, faults_of, resolver_at
from alongside.channels.wechat import WeChat
from alongside.checking import check_project
from alongside.delivery.seeding import unreachable
from alongside.delivery.vendors import TWILIO_INBOUND_PATH, WECHAT_PATH, Books, open_vendor
from alongside.ledger import consent
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import AlongsideError, Refused
from alongside.settings.references import resolve

#: Free space below which a run is likely to fail half-way.
LEAST_FREE_BYTES = 2_000_000_000


@dataclass(frozen=True)
class Check:
    """`state` is ok, warning or failed."""

    name: str
    state: str
    found: str


def examine(house: Services) -> list[Check]:
    """Every check, also when an earlier one failed."""
    return [_safely(name, check, house) for name, check in _CHECKS.items()]


def _safely(name: str, check: Callable[[Services], tuple[str, str]], house: Services) -> Check:
    try:
        return Check(name, *check(house))
    except (AlongsideError, OSError) as error:
        return Check(name, "failed", str(error))


def _configuration(house: Services) -> tuple[str, str]:
    errors = [finding for finding in check_project(house.project) if finding.severity == "error"]
    return ("failed", f"{len(errors)} faults: run 'alongside check'") if errors else ("ok", "no faults")


def _ledger(house: Services) -> tuple[str, str]:
    info = house.ledger.info
    kind = "SQLite" if house.ledger.is_sqlite else "PostgreSQL"
    return "ok", f"{kind}, id {info.ledger_id}, epoch {info.epoch}"


def _vault(house: Services) -> tuple[str, str]:
    environment = house.environment
    _ = house.vault
    place = environment.vault_key_file if environment.vault_key else environment.vault_key_dir
    if place is None:
        return "ok", "key from the environment"
    repository = _repository(house.project.root)
    if place.resolve().is_relative_to(repository):
        remedy = "move it out and set ALONGSIDE_KEY_DIR or ALONGSIDE_VAULT_KEY_FILE"
        return "warning", f"the key lies in {place}, inside {repository}, where it may be committed: {remedy}"
    return "ok", f"key file {place}" if environment.vault_key else f"key file in {place}"


def _repository(root: Path) -> Path:
    """The repository that holds the project, else the project's own folder."""
    here = root.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here)


def _consents(house: Services) -> tuple[str, str]:
    with house.ledger.reading() as connection:
        invented = consent.holds_invented(connection)
    if not invented:
        return "ok", "none invented"
    found = "--fictional-contacts invented some in this ledger"
    if house.mode is DeliveryMode.SANDBOX:
        return "warning", f"{found}: it stays in the sandbox, and staging or live need a new one"
    return "failed", f"{found}: {house.mode.value} is refused until ALONGSIDE_LEDGER_URL names a new one"


def _snapshot(house: Services) -> tuple[str, str]:
    current = house.warehouse.current()
    if current is None:
        return "warning", "none yet: start a run"
    age = house.clock() - current.as_of
    moment = f"{current.as_of.astimezone(house.zone):%Y-%m-%d %H:%M}"
    return ("ok" if age.days < 2 else "warning"), f"{current.id}, as of {moment}, {age.days} days old"


def _disk(house: Services) -> tuple[str, str]:
    house.project.var.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(house.project.var).free
    return ("ok" if free > LEAST_FREE_BYTES else "warning"), f"{free / 1e9:.0f} GB free below {house.project.var.name}/"


def _vendor(house: Services) -> tuple[str, str]:
    return _reachable(house, Channel.EMAIL)


def _text_vendor(house: Services) -> tuple[str, str]:
    if Channel.SMS not in house.settings.channels.set_up:
        return "ok", "the hospital sends no text messages"
    return _reachable(house, Channel.SMS)


def _wechat(house: Services) -> tuple[str, str]:
    """Whether the account answers, has the templates that we think it has, and can tell us what happens."""
    if Channel.WECHAT not in house.settings.channels.set_up:
        return "ok", "the hospital has no WeChat account"
    state, found = _reachable(house, Channel.WECHAT)
    if state != "ok":
        return state, found
    books = Books(house.ledger, house.environment)
    vendor = open_vendor(house.settings, house.environment, Channel.WECHAT, books=books)
    assert isinstance(vendor, WeChat)  # noqa: S101 - the channel's only provider
    theirs, known = asyncio.run(_templates(vendor)), registered_templates(house.settings)
    missing = [one.template_id for one in known if one.template_id not in theirs]
    other = [one.template_id for one in known if not one.same_as(theirs.get(one.template_id, one.content))]
    faults = [f"{', '.join(ids)} {what}" for ids, what in ((missing, "not registered"), (other, "differ")) if ids]
    if faults:
        return "failed", "; ".join(faults)
    if not house.environment.wechat_token:
        return "warning", "WECHAT_TOKEN is not set: events and patients' messages would be refused"
    return "ok", f"{len(known)} templates as the account has them; events arrive at {house.public_url}{WECHAT_PATH}"


def _push_vendor(house: Services) -> tuple[str, str]:
    """Whether the key is one, and its vendor answers."""
    if Channel.PUSH not in house.settings.channels.set_up:
        return "ok", "the hospital's app is not notified"
    state, found = _reachable(house, Channel.PUSH)
    if state == "ok":
        account = ServiceAccount.read(house.environment.fcm_service_account)
        return "ok", f"{found}; project {account.project}, as {account.email}"
    return state, found


async def _templates(vendor: WeChat) -> dict[str, str]:
    try:
        return await vendor.contents()
    finally:
        await vendor.close()


def _reachable(house: Services, channel: Channel) -> tuple[str, str]:
    account = house.environment.account(provider_of(house.settings, channel).provider)
    url = urlsplit(account.url)
    if house.mode is DeliveryMode.SANDBOX and url.hostname not in ("127.0.0.1", "localhost", "::1"):
        found = f"sandbox mode without {account.url_from}: 'alongside run' starts a stand-in of its own"
        return "warning", f"{found}, a worker needs 'alongside sandbox --channel {channel}'"
    if not account.secret:
        return "warning", f"{account.secret_from} is not set: nothing can be sent"
    try:
        with socket.create_connection((url.hostname or "", url.port or 443), timeout=5):
            return "ok", f"{url.hostname} answers"
    except OSError as error:
        return "failed", f"{url.hostname}: {error.strerror or error}"


def _registered(house: Services) -> tuple[str, str]:
    """Whether the provider of text messages has registered what we think it has."""
    if Channel.SMS not in house.settings.channels.set_up:
        return "ok", "the hospital sends no text messages"
    vendor = None
    if provider_of(house.settings, Channel.SMS).registered_only and _reachable(house, Channel.SMS)[0] == "ok":
        books = Books(house.ledger, house.environment)
        vendor = open_vendor(house.settings, house.environment, Channel.SMS, books=books)
    if not isinstance(vendor, Aliyun):
        return "ok", "not asked"
    known = registered_texts(house.settings)
    theirs = asyncio.run(_contents(vendor, [one.code for one in known]))
    missing = [one.code for one in known if theirs[one.code] is None]
    other = [one.code for one in known if theirs[one.code] not in (None, one.content)]
    faults = [f"{', '.join(codes)} {what}" for codes, what in ((missing, "not approved"), (other, "differ")) if codes]
    return ("failed", "; ".join(faults)) if faults else ("ok", f"{len(known)} texts as the provider has them")


async def _contents(vendor: Aliyun, codes: list[str]) -> dict[str, str | None]:
    try:
        return {code: await vendor.content_of(code) for code in codes}
    finally:
        await vendor.close()


def _webhook(house: Services) -> tuple[str, str]:
    if not provider_of(house.settings, Channel.EMAIL).receipts:
        return "ok", "the provider of e-mail tells nothing: bounces come back as mail"
    if not house.environment.sendgrid_webhook_key:
        return "warning", "SENDGRID_WEBHOOK_KEY is not set: events would be refused"
    if house.mode is DeliveryMode.LIVE and urlsplit(house.public_url).scheme != "https":
        return "failed", f"public_url {house.public_url} is not https: mail clients refuse its one-click unsubscribe"
    return "ok", f"events arrive at {house.public_url}/webhooks/sendgrid"


def _text_webhook(house: Services) -> tuple[str, str]:
    if Channel.SMS not in house.settings.channels.set_up:
        return "ok", "the hospital sends no text messages"
    environment = house.environment
    if provider_of(house.settings, Channel.SMS).provider == "aliyun":
        if not environment.aliyun_webhook_token:
            return "warning", "ALIYUN_WEBHOOK_TOKEN is not set: reports and patients' texts would be refused"
        return "ok", f"reports arrive at {house.public_url}/webhooks/aliyun/.../report, texts at .../text"
    if not environment.twilio_auth_token:
        return "warning", "TWILIO_AUTH_TOKEN is not set: callbacks and patients' texts would be refused"
    return "ok", f"patients' texts arrive at {house.public_url}{TWILIO_INBOUND_PATH}"


def _sender_domains(house: Services) -> tuple[str, str]:
    """SPF, DKIM and DMARC of every domain that e-mail is sent from."""
    if house.mode is DeliveryMode.SANDBOX:
        return "ok", "not asked: sandbox mode sends to nobody"
    email = house.settings.channels.email
    resolver = resolver_at(house.environment.resolver)
    by_mail = not provider_of(house.settings, Channel.EMAIL).receipts
    domains = sorted({sender.address.rpartition("@")[2].lower() for sender in email.senders.values()})
    faults = []
    try:
        for domain in domains:
            faults += faults_of(domain, resolver, selectors=email.dkim_selectors, bounces_by_mail=by_mail)
    except NoAnswer as error:
        return "warning", f"{error}: nothing is known of SPF, DKIM and DMARC"
    if not faults:
        return "ok", f"SPF, DKIM and DMARC of {', '.join(domains)}"
    return "failed" if any(one.grave for one in faults) else "warning", "; ".join(one.text for one in faults)


def _seeds(house: Services) -> tuple[str, str]:
    found = house.seeds
    if missing := unreachable(found):
        return "warning", f"{', '.join(missing)} not set: no copies go there"
    return "ok", f"{len(found.seeds)} seeds, in {', '.join(found.modes)}" if found.seeds else "no seeds"


def _staff(house: Services) -> tuple[str, str]:
    receivers = house.settings.staff.receivers
    missing = [one.url.removeprefix("env:") for one in receivers if not resolve(one.url)]
    if missing:
        return "warning", f"{', '.join(missing)} not set: these are told of nothing"
    names = ", ".join(one.name for one in receivers)
    return "ok", f"told by the engine: {names}" if names else "nobody is told of anything by the engine"


def _traces(house: Services) -> tuple[str, str]:
    if not house.environment.traces:
        return "ok", "nobody wants traces"
    if not telemetry.is_installed():
        return "warning", "OTEL_EXPORTER_OTLP_ENDPOINT is set and 'alongside[otel]' is not installed: no traces"
    return "ok", "traces go to the collector of OTEL_EXPORTER_OTLP_ENDPOINT"


def _letters(house: Services) -> tuple[str, str]:
    """Whether letters can be printed on this machine, and the hospital's own name in both languages."""
    if Channel.LETTER not in house.settings.channels.set_up:
        return "ok", "the hospital writes no letters"
    from alongside.delivery.paper import print_letters

    words = " ".join(house.settings.hospital.name.values())
    try:
        paper = print_letters([f"<html><body>{escape(words)} 您好 Dear</body></html>"], title="Doctor")
    except Refused as refusal:
        return "warning", f"{refusal.what}: {refusal.remedy}"
    if paper.missing:
        return "warning", f"no font here has {paper.missing[0]}: apt-get install fonts-noto-cjk"
    return "ok", "this machine can print them"


def _clock(house: Services) -> tuple[str, str]:
    year = house.clock().year
    return ("ok", "plausible") if 2025 <= year < 2100 else ("failed", f"the machine's clock says {year}")


_CHECKS: dict[str, Callable[[Services], tuple[str, str]]] = {
    "configuration": _configuration,
    "ledger": _ledger,
    "vault key": _vault,
    "consents": _consents,
    "snapshot": _snapshot,
    "disk": _disk,
    "clock": _clock,
    "e-mail vendor": _vendor,
    "sender domains": _sender_domains,
    "webhook": _webhook,
    "text vendor": _text_vendor,
    "text webhook": _text_webhook,
    "registered texts": _registered,
    "WeChat account": _wechat,
    "push vendor": _push_vendor,
    "seeds": _seeds,
    "staff": _staff,
    "traces": _traces,
    "letters": _letters,
}
