"""What providers of text messages share: the text of one recipient, and finding a message whose fate is unknown."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from alongside.channels.base import Addressee, Letter
from alongside.model.enums import MessageState


@dataclass(frozen=True)
class Trace:
    """What the vendor shows of a message.

    Attributes
    ----------
    states : of messages that are it; more than one means it was sent twice
    conclusive : False when a text was redacted or not all could be read: absence then proves nothing
    """

    states: tuple[MessageState, ...]
    conclusive: bool

    def __add__(self, other: Trace) -> Trace:
        return Trace(self.states + other.states, self.conclusive and other.conclusive)


class Traces(Protocol):
    """A provider that can be asked by number for what it has: by our key where it keeps that, else by the text."""

    async def trace(self, number: str, key: str, text: str, since: datetime) -> Trace: ...


def personal_text(letter: Letter, one: Addressee) -> str:
    """The text with this recipient's values. A value that looks like a token is not replaced again."""
    return filled(letter.text, one)


def filled(text: str, one: Addressee) -> str:
    """A letter's text or HTML with this recipient's values."""
    if not one.substitutions:
        return text
    tokens = sorted(one.substitutions, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, tokens)))
    return pattern.sub(lambda found: one.substitutions[found[0]], text)
