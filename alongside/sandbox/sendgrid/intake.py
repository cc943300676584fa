"""From a valid mail/send body to the lines of `accepted.ndjson`: one record per recipient."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from alongside.sandbox.common.http import iso
from alongside.sandbox.sendgrid.checks import Body
from alongside.sandbox.sendgrid.responses import DEFAULT_RULE
from alongside.sandbox.sendgrid.validation import recipients

_LINK = re.compile(r"""href=["']((?!tel:|mailto:|#)[^"']+)["']""")
_LIST_UNSUBSCRIBE = re.compile(r"<(https?://[^>]+)>")


def accepted_lines(
    body: Body,
    request_id: str,
    at: float,
    rule_of: Callable[[str, str], str | None],
    dropped: Mapping[str, str],
) -> list[bytes]:
    """One JSON line per recipient.

    Parameters
    ----------
    body : a body that `validate` accepted
    at : seconds since the epoch at which it was accepted
    rule_of : (subject, text) to the name of the rule in `responses.yaml`
    dropped : addresses that the vendor itself no longer delivers to, with its reason
    """
    shared = _shared_fields(body, request_id, at)
    plain, html = _part(body, "text/plain"), _part(body, "text/html")
    shared["html_sha256"] = hashlib.sha256(html.encode()).hexdigest() if html else None
    links = _links(html)
    text = plain or html
    lines: list[bytes] = []
    for item in body["personalizations"]:
        record = shared | _own_fields(body, item, links)
        record["rule"] = rule_of(record["subject"], text) or DEFAULT_RULE
        for address in recipients(item):
            record["n"] = len(lines)
            record["to"] = address
            if dropped and (reason := dropped.get(address.lower())):
                lines.append(orjson.dumps({**record, "dropped": reason}))
            else:
                lines.append(orjson.dumps(record))
    return lines


def body_line(body: Body, request_id: str) -> bytes:
    """The request as it came, for `bodies.ndjson`."""
    return orjson.dumps({"request_id": request_id, "body": body})


def _shared_fields(body: Body, request_id: str, at: float) -> dict[str, Any]:
    shared: dict[str, Any] = {"at": iso(at), "request_id": request_id, "from": body["from"]["email"]}
    if body.get("categories"):
        shared["categories"] = body["categories"]
    return shared


def _links(html: str) -> list[str]:
    """What the first links lead to, up to the first whose address is written out: that one is clicked at the latest."""
    found: list[str] = []
    for link in _LINK.finditer(html):
        found.append(link.group(1))
        if found[-1].startswith(("https://", "http://")):
            break
    return found


def _own_fields(body: Body, item: Body, links: Sequence[str]) -> dict[str, Any]:
    substitutions: Mapping[str, str] = item.get("substitutions") or {}
    arguments = {**(body.get("custom_args") or {}), **(item.get("custom_args") or {})}
    own: dict[str, Any] = {
        "m": arguments.pop("m", None),
        "b": arguments.pop("b", None),
        "subject": _substituted(_subject(body, item), substitutions),
    }
    if "from" in item:
        own["from"] = item["from"]["email"]
    if arguments:
        own["args"] = arguments
    # A whole address may be a substitution: whether it is one of the web shows only with the recipient's values.
    told = (_substituted(link, substitutions) for link in links)
    if link := next((link for link in told if link.startswith(("https://", "http://"))), ""):
        own["link"] = link
    if send_at := item.get("send_at") or body.get("send_at"):
        own["send_at"] = send_at
    if url := _one_click_url(item.get("headers") or {}) or _one_click_url(body.get("headers") or {}):
        own["unsubscribe"] = url
    return own


def _subject(body: Body, item: Body) -> str:
    if found := item.get("subject") or body.get("subject"):
        return str(found)
    data = item.get("dynamic_template_data") or {}
    return str(data.get("subject") or "")


def _substituted(text: str, substitutions: Mapping[str, str]) -> str:
    for tag, value in substitutions.items():
        if tag in text:
            text = text.replace(tag, value)
    return text


def _part(body: Body, mime: str) -> str:
    for block in body.get("content") or ():
        if block["type"].lower() == mime:
            return str(block["value"])
    return ""


def _one_click_url(headers: Mapping[str, str]) -> str:
    """The web link of `List-Unsubscribe`, when `List-Unsubscribe-Post` offers one click (RFC 8058)."""
    links, offer = headers.get("List-Unsubscribe", ""), headers.get("List-Unsubscribe-Post", "")
    if not (links and offer):  # names of headers may be written in any case, and seldom are
        lowered = {name.lower(): value for name, value in headers.items()}
        links, offer = lowered.get("list-unsubscribe", ""), lowered.get("list-unsubscribe-post", "")
    if offer.strip().lower() != "list-unsubscribe=one-click":
        return ""
    found = _LIST_UNSUBSCRIBE.search(links)
    return found.group(1) if found else ""
