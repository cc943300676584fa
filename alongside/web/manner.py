"""How a patient wishes to be written to: what stands, what a form asks for, and what that writes.

Wishes go to the log of `alongside.ledger.wishes`, decisions about text messages to the consent log. As on the page of
purposes, only what differs from what the form showed is a decision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from alongside.ledger import Ledger, wishes
from alongside.ledger.groups import survivors
from alongside.ledger.schema import message
from alongside.ledger.wishes import AS_USUAL, Wishes, WishEvent
from alongside.model.enums import Channel, Locale, Pace, WishKind
from alongside.settings import HospitalSettings
from alongside.web.choices import ORIGIN, Choice, change_others, read_others
from alongside.web.knowledge import Knowledge
from alongside.web.picture import Seen
from alongside.web.withdrawal import Sent

#: Quiet hours that a page offers: at least five hours of the day are left.
EVENINGS = tuple(f"{hour:02}:00" for hour in range(18, 24))
MORNINGS = tuple(f"{hour:02}:00" for hour in range(6, 13))
_INSTANT = timedelta(microseconds=1)
#: Fields of the form with one value each, and the wish that each is.
_SINGLE = {"pace": WishKind.PACE, "language": WishKind.LANGUAGE, "channel": WishKind.CHANNEL}


@dataclass(frozen=True)
class Topic:
    name: str
    words: Mapping[Locale, str]
    wanted: bool


@dataclass(frozen=True)
class Manner:
    """What stands for one patient, and what the page offers.

    Attributes
    ----------
    quiet : own quiet hours, else the hospital's
    starts, ends : quiet hours to choose from
    ways : channels to choose from, and `-` for no preference
    texts : decisions about text messages; those that are not `offered` are stopped for the number
    """

    wishes: Wishes
    topics: tuple[Topic, ...]
    language: Locale
    quiet: tuple[str, str]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    ways: tuple[str, ...]
    texts: tuple[Choice, ...]

    @property
    def way(self) -> str:
        return self.wishes.channel if self.wishes.channel in self.ways else AS_USUAL

    def unwanted(self, locale: Locale) -> str:
        """The topics that were switched off, in the patient's words."""
        return ("、" if locale is Locale.ZH_CN else ", ").join(
            topic.words[locale] for topic in self.topics if not topic.wanted
        )

    @property
    def shown(self) -> dict[str, str]:
        """What a form has to say that it showed, by field."""
        return {
            "topics": " ".join(topic.name for topic in self.topics if topic.wanted),
            "offered": " ".join(topic.name for topic in self.topics),
            "pace": self.wishes.pace,
            "quiet": "/".join(self.quiet),
            "language": self.language,
            "channel": self.way,
            "texts": " ".join(one.purpose for one in self.texts if one.permitted),
            "general_only": "yes" if self.wishes.general_only else "no",
        }


def read_manner(ledger: Ledger, sent: Sent, settings: HospitalSettings, known: Knowledge) -> Manner:
    """What stands for the recipient of this message."""
    with ledger.reading() as connection:
        living = survivors(connection, [sent.person_id])[sent.person_id]
        said = wishes.events_of(connection, living)
    seen = (known.picture.of(living) if known.picture else None) or Seen()
    standing = wishes.standing(said, seen.expressed)
    house = settings.gates.quiet_hours
    usual = (f"{house.start:%H:%M}", f"{house.end:%H:%M}")
    quiet = standing.quiet or usual
    language = standing.language or (Locale(seen.language) if seen.language in set(Locale) else sent.locale)
    return Manner(
        wishes=standing,
        topics=tuple(Topic(name, words, name not in standing.topics_off) for name, words in known.topics.items()),
        language=language,
        quiet=quiet,
        starts=tuple(sorted({*EVENINGS, usual[0], quiet[0]})),
        ends=tuple(sorted({*MORNINGS, usual[1], quiet[1]})),
        ways=(AS_USUAL, *_ways(settings, sent, seen, standing)),
        texts=_texts(ledger, sent, living, settings, known),
    )


def change_manner(
    ledger: Ledger,
    sent: Sent,
    manner: Manner,
    fields: Mapping[str, list[str]],
    settings: HospitalSettings,
    *,
    evidence: str,
    now: datetime,
    wall: datetime,
) -> int:
    """Record what the form asks for; returns how many decisions were news.

    Parameters
    ----------
    manner : what stands now
    fields : of the form
    evidence : what proves consent to text messages
    now : patient time
    wall : wall time
    """
    if sent.of_nobody:
        return 0
    usual = settings.gates.quiet_hours
    asked = wishes_of(manner, fields, (f"{usual.start:%H:%M}", f"{usual.end:%H:%M}"))
    shown, allowed = frozenset(_words(fields, "shown_texts")), frozenset(fields.get("text", []))
    with ledger.begin() as connection:
        # PostgreSQL: two clicks at once queue here; SQLite has one writer anyway.
        connection.execute(sa.select(message.c.message_key).where(message.c.message_key == sent.key).with_for_update())
        news = wishes.record(connection, _events(connection, sent, asked, now), wall)
        return news + change_others(
            connection,
            sent,
            manner.texts,
            Channel.SMS.value,
            grant=allowed - shown,
            withdraw=shown - allowed,
            evidence=evidence,
            now=now,
            wall=wall,
        )


