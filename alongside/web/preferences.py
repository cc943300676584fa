"""`/p/{token}`: the patient chooses which e-mails may come. GET and HEAD change nothing; each change is one POST.

The form says what it showed (`shown`) and what is ticked (`allow`): only the difference is a decision. So an old tab
that is sent again does not revive what was withdrawn elsewhere, and a body that says nothing changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.channels.capabilities import provider_of
from alongside.ledger import Ledger
from alongside.model.enums import Channel, Locale, Purpose
from alongside.settings import HospitalSettings
from alongside.web import held_page, manner_page
from alongside.web.choices import Change, change, leave_channel, offered_purposes, open_channels, read_choices
from alongside.web.forms import MAX_FORM_BYTES, read_fields
from alongside.web.held_page import HeldPage
from alongside.web.knowledge import Knowledge
from alongside.web.limits import PerMinute
from alongside.web.links import Links
from alongside.web.manner_page import MannerPage
from alongside.web.pages import Pages, in_language
from alongside.web.preference_words import PREFERENCE_WORDS
from alongside.web.webhook import read_limited
from alongside.web.withdrawal import Sent

USE = "preferences"
#: A link in an old message may be in many hands. Unsubscribing by the same message works for ever.
VALID_FOR = timedelta(days=180)


@dataclass(frozen=True)
class Wish:
    """What a form asks for. `leave`: stop everything, whatever else it says; on `channel`, where it names another."""

    grant: frozenset[str] = frozenset()
    withdraw: frozenset[str] = frozenset()
    leave: bool = False
    channel: str = ""


@dataclass(frozen=True)
class Preferences:
    """Both methods of the page; `changes` limits how often one link may change its mind."""

    links: Links
    ledger: Ledger
    pages: Pages
    settings: HospitalSettings
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]
    changes: PerMinute = field(default_factory=PerMinute)
    known: Knowledge = field(default_factory=Knowledge)

    async def show(self, request: Request) -> Response:
        """GET and HEAD."""
        sent = await self.links.open(request)
        if isinstance(sent, Response):
            return sent
        sent = replace(sent, locale=in_language(sent.locale, request))
        match request.query_params.get("view"):
            case manner_page.VIEW:
                return await self._manner.show(sent)
            case held_page.VIEW:
                return await self._held.show(sent, as_file=request.query_params.get("as") == "json")
        choices = await run_in_threadpool(read_choices, self.ledger, sent, self._purposes(sent))
        others = await run_in_threadpool(open_channels, self.ledger, sent, self._others(sent))
        return self.pages.preferences(sent.locale, choices, others)

    async def submit(self, request: Request) -> Response:
        """POST of one of the page's forms."""
        sent = await self.links.open(request)
        if isinstance(sent, Response):
            return sent
        sent = replace(sent, locale=in_language(sent.locale, request))
        body = await read_limited(request, MAX_FORM_BYTES)
        if body is None:
            return self.pages.lost(413)
        fields = read_fields(body)
        match fields.get("form"):
            case [manner_page.VIEW]:
                return await self._manner.submit(sent, fields)
            case [held_page.FORM]:
                return await self._held.submit(sent, fields)
            case _:
                return await self._submit_wish(sent, read_wish(fields))

    async def _submit_wish(self, sent: Sent, wish: Wish) -> Response:
        wall = self.clock()
        if wish.channel:
            return await self._leave_other(sent, wish.channel, wall)
        if wish.grant and not self.changes.allows(sent.key, wall.timestamp()):
            return self.pages.too_often(sent.locale)
        changed = await run_in_threadpool(
            change,
            self.ledger,
            sent,
            self._purposes(sent),
            grant=wish.grant,
            withdraw=frozenset(Purpose) if wish.leave else wish.withdraw,
            evidence=evidence(sent, wish.grant),
            now=self.patient_clock(),
            wall=wall,
        )
        if changed.withdrawn or changed.granted or changed.refused:
            self.changes.count(sent.key, wall.timestamp())
        return self.pages.preferences_saved(sent.locale, changed, left=wish.leave)

    @property
    def _manner(self) -> MannerPage:
        return MannerPage(
            self.ledger, self.pages, self.settings, self.known, self.clock, self.patient_clock, self.changes
        )

    @property
    def _held(self) -> HeldPage:
        return HeldPage(self.ledger, self.pages, self.settings, self.known, self.clock, self.patient_clock)

    async def _leave_other(self, sent: Sent, channel: str, wall: datetime) -> Response:
        if channel not in self._others(sent):
            return await self._as_it_stands(sent)
        now = self.patient_clock()
        if await run_in_threadpool(leave_channel, self.ledger, sent, channel, now=now, wall=wall):
            self.changes.count(sent.key, wall.timestamp())
        return await self._as_it_stands(sent, left_other=channel)

    async def _as_it_stands(self, sent: Sent, left_other: str = "") -> Response:
        choices = await run_in_threadpool(read_choices, self.ledger, sent, self._purposes(sent))
        return self.pages.preferences_saved(sent.locale, Change((), (), (), choices), left=False, left_other=left_other)

    def _others(self, sent: Sent) -> tuple[str, ...]:
        """Other channels on which the hospital writes. A call or a letter that treatment needs has no switch."""
        channels = self.settings.channels.set_up
        return tuple(
            channel.value
            for channel in channels
            if channel.value != sent.channel and not provider_of(self.settings, channel).internal
        )

    def _purposes(self, sent: Sent) -> tuple[str, ...]:
        stores_in = self.settings.channel_stores_in(Channel(sent.channel))
        return offered_purposes(abroad=stores_in != self.settings.hospital.country)


def read_wish(fields: Mapping[str, list[str]]) -> Wish:
    """What the form asks for; what no form of ours could have sent asks for nothing."""
    match fields.get("form"):
        case ["leave"]:
            return Wish(leave=True, channel=" ".join(fields.get("channel", [])))
        case ["purposes"]:
            shown, offered = (frozenset(" ".join(fields.get(name, [])).split()) for name in ("shown", "offered"))
            allowed = frozenset(fields.get("allow", []))
            return Wish(grant=(allowed & offered) - shown, withdraw=shown - allowed)
        case _:
            return Wish()


def evidence(sent: Sent, grant: Collection[str]) -> str:
    """What proves a consent: the message whose link was used, and a hash of the words that were agreed to."""
    words = PREFERENCE_WORDS[Locale(sent.locale)]
    read = "\n".join(f"{words.names[purpose]}: {words.hints[purpose]}" for purpose in words.names if purpose in grant)
    return f"preference page, message {sent.key}, words {sent.locale}:{hashlib.sha256(read.encode()).hexdigest()[:16]}"
