"""`SendSms`, `QuerySendDetails` and `GetSmsTemplate`: authorise, validate, write to the log, answer; or misbehave."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from aiohttp import web

from alongside.sandbox.aliyun.options import Options
from alongside.sandbox.aliyun.postman import Postman, report_code
from alongside.sandbox.aliyun.requests import Gate, VendorRefusal
from alongside.sandbox.common.clock import StandInClock
from alongside.sandbox.common.connections import hang_up, never
from alongside.sandbox.common.faults import Fault, FaultKind, Faults
from alongside.sandbox.common.http import iso, json_response
from alongside.sandbox.common.phone_store import Files

ZONE = ZoneInfo("Asia/Shanghai")
#: Messages of one signature and template to one number in 24 hours.
DAILY_SHARE = 50
LONGEST_VALUE = 35
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_MOBILE = re.compile(r"1[3-9]\d{9}")
_LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
_PROXY_PAGE = "<!doctype html><html><body><h1>Please wait</h1><p>You are being redirected.</p></body></html>"


@dataclass
class Texts:
    """The endpoint and its counters: `answers` by code, `shown` by kind of fault, `accepted` messages."""

    options: Options
    files: Files
    clock: StandInClock
    postman: Postman
    faults: Faults
    gate: Gate
    answers: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    _sent: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        action = request.headers.get("x-acs-action", "")
        try:
            if action == "SendSms" and (fault := self.faults.next()) is not None:
                return await self._misbehave(request, fault)
            answer = await self._answer(request, action)
        except VendorRefusal as refusal:
            self.answers[refusal.code] += 1
            return refusal.response()
        self.answers["OK"] += 1
        return answer

    async def _answer(self, request: web.Request, action: str) -> web.Response:
        given = await self.gate.parameters(request)
        match action:
            case "SendSms":
                return await self._send(given)
            case "QuerySendDetails":
                await self.files.accepted.settled()
                return json_response(self._details(given))
            case "GetSmsTemplate":
                return json_response(self._template(given))
        raise VendorRefusal(404, "InvalidAction.NotFound")

    async def _misbehave(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        self.shown[fault.kind.value] += 1
        match fault.kind:
            case FaultKind.THROTTLE:
                raise VendorRefusal(400, "Throttling.User", "Request was denied due to user flow control.")
            case FaultKind.FAIL:
                raise VendorRefusal(fault.status, "isp.SYSTEM_ERROR")
            case FaultKind.WRONG_KEY:
                raise VendorRefusal(404, "InvalidAccessKeyId.NotFound")
            case FaultKind.HTML:
                return web.Response(text=_PROXY_PAGE, content_type="text/html")
        takes = {FaultKind.SLOW: True, FaultKind.DROP_AFTER: True, FaultKind.HANG: fault.accept}
        answer = await self._answer(request, "SendSms") if takes.get(fault.kind, False) else web.Response(status=499)
        if fault.kind is FaultKind.SLOW:
            await asyncio.sleep(fault.seconds)
            return answer
        return await never(request) if fault.kind is FaultKind.HANG else hang_up(request)

    # --------------------------------------------------------------------------------------------------------- send
    async def _send(self, given: Mapping[str, str]) -> web.Response:
        number, signature, code = (given.get(name, "") for name in ("PhoneNumbers", "SignName", "TemplateCode"))
        if not _MOBILE.fullmatch(number):  # the service takes several, separated by commas; this one one at a time
            raise VendorRefusal(200, "isv.MOBILE_NUMBER_ILLEGAL")
        if not signature or (self.options.signatures and signature not in self.options.signatures):
            raise VendorRefusal(200, "isv.SMS_SIGNATURE_ILLEGAL")
        if code not in self.options.templates:
            raise VendorRefusal(200, "isv.SMS_TEMPLATE_ILLEGAL")
        words = _filled(self.options.templates[code], given.get("TemplateParam", ""))
        now = self.clock.now()
        self._require_share((signature, code, number), now)
        record = {
            "at": iso(now),
            "sid": f"{secrets.randbelow(10**18):018d}^0",
            "to": f"+86{number}",
            "from": signature,
            "service": None,
            "body": f"【{signature}】{words}",
            "template": code,
            "b": None,
            "m": given.get("OutId") or None,
        }
        try:
            (offset,) = await self.files.accepted.append([orjson.dumps(record)])
        except OSError as error:
            raise VendorRefusal(500, "isp.SYSTEM_ERROR") from error
        self.accepted += 1
        if self.options.patients:
            self.postman.queue.add(offset, record)
            self.postman.wake()
        return json_response(
            {"Code": "OK", "Message": "OK", "BizId": record["sid"], "RequestId": secrets.token_hex(16)}
        )

    def _require_share(self, of: tuple[str, str, str], now: float) -> None:
        recent = [moment for moment in self._sent.get(of, []) if moment > now - 86_400]
        if len(recent) >= DAILY_SHARE:
            raise VendorRefusal(200, "isv.BUSINESS_LIMIT_CONTROL")
        self._sent[of] = [*recent, now]

    # --------------------------------------------------------------------------------------------------------- read
    def _details(self, given: Mapping[str, str]) -> dict[str, Any]:
        number, day = given.get("PhoneNumber", ""), given.get("SendDate", "")
        try:
            size, page = int(given.get("PageSize", "")), int(given.get("CurrentPage", ""))
            wanted = datetime.strptime(day, "%Y%m%d").replace(tzinfo=ZONE).date()
        except ValueError as error:
            raise VendorRefusal(400, "isv.INVALID_PARAMETERS") from error
        if not _MOBILE.fullmatch(number) or not 1 <= size <= 50 or page < 1:
            raise VendorRefusal(400, "isv.INVALID_PARAMETERS")
        found = [
            self._detail(record)
            for _, record in self.files.accepted.containing(f'"+86{number}"'.encode())
            if _local(record["at"]).date() == wanted
        ]
        portion = found[(page - 1) * size : page * size]
        return {
            "Code": "OK",
            "Message": "OK",
            "RequestId": secrets.token_hex(16),
            "TotalCount": str(len(found)),
            "SmsSendDetailDTOs": {"SmsSendDetailDTO": portion},
        }

    def _detail(self, record: Mapping[str, Any]) -> dict[str, Any]:
        reached = self.postman.queue.statuses_until(record, self.clock.now()) if self.options.patients else []
        ended = [(moment, step) for moment, step in reached if step.status in ("delivered", "undelivered", "failed")]
        found = {
            "PhoneNum": record["to"].removeprefix("+86"),
            "SendStatus": 1,
            "TemplateCode": record["template"],
            "Content": record["body"],
            "SendDate": f"{_local(record['at']):%Y-%m-%d %H:%M:%S}",
            "OutId": record["m"] or "",
            "ErrCode": "",
        }
        if ended:
            moment, step = ended[-1]
            found["SendStatus"] = 3 if step.status == "delivered" else 2
            found["ErrCode"] = report_code(step)
            found["ReceiveDate"] = f"{datetime.fromtimestamp(moment, UTC).astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
        return found

    def _template(self, given: Mapping[str, str]) -> dict[str, Any]:
        code = given.get("TemplateCode", "")
        if code not in self.options.templates:
            raise VendorRefusal(200, "isv.SMS_TEMPLATE_ILLEGAL")
        return {
            "Code": "OK",
            "Message": "OK",
            "RequestId": secrets.token_hex(16),
            "TemplateCode": code,
            "TemplateContent": self.options.templates[code],
            "TemplateStatus": "1",
        }


def _filled(content: str, given: str) -> str:
    """The registered text with its variables, as strictly as the service takes them."""
    names = set(_VARIABLE.findall(content))
    try:
        values = orjson.loads(given) if given else {}
    except orjson.JSONDecodeError as error:
        raise VendorRefusal(200, "isv.INVALID_JSON_PARAM") from error
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise VendorRefusal(200, "isv.INVALID_JSON_PARAM")
    if set(values) != names:
        raise VendorRefusal(200, "isv.TEMPLATE_MISSING_PARAMETERS")
    if any(len(value) > LONGEST_VALUE for value in values.values()):
        raise VendorRefusal(200, "isv.PARAM_LENGTH_LIMIT")
    if any(_LINK.search(value) for value in values.values()):
        raise VendorRefusal(200, "isv.PARAM_NOT_SUPPORT_URL")
    return _VARIABLE.sub(lambda found: str(values[found[1]]), content)


def _local(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(ZONE)
