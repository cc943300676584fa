"""The ways on which a campaign can reach a patient: its channels, with what their providers can carry where."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from alongside.channels.acceptance import acceptance_of
from alongside.channels.capabilities import Capabilities, Cargo, obstacles, provider_of, require_carried
from alongside.content import ContentCatalogue, RenderFailed
from alongside.content.definition import BODIES
from alongside.model.enums import Channel, Locale
from alongside.model.errors import ConfigurationInvalid, Refused
from alongside.model.findings import Finding
from alongside.outreach.campaigns import Campaign, CampaignFile
from alongside.settings import HospitalSettings

_LINK = re.compile(r"https?://", re.IGNORECASE)
#: Links that every message may have: following them says that somebody leaves or chooses, and few do.
_NO_ACTION = ("unsubscribe_url", "preferences_url")
_ASKS_BACK = re.compile(r"\breply\b|\btext (?:back|STOP)\b|回复", re.IGNORECASE)


@dataclass(frozen=True)
class Route:
    """One channel of a campaign.

    Attributes
    ----------
    stores_in : country where the provider keeps what it is given
    countries : to which the provider delivers; None for all
    barred : countries to which it may not carry what the campaign says
    days : until a message has arrived
    """

    channel: Channel
    stores_in: str
    countries: tuple[str, ...] | None = None
    barred: tuple[str, ...] = ()
    days: int = 0


def routes_of(
    campaign: Campaign, messages: Iterable[str], content: ContentCatalogue, settings: HospitalSettings
) -> tuple[Route, ...]:
    """The campaign's routes in its own order.

    Parameters
    ----------
    messages : all that the campaign could send

    Raises
    ------
    Refused : a channel is not set up, or cannot carry one of the messages at all, or not to the hospital's own country
    """
    names = list(messages)
    return tuple(_route(campaign, channel, names, content, settings) for channel in campaign.channels)


def cargo_of(name: str, channel: Channel, content: ContentCatalogue) -> Cargo:
    """What a message is to a provider, by its fictional example in every language."""
    texts, own = [], []
    for locale in Locale:
        values = content.preview_values(name, locale)
        rendered = content.compiled(name, channel, locale).render(values)
        texts.append(f"{rendered.subject}\n{rendered.text}\n{rendered.html}")
        text = rendered.text
        for built_in in _NO_ACTION:
            text = text.replace(str(values[built_in]), "")
        own.append(_LINK.search(text) is not None)
    return Cargo(
        purpose=content.message(name).definition.purpose,
        length=max(len(text.strip()) for text in texts),
        links=any(_LINK.search(text) for text in texts),
        replies=any(_ASKS_BACK.search(text) for text in texts),
        calls_for_action=all(own),
    )


def tells_of_readers(
    names: Iterable[str], channel: Channel, content: ContentCatalogue, settings: HospitalSettings
) -> bool:
    """Whether somebody who reads one of these messages on this channel can be told from somebody who does not.

    The provider sends read receipts, or every text has a link of its own and the provider tells what became of it.
    """
    provider = provider_of(settings, channel)
    if not provider.receipts or provider.internal:
        return False
    return provider.reads or all(cargo_of(name, channel, content).calls_for_action for name in names)


def _route(
    campaign: Campaign, channel: Channel, names: list[str], content: ContentCatalogue, settings: HospitalSettings
) -> Route:
    provider = provider_of(settings, channel)
    cargoes = [cargo_of(name, channel, content) for name in names]
    for name, cargo in zip(names, cargoes, strict=True):
        require_carried(provider, cargo, f"campaign {campaign.name}: {name}", settings.hospital.country)
    return Route(
        channel=channel,
        stores_in=settings.channel_stores_in(channel),
        countries=None if provider.countries is None else tuple(sorted(provider.countries)),
        barred=tuple(sorted(country for country in provider.exceptions if _is_barred(provider, cargoes, country))),
        days=days_of(channel, settings),
    )


def days_of(channel: Channel, settings: HospitalSettings) -> int:
    """Days until a message has arrived; 0 for whatever is there within minutes."""
    letters = settings.channels.letter
    return letters.days_to_arrive if channel is Channel.LETTER and letters else 0


def arrives_in_time(occurrence: str, days: int, now: datetime) -> bool:
    """Whether a message of this occurrence is there before the day that it is about; True where it is about none.

    gates.sql has the same rule.
    """
    try:
        about = datetime.fromisoformat(occurrence).replace(tzinfo=UTC)
    except ValueError:
        return True
    return not days or about <= now or about.date() > (now + timedelta(days=days)).date()


def _is_barred(provider: Capabilities, cargoes: Iterable[Cargo], country: str) -> bool:
    return any(obstacles(provider, cargo, country) for cargo in cargoes)


# -------------------------------------------------------------------------------------------------------------- check
def check_routes(
    file: CampaignFile, messages: Iterable[str], content: ContentCatalogue, settings: HospitalSettings
) -> Iterator[Finding]:
    """What would keep a campaign from leaving on one of its channels, whoever it is for.

    Parameters
    ----------
    messages : all that the campaign could send; unknown ones are left to those who look for them
    """
    for channel in file.campaign.channels:
        try:
            provider = provider_of(settings, channel)
        except Refused as refusal:
            yield file.document.finding("channels", what=refusal.what, remedy=refusal.remedy or "")
            continue
        for name in sorted(set(messages) & set(content)):
            for what, remedy in _obstacles(name, channel, provider, content, settings):
                yield file.document.finding("channels", what=f"{name} by {channel}: {what}", remedy=remedy)
    yield from _unread(file, sorted(set(messages) & set(content)), content, settings)


def _unread(
    file: CampaignFile, names: Sequence[str], content: ContentCatalogue, settings: HospitalSettings
) -> Iterator[Finding]:
    """A rule on what nobody has read, where nothing tells of readers: everybody would be tried on every channel."""
    rule, channels = file.campaign.fallback, file.campaign.channels
    if rule is None or rule.unread_after_hours is None:
        return
    try:
        told = any(tells_of_readers(names, channel, content, settings) for channel in channels[:-1])
    except (Refused, ConfigurationInvalid, RenderFailed):  # named above
        return
    if not told:
        what = "nothing tells who reads these messages: no text has a link of its own, no provider sends receipts"
        remedy = "put a link into the text of an earlier channel, or remove the rule"
        yield file.document.finding("fallback", "unread_after_hours", what=what, remedy=remedy)


def _obstacles(
    name: str, channel: Channel, provider: Capabilities, content: ContentCatalogue, settings: HospitalSettings
) -> Iterator[tuple[str, str]]:
    definition = content.message(name).definition
    if channel not in definition.channels:
        kind = BODIES.get(channel, ("txt",))[0]
        yield "it has no such body", f"write {channel}.<locale>.{kind}.j2 and name the channel in its message.yaml"
        return
    senders = settings.channels.of(channel).senders
    if definition.sender not in senders:
        remedy = f"add it under channels.{channel}.senders of config/alongside.yaml ({', '.join(sorted(senders))})"
        yield f"there is no sender '{definition.sender}'", remedy
        return
    try:
        cargo = cargo_of(name, channel, content)
    except (ConfigurationInvalid, RenderFailed):  # a body with faults of its own, which its own check names
        return
    for what in obstacles(provider, cargo, settings.hospital.country):
        yield what, "choose another channel or provider, or change the message"
    accepted = acceptance_of(settings, channel)
    for locale in Locale:
        rendered = content.compiled(name, channel, locale).render(content.preview_values(name, locale))
        if fault := accepted.fault(definition.sender, rendered.text):
            yield f"{fault.what} ({locale.value})", fault.remedy
