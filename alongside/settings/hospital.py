"""`config/alongside.yaml`: the hospital, its delivery mode, channels, gates and stores."""

from __future__ import annotations

import ipaddress
from datetime import time
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, field_validator, model_validator

from alongside.model.enums import Channel, DeliveryMode, Locale, Purpose, StaffEvent
from alongside.settings.channels import Channels
from alongside.settings.references import Reference
from alongside.settings.strict import Strict


class Hospital(Strict):
    name: dict[Locale, str]
    postal_address: dict[Locale, str]
    phone: str
    website: str
    country: str = Field("CN", pattern="^[A-Z]{2}$", description="ISO 3166-1 alpha-2")
    time_zone: str = "Asia/Shanghai"
    default_locale: Locale = Locale.ZH_CN

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is not an IANA time zone such as Asia/Shanghai") from error
        return name


class Delivery(Strict):
    mode: DeliveryMode = DeliveryMode.SANDBOX
    staging_allow: list[str] = Field(
        default_factory=list, description="addresses and numbers that staging may write to"
    )
    public_url: str = "http://127.0.0.1:8021"
    click_tracking: Literal["off", "redirect"] = Field(
        "off", description="redirect: links of e-mails lead over our own pages, which count who follows them"
    )
    max_lateness_hours: float = Field(6, gt=0)
    workers: int = Field(2, ge=1, le=64)
    lease_seconds: float = Field(120, ge=5)
    max_attempts: int = Field(5, ge=1, description="tries of a message that a vendor took and could not carry")


class QuietHours(Strict):
    """Local time of the recipient; `from` may be later than `to` (over midnight)."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    start: time = Field(time(21), alias="from")
    end: time = Field(time(8), alias="to")
    exempt: list[Purpose] = Field(default_factory=list)


class FrequencyCap(Strict):
    """At most `messages` in any `days`, over every campaign and channel; `exempt` purposes neither count nor wait."""

    messages: int = Field(3, ge=1)
    days: int = Field(7, ge=1)
    exempt: list[Purpose] = Field(default_factory=lambda: [Purpose.CARE])


class Gates(Strict):
    quiet_hours: QuietHours = Field(default_factory=QuietHours)
    frequency_cap: FrequencyCap = Field(default_factory=FrequencyCap)
    guardian_below_age: int = Field(14, ge=0, le=21)
    global_holdout: float = Field(0.0, ge=0, le=0.2, description="share of people who get no marketing at all")


class WarehouseSettings(Strict):
    memory_limit: str = Field("4GB", pattern=r"^\d+(\.\d+)?\s?(MB|GB)$")
    threads: int = Field(2, ge=1)
    partitions: int = Field(1, ge=1, le=1024)
    keep_snapshots_days: int = Field(35, ge=1)


class InboxSettings(Strict):
    """What patients write back."""

    answer_within_hours: float = Field(24, gt=0, description="by then a person should have answered")
    sender: str = Field("care", description="name under channels.*.senders that answers come from")
    data_request_within_days: int = Field(
        15, ge=1, le=30, description="by then a person should have dealt with a wish to see or delete one's data"
    )


class QuietNights(Strict):
    """Hours of the hospital's zone in which staff are told only what is urgent; `from` may be later than `to`."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    start: time = Field(alias="from")
    end: time = Field(alias="to")


class StaffReceiver(Strict):
    """Somebody who is told."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,59}$")
    url: Reference = Field(description="env:NAME of the variable with the address of a WeCom robot, or an Apprise URL")
    events: list[StaffEvent] = Field(default_factory=lambda: list(StaffEvent), min_length=1)
    locale: Locale | None = Field(None, description="by default the hospital's language")
    quiet_hours: QuietNights | None = None
    urgent: list[StaffEvent] = Field(
        default_factory=lambda: [StaffEvent.CAMPAIGN_PAUSED, StaffEvent.RUN_HELD, StaffEvent.EXPERIMENT_HARMS],
        description="told at night, too",
    )
    repeat_hours: float = Field(24, gt=0, description="what still lasts is told again after so long")


class StaffSettings(Strict):
    """Whom the engine tells of what has to be looked at."""

    receivers: list[StaffReceiver] = Field(default_factory=list)
    dead_letters_from: int = Field(50, ge=1, description="messages of a channel given up within a day")

    @model_validator(mode="after")
    def _named_once(self) -> StaffSettings:
        names = [one.name for one in self.receivers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"receiver '{twice[0]}' stands twice")
        return self


class WebSettings(Strict):
    """The web application behind its proxy."""

    proxies: list[str] = Field(
        default_factory=list, description="addresses or networks of proxies whose word on a client's address is taken"
    )
    client_header: str = Field(
        "X-Forwarded-For", pattern="^[A-Za-z0-9-]{1,60}$", description="the header in which they say it, and no other"
    )

    @field_validator("proxies")
    @classmethod
    def _networks(cls, proxies: list[str]) -> list[str]:
        for proxy in proxies:
            try:
                ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(f"{proxy!r} is no address or network such as 10.0.0.0/8") from None
        return proxies


class HospitalSettings(Strict):
    hospital: Hospital
    sources: list[str] = Field(description="names of files in config/sources that the daily run reads")
    delivery: Delivery = Field(default_factory=Delivery)
    channels: Channels
    gates: Gates = Field(default_factory=Gates)
    inbox: InboxSettings = Field(default_factory=InboxSettings)
    staff: StaffSettings = Field(default_factory=StaffSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    warehouse: WarehouseSettings = Field(default_factory=WarehouseSettings)

    def channel_stores_in(self, channel: Channel) -> str:
        """Country where the channel's vendor keeps what it is given."""
        return self.channels.of(channel).stores_data_in or self.hospital.country
