"""`/p/{token}?view=manner`: topics, times, language and ways. GET changes nothing; each change is one POST."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from alongside.ledger import Ledger
from alongside.model.enums import Locale
from alongside.settings import HospitalSettings
from alongside.web.knowledge import Knowledge
from alongside.web.limits import PerMinute
from alongside.web.manner import change_manner, read_manner
from alongside.web.manner_words import MANNER_WORDS
from alongside.web.pages import Pages
from alongside.web.preference_words import PREFERENCE_WORDS
from alongside.web.withdrawal import Sent

VIEW = "manner"


@dataclass(frozen=True)
class MannerPage:
    """Both methods of the view; `changes` limits how often one link may change its mind."""

    ledger: Ledger
    pages: Pages
    settings: HospitalSettings
    known: Knowledge
    clock: Callable[[], datetime]
    patient_clock: Callable[[], datetime]
    changes: PerMinute

    async def show(self, sent: Sent) -> Response:
        """GET and HEAD."""
        manner = await run_in_threadpool(read_manner, self.ledger, sent, self.settings, self.known)
        return self.pages.manner(sent.locale, manner)

    async def submit(self, sent: Sent, fields: Mapping[str, list[str]]) -> Response:
        """POST."""
        wall = self.clock()
        if not self.changes.allows(sent.key, wall.timestamp()):
            return self.pages.too_often(sent.locale)
        manner = await run_in_threadpool(read_manner, self.ledger, sent, self.settings, self.known)
        news = await run_in_threadpool(
            change_manner,
            self.ledger,
            sent,
            manner,
            fields,
            self.settings,
            evidence=_evidence(sent),
            now=self.patient_clock(),
            wall=wall,
        )
        if news:
            self.changes.count(sent.key, wall.timestamp())
            manner = await run_in_threadpool(read_manner, self.ledger, sent, self.settings, self.known)
        return self.pages.manner(sent.locale, manner, changed=news > 0)


def _evidence(sent: Sent) -> str:
    """What proves consent to text messages: the message whose link was used, and a hash of the words agreed to."""
    names = "\n".join(PREFERENCE_WORDS[Locale(sent.locale)].names.values())
    read = f"{MANNER_WORDS[sent.locale].texts}\n{names}"
    return f"preference page, message {sent.key}, words {sent.locale}:{hashlib.sha256(read.encode()).hexdigest()[:16]}"
