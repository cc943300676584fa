"""The forms of template values as the vendor's table has them. Written apart from the adapter's, so that a mistake
there shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any


def _han(text: str) -> int:
    return sum(1 for char in text if "\u3400" <= char <= "\u9fff")


_CLOCK = re.compile(r"([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?$")
_DAYS = tuple(
    re.compile(pattern + "$")
    for pattern in (
        *(r"\d{4}年\d{1,2}月\d{1,2}日", r"\d{4}年\d{1,2}月", r"\d{1,2}月\d{1,2}日"),
        *(r"\d{4}-\d{1,2}-\d{1,2}", r"\d{4}/\d{1,2}/\d{1,2}", r"\d{4}\.\d{1,2}\.\d{1,2}"),
    )
)


def _day(text: str) -> bool:
    return any(pattern.match(text) for pattern in _DAYS)


def _moment(text: str, *, needs_clock: bool) -> bool:
    parts = text.split(" ")
    if len(parts) == 2:
        return _day(parts[0]) and bool(_CLOCK.match(parts[1]))
    return len(parts) == 1 and (bool(_CLOCK.match(text)) if needs_clock else _day(text))


def _span(text: str, *, needs_clock: bool) -> bool:
    ends = text.split("~")
    return len(ends) <= 2 and all(_moment(end, needs_clock=needs_clock) for end in ends)


def fits(field: str, value: Any) -> bool:
    """Whether the vendor takes this value for a field of this name."""
    if not isinstance(value, str) or not value or any(ord(char) < 32 for char in value):
        return False
    test = _TESTS.get(re.sub(r"\d+$", "", field))
    return test is not None and test(value)


_TESTS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        "thing": lambda value: len(value) <= 20,
        "phrase": lambda value: _han(value) == len(value) <= 5,
        "character_string": lambda value: len(value) <= 32 and _han(value) == 0,
        "name": lambda value: (
            len(value) <= 10 if _han(value) else len(value) <= 20 and not any(char.isdigit() for char in value)
        ),
        "number": lambda value: len(value) <= 32 and value.replace(".", "", 1).isdigit(),
        "amount": lambda value: bool(re.match(r"[¥￥$€£]?\d{1,10}(\.\d+)?元?$", value)),
        "phone_number": lambda value: len(value) <= 17 and all(char.isdigit() or char in "+-()" for char in value),
        "time": lambda value: _span(value, needs_clock=True),
        "date": lambda value: _span(value, needs_clock=False),
    }
)
