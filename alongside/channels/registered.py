"""Texts that a provider has approved: a message may only be sent as one of them with its variables filled in.

The text that was rendered, linted and approved here stays the truth: it is held against the registered texts, and the
values of the variables are read out of it. So what arrives is what was approved, or nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from alongside.settings import HospitalSettings

_VARIABLE = re.compile(r"\$\{([A-Za-z][A-Za-z0-9_]{0,29})\}")


@dataclass(frozen=True)
class Registered:
    """One text as the provider knows it.

    Attributes
    ----------
    code : the provider's name for it
    content : with `${name}` for variables
    longest_value : characters that a variable may have
    """

    code: str
    content: str = field(compare=True)
    longest_value: int = 35

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Its variables, each once, in their order."""
        return tuple(dict.fromkeys(_VARIABLE.findall(self.content)))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        parts, seen, end = [], set(), 0
        for found in _VARIABLE.finditer(self.content):
            parts.append(re.escape(self.content[end : found.start()]))
            name, end = found[1], found.end()
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.{{1,{self.longest_value}}}?)")
            seen.add(name)
        return re.compile("".join([*parts, re.escape(self.content[end:])]), re.DOTALL)

    def values(self, text: str) -> dict[str, str] | None:
        """What its variables are in this text; None when it is not this text."""
        found = self._pattern.fullmatch(text)
        return None if found is None else {name: found[name] for name in self.names}


def match(registered: Iterable[Registered], text: str) -> tuple[Registered, dict[str, str]] | None:
    """The registered text that this is, with its values: the one that leaves least to variables."""
    found = [(one, values) for one in registered if (values := one.values(text)) is not None]
    return min(found, key=lambda pair: sum(map(len, pair[1].values())), default=None)


def without_signature(text: str, signature: str) -> str:
    """The text without the sender's `【name】` in front, which the provider adds itself."""
    return text.strip().removeprefix(f"【{signature}】").strip()


def nearest(registered: Sequence[Registered], text: str) -> Registered | None:
    """The registered text that this one probably should be, for the reader of a refusal."""
    from difflib import SequenceMatcher

    if not registered:
        return None
    plain = [(SequenceMatcher(None, _VARIABLE.sub("", one.content), text).ratio(), one) for one in registered]
    share, best = max(plain, key=lambda pair: pair[0])
    return best if share > 0.5 else None


def registered_texts(settings: HospitalSettings) -> list[Registered]:
    """Texts that the hospital's provider of text messages has approved."""
    sms = settings.channels.sms
    return [] if sms is None else [Registered(one.code, one.content) for one in sms.registered]
