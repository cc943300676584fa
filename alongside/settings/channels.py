"""`channels` in `config/alongside.yaml`: the provider, senders and limits of each channel."""

from __future__ import annotations

from datetime import date

from pydantic import Field, ValidationInfo, field_validator, model_validator

from alongside.model.enums import Channel, Locale
from alongside.model.errors import Refused
from alongside.model.findings import nearest
from alongside.model.warm_up import Ramp
from alongside.settings.strict import Strict


class Sender(Strict):
    """Who writes. `address` is a mail address, or the number, short code or service that a text message comes from."""

    address: str
    name: dict[Locale, str]
    reply_to: str = ""


class StopCampaign(Strict):
    """Beyond these shares a campaign pauses itself. Few messages are judged as though they were `from_messages`.

    Google and Yahoo want complaints below 0.10 % and act at 0.30 % (Email sender guidelines, 2024).
    """

    bounce_rate: float = Field(0.05, gt=0, le=1, description="of messages that bounced, were blocked or refused")
    complaint_rate: float = Field(0.003, gt=0, le=1, description="of messages that a recipient complained of")
    from_messages: int = Field(1000, ge=1, description="fewer messages are judged as though they were so many")
    within_days: float = Field(7, gt=0, le=90, description="how far back messages count")


class WarmUpSettings(Strict):
    """How much a new sender may send on each day; see `alongside.model.warm_up.Ramp`."""

    start: date = Field(description="its first day, in the hospital's zone; nothing leaves before it")
    first_day: int = Field(ge=1, description="messages on the first day")
    growth: float = Field(1.5, gt=1, le=3, description="times as many on each following day")
    until: int = Field(ge=2, description="no limit any more from this allowance on")
    senders: list[str] = Field(
        default_factory=list, description="who shares the ramp; by default the sender of its name"
    )
    keep_days: int = Field(
        7, ge=1, le=60, description="what would have to wait longer than so many days since it was planned is withheld"
    )

    @model_validator(mode="after")
    def _goes_up(self) -> WarmUpSettings:
        if self.until <= self.first_day:
            raise ValueError(f"until ({self.until}) must be more than first_day ({self.first_day})")
        return self

    @property
    def ramp(self) -> Ramp:
        return Ramp(self.start, self.first_day, self.growth, self.until)


class ChannelSettings(Strict):
    """What every channel's section holds."""

    provider: str
    stores_data_in: str = Field("US", pattern="^[A-Z]{2}$", description="country of the vendor's servers")
    senders: dict[str, Sender]
    chunk_size: int = Field(250, ge=1, le=1000, description="messages of one claim when each is its own request")
    rate_per_second: float = Field(5000, gt=0, description="messages a second, over all workers")
    connections: int = Field(64, ge=1, le=1000)
    timeout_seconds: float = Field(20, gt=0, description="until the whole answer; a second more for each megabyte sent")
    unknown_grace_minutes: float = Field(30, ge=0)
    stop_campaign: StopCampaign | None = StopCampaign()
    warm_up: dict[str, WarmUpSettings] = Field(
        default_factory=dict, description="daily ramps of new senders, by the sender's name"
    )

    @field_validator("warm_up")
    @classmethod
    def _of_known_senders(cls, ramps: dict[str, WarmUpSettings], known: ValidationInfo) -> dict[str, WarmUpSettings]:
        """Every ramp is that of senders that exist, and no sender stands in two."""
        senders, seen = known.data.get("senders", {}), set[str]()
        for name, ramp in ramps.items():
            for sender in ramp.senders or [name]:
                if sender not in senders:
                    hint = nearest(sender, senders) or f"senders: {', '.join(sorted(senders))}"
                    raise ValueError(f"ramp '{name}' is for sender '{sender}', which does not exist; {hint}")
                if sender in seen:
                    raise ValueError(f"sender '{sender}' stands in two ramps; keep one")
                seen.add(sender)
        return ramps


class EmailChannel(ChannelSettings):
    provider: str = "sendgrid"
    batch_size: int = Field(1000, ge=1, le=1000, description="personalizations in one request")
    dkim_selectors: list[str] = Field(
        default_factory=lambda: ["s1", "s2"], description="names of DKIM keys, for 'alongside doctor'"
    )
    activity_lookup: bool = Field(True, description="the account may query the vendor's activity feed")


class RegisteredText(Strict):
    """A text as it is registered and approved at the provider, `${name}` for each variable."""

    code: str = Field(pattern="^[A-Za-z0-9_-]{1,60}$", description="the provider's code, for example SMS_100000001")
    content: str = Field(min_length=2, max_length=500)


class SmsChannel(ChannelSettings):
    provider: str = "twilio"
    registered: list[RegisteredText] = Field(
        default_factory=list, description="for providers that send registered texts only (aliyun)"
    )
    chunk_size: int = Field(100, ge=1, le=1000, description="messages of one claim; each is its own request")
    rate_per_second: float = Field(50, gt=0, description="messages a second, over all workers")
    connections: int = Field(16, ge=1, le=100, description="requests of one worker that are under way together")
    #: Numbers change hands and phones are switched off: more comes back in good order than of e-mail.
    stop_campaign: StopCampaign | None = StopCampaign(bounce_rate=0.15)
    validity_minutes: int = Field(
        240, ge=1, le=600, description="how long a message may wait at the vendor, so that none arrives at night"
    )


_FIELD = "^(thing|phrase|character_string|name|number|amount|phone_number|time|date)[0-9]{1,3}$"


class WeChatField(Strict):
    """One field of a template: its name tells the form of its values."""

    name: str = Field(pattern=_FIELD, description="as registered, for example thing1 or time2")
    label: str = Field(pattern="^[^:：\n]{1,30}$", description="what the patient reads before the value")


