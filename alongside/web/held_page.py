"""`/p/{token}?view=data`: what is held, as a page and as a file (`&as=json`), and wishes about all of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.ledger import Ledger
from alongside.ledger.data_requests import KINDS
from alongside.model.enums import ThreadKind
from alongside.settings import HospitalSettings
from alongside.web.held import as_json, ask, read_held
from alongside.web.held_words import HELD_WORDS
from alongside.web.knowledge import Knowledge
from alongside.web.pages import HEADERS, Pages
from alongside.web.withdrawal import Sent

VIEW = "data"
FORM = "request"
FILE = "my-data.json"


@dataclass(frozen=True)
class HeldPage:
    """Both methods of the view."""

    ledger: Ledger
    pages: Pages
    settings: HospitalSettings
    known: Knowledge
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]

    async def show(self, sent: Sent, *, as_file: bool) -> Response:
        """GET and HEAD."""
        held = await run_in_threadpool(read_held, self.ledger, sent, self.settings, self.known, self.clock())
        if not as_file:
            return self.pages.held(sent.locale, held)
        hospital = self.settings.hospital.name[sent.locale]
        body = orjson.dumps(as_json(held, hospital, self.clock()), option=orjson.OPT_INDENT_2)
        file = {"Content-Disposition": f'attachment; filename="{FILE}"'}
        return Response(body, headers=HEADERS | file, media_type="application/json")

    async def submit(self, sent: Sent, fields: Mapping[str, list[str]]) -> Response:
        """POST of one of the requests."""
        kind = next((kind for kind in KINDS if fields.get("kind") == [kind.value]), None)
        vault = self.known.vault
        if kind is None or vault is None or sent.of_nobody:
            return await self.show(sent, as_file=False)
        home = self.settings.hospital.default_locale
        wall = self.clock()
        asked = await run_in_threadpool(
            ask,
            self.ledger,
            vault,
            sent,
            ThreadKind(kind),
            HELD_WORDS[home].requests[kind].task,
            due_at=wall + timedelta(days=self.settings.inbox.data_request_within_days),
            patient_now=self.patient_clock(),
            wall=wall,
        )
        return self.pages.asked(sent.locale, asked)