def wishes_of(manner: Manner, fields: Mapping[str, list[str]], usual: tuple[str, str]) -> dict[WishKind, str]:
    """What the form asks for that differs both from what it showed and from what stands; other values ask for nothing.

    Parameters
    ----------
    usual : the hospital's quiet hours: whoever asks for these follows the hospital
    """
    found = {kind: value for name, kind in _SINGLE.items() if (value := _single(manner, fields, name))}
    if (topics := _topics(manner, fields)) is not None:
        found[WishKind.TOPICS_OFF] = topics
    if general := _single(manner, fields, "general_only"):
        found[WishKind.GENERAL_ONLY] = general
    quiet = (*fields.get("quiet_from", []), *fields.get("quiet_to", []))
    within = len(quiet) == 2 and quiet[0] in manner.starts and quiet[1] in manner.ends
    if within and quiet != manner.quiet and "/".join(quiet) != " ".join(fields.get("shown_quiet", [])):
        found[WishKind.QUIET] = AS_USUAL if quiet == usual else "/".join(quiet)
    return found


def _single(manner: Manner, fields: Mapping[str, list[str]], name: str) -> str:
    allowed: Mapping[str, Iterable[str]] = {
        "pace": Pace,
        "language": Locale,
        "channel": manner.ways,
        "general_only": ("yes", "no"),
    }
    match fields.get(name):
        case [value] if value in set(allowed[name]):
            return "" if [value] == fields.get(f"shown_{name}") or value == manner.shown[name] else value
        case _:
            return ""


def _topics(manner: Manner, fields: Mapping[str, list[str]]) -> str | None:
    """All topics that are off afterwards, those that no page offers among them; None where nothing changes."""
    shown, offered = frozenset(_words(fields, "shown_topics")), frozenset(_words(fields, "shown_offered"))
    ticked, known = frozenset(fields.get("topic", [])), frozenset(topic.name for topic in manner.topics)
    off = (manner.wishes.topics_off | ((shown - ticked) & known)) - ((ticked & offered) - shown)
    return "|".join(sorted(off)) if off != manner.wishes.topics_off else None


def _words(fields: Mapping[str, list[str]], name: str) -> list[str]:
    return " ".join(fields.get(name, [])).split()


def _events(connection: Connection, sent: Sent, asked: Mapping[WishKind, str], now: datetime) -> list[WishEvent]:
    """Each dated to follow what the same patient wished before: in a replay their clock stands still for a day."""
    before = wishes.events_of(connection, sent.person_id)
    events = []
    for kind, value in asked.items():
        own = [event.decided_at for event in before if event.kind is kind]
        recent = [moment for moment in own if now <= moment < now + timedelta(seconds=1)]
        at = max(recent) + _INSTANT if recent else now
        events.append(WishEvent(sent.person_id, kind, value, at, ORIGIN, f"message {sent.key}"))
    return events


def _ways(settings: HospitalSettings, sent: Sent, seen: Seen, standing: Wishes) -> Sequence[str]:
    """Channels that the hospital has and that reach this patient; the message's own one does."""
    states = {
        Channel.EMAIL: seen.email_state,
        Channel.SMS: seen.text_state,
        Channel.WECHAT: seen.openid_state,
        Channel.PUSH: seen.device_token_state,
        Channel.CALL: seen.phone_state,
        Channel.LETTER: seen.postal_state,
    }
    set_up = settings.channels.set_up
    return [
        channel.value
        for channel, state in states.items()
        if channel in set_up and (state == "valid" or channel.value in (sent.channel, standing.channel))
    ]


def _texts(ledger: Ledger, sent: Sent, living: str, settings: HospitalSettings, known: Knowledge) -> tuple[Choice, ...]:
    if Channel.SMS not in settings.channels.set_up or sent.channel == Channel.SMS:
        return ()
    blind = ""
    if known.vault is not None:
        with ledger.reading() as connection:
            contact = known.vault.address_book(connection, [living]).get(living)
        number = contact.address(Channel.SMS.address) if contact else None
        blind = known.vault.blind_index(Channel.SMS.address, number) if number else ""
    return read_others(ledger, sent, Channel.SMS.value, blind)
