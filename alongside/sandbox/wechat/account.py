"""The account's interfaces: tokens, template messages, answers, the list of templates; or misbehaviour."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.connections import hang_up, never
from alongside.sandbox.common.faults import Fault, FaultKind, Faults
from alongside.sandbox.common.http import iso, json_response
from alongside.sandbox.common.phone_store import Files
from alongside.sandbox.wechat.followers import is_stranger
from alongside.sandbox.wechat.options import Options, Registered
from alongside.sandbox.wechat.postman import Postman
from alongside.sandbox.wechat.values import fits

TOKEN_SECONDS = 7200
#: A token that was replaced through the older interface holds for so long.
OVERLAP_SECONDS = 300
RECOGNISED_SECONDS = 600
ANSWER_SECONDS, ANSWERS = 48 * 3600, 5
LONGEST_ANSWER = 2048
_KNOWN = frozenset({"touser", "template_id", "url", "miniprogram", "data", "client_msg_id"})
#: What faults are called here; 503 is the vendor's -1, 500 something in front of it.
_CODES = {
    FaultKind.THROTTLE: (45011, "api minute-quota reach limit, must slower, retry next minute"),
    FaultKind.FAIL: (-1, "system error"),
    FaultKind.WRONG_KEY: (40164, "invalid ip 127.0.0.1, not in whitelist"),
}
_PROXY_PAGE = "<!doctype html><html><body><h1>Please wait</h1><p>You are being redirected.</p></body></html>"


class VendorRefusal(Exception):
    """Ends a request with one of the vendor's codes; its status is 200 all the same."""

    def __init__(self, code: int, words: str) -> None:
        self.code, self.words = code, words
        super().__init__(words)

    def response(self) -> web.Response:
        return json_response({"errcode": self.code, "errmsg": f"{self.words} rid: stand-in"})


