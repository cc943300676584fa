"""What a patient does on the preference page, and what the ledger then holds."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import sqlalchemy as sa

from alongside.ledger import Ledger
from alongside.ledger.consent import CROSS_BORDER, ConsentEvent, decide, record
from alongside.ledger.schema import metadata
from alongside.model.enums import Decision, Locale, Purpose
from alongside.web.preference_words import PREFERENCE_WORDS
from tests.web.conftest import NOW, PATIENT_NOW, House
from tests.web.test_pages import Outline

PERSON = "p0000000000000001"
EN = PREFERENCE_WORDS[Locale.EN]
BLIND = "ab" * 16
LEAVE = {"form": "leave"}


def consented(
    house: House, *purposes: str, at: datetime = PATIENT_NOW - timedelta(days=9), person: str = PERSON
) -> None:
    say(house, Decision.PERMIT, *purposes, at=at, person=person)


def say(
    house: House, decision: Decision, *purposes: str, at: datetime, channel: str = "*", person: str = PERSON
) -> None:
    """Decisions that an extract of the hospital brought."""
    events = [ConsentEvent(person, purpose, channel, decision, at, "extract:crm", "form 1") for purpose in purposes]
    with house.ledger.begin() as connection:
        record(connection, events, NOW)


def standing(ledger: Ledger, person: str = PERSON, channel: str = "email") -> set[str]:
    """What may be sent now."""
    with ledger.begin() as connection:
        found = {purpose: decide(connection, [person], purpose, channel) for purpose in (*Purpose, CROSS_BORDER)}
    return {str(purpose) for purpose, one in found.items() if one and one[person][0] is Decision.PERMIT}


def everything(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with ledger.begin() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(sa.select(table))), key=repr)
            for table in metadata.sorted_tables
        }


def form_of(page: str) -> dict[str, list[str]]:
    """What a browser would send for the first form as it stands."""
    first = Outline(page[: page.index("</form>")])
    fields: dict[str, list[str]] = {}
    for field in first.named("input"):
        if field["type"] == "hidden" or "checked" in field:
            fields.setdefault(field["name"] or "", []).append(field["value"] or "")
    return fields


def ticked(house: House, link: str, *, on: tuple[str, ...] = (), off: tuple[str, ...] = ()) -> httpx.Response:
    """Open the page, change ticks, press save."""
    fields = form_of(house.client.get(link).text)
    allowed = (set(fields.pop("allow", [])) | set(on)) - set(off)
    return house.client.post(link, data={**fields, "allow": sorted(allowed)})
