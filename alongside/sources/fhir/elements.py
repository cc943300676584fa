"""Small readers of FHIR data types. They take validated JSON, and give text as the mapping's SQL expects it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from alongside.sources.concepts import Concepts
from alongside.sources.vocabulary import system_name

Json = dict[str, Any]
_CJK = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True)
class Reference:
    """What a reference points to; both may be empty."""

    type: str
    id: str


@dataclass(frozen=True)
class Coded:
    """A code as canonical tables keep it."""

    system: str | None = None
    code: str | None = None
    display: str | None = None


def mappings(value: Any) -> Iterator[Json]:
    """The objects of a list, or nothing."""
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))


def first(value: Any) -> Json:
    """The first object of a list, or an empty one."""
    return next(mappings(value), {})


def string(value: Any) -> str | None:
    """Text of a primitive; None for what is not one."""
    if value is None or isinstance(value, dict | list):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip() or None


def reference_parts(text: str) -> Reference:
    """`Patient/1`, `http://host/fhir/Patient/1/_history/2` or `urn:uuid:...` as type and id."""
    if text.startswith("urn:"):
        return Reference("", text.rsplit(":", 1)[-1])
    if "?" in text or not text:
        return Reference("", "")  # a conditional reference names no resource
    parts = text.split("/_history/", 1)[0].rstrip("/").split("/")
    return Reference(parts[-2], parts[-1]) if len(parts) >= 2 else Reference("", parts[-1])


def moment(value: Any) -> str | None:
    """A FHIR date, dateTime or instant; of a partial one its earliest day."""
    text = string(value)
    if text is None:
        return None
    if re.fullmatch(r"\d{4}", text):
        return f"{text}-01-01"
    if re.fullmatch(r"\d{4}-\d{2}", text):
        return f"{text}-01"
    return text


def when(resource: Json, stem: str) -> str | None:
    """The moment of a choice element such as onset[x] or effective[x]."""
    for suffix in ("DateTime", "Instant", "Date"):
        if found := moment(resource.get(stem + suffix)):
            return found
    period = resource.get(f"{stem}Period")
    return moment(period.get("start")) if isinstance(period, dict) else None


def status_code(value: Any) -> str:
    """The first code of a CodeableConcept, for example of clinicalStatus."""
    coding = first(value.get("coding")) if isinstance(value, dict) else {}
    return string(coding.get("code")) or ""


def words(value: Any) -> str | None:
    """What a CodeableConcept says in words."""
    if not isinstance(value, dict):
        return None
    displays = (string(item.get("display")) for item in mappings(value.get("coding")))
    return string(value.get("text")) or next((item for item in displays if item), None)


def coded(value: Any, kind: str, concepts: Concepts, source: str) -> Coded:
    """The coding that says most: one with a known meaning, else of a known system, else the first with a code."""
    if not isinstance(value, dict):
        return Coded()
    found = [
        (system_name(string(item.get("system")) or "", source), code, string(item.get("display")))
        for item in mappings(value.get("coding"))
        if (code := string(item.get("code")))
    ]
    if not found:
        return Coded(display=words(value))
    best = max(
        found, key=lambda item: (bool(concepts.of_code(kind, item[0], item[1])), not item[0].startswith("local:"))
    )
    return Coded(best[0], best[1], best[2] or words(value))


def quantity_unit(quantity: Json) -> str | None:
    """The UCUM code where the quantity has one, else the unit as written."""
    if quantity.get("system") == "http://unitsofmeasure.org" and quantity.get("code"):
        return string(quantity.get("code"))
    return string(quantity.get("unit"))


def full_name(names: Any) -> str | None:
    """The official (else usual, else first) name in the order in which it is written."""
    options = list(mappings(names))
    order = {"official": 0, "usual": 1, "nickname": 3, "maiden": 4, "old": 5}
    ranked = sorted(options, key=lambda item: order.get(str(item.get("use")), 2))
    for name in ranked:
        if text := string(name.get("text")):
            return text
        given = [part for part in name.get("given") or [] if isinstance(part, str)]
        family = string(name.get("family")) or ""
        if _CJK.search(family + "".join(given)):
            return family + "".join(given)
        if joined := " ".join([*given, family]).strip():
            return joined
    return None


def telecom(points: Any, system: str) -> str | None:
    """The phone or e-mail address to use: mobile or home before work, never an old one."""
    order = {"mobile": 0, "home": 1, "temp": 3, "work": 2}
    options = [
        item
        for item in mappings(points)
        if item.get("system") == system and item.get("use") != "old" and string(item.get("value"))
    ]
    ranked = sorted(options, key=lambda item: order.get(str(item.get("use")), 2))
    return string(ranked[0]["value"]) if ranked else None


def identifier(identifiers: Any, codes: Iterable[str], systems: Iterable[str] = ()) -> str | None:
    """The first identifier of one of these v2-0203 types or systems."""
    wanted, known = set(codes), set(systems)
    for item in mappings(identifiers):
        kinds = {coding.get("code") for coding in mappings((item.get("type") or {}).get("coding"))}
        if kinds & wanted or item.get("system") in known:
            return string(item.get("value"))
    return None