class WeChatTemplate(Strict):
    """A template as it is registered with the account."""

    template_id: str = Field(pattern="^[A-Za-z0-9_-]{10,64}$", description="the account's id of the template")
    title: str = Field(min_length=2, max_length=40, description="what the patient reads above the fields")
    fields: list[WeChatField] = Field(min_length=1, description="in the order in which the patient reads them")

    @property
    def labels(self) -> dict[str, str]:
        """Label by name, in their order."""
        return {one.name: one.label for one in self.fields}

    @field_validator("fields")
    @classmethod
    def _each_once(cls, fields: list[WeChatField]) -> list[WeChatField]:
        if len({one.name for one in fields}) < len(fields) or len({one.label for one in fields}) < len(fields):
            raise ValueError("two fields have the same name or the same label")
        return fields


class WeChatChannel(ChannelSettings):
    """Template messages of the hospital's official account (a verified service account)."""

    provider: str = "wechat"
    stores_data_in: str = Field("CN", pattern="^[A-Z]{2}$", description="country of the vendor's servers")
    senders: dict[str, Sender] = Field(
        default_factory=lambda: {"care": Sender(address="official account", name={})},
        description="names that messages may use; all are the one account",
    )
    registered: list[WeChatTemplate] = Field(default_factory=list, description="the account's templates")
    chunk_size: int = Field(100, ge=1, le=1000, description="messages of one claim; each is its own request")
    rate_per_second: float = Field(50, gt=0, description="messages a second, over all workers")
    connections: int = Field(16, ge=1, le=100, description="requests of one worker that are under way together")
    #: No event can tell of a message whose answer was lost, and what is sent again soon is recognised by the vendor.
    unknown_grace_minutes: float = Field(0, ge=0)
    #: Who unfollows is noticed at the next message: more comes back in good order than of e-mail.
    stop_campaign: StopCampaign | None = StopCampaign(bounce_rate=0.15)


class PushChannel(ChannelSettings):
    """Notifications of the hospital's app, through Firebase Cloud Messaging."""

    provider: str = "fcm"
    senders: dict[str, Sender] = Field(
        default_factory=lambda: {name: Sender(address="app", name={}) for name in ("care", "marketing")},
        description="names that messages may use; all are the one app",
    )
    chunk_size: int = Field(100, ge=1, le=1000, description="messages of one claim; each is its own request")
    rate_per_second: float = Field(200, gt=0, description="messages a second, over all workers")
    connections: int = Field(16, ge=1, le=100, description="requests of one worker that are under way together")
    #: Nobody will tell of a message whose answer was lost.
    unknown_grace_minutes: float = Field(0, ge=0)
    #: Apps are removed without a word: more comes back in good order than of e-mail.
    stop_campaign: StopCampaign | None = StopCampaign(bounce_rate=0.25)
    validity_minutes: int = Field(
        240, ge=1, le=40320, description="how long a notification may wait for a device that is off (Android)"
    )


class CallChannel(ChannelSettings):
    """Calls that people make, from the list that `alongside calls` shows."""

    provider: str = "call_list"
    stores_data_in: str = Field("", pattern="^$|^[A-Z]{2}$", description="empty: where the hospital is")
    senders: dict[str, Sender] = Field(
        default_factory=lambda: {name: Sender(address="call list", name={}) for name in ("care", "marketing")},
        description="who calls",
    )
    chunk_size: int = Field(100, ge=1, le=1000, description="calls of one claim")
    stop_campaign: StopCampaign | None = None
    call_within_hours: float = Field(24, gt=0, description="by then somebody should have called")
    tries: int = Field(3, ge=1, le=20, description="tries after which nobody is called any more")
    first_from_age: int | None = Field(
        None, ge=50, le=120, description="from this age on, who uses neither app nor web is called first"
    )


class LetterChannel(ChannelSettings):
    """Letters on paper, printed by `alongside letters`."""

    provider: str = "letter_list"
    stores_data_in: str = Field("", pattern="^$|^[A-Z]{2}$", description="empty: where the hospital is")
    senders: dict[str, Sender] = Field(
        default_factory=lambda: {name: Sender(address="letter list", name={}) for name in ("care", "marketing")},
        description="who writes",
    )
    chunk_size: int = Field(100, ge=1, le=1000, description="letters of one claim")
    stop_campaign: StopCampaign | None = None
    large_type_from_age: int = Field(65, ge=0, le=120, description="from this age on letters are set in 16 pt")
    days_to_arrive: int = Field(3, ge=0, le=60, description="days from planning until a letter lies in its box")
    duplex: bool = Field(False, description="print on both sides: every letter begins on a new sheet")
    stack_size: int = Field(
        200, ge=1, le=500, description="letters of one PDF; each takes about 1.5 MB while it is made"
    )


class Channels(Strict):
    email: EmailChannel
    sms: SmsChannel | None = None
    wechat: WeChatChannel | None = None
    push: PushChannel | None = None
    call: CallChannel | None = None
    letter: LetterChannel | None = None

    @property
    def set_up(self) -> tuple[Channel, ...]:
        """Channels that the hospital has, in the order of the vocabulary."""
        return tuple(channel for channel in Channel if getattr(self, channel.value, None) is not None)

    def of(self, channel: Channel) -> ChannelSettings:
        """The settings of one channel.

        Raises
        ------
        Refused : it is not set up
        """
        found: ChannelSettings | None = getattr(self, channel.value, None)
        if found is None:
            raise Refused(
                f"channel '{channel}' is not set up",
                where="config/alongside.yaml: channels",
                remedy=f"Set up: {', '.join(self.set_up)}. Add a section channels.{channel}, or use one of these.",
            )
        return found
