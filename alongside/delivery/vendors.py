"""The provider behind each channel, opened from settings and environment. A new channel adds one entry to `_OPEN`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from zoneinfo import ZoneInfo

from alongside.channels import base
from alongside.channels.acceptance import registered_templates
from alongside.channels.aliyun import Aliyun
from alongside.channels.call_list import CallList
from alongside.channels.capabilities import provider_of
from alongside.channels.fcm import Fcm
from alongside.channels.google_account import ServiceAccount
from alongside.channels.letter_list import LetterList
from alongside.channels.registered import registered_texts
from alongside.channels.sendgrid import SendGrid
from alongside.channels.smtp import Smtp
from alongside.channels.twilio import Twilio
from alongside.channels.wechat import WeChat
from alongside.delivery.modes import INTERNAL, is_loopback, require_mode
from alongside.ledger import Ledger
from alongside.ledger.vault import Vault
from alongside.model.enums import Channel, DeliveryMode
from alongside.model.errors import Refused
from alongside.settings import Environment, HospitalSettings
from alongside.settings.channels import CallChannel, EmailChannel, PushChannel, SmsChannel

#: Where a provider of text messages reports, below the public address of the web application.
TWILIO_STATUS_PATH = "/webhooks/twilio/status"
TWILIO_INBOUND_PATH = "/webhooks/twilio/inbound"

WECHAT_PATH = "/webhooks/wechat"


@dataclass(frozen=True)
class Books:
    """Ledger and vault: where channels keep what is not sent to any vendor. The vault is opened for who needs it."""

    ledger: Ledger
    environment: Environment

    @cached_property
    def vault(self) -> Vault:
        return Vault.open(self.ledger, self.environment)


@dataclass(frozen=True)
class Opening:
    """What a provider is opened with."""

    settings: HospitalSettings
    environment: Environment
    books: Books
    connections: int


def require_usable(mode: DeliveryMode, settings: HospitalSettings, environment: Environment, channel: Channel) -> None:
    """Refuse to send on a channel whose set-up contradicts the delivery mode (`modes.require_mode`)."""
    provider = provider_of(settings, channel)
    account = INTERNAL if provider.internal else environment.account(provider.provider)
    require_mode(mode, channel, account, settings.delivery.staging_allow)


def open_vendor(
    settings: HospitalSettings,
    environment: Environment,
    channel: Channel,
    *,
    books: Books,
    connections: int | None = None,
) -> base.Channel:
    """The channel's provider, ready to be asked; belongs to the event loop that first uses it.

    Parameters
    ----------
    books : of the hospital, for channels that are its own
    connections : by default as configured

    Raises
    ------
    Refused : the channel is not set up, or its account is incomplete
    """
    wanted = settings.channels.of(channel)
    opened = _OPEN[provider_of(settings, channel).provider]
    return opened(Opening(settings, environment, books, connections or wanted.connections))


def public_url(settings: HospitalSettings, environment: Environment) -> str:
    """Where patients and vendors reach the web application."""
    return environment.public_url or settings.delivery.public_url


def _sendgrid(of: Opening) -> base.Channel:
    settings, environment = of.settings, of.environment
    email: EmailChannel = settings.channels.email
    return SendGrid(
        environment.sendgrid_api_key,
        environment.sendgrid_url,
        timeout=email.timeout_seconds,
        connections=of.connections,
        max_recipients=email.batch_size,
    )


def _smtp(of: Opening) -> base.Channel:
    email = of.settings.channels.email
    return Smtp(of.environment.smtp_url, timeout=email.timeout_seconds, at_once=of.connections)


def _twilio(of: Opening) -> base.Channel:
    settings, environment = of.settings, of.environment
    sms = _sms(settings)
    return Twilio(
        environment.twilio_account_sid,
        environment.account("twilio").secret,
        environment.twilio_url,
        callback=public_url(settings, environment) + TWILIO_STATUS_PATH,
        api_key=environment.twilio_api_key,
        timeout=sms.timeout_seconds,
        at_once=of.connections,
        validity=sms.validity_minutes * 60,
    )


def _aliyun(of: Opening) -> base.Channel:
    settings, environment = of.settings, of.environment
    sms = _sms(settings)
    return Aliyun(
        environment.aliyun_access_key_id,
        environment.aliyun_access_key_secret,
        environment.aliyun_sms_url,
        registered=registered_texts(settings),
        timeout=sms.timeout_seconds,
        at_once=of.connections,
    )


def _sms(settings: HospitalSettings) -> SmsChannel:
    found = settings.channels.of(Channel.SMS)
    assert isinstance(found, SmsChannel)  # noqa: S101 - the field's type
    return found


def _wechat(of: Opening) -> base.Channel:
    settings, environment = of.settings, of.environment
    return WeChat(
        environment.wechat_app_id,
        environment.wechat_app_secret,
        environment.wechat_url,
        templates=registered_templates(settings),
        timeout=settings.channels.of(Channel.WECHAT).timeout_seconds,
        at_once=of.connections,
    )


def _fcm(of: Opening) -> base.Channel:
    settings, environment = of.settings, of.environment
    push = settings.channels.of(Channel.PUSH)
    assert isinstance(push, PushChannel)  # noqa: S101 - the field's type
    account = ServiceAccount.read(environment.fcm_service_account)
    if is_loopback(environment.fcm_url) and not is_loopback(account.token_url):
        remedy = "Use the account that the stand-in prints when it is ready."
        raise Refused("the stand-in is not asked with a real key", where="FCM_SERVICE_ACCOUNT", remedy=remedy)
    return Fcm(
        account,
        environment.fcm_url,
        timeout=push.timeout_seconds,
        at_once=of.connections,
        validity=push.validity_minutes * 60,
    )


def _call_list(of: Opening) -> base.Channel:
    calls = of.settings.channels.of(Channel.CALL)
    assert isinstance(calls, CallChannel)  # noqa: S101 - the field's type
    return CallList(of.books.ledger, of.books.vault, timedelta(hours=calls.call_within_hours))


def _letter_list(of: Opening) -> base.Channel:
    return LetterList(of.books.ledger, of.books.vault, ZoneInfo(of.settings.hospital.time_zone))


_OPEN: Mapping[str, Callable[[Opening], base.Channel]] = MappingProxyType(
    {
        "sendgrid": _sendgrid,
        "smtp": _smtp,
        "twilio": _twilio,
        "aliyun": _aliyun,
        "wechat": _wechat,
        "fcm": _fcm,
        "call_list": _call_list,
        "letter_list": _letter_list,
    }
)
