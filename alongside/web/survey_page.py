"""`/s/{token}`: the page of a message's survey. GET changes nothing; answers can be changed until it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.content.surveys import Survey
from alongside.ledger import Ledger
from alongside.web.answers import find, keep, read_given
from alongside.web.forms import MAX_FORM_BYTES, read_fields
from alongside.web.knowledge import Knowledge
from alongside.web.limits import PerMinute
from alongside.web.links import Links
from alongside.web.pages import Pages, in_language
from alongside.web.webhook import read_limited
from alongside.web.withdrawal import Sent

USE = "survey"


@dataclass(frozen=True)
class SurveyPage:
    """Both methods of the page; `changes` limits how often one link may change its mind."""

    links: Links
    ledger: Ledger
    pages: Pages
    known: Knowledge
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]
    changes: PerMinute = field(default_factory=PerMinute)

    async def show(self, request: Request) -> Response:
        """GET and HEAD."""
        opened = await self._open(request)
        if isinstance(opened, Response):
            return opened
        sent, survey, _until = opened
        return self.pages.survey(sent.locale, survey, await run_in_threadpool(find, self.ledger, sent))

    async def submit(self, request: Request) -> Response:
        """POST."""
        opened = await self._open(request)
        if isinstance(opened, Response):
            return opened
        sent, survey, until = opened
        body = await read_limited(request, MAX_FORM_BYTES)
        vault = self.known.vault
        if body is None or vault is None:
            return self.pages.lost(413 if body is None else 503)
        given = read_given(survey, read_fields(body))
        if given is None:
            before = await run_in_threadpool(find, self.ledger, sent)
            return self.pages.survey(sent.locale, survey, before, missing=True)
        wall = self.clock()
        if not self.changes.allows(sent.key, wall.timestamp()):
            return self.pages.too_often(sent.locale)
        self.changes.count(sent.key, wall.timestamp())
        due_at = None
        if not sent.of_nobody:
            now = self.patient_clock()
            due_at = await run_in_threadpool(keep, self.ledger, vault, sent, survey, given, now=now, wall=wall)
        return self.pages.survey_thanks(sent.locale, due_at, until)

    async def _open(self, request: Request) -> tuple[Sent, Survey, datetime] | Response:
        """The message behind the link, its survey, and until when it can be answered."""
        sent = await self.links.open(request)
        if isinstance(sent, Response):
            return sent
        sent = replace(sent, locale=in_language(sent.locale, request))
        survey = self.known.survey_of(sent.template)
        if survey is None:
            return self.pages.survey_over()
        until = sent.sent_at + timedelta(days=survey.valid_days)
        return self.pages.survey_over() if self.clock() > until else (sent, survey, until)
