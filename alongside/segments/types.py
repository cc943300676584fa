"""Types of the expression language: few, so that a marketer can be told in words what does not fit."""

from __future__ import annotations

from enum import StrEnum


class Type(StrEnum):
    """The value is what a person reads in a finding."""

    BOOLEAN = "true or false"
    NUMBER = "a number"
    TEXT = "text"
    MOMENT = "a date or time"
    LIST = "a list of names"
    NOTHING = "null"
    #: the type of something that was already reported: it fits everywhere, so that one fault gives one finding
    UNKNOWN = "unknown"


_FITS_ALL = {Type.NOTHING, Type.UNKNOWN}


def fits(actual: Type, expected: Type) -> bool:
    """Whether a value of `actual` may stand where `expected` is asked for."""
    return actual is expected or actual in _FITS_ALL or expected is Type.UNKNOWN


def common(types: list[Type]) -> Type | None:
    """The one type of all of them, null aside; None when they differ."""
    if Type.UNKNOWN in types:
        return Type.UNKNOWN
    rest = {kind for kind in types if kind is not Type.NOTHING}
    if len(rest) > 1:
        return None
    return rest.pop() if rest else Type.NOTHING
