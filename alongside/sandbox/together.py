"""The stand-ins of all providers that a hospital's channels are set up with, started and steered together."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from alongside.channels.capabilities import provider_of
from alongside.delivery.vendors import TWILIO_INBOUND_PATH, WECHAT_PATH
from alongside.model.enums import Channel
from alongside.sandbox import aliyun, fcm, smtp, twilio, wechat
from alongside.sandbox.common.control import Control
from alongside.sandbox.common.log import read_ndjson
from alongside.sandbox.sendgrid.launch import start as start_sendgrid
from alongside.sandbox.sendgrid.options import Options as SendGridOptions
from alongside.settings import HospitalSettings
from alongside.settings.channels import SmsChannel, WeChatChannel

#: Shares of events that come twice, and of messages whose events come in reverse: as untidy as in life.
DUPLICATES, REORDER = 0.02, 0.05
#: Share of devices from which the app was removed.
GONE = 0.03


@dataclass(frozen=True)
class Scene:
    """What every stand-in of one hospital needs to know.

    Attributes
    ----------
    folder : of the logs; that of the e-mail provider itself, with a folder for each other channel in it
    responses : `config/sandbox/responses.yaml`
    ports : channel -> port; a free one where none is named
    patients : False switches simulated patients off
    """

    settings: HospitalSettings
    folder: Path
    responses: Path
    public_url: str
    seed: int = 0
    ports: Mapping[Channel, int] = field(default_factory=dict)
    patients: bool = True


@dataclass(frozen=True)
class StandIn:
    """One of them: how it is steered, and what whoever sends to it has to know."""

    channel: Channel
    control: Control
    environment: Mapping[str, str]
    folder: Path


@dataclass(frozen=True)
class StandIns:
    """All of them."""

    each: tuple[StandIn, ...]

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for one in self.each for name, value in one.environment.items()}

    def of(self, channel: Channel) -> StandIn:
        """That of one channel, which is set up."""
        return next(one for one in self.each if one.channel is channel)

    def accepted(self) -> list[dict[str, Any]]:
        """Everything that any of them has taken, by their own fsynced logs."""
        return [record for one in self.each for record in read_ndjson(one.folder / "accepted.ndjson")]

    def set_clock(self, moment: datetime, *, settle: float = 0.0) -> bool:
        """Advance simulated time everywhere; whether everything due has been told."""
        settled = [one.control.set_clock(moment, settle=settle) for one in self.each]  # of all, whatever the first says
        return all(settled)

    def stats(self) -> dict[str, dict[str, Any]]:
        """Counters by channel."""
        return {one.channel.value: one.control.stats() for one in self.each}


@contextlib.contextmanager
def start(scene: Scene) -> Iterator[StandIns]:
    """One process a provider, ended with the block.

    Raises
    ------
    Refused : a channel's provider is unknown
    StoreUnavailable : one of them did not come up
    """
    with contextlib.ExitStack() as stack:
        opened = [
            stack.enter_context(_STARTS[provider_of(scene.settings, channel).provider](scene))
            for channel in scene.settings.channels.set_up
            if not provider_of(scene.settings, channel).internal
        ]
        yield StandIns(tuple(opened))


@contextlib.contextmanager
def _sendgrid(scene: Scene) -> Iterator[StandIn]:
    options = SendGridOptions(
        folder=scene.folder,
        port=scene.ports.get(Channel.EMAIL, 0),
        responses=scene.responses,
        seed=scene.seed,
        webhook_url=f"{scene.public_url}/webhooks/sendgrid",
        duplicates=DUPLICATES,
        reorder=REORDER,
        patients=scene.patients,
    )
    with start_sendgrid(options) as running:
        environment = {
            "SENDGRID_URL": running.url,
            "SENDGRID_API_KEY": running.api_key,
            "SENDGRID_WEBHOOK_KEY": running.public_key,
        }
        yield StandIn(Channel.EMAIL, running.control, environment, options.folder)


@contextlib.contextmanager
def _smtp(scene: Scene) -> Iterator[StandIn]:
    options = smtp.Options(folder=scene.folder, port=scene.ports.get(Channel.EMAIL, 0), seed=scene.seed)
    with smtp.start(options) as running:
        yield StandIn(Channel.EMAIL, running.control, {"SMTP_URL": running.url}, options.folder)


@contextlib.contextmanager
def _twilio(scene: Scene) -> Iterator[StandIn]:
    options = twilio.Options(
        folder=scene.folder / "sms",
        port=scene.ports.get(Channel.SMS, 0),
        seed=scene.seed,
        inbound_url=f"{scene.public_url}{TWILIO_INBOUND_PATH}",
        duplicates=DUPLICATES,
        reorder=REORDER,
        patients=scene.patients,
    )
    with twilio.start(options) as running:
        environment = {
            "TWILIO_URL": running.url,
            "TWILIO_ACCOUNT_SID": running.account_sid,
            "TWILIO_AUTH_TOKEN": running.auth_token,
        }
        yield StandIn(Channel.SMS, running.control, environment, options.folder)


@contextlib.contextmanager
def _aliyun(scene: Scene) -> Iterator[StandIn]:
    sms = scene.settings.channels.of(Channel.SMS)
    assert isinstance(sms, SmsChannel)  # noqa: S101 - the field's type
    token = secrets.token_urlsafe(16)
    options = aliyun.Options(
        folder=scene.folder / "sms",
        port=scene.ports.get(Channel.SMS, 0),
        templates={one.code: one.content for one in sms.registered},
        signatures=tuple(sorted({sender.address for sender in sms.senders.values()})),
        seed=scene.seed,
        webhook_url=f"{scene.public_url}/webhooks/aliyun/{token}",
        duplicates=DUPLICATES,
        reorder=REORDER,
        patients=scene.patients,
    )
    with aliyun.start(options) as running:
        environment = {
            "ALIYUN_SMS_URL": running.url,
            "ALIYUN_ACCESS_KEY_ID": running.key_id,
            "ALIYUN_ACCESS_KEY_SECRET": running.secret,
            "ALIYUN_WEBHOOK_TOKEN": token,
        }
        yield StandIn(Channel.SMS, running.control, environment, options.folder)


@contextlib.contextmanager
def _wechat(scene: Scene) -> Iterator[StandIn]:
    account = scene.settings.channels.of(Channel.WECHAT)
    assert isinstance(account, WeChatChannel)  # noqa: S101 - the field's type
    options = wechat.Options(
        folder=scene.folder / "wechat",
        port=scene.ports.get(Channel.WECHAT, 0),
        templates=tuple(wechat.Registered(one.template_id, one.title, one.labels) for one in account.registered),
        seed=scene.seed,
        webhook_url=f"{scene.public_url}{WECHAT_PATH}",
        duplicates=DUPLICATES,
        patients=scene.patients,
    )
    with wechat.start(options) as running:
        environment = {
            "WECHAT_URL": running.url,
            "WECHAT_APP_ID": running.app_id,
            "WECHAT_APP_SECRET": running.secret,
            "WECHAT_TOKEN": running.token,
        }
        yield StandIn(Channel.WECHAT, running.control, environment, options.folder)


@contextlib.contextmanager
def _fcm(scene: Scene) -> Iterator[StandIn]:
    options = fcm.Options(
        folder=scene.folder / "push", port=scene.ports.get(Channel.PUSH, 0), gone=GONE, seed=scene.seed
    )
    with fcm.start(options) as running:
        environment = {"FCM_URL": running.url, "FCM_SERVICE_ACCOUNT": running.account}
        yield StandIn(Channel.PUSH, running.control, environment, options.folder)


_STARTS: Mapping[str, Callable[[Scene], contextlib.AbstractContextManager[StandIn]]] = MappingProxyType(
    {"sendgrid": _sendgrid, "smtp": _smtp, "twilio": _twilio, "aliyun": _aliyun, "wechat": _wechat, "fcm": _fcm}
)
