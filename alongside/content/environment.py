"""Jinja2 as messages may use it: sandboxed, strict, few filters, no global functions."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from jinja2 import StrictUndefined
from jinja2.exceptions import TemplateError, UndefinedError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from alongside.content.formats import FormatError, Formats
from alongside.model.enums import Locale
from alongside.model.errors import AlongsideError

#: Jinja2's own filters that a message may use. None of them marks text as safe or depends on chance.
ALLOWED_FILTERS = (
    "abs",
    "capitalize",
    "default",
    "first",
    "float",
    "int",
    "join",
    "last",
    "length",
    "lower",
    "replace",
    "round",
    "title",
    "trim",
    "truncate",
    "upper",
)


class RenderFailed(AlongsideError):
    """A message cannot be rendered for this person: withhold it. The text names variables, never values."""


class EmptyValue(ValueError):
    """A placeholder would print nothing meaningful (null or not a number)."""


class MessageEnvironment(ImmutableSandboxedEnvironment):
    """The language of message bodies, for one locale and time zone."""

    def __init__(self, locale: Locale, zone: ZoneInfo) -> None:
        super().__init__(
            undefined=StrictUndefined,
            autoescape=False,
            finalize=_printable,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            cache_size=0,
        )
        self.globals.clear()
        own = Formats(locale, zone).filters()
        self.filters = {name: self.filters[name] for name in ALLOWED_FILTERS} | own


@lru_cache(maxsize=16)
def message_environment(locale: Locale, time_zone: str) -> MessageEnvironment:
    """The shared environment of a language; templates of one locale use the same one."""
    return MessageEnvironment(locale, ZoneInfo(time_zone))


def explain(error: Exception, where: str) -> RenderFailed:
    """What went wrong while rendering, without any value of the person it was rendered for."""
    if isinstance(error, UndefinedError):
        what, remedy = f"a value is missing: {error.message}", "Give the variable a value or guard it with {% if %}."
    elif isinstance(error, EmptyValue | FormatError):
        what, remedy = str(error), "Correct the template, or guard the placeholder with {% if %}."
    elif isinstance(error, TemplateError):
        what, remedy = f"the template is not allowed to do this ({type(error).__name__})", "Use variables and filters."
    else:
        what, remedy = f"rendering failed with {type(error).__name__}", "Check the types of the message's variables."
    return RenderFailed(what, where=where, remedy=remedy)


def _printable(value: Any) -> Any:
    if value is None:
        raise EmptyValue("a placeholder's value is null")
    if isinstance(value, float) and value != value:
        raise EmptyValue("a placeholder's value is not a number")
    return value
