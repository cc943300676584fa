"""One message for one reader: rendered to look at, or sent to an address of one's own."""

from __future__ import annotations

import asyncio
from typing import Any
from zoneinfo import ZoneInfo

from alongside.bootstrap import Services
from alongside.channels.base import Addressee, Letter
from alongside.channels.capabilities import provider_of
from alongside.content import Rendered
from alongside.content.standard import NO_LETTER, HospitalWords, built_in_values
from alongside.delivery.letters import list_id
from alongside.delivery.modes import destinations
from alongside.delivery.vendors import Books, open_vendor, require_usable
from alongside.ledger.vault import Contact
from alongside.model.enums import Channel, Locale
from alongside.model.errors import Refused
from alongside.model.ids import keyed_hash
from alongside.model.postal import PostalAddress, envelope_lines
from alongside.model.tokens import LINKS
from alongside.outreach.why import find_person
from alongside.segments import compile_variables

#: Links of a preview lead nowhere: nobody is unsubscribed by trying them.
_DEAD_LINK = "https://hospital.example/preview"
#: No variable of a message has such a name.
_AGE = "reader__age"


def render_for(
    house: Services, name: str, patient: str | None, locale: str | None, channel: Channel, *, large: bool = False
) -> tuple[Rendered, Locale]:
    """The message for a patient of the current snapshot, or for a fictional one.

    Parameters
    ----------
    large : show a printed letter in large type, whatever the reader's age

    Raises
    ------
    Refused : message or patient are unknown, or there is no snapshot
    RenderFailed : the patient's data lack what the message needs
    """
    content = house.catalogues.content
    content.message(name)
    wanted = Locale(locale) if locale else None
    if patient is None:
        chosen = wanted or house.settings.hospital.default_locale
        fictional = {**content.preview_values(name, chosen), "large_type": large}
        return content.compiled(name, channel, chosen).render(fictional), chosen
    person_id = find_person(house.ledger, patient)
    facts = _facts(house, name, person_id)
    chosen = wanted or Locale(facts.pop("language"))
    facts.pop("language", None)
    age = facts.pop(_AGE)
    vault = house.vault
    with house.ledger.reading() as connection:
        contact = vault.address_book(connection, [person_id]).get(person_id)
    values = {**facts, **_built_ins(house, contact, chosen)}
    if channel is Channel.LETTER:
        values |= _on_paper(house, contact, large or _is_of_age(house, age))
    return content.compiled(name, channel, chosen).render(values), chosen


def send_test(house: Services, name: str, patient: str | None, locale: str | None, to: str, channel: Channel) -> str:
    """Send the message to an address of one's own, marked as a test; returns its opaque key.

    In staging mode the address must stand in the allow-list, as any other.

    Raises
    ------
    Refused : the set-up contradicts the delivery mode
    DeliveryError : the vendor did not accept it
    """
    settings = house.settings
    require_usable(settings.delivery.mode, settings, house.environment, channel)
    rendered, chosen = render_for(house, name, patient, locale, channel)
    key = keyed_hash(house.ledger.info.secret, "test", name, to, house.clock().isoformat())
    address, refused = destinations(settings.delivery.mode, channel, settings.delivery.staging_allow)(to, key)
    if refused:
        raise Refused(f"the address is refused ({refused})", where="--to", remedy="Give an address that exists.")
    reader = Addressee(key, address, {}, f"{_DEAD_LINK}/unsubscribe")
    asyncio.run(_post(house, channel, _letter(house, name, channel, chosen, rendered, reader)))
    return key


async def _post(house: Services, channel: Channel, letter: Letter) -> None:
    vendor = open_vendor(house.settings, house.environment, channel, books=Books(house.ledger, house.environment))
    try:
        faults = vendor.check(letter)
        if faults:
            raise Refused(next(iter(faults.values())), where="send-test")
        await vendor.post(vendor.build(letter))
    finally:
        await vendor.close()


def _letter(house: Services, name: str, channel: Channel, locale: Locale, rendered: Rendered, to: Addressee) -> Letter:
    mark = "" if provider_of(house.settings, channel).registered_only else "[test] "
    sender_name = house.catalogues.content.message(name).definition.sender
    sender = house.settings.channels.of(channel).senders[sender_name]
    return Letter(
        batch_id=f"test-{to.key[:12]}",
        sender_address=sender.address,
        sender_name=sender.name.get(locale, ""),
        reply_to=sender.reply_to,
        subject=f"[test] {rendered.subject}",
        text=rendered.text if channel is Channel.EMAIL else f"{mark}{rendered.text.strip()}",
        html=rendered.html,
        list_id=list_id(sender_name, sender.address),
        addressees=(to,),
    )


def _facts(house: Services, name: str, person_id: str) -> dict[str, Any]:
    """The message's own variables, and the patient's language and age, from the current snapshot."""
    snapshot = house.warehouse.current()
    if snapshot is None:
        raise Refused("there is no snapshot yet", where="preview", remedy="Start a run first: 'alongside run'.")
    expressions = house.catalogues.variables_of(name)
    compiled = compile_variables({**expressions, "language": "language", _AGE: "age"}, house.catalogues.segments)
    with house.warehouse.connect() as connection:
        connection.execute("CREATE TEMP TABLE reader AS SELECT $id AS person_id", {"id": person_id})
        rows = compiled.evaluate(connection, snapshot.path / "tables", snapshot.as_of, "reader").to_pylist()
    if not rows:
        raise Refused("this person is not in the current snapshot", where=person_id)
    found: dict[str, Any] = {key: _scalar(value) for key, value in rows[0].items() if key != "person_id"}
    return found


def _scalar(value: Any) -> Any:
    """Dates as the ISO text that messages get from the ledger."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _built_ins(house: Services, contact: Contact | None, locale: Locale) -> dict[str, Any]:
    return built_in_values(
        name=contact.name if contact else None,
        gender=contact.gender if contact else None,
        locale=locale,
        hospital=HospitalWords.of(house.settings.hospital, locale),
        links={name: f"{_DEAD_LINK}/{use}" for name, (_, use) in LINKS.items()},
        today=house.clock().astimezone(ZoneInfo(house.settings.hospital.time_zone)).date(),
    )


def _on_paper(house: Services, contact: Contact | None, large: bool) -> dict[str, Any]:
    """Envelope and type of a printed letter.

    Raises
    ------
    Refused : the vault knows no name or no postal address of this person
    """
    if contact is None or not contact.name or not contact.postal:
        remedy = "Preview it for somebody else, or without --patient."
        raise Refused("no letter reaches this person: name or postal address lacks", where="preview", remedy=remedy)
    lines = envelope_lines(PostalAddress.read(contact.postal), contact.name, house.settings.hospital.country)
    return {"recipient_lines": "\n".join(lines), "letter_number": NO_LETTER, "large_type": large}


def _is_of_age(house: Services, age: int | None) -> bool:
    letters = house.settings.channels.letter
    return letters is not None and age is not None and age >= letters.large_type_from_age
