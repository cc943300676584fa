"""How a text travels as short messages: its encoding, its length in units, and where it is cut.

Pure and free of transliteration: a character outside GSM-7 changes the encoding of the whole text, never itself.
Sources: 3GPP TS 23.038 (alphabet and extension table), TS 23.040 (a concatenated message spends 6 bytes of each part
on its header).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

#: Basic character set in the order of its codes; code 27 is the escape to the extension table and no character.
GSM_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
#: Characters that cost two units: the escape and their code.
GSM_EXTENSION = "\f^{}\\[~]|€"
_IS_GSM = re.compile(f"[{re.escape(GSM_BASIC + GSM_EXTENSION)}]*")
_EXTENDED = frozenset(GSM_EXTENSION)


class Encoding(StrEnum):
    GSM_7 = "GSM-7"
    UCS_2 = "UCS-2"

    @property
    def single(self) -> int:
        """Units of a text that travels alone."""
        return 160 if self is Encoding.GSM_7 else 70

    @property
    def part(self) -> int:
        """Units of each part of a longer text."""
        return 153 if self is Encoding.GSM_7 else 67


@dataclass(frozen=True)
class Length:
    """What a text costs.

    Attributes
    ----------
    units : septets of GSM-7, or UTF-16 code units of UCS-2
    segments : short messages that are sent and charged; 0 for an empty text
    """

    encoding: Encoding
    units: int
    segments: int


def encoding_of(text: str) -> Encoding:
    """GSM-7 if every character is in it, else UCS-2 for the whole text."""
    return Encoding.GSM_7 if _IS_GSM.fullmatch(text) else Encoding.UCS_2


def measure(text: str) -> Length:
    """Encoding, units and segments of a text."""
    encoding = encoding_of(text)
    units = _units(text, encoding)
    if units <= encoding.single:
        return Length(encoding, units, 1 if text else 0)
    # A character of two units does not fit into the last one of a part, so a division would count too few.
    return Length(encoding, units, len(_cuts(text, encoding)))


def split(text: str) -> list[str]:
    """The parts as they travel. No surrogate pair and no escaped character is ever cut in two."""
    encoding = encoding_of(text)
    if _units(text, encoding) <= encoding.single:
        return [text] if text else []
    starts = _cuts(text, encoding)
    return [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]


def _units(text: str, encoding: Encoding) -> int:
    if encoding is Encoding.GSM_7:
        return len(text) + sum(map(text.count, GSM_EXTENSION))
    return len(text) + sum(character > "\uffff" for character in text)


def _cuts(text: str, encoding: Encoding) -> list[int]:
    """Where each part of a text that needs several begins."""
    is_double = _EXTENDED.__contains__ if encoding is Encoding.GSM_7 else "\uffff".__lt__
    starts, used = [0], 0
    for index, character in enumerate(text):
        cost = 2 if is_double(character) else 1
        if used + cost > encoding.part:
            starts.append(index)
            used = 0
        used += cost
    return starts
