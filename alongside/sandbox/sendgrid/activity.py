"""The Email Activity feed: `GET /v3/messages?query=...`, answered from `accepted.ndjson` itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from alongside.sandbox.common.log import AppendLog
from alongside.sandbox.sendgrid.behaviour import Act

MAX_LIMIT = 1000
_VALUE = r"""(?:"([^"]*)"|'([^']*)')"""
_CLAUSE = re.compile(
    rf"""\s*\(?\s*(?:unique_args\[['"](?P<arg>[^'"]+)['"]\]|(?P<field>msg_id|to_email|from_email|subject))\s*"""
    rf"""(?:(?P<operator>=|(?i:LIKE))\s*{_VALUE}|(?i:IN)\s*\((?P<many>[^)]*)\))\s*\)?\s*"""
)
_AND = re.compile(r"(?i)AND\b")
_FIELDS = {"to_email": "to", "from_email": "from", "subject": "subject"}
_NOT_DELIVERED = {Act.BOUNCE, Act.BLOCKED, Act.DROPPED}


class QueryError(ValueError):
    """The feed's query language was not understood."""


@dataclass(frozen=True)
class Clause:
    """`name` is one of `values`; with `prefix` it starts with the only one."""

    name: str
    is_argument: bool
    values: tuple[str, ...]
    prefix: bool = False

    def matches(self, record: Mapping[str, Any]) -> bool:
        found = self._value(record)
        if found is None:
            return False
        return found.startswith(self.values[0]) if self.prefix else found in self.values

    def _value(self, record: Mapping[str, Any]) -> str | None:
        if self.is_argument:
            value = record[self.name] if self.name in ("m", "b") else record.get("args", {}).get(self.name)
            return None if value is None else str(value)
        if self.name == "msg_id":
            return message_id(record)
        return str(record[_FIELDS[self.name]])

    @property
    def needle(self) -> bytes:
        """Bytes that every matching line of the log contains, to skip the others unparsed."""
        if len(self.values) != 1:
            return b""
        text = self.values[0].split(".")[0] if self.name == "msg_id" else self.values[0]
        return orjson.dumps(text)[1:-1]


def parse_query(text: str) -> tuple[Clause, ...]:
    """Clauses joined with AND, such as `unique_args['b']="..." AND to_email="..."`.

    Raises
    ------
    QueryError : anything else of the vendor's query language
    """
    clauses: list[Clause] = []
    position = 0
    while True:
        found = _CLAUSE.match(text, position)
        if not found:
            raise QueryError(f"cannot parse the query at character {position}")
        clauses.append(_clause(found))
        position = found.end()
        if position == len(text):
            return tuple(clauses)
        joint = _AND.match(text, position)
        if not joint:
            raise QueryError(f"expected AND at character {position}")
        position = joint.end()


def _clause(found: re.Match[str]) -> Clause:
    name = found["arg"] or found["field"]
    if found["many"] is not None:
        values = tuple(first or second for first, second in re.findall(_VALUE, found["many"]))
        return Clause(name, found["arg"] is not None, values)
    value = next(text for text in found.groups()[3:5] if text is not None)
    if found["operator"] == "=":
        return Clause(name, found["arg"] is not None, (value,))
    if not value.endswith("%") or "%" in value[:-1]:
        raise QueryError("LIKE is understood with one % at the end")
    return Clause(name, found["arg"] is not None, (value[:-1],), prefix=True)


def search(
    accepted: AppendLog,
    clauses: Sequence[Clause],
    limit: int,
    acts: Callable[[Mapping[str, Any]], Sequence[Act]],
) -> list[dict[str, Any]]:
    """Up to `limit` messages in the feed's shape.

    Parameters
    ----------
    acts : what has happened to a message until now
    """
    needle = max((clause.needle for clause in clauses), key=len, default=b"")
    found: list[dict[str, Any]] = []
    for _, record in accepted.containing(needle):
        if all(clause.matches(record) for clause in clauses):
            found.append(summary(record, acts(record)))
            if len(found) == limit:
                break
    return found


def summary(record: Mapping[str, Any], acts: Sequence[Act]) -> dict[str, Any]:
    """One entry of the feed's list."""
    return {
        "from_email": record["from"],
        "msg_id": message_id(record),
        "subject": record["subject"],
        "to_email": record["to"],
        "status": _status(acts),
        "opens_count": sum(act in (Act.OPEN, Act.MACHINE_OPEN) for act in acts),
        "clicks_count": sum(act in (Act.CLICK, Act.BOT_CLICK) for act in acts),
        "last_event_time": record["at"],
    }


def details(record: Mapping[str, Any], acts: Sequence[Act]) -> dict[str, Any]:
    """`GET /v3/messages/{msg_id}`: the summary, and the custom arguments as JSON text."""
    arguments = {name: record[name] for name in ("m", "b") if record[name] is not None} | record.get("args", {})
    return summary(record, acts) | {
        "unique_args": orjson.dumps(arguments).decode(),
        "events": [{"event_name": str(act), "processed": record["at"]} for act in acts],
    }


def message_id(record: Mapping[str, Any]) -> str:
    return f"{record['request_id']}.{record['n']}.recvd-stand-in"


def _status(acts: Sequence[Act]) -> str:
    if _NOT_DELIVERED.intersection(acts):
        return "not_delivered"
    return "delivered" if Act.DELIVERED in acts else "processed"
