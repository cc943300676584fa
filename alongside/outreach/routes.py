"""The ways on which a campaign can reach a patient: its channels, with what their providers can carry where."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from alongside.channels.capabilities import Capabilities, Cargo, obstacles, provider_of, require_carried
from alongside.content import ContentCatalogue
from alongside.model.enums import Channel, Locale
from alongside.outreach.campaigns import Campaign
from alongside.settings import HospitalSettings

_LINK = re.compile(r"https?://", re.IGNORECASE)
_ASKS_BACK = re.compile(r"\breply\b|\btext (?:back|STOP)\b|回复", re.IGNORECASE)


@dataclass(frozen=True)
class Route:
    """One channel of a campaign.

    Attributes
    ----------
    stores_in : country where the provider keeps what it is given
    countries : to which the provider delivers; None for all
    barred : countries to which it may not carry what the campaign says
    """

    channel: Channel
    stores_in: str
    countries: tuple[str, ...] | None = None
    barred: tuple[str, ...] = ()


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
    texts = []
    for locale in Locale:
        rendered = content.compiled(name, channel, locale).render(content.preview_values(name, locale))
        texts.append(f"{rendered.subject}\n{rendered.text}\n{rendered.html}")
    return Cargo(
        purpose=content.message(name).definition.purpose,
        length=max(len(text.strip()) for text in texts),
        links=any(_LINK.search(text) for text in texts),
        replies=any(_ASKS_BACK.search(text) for text in texts),
    )


def _route(
    campaign: Campaign, channel: Channel, names: list[str], content: ContentCatalogue, settings: HospitalSettings
) -> Route:
    provider = provider_of(settings, channel)
    cargoes = [cargo_of(name, channel, content) for name in names]
    for name, cargo in zip(names, cargoes, strict=True):
        require_carried(provider, cargo, f"campaign {campaign.name}: {name}", settings.hospital.country)
    return Route(
        channel=channel,
        stores_in=settings.channels.of(channel).stores_data_in,
        countries=None if provider.countries is None else tuple(sorted(provider.countries)),
        barred=tuple(sorted(country for country in provider.exceptions if _is_barred(provider, cargoes, country))),
    )


def _is_barred(provider: Capabilities, cargoes: Iterable[Cargo], country: str) -> bool:
    return any(obstacles(provider, cargo, country) for cargo in cargoes)
