"""No body larger than a limit is ever held, of routes whose bodies are read before anybody asks who sends them."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: An answer has 4,000 characters at most; escaped, each may take 12 bytes.
MAX_API_BYTES = 64 * 1024


@dataclass(frozen=True)
class SmallBodies:
    """Answers 413 as soon as the body of a request below `prefix` is known to exceed `limit` bytes."""

    app: ASGIApp
    prefix: str
    limit: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(self.prefix):
            return await self.app(scope, receive, send)
        taken = await self._take(receive)
        if taken is None:
            return await JSONResponse({"error": "too large"}, 413)(scope, receive, send)
        waiting = iter(taken)

        async def again() -> Message:
            return next(waiting, None) or await receive()

        await self.app(scope, again, send)

    async def _take(self, receive: Receive) -> list[Message] | None:
        """The messages that make the body; None once there is too much of it."""
        found: list[Message] = []
        size, more = 0, True
        while more:
            one = await receive()
            size += len(one.get("body", b""))
            if size > self.limit:
                return None
            found.append(one)
            more = one["type"] == "http.request" and one.get("more_body", False)
        return found
