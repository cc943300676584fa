"""`/a/{token}`: whether a patient comes to an appointment. GET and HEAD change nothing; an answer is one POST."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.ledger import Ledger
from alongside.model.enums import AppointmentAnswer
from alongside.settings import HospitalSettings
from alongside.web.coming import Coming, Standing, answer, may_not_know, read_coming, reference_of
from alongside.web.forms import MAX_FORM_BYTES, read_fields
from alongside.web.knowledge import Knowledge
from alongside.web.limits import PerMinute
from alongside.web.links import Links
from alongside.web.pages import Pages, in_language
from alongside.web.webhook import read_limited
from alongside.web.withdrawal import Sent

USE = "appointment"


@dataclass(frozen=True)
class ComingPage:
    """Both methods of the page; `changes` limits how often one link may change its mind."""

    links: Links
    ledger: Ledger
    pages: Pages
    settings: HospitalSettings
    known: Knowledge
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]
    changes: PerMinute = field(default_factory=PerMinute)

    async def show(self, request: Request) -> Response:
        """GET and HEAD."""
        opened = await self._open(request)
        return opened if isinstance(opened, Response) else self.pages.coming(opened[0].locale, opened[1])

    async def submit(self, request: Request) -> Response:
        """POST of one of the two buttons."""
        opened = await self._open(request)
        if isinstance(opened, Response):
            return opened
        sent, coming = opened
        body = await read_limited(request, MAX_FORM_BYTES)
        if body is None:
            return self.pages.lost(413)
        said = next((one for one in AppointmentAnswer if read_fields(body).get("answer") == [one.value]), None)
        if said is None or coming.standing is not Standing.BOOKED or coming.answer is AppointmentAnswer.CANCEL:
            return self.pages.coming(sent.locale, coming)
        wall = self.clock()
        if not self.changes.allows(sent.key, wall.timestamp()):
            return self.pages.too_often(sent.locale)
        self.changes.count(sent.key, wall.timestamp())
        stands = said
        if not sent.of_nobody:
            stands = await run_in_threadpool(self._answer, sent, coming, said, wall)
        return self.pages.coming(sent.locale, replace(coming, answer=stands), just_now=stands is said)

    def _answer(self, sent: Sent, coming: Coming, said: AppointmentAnswer, wall: datetime) -> AppointmentAnswer:
        within = None
        if self.known.tells_staff(sent.campaign):
            within = timedelta(hours=self.settings.inbox.answer_within_hours)
        return answer(
            self.ledger,
            self.known.vault,
            sent,
            coming.reference,
            said,
            self.pages.cancellation(coming),
            now=self.patient_clock(),
            wall=wall,
            due_within=within,
        )

    async def _open(self, request: Request) -> tuple[Sent, Coming] | Response:
        sent = await self.links.open(request)
        if isinstance(sent, Response):
            return sent
        sent = replace(sent, locale=in_language(sent.locale, request))
        reference = reference_of(sent)
        if reference is None or await run_in_threadpool(may_not_know, self.ledger, sent, self.patient_clock()):
            return self.pages.lost(404)
        coming = await run_in_threadpool(
            read_coming,
            self.ledger,
            self.known.picture,
            sent,
            reference,
            self.patient_clock(),
            names_department=self.known.may_name_department(sent.channel),
        )
        return sent, coming
