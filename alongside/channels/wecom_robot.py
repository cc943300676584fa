"""A WeCom group robot: one text to a group of staff.

An answer is always HTTP 200; what counts is `errcode` in its body.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from alongside.model.errors import DeliveryError, Permanent, Refused, Retryable, Throttled

#: Of a `text` message, in UTF-8. `markdown` may have 4096 and is not shown by WeChat, which many read WeCom in.
MAX_BYTES = 2048
#: Messages a minute that a robot takes; beyond, 45009 is answered for the rest of the minute.
PER_MINUTE = 20
_PATH = "/cgi-bin/webhook/send"
_WHERE = "WeCom robot"
_TOO_OFTEN = 45009
_INVALID = (93000, 93004, 93008)  # no such webhook; the robot was removed; the sender may not use it
_BUSY = -1


def is_robot(url: str) -> bool:
    """Whether the address is that of a group robot (`.../cgi-bin/webhook/send?key=...`)."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and parts.path == _PATH and bool(parse_qs(parts.query).get("key"))


def portions(lines: Sequence[str], most: int = MAX_BYTES) -> list[str]:
    """The lines in as few texts as fit, in their order; a line that is too long by itself is cut."""
    found: list[str] = []
    for line in lines:
        short = line.encode()[:most].decode(errors="ignore")
        joined = f"{found[-1]}\n{short}" if found else short
        if found and len(joined.encode()) <= most:
            found[-1] = joined
        else:
            found.append(short)
    return found


def say(url: str, text: str, timeout: float = 10.0) -> None:
    """Send one text.

    Raises
    ------
    Throttled : too many a minute; nothing was shown
    Retryable : no answer, or none of the vendor's; it may have been shown
    Refused : there is no such robot
    Permanent : this text is not taken
    """
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    body = json.dumps({"msgtype": "text", "text": {"content": text}}, ensure_ascii=False).encode()
    try:
        headers = {"Content-Type": "application/json; charset=utf-8"}
        connection.request("POST", f"{parts.path}?{parts.query}", body, headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        # The error's own words could quote the address, which is the robot's secret.
        raise Retryable(f"no answer ({type(error).__name__})", where=_WHERE) from None
    finally:
        connection.close()
    if (fault := read_answer(answer.status, content)) is not None:
        raise fault


def read_answer(status: int, body: bytes) -> DeliveryError | Refused | None:
    """What the vendor's answer means; None for acceptance."""
    try:
        code = int(json.loads(body)["errcode"])
    except (ValueError, TypeError, KeyError):
        return Retryable(f"status {status}, and no answer of the vendor's", where=_WHERE)
    if code == 0:
        return None
    if code == _TOO_OFTEN:
        return Throttled("too many messages a minute (45009)", retry_after=60.0, where=_WHERE)
    if code in _INVALID:
        remedy = "Make a new robot in the group, and set its address in the environment."
        return Refused(f"there is no such robot ({code})", where=_WHERE, remedy=remedy)
    if code == _BUSY:
        return Retryable("the vendor is busy (-1)", where=_WHERE)
    return Permanent(f"the text was refused ({code})", where=_WHERE)
