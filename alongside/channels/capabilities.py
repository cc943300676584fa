"""What each provider can carry, declared once, so that a campaign is refused when planned and not when sent.

Facts of the providers' documentation, not of an account: what a hospital's contract forbids on top belongs into its
configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from types import MappingProxyType

from alongside.model.enums import Channel, Purpose
from alongside.model.errors import Refused
from alongside.settings import HospitalSettings


class Sensitivity(IntEnum):
    """How much a text gives away to whoever reads along (house rule G2; PIPL Art. 28)."""

    PUBLIC = 0  # names nobody
    PERSONAL = 1  # a name, a date, a department that everybody visits
    HEALTH = 2  # that somebody is under treatment, and where
    CLINICAL = 3  # a diagnosis, a medicine, a result


class Lookup(Enum):
    """How a message whose outcome is unknown can be found at the provider."""

    BY_KEY = "by key"  # `Channel.lookup` with our message key or batch id
    BY_TEXT = "by text"  # with the recipient's address and something that only this text contains
    NONE = "none"


@dataclass(frozen=True)
class Carriage:
    """What may travel.

    Attributes
    ----------
    replies : an answer by the same way comes back to us
    """

    marketing: bool = True
    links: bool = True
    replies: bool = True


@dataclass(frozen=True)
class Capabilities:
    """One provider of one channel.

    Attributes
    ----------
    ceiling : the highest sensitivity of what the recipient reads
    countries : of recipients (ISO 3166-1 alpha-2); None for all
    exceptions : country -> what may travel there, where that is not `carriage`
    recognises_seconds : for so long the provider sends a request with the same key once; None for ever
    receipts : it tells what became of a message
    reads : it tells that the recipient has read it
    shares_texts : one request carries many recipients of one text
    internal : the hospital's own: no account, no key, no vendor
    registered_only : it sends no text but those that it has approved beforehand
    max_length : in `unit`; None without a limit that a message could reach
    """

    provider: str
    channel: Channel
    ceiling: Sensitivity
    carriage: Carriage = Carriage()
    countries: frozenset[str] | None = None
    exceptions: Mapping[str, Carriage] = field(default_factory=lambda: MappingProxyType({}))
    recognises_seconds: float | None = 0
    lookup: Lookup = Lookup.NONE
    receipts: bool = True
    reads: bool = False
    shares_texts: bool = False
    registered_only: bool = False
    internal: bool = False
    max_length: int | None = None
    unit: str = "characters"


@dataclass(frozen=True)
class Cargo:
    """What planning knows of a message before anybody is addressed.

    Attributes
    ----------
    length : of its longest rendering, in the provider's unit
    replies : it asks for an answer by the same way, for example `reply R to stop`
    calls_for_action : it has a link of its own, besides those that leave and choose: who follows it has read it
    """

    purpose: Purpose
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    length: int = 0
    links: bool = False
    replies: bool = False
    calls_for_action: bool = False


SENDGRID = Capabilities(
    provider="sendgrid",
    channel=Channel.EMAIL,
    ceiling=Sensitivity.CLINICAL,  # of the body; the lint keeps the subject free of diagnoses
    carriage=Carriage(replies=False),  # answers go to the reply-to address, not through the provider
    lookup=Lookup.BY_KEY,
    shares_texts=True,
)
TWILIO = Capabilities(
    provider="twilio",
    channel=Channel.SMS,
    ceiling=Sensitivity.PERSONAL,
    # https://www.twilio.com/en-us/guidelines/cn/sms: no two-way messages. Marketing there must offer `reply R`.
    exceptions=MappingProxyType({"CN": Carriage(marketing=False, replies=False)}),
    lookup=Lookup.BY_TEXT,
    max_length=1600,
)
ALIYUN = Capabilities(
    provider="aliyun",
    channel=Channel.SMS,
    ceiling=Sensitivity.PERSONAL,
    countries=frozenset({"CN"}),  # other countries need templates of their own
    lookup=Lookup.BY_TEXT,
    registered_only=True,
    max_length=500,
)
WECHAT = Capabilities(
    provider="wechat",
    channel=Channel.WECHAT,
    ceiling=Sensitivity.PERSONAL,  # a phone shows it on its lock screen, and the vendor keeps it
    # Rules of template messages: notices about a service that was asked for, no marketing of any kind.
    carriage=Carriage(marketing=False),
    recognises_seconds=600,  # client_msg_id; nothing can be looked up afterwards
    registered_only=True,
)
FCM = Capabilities(
    provider="fcm",
    channel=Channel.PUSH,
    ceiling=Sensitivity.PERSONAL,  # whoever holds the phone reads it
    # A tap opens the app, nothing else; and nobody can answer a notification.
    carriage=Carriage(links=False, replies=False),
    lookup=Lookup.NONE,
    receipts=False,
)
SMTP = Capabilities(
    provider="smtp",
    channel=Channel.EMAIL,
    ceiling=Sensitivity.CLINICAL,
    carriage=Carriage(replies=False),
    lookup=Lookup.NONE,
    receipts=False,  # bounces come back as mail
)
CALL_LIST = Capabilities(
    provider="call_list",
    channel=Channel.CALL,
    ceiling=Sensitivity.CLINICAL,  # said to the patient, once the caller knows who is on the line
    carriage=Carriage(links=False),
    recognises_seconds=None,
    lookup=Lookup.BY_KEY,
    internal=True,
)
LETTER_LIST = Capabilities(
    provider="letter_list",
    channel=Channel.LETTER,
    ceiling=Sensitivity.CLINICAL,  # in a closed envelope; what shows in its window is the layout's alone
    recognises_seconds=None,
    lookup=Lookup.BY_KEY,
    receipts=False,  # of its arrival nobody hears, only of its return
    internal=True,
)
_ALL = (SENDGRID, SMTP, TWILIO, ALIYUN, WECHAT, FCM, CALL_LIST, LETTER_LIST)
PROVIDERS: Mapping[str, Capabilities] = MappingProxyType({one.provider: one for one in _ALL})


def capabilities_of(provider: str) -> Capabilities:
    """What a provider of the configuration can do.

    Raises
    ------
    Refused : nothing is declared for it
    """
    if found := PROVIDERS.get(provider):
        return found
    remedy = f"Known providers: {', '.join(sorted(PROVIDERS))}."
    raise Refused(f"unknown provider {provider!r}", where="config/alongside.yaml: channels", remedy=remedy)


def provider_of(settings: HospitalSettings, channel: Channel) -> Capabilities:
    """The provider that a channel is set up with.

    Raises
    ------
    Refused : the channel is not set up, or its provider is unknown or of another channel
    """
    found = capabilities_of(settings.channels.of(channel).provider)
    if found.channel is not channel:
        raise Refused(
            f"{found.provider} is a provider of {found.channel}",
            where=f"config/alongside.yaml: channels.{channel}.provider",
            remedy="Name a provider of this channel.",
        )
    return found


def obstacles(provider: Capabilities, cargo: Cargo, country: str | None = None) -> tuple[str, ...]:
    """Why a message cannot travel by this provider; empty when it can. All reasons, not the first.

    Parameters
    ----------
    country : of the recipient; None asks what holds for every recipient
    """
    found = []
    allowed = provider.carriage if country is None else provider.exceptions.get(country, provider.carriage)
    there = f" to {country}" if country in provider.exceptions else ""
    if country is not None and provider.countries is not None and country not in provider.countries:
        found.append(f"it does not deliver to {country}")
    if cargo.purpose is Purpose.MARKETING and not allowed.marketing:
        found.append(f"it carries no marketing{there}")
    if cargo.links and not allowed.links:
        found.append(f"it carries no links{there}")
    if cargo.replies and not allowed.replies:
        found.append(f"the message asks for a reply, and it brings none back{there.replace(' to ', ' from ')}")
    if cargo.sensitivity > provider.ceiling:
        found.append(f"the text is {cargo.sensitivity.name}, and its ceiling is {provider.ceiling.name}")
    if provider.max_length is not None and cargo.length > provider.max_length:
        found.append(f"the text has {cargo.length} {provider.unit}, and it takes {provider.max_length}")
    return tuple(found)


def require_carried(provider: Capabilities, cargo: Cargo, where: str, country: str | None = None) -> None:
    """Refuse to plan what could not be sent.

    Parameters
    ----------
    where : the campaign or message, for the reader

    Raises
    ------
    Refused : with every reason
    """
    if found := obstacles(provider, cargo, country):
        raise Refused(
            f"{provider.channel.value} through {provider.provider} cannot carry it: {'; '.join(found)}",
            where=where,
            remedy="Choose another channel or provider, or change the message.",
        )
