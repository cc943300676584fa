"""`/api/inbox`: what patients wrote, for programs of the staff. The same desk as `alongside inbox`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from alongside.delivery.desk import Desk
from alongside.ledger.inbox import Entry, Thread
from alongside.model.enums import ThreadKind, ThreadStatus
from alongside.model.errors import Refused
from alongside.web.limits import STAFF, Doorman, PerMinute
from alongside.web.schemas import errors
from alongside.web.staff import StaffTokens, actor_of

PATH = "/api/inbox"
#: Who acts, where the token does not say.
ACTOR_HEADER = "X-Actor"
_ID = Path(pattern="^t[0-9a-f]{1,39}$", description="as the list shows it")
Id = Annotated[str, _ID]


class ThreadOut(BaseModel):
    """A conversation."""

    thread_id: str
    kind: ThreadKind
    channel: str
    person_id: str | None
    status: ThreadStatus
    owner: str | None
    due_at: datetime
    late: bool
    opened_at: datetime
    updated_at: datetime


class EntryOut(BaseModel):
    """One turn of it; `author` is null for the patient."""

    at: datetime
    author: str | None
    words: str
    message_key: str | None
    state: str | None


class ConversationOut(ThreadOut):
    entries: list[EntryOut]


class AnswerIn(BaseModel):
    text: str = Field(min_length=1, max_length=4000, description="the hospital's name is put in front")


class AnswerOut(BaseModel):
    thread_id: str
    message_key: str
    sent: bool = Field(description="the provider has it; else it leaves with the next run of 'deliver'")
    why: str = Field("", description="why it is not sent yet")


@dataclass(frozen=True)
class InboxApi:
    """The routes over one desk. `failures` counts wrong tokens of a client."""

    desk: Desk
    tokens: StaffTokens
    doorman: Doorman
    failures: PerMinute = field(default_factory=PerMinute)

    def add_to(self, app: FastAPI) -> None:
        """Put the routes into the application."""
        routes: tuple[tuple[str, str, Callable[..., object], type[object]], ...] = (
            ("GET", PATH, self.threads, list[ThreadOut]),
            ("GET", f"{PATH}/{{thread}}", self.show, ConversationOut),
            ("POST", f"{PATH}/{{thread}}/take", self.take, ThreadOut),
            ("POST", f"{PATH}/{{thread}}/answer", self.answer, AnswerOut),
            ("POST", f"{PATH}/{{thread}}/close", self.close, ThreadOut),
        )
        scheme = HTTPBearer(auto_error=False, description="of ALONGSIDE_STAFF_TOKEN")
        for method, path, endpoint, model in routes:
            app.add_api_route(
                path,
                endpoint,
                methods=[method],
                response_model=model,
                responses=errors(400, 401, 404, 409, 422),
                dependencies=[Depends(self.doorman.check(STAFF)), Depends(scheme)],
                tags=["inbox"],
            )

    def threads(
        self,
        request: Request,
        status: Annotated[list[ThreadStatus] | None, Query(description="default: open")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    ) -> list[ThreadOut]:
        """Conversations that wait for a person, the most urgent first."""
        self._holder(request)
        return [self._thread(one) for one in self.desk.threads(status or [ThreadStatus.OPEN], limit)]

    def show(self, request: Request, thread: Id) -> ConversationOut:
        """One conversation. The words are the patient's; that they were read is in the audit trail."""
        who = self._actor(request)
        found, entries = self._found(thread)
        self.desk.note_reading(thread, who)
        return ConversationOut(**self._thread(found).model_dump(), entries=[_entry(one) for one in entries])

    def take(self, request: Request, thread: Id) -> ThreadOut:
        """Say that the actor answers."""
        who = self._actor(request)
        self._found(thread)
        self.desk.take(thread, who)
        return self._thread(self._found(thread)[0])

    def answer(self, request: Request, thread: Id, said: AnswerIn) -> AnswerOut:
        """Answer by the way on which the patient wrote; it leaves at once, or once the provider can be reached."""
        who = self._actor(request)
        found, _ = self._found(thread)
        try:
            key = self.desk.answer(thread, said.text, who)
        except Refused as refusal:
            raise HTTPException(409, str(refusal)) from refusal
        left = self.desk.send(found.channel)
        if left.stopped:
            raise HTTPException(409, f"The answer was not sent: {left.why}.")
        return AnswerOut(thread_id=thread, message_key=key, sent=left.sent, why=left.why)

    def close(self, request: Request, thread: Id) -> ThreadOut:
        """No (further) answer is needed. Whoever writes again opens a new conversation."""
        who = self._actor(request)
        self._found(thread)
        self.desk.close(thread, who)
        return self._thread(self._found(thread)[0])

    # --------------------------------------------------------------------------------------------------------- helpers
    def _holder(self, request: Request) -> str:
        """Whose token the request shows."""
        client, now = self.doorman.proxies.client_of(request), self.doorman.clock().timestamp()
        if not self.failures.allows(client, now):
            raise HTTPException(429, "too many wrong tokens", {"Retry-After": "60"})
        holder = self.tokens.holder(request.headers.get("Authorization", ""))
        if holder is None:
            self.failures.count(client, now)
            raise HTTPException(401, "the token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        return holder

    def _actor(self, request: Request) -> str:
        who = actor_of(self._holder(request), request.headers.get(ACTOR_HEADER, ""))
        if who is None:
            raise HTTPException(400, f"say who acts, in the header {ACTOR_HEADER}")
        return who

    def _found(self, thread: str) -> tuple[Thread, list[Entry]]:
        try:
            found, entries = self.desk.show(thread)
        except Refused as refusal:
            raise HTTPException(404, f"no thread {thread!r}") from refusal
        return found, list(entries)

    def _thread(self, one: Thread) -> ThreadOut:
        return ThreadOut(
            thread_id=one.thread_id,
            kind=one.kind,
            channel=one.channel,
            person_id=one.person_id,
            status=one.status,
            owner=one.owner,
            due_at=one.due_at,
            late=one.status is ThreadStatus.OPEN and one.due_at < self.desk.clock(),
            opened_at=one.opened_at,
            updated_at=one.updated_at,
        )


def _entry(one: Entry) -> EntryOut:
    return EntryOut(at=one.at, author=one.author, words=one.words, message_key=one.message_key, state=one.state)
