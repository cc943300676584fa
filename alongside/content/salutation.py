"""How a letter begins. A wrong title is worse than a plain full name, so every doubt ends in the full name."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from alongside.content.surnames import COMPOUND, SINGLE, SPELLINGS, han_surname
from alongside.model.enums import Locale

_HAN = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff〇"
_ALL_HAN = re.compile(f"[{_HAN}]+")
_HAN_GAP = re.compile(f"(?<=[{_HAN}])\\s+(?=[{_HAN}])")
_MINORITY_DOT = re.compile(f"[{_HAN}]+(?:·[{_HAN}]+)+")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\\x00-\\x1f\\x7f]")
_ZH_TITLE = {"female": "女士", "male": "先生"}
_EN_TITLE = {"female": "Ms", "male": "Mr"}
_LONGEST = 60
#: Most names: nothing about them needs tidying.
_TIDY = re.compile("[A-Za-z]+(?: [A-Za-z]+)*|[\u4e00-\u9fff]+")


def salutation(name: str | None, gender: str | None, locale: Locale | str) -> str:
    """The opening of a letter, without its final comma.

    Parameters
    ----------
    name : full name as the vault has it; None, empty or not a name gives an opening without one
    gender : FHIR administrative gender; anything but male and female gives no title
    locale : the message's language

    Examples: `张女士，您好`, `欧阳先生，您好`, `张伟，您好`, `Dear Ms Zhang`, `Dear Wei Zhang`, `Hello`.
    """
    known = tidy_name(name)
    if locale == Locale.ZH_CN:
        return _chinese(known, _ZH_TITLE.get(gender or "", ""))
    return _english(known, _EN_TITLE.get(gender or "", ""))


def tidy_name(name: str | None) -> str:
    """The name in one spacing and width, or the empty string where it is no name (digits, no letter, absurd length)."""
    if name and len(name) <= _LONGEST and _TIDY.fullmatch(name):
        return name
    text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", name or ""))
    text = _HAN_GAP.sub("", " ".join(re.sub(r"\s*[•‧・]\s*", "·", text).split()))
    is_name = any(map(str.isalpha, text)) and not any(map(str.isdigit, text)) and len(text) <= _LONGEST
    return text if is_name else ""


def _chinese(name: str, title: str) -> str:
    if not name:
        return "您好"
    if _ALL_HAN.fullmatch(name):
        surname = han_surname(name) if title else None
        return f"{surname or name}{title}，您好"
    if _MINORITY_DOT.fullmatch(name):
        return f"{name}{title}，您好"
    return f"{name} {title}，您好" if title else f"{name}，您好"


def _english(name: str, title: str) -> str:
    if not name:
        return "Hello"
    surname = _english_surname(name) if title else None
    return f"Dear {title} {surname}" if surname else f"Dear {name}"


def _english_surname(name: str) -> str | None:
    if not name.isascii() and _ALL_HAN.fullmatch(name):
        written = han_surname(name)
        return (COMPOUND.get(written) or SINGLE.get(written)) if written else None
    if "," in name:
        return name.split(",", 1)[0].strip() or None
    return _latin_surname(name.split(" "))


def _latin_surname(parts: list[str]) -> str | None:
    """The surname of a two-part name. Three and more (García López, van der Berg) are not guessed."""
    if len(parts) != 2:
        return None
    given, family = parts
    if not (given.isascii() and family.isascii()) and any(_ALL_HAN.search(part) for part in parts):
        return None
    if not (given.istitle() and family.istitle()):
        shouted = len(given) > 1 and given.isupper(), len(family) > 1 and family.isupper()
        if shouted[0] != shouted[1]:
            return (given if shouted[0] else family).capitalize()
    first, last = _is_surname(given), _is_surname(family)
    if first and last:
        return None  # Wei Zhang or Zhang Wei: both are surnames
    return given if first else family


@lru_cache(maxsize=4096)
def _is_surname(part: str) -> bool:
    lowered = part.lower()
    if not lowered.isascii():
        decomposed = unicodedata.normalize("NFD", lowered)
        lowered = "".join(char for char in decomposed if not unicodedata.combining(char))
    return lowered in SPELLINGS