@dataclass
class Account:
    """The endpoints and their counters: `answers` by code, `shown` by kind of fault, `accepted` messages."""

    options: Options
    files: Files
    clock: StandInClock
    postman: Postman
    faults: Faults
    answers: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    tokens: int = 0
    _tokens: dict[str, float] = field(default_factory=dict)
    _today: Counter[str] = field(default_factory=Counter)
    _recent: dict[tuple[str, str], tuple[float, int]] = field(default_factory=dict)

    def restore(self) -> None:
        """What was accepted in an earlier life is still recognised."""
        for _, line in self.files.accepted.lines():
            record = orjson.loads(line)
            if record["m"]:
                moment = datetime.fromisoformat(record["at"]).timestamp()
                self._recent[(record["to"], record["m"])] = (moment, int(record["sid"]))

    def routes(self, app: web.Application) -> None:
        app.router.add_get("/cgi-bin/token", self._answering(self.token))
        app.router.add_post("/cgi-bin/stable_token", self._answering(self.stable_token))
        app.router.add_post("/cgi-bin/message/template/send", self.send)
        app.router.add_post("/cgi-bin/message/custom/send", self._answering(self.answer))
        app.router.add_get("/cgi-bin/template/get_all_private_template", self._answering(self.templates))

    def _answering(self, handle: Any) -> Any:
        async def handler(request: web.Request) -> web.StreamResponse:
            return await self._counted(handle(request))

        return handler

    async def _counted(self, answering: Any) -> web.StreamResponse:
        try:
            found: web.Response = await answering
        except VendorRefusal as refusal:
            self.answers[str(refusal.code)] += 1
            return refusal.response()
        self.answers["0"] += 1
        return found

    # --------------------------------------------------------------------------------------------------------- tokens
    async def stable_token(self, request: web.Request) -> web.Response:
        """The token that holds, for everybody; another one only in its last minutes."""
        given = await _object(request)
        self._require_account(given.get("grant_type"), given.get("appid"), given.get("secret"))
        now = self.clock.now()
        holds = [(until, value) for value, until in self._tokens.items() if until > now + OVERLAP_SECONDS]
        if not holds:
            return self._issued(now)
        until, value = max(holds)
        return json_response({"access_token": value, "expires_in": int(until - now)})

    async def token(self, request: web.Request) -> web.Response:
        """A new token; the one before ends soon."""
        given = request.query
        self._require_account(given.get("grant_type"), given.get("appid"), given.get("secret"))
        now = self.clock.now()
        self._tokens = {value: min(until, now + OVERLAP_SECONDS) for value, until in self._tokens.items()}
        return self._issued(now)

    def _issued(self, now: float) -> web.Response:
        value = secrets.token_urlsafe(64)
        self._tokens[value] = now + TOKEN_SECONDS
        self.tokens += 1
        return json_response({"access_token": value, "expires_in": TOKEN_SECONDS})

    def _require_account(self, grant: Any, app_id: Any, secret: Any) -> None:
        if grant != "client_credential":
            raise VendorRefusal(40002, "invalid grant_type")
        if app_id != self.options.app_id:
            raise VendorRefusal(40013, "invalid appid")
        if secret != self.options.secret:
            raise VendorRefusal(40125, "invalid appsecret")

    def forget_tokens(self) -> None:
        """As after somebody has reset the account's secret: nothing that was given holds any more."""
        self._tokens.clear()

    def _require_token(self, request: web.Request) -> None:
        until = self._tokens.get(request.query.get("access_token", ""))
        if until is None:
            raise VendorRefusal(40001, "invalid credential, access_token is invalid or not latest")
        if until <= self.clock.now():
            raise VendorRefusal(42001, "access_token expired")

    # ----------------------------------------------------------------------------------------------------------- send
    async def send(self, request: web.Request) -> web.StreamResponse:
        if (fault := self.faults.next()) is None:
            return await self._counted(self._send(request))
        self.shown[fault.kind.value] += 1
        if fault.kind is FaultKind.HTML:
            return web.Response(text=_PROXY_PAGE, content_type="text/html")
        if fault.kind is FaultKind.FAIL and fault.status == 500:
            return web.Response(status=500)
        if fault.kind in _CODES:
            return await self._counted(_refuse(*_CODES[fault.kind]))
        return await self._lost(request, fault)

    async def _lost(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        """The answer comes late, or not at all; `accept` says whether the message was taken first."""
        takes = {FaultKind.SLOW: True, FaultKind.DROP_AFTER: True, FaultKind.HANG: fault.accept}
        answer: web.StreamResponse = web.Response(status=499)
        if takes.get(fault.kind, False):
            answer = await self._counted(self._send(request))
        if fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
            return answer
        return await never(request) if fault.kind is FaultKind.HANG else hang_up(request)

    async def _send(self, request: web.Request) -> web.Response:
        self._require_token(request)
        given = await _object(request)
        openid, template = self._require_valid(given)
        now, key = self.clock.now(), given.get("client_msg_id")
        if key is not None and (known := self._recent.get((openid, key))) and known[0] > now - RECOGNISED_SECONDS:
            return json_response({"errcode": 0, "errmsg": "ok", "msgid": known[1]})
        self._require_quota(now)
        read = [f"{label}：{given['data'][name]['value']}" for name, label in template.fields.items()]
        body = "\n".join([template.title, *read])
        number = await self._accept(openid, body, now, template.template_id, key, given.get("url"))
        if key is not None:
            self._recent[(openid, key)] = (now, number)
        return json_response({"errcode": 0, "errmsg": "ok", "msgid": number})

    def _require_valid(self, given: Mapping[str, Any]) -> tuple[str, Registered]:
        openid, key, data = given.get("touser"), given.get("client_msg_id"), given.get("data")
        if unknown := sorted(given.keys() - _KNOWN):  # the vendor ignores it; a mistake of ours should show
            raise VendorRefusal(47001, f"data format error: {unknown[0]}")
        if not isinstance(openid, str) or not openid:
            raise VendorRefusal(41009, "missing openid")
        if len(openid) < 20 or not openid.replace("-", "").replace("_", "").isalnum():
            raise VendorRefusal(40003, "invalid openid")
        template = next((one for one in self.options.templates if one.template_id == given.get("template_id")), None)
        if template is None:
            raise VendorRefusal(40037, "invalid template_id")
        if key is not None and (not isinstance(key, str) or not 0 < len(key) <= 64):
            raise VendorRefusal(47001, "data format error: client_msg_id")
        self._require_follower(openid)
        if not isinstance(data, dict) or set(data) != set(template.fields):
            raise VendorRefusal(47003, "argument invalid! data has other fields than the template")
        for name in template.fields:
            value = data[name].get("value") if isinstance(data[name], dict) else None
            if not fits(name, value):
                raise VendorRefusal(47003, f"argument invalid! data.{name}.value invalid")
        return openid, template

    def _require_follower(self, openid: str) -> None:
        stranger = self.options.patients and is_stranger(self.options.rates, self.options.seed, openid)
        if stranger or openid in self.postman.gone:
            raise VendorRefusal(43004, "require subscribe")

    def _require_quota(self, now: float) -> None:
        day = iso(now)[:10]
        if self._today[day] >= self.options.quota:
            raise VendorRefusal(45009, "reach max api daily quota limit")
        self._today[day] += 1

    async def _accept(
        self, openid: str, body: str, now: float, template: str | None, key: str | None, url: str | None
    ) -> int:
        record = {
            "at": iso(now),
            "sid": str(secrets.randbelow(10**18) + 10**17),
            "to": openid,
            "from": self.options.app_id,
            "template": template,
            "body": body,
            "url": url,
            "b": None,
            "m": key,
        }
        try:
            (offset,) = await self.files.accepted.append([orjson.dumps(record)])
        except OSError as error:
            raise VendorRefusal(-1, "system error") from error
        self.accepted += 1
        if self.options.patients:
            self.postman.queue.add(offset, record)
            self.postman.wake()
        return int(str(record["sid"]))

    # --------------------------------------------------------------------------------------------------------- answer
    async def answer(self, request: web.Request) -> web.Response:
        """A customer-service message: to whoever wrote within two days, some for each message."""
        self._require_token(request)
        given = await _object(request)
        openid, text = given.get("touser"), (given.get("text") or {}).get("content")
        if not isinstance(openid, str) or given.get("msgtype") != "text" or not isinstance(text, str):
            raise VendorRefusal(40008, "invalid message type")
        if not text or len(text.encode()) > LONGEST_ANSWER:
            raise VendorRefusal(45002, "content size out of limit")
        self._require_follower(openid)
        now = self.clock.now()
        moment, used = self.postman.heard.get(openid, (0.0, 0))
        if moment <= now - ANSWER_SECONDS:
            raise VendorRefusal(45015, "response out of time limit or subscription is canceled")
        if used >= ANSWERS:
            raise VendorRefusal(45047, "out of response count limit")
        self.postman.heard[openid] = (moment, used + 1)
        await self._accept(openid, text, now, None, None, None)
        return json_response({"errcode": 0, "errmsg": "ok"})

    async def templates(self, request: web.Request) -> web.Response:
        """Everything that is registered."""
        self._require_token(request)
        listed = [
            {
                "template_id": one.template_id,
                "title": one.title,
                "primary_industry": "",
                "deputy_industry": "",
                "content": "\n".join(f"{label}:{{{{{name}.DATA}}}}" for name, label in one.fields.items()),
                "example": "",
            }
            for one in self.options.templates
        ]
        return json_response({"template_list": listed})


async def _refuse(code: int, words: str) -> web.Response:
    raise VendorRefusal(code, words)


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        found = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise VendorRefusal(47001, "data format error")
    return found
