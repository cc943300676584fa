"""Who is known to which system, under which numbers, and how their master data stand there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital import contacts as written
from alongside.sandbox.hospital.contacts import Contacts, moment_text, padded, scrambled
from alongside.sandbox.hospital.draws import Draws, Flags, Ints
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.names import with_typo
from alongside.sandbox.hospital.people import People

_MODULUS = 10**9
#: prefix, factor (coprime to the modulus) and offset of each system's identifiers
_SERIES = {
    "his": ("P", 387_420_489, 240_115_003),
    "lis": ("L", 478_296_901, 771_200_417),
    "crm": ("C", 282_475_249, 130_904_551),
    "app_events": ("U", 602_816_731, 505_119_283),
}


def identifier(system: str, index: Ints, ordinal: Ints | int = 0) -> Any:
    """The system's id of a person's first (0) or second (1) record."""
    prefix, factor, offset = _SERIES[system]
    number = scrambled(index * 2 + ordinal, factor, offset, _MODULUS)
    return pc.binary_join_element_wise(prefix, padded(number, 9), "")


@dataclass(frozen=True)
class Membership:
    """Which systems know each person; `second_*`: twice."""

    second_his: Flags
    his_moved: Ints  # second from which the second HIS number is also used
    lis: Flags
    crm: Flags
    second_crm: Flags
    crm_since: Ints  # second
    second_crm_since: Ints  # second
    app: Flags
    app_since: Ints  # second


def membership_of(hospital: Hospital, people: People) -> Membership:
    """A pure function of the person; newcomers are entered on the day on which they come."""
    draws, index, dirt = hospital.draws, people.index, hospital.dirt
    email = written.has_email(draws, people)
    share = np.where(email, np.where(people.chronic, 0.985, 0.86), 0.35)
    app = np.interp(people.age, (12, 15, 18, 35, 60, 75, 90), (0, 0.15, 0.5, 0.55, 0.40, 0.15, 0.03))
    late = people.registered >= hospital.first_cut
    crm_since = _since("crm/when", hospital, people, 1_800)
    return Membership(
        second_his=draws.chance("his/second", dirt.his_second_record, index) & ~late,
        his_moved=_since("his/second/when", hospital, people, 0),
        lis=draws.chance("lis/has", 0.93, index),
        crm=draws.chance("crm/has", share, index),
        second_crm=draws.chance("crm/second", dirt.crm_second_contact, index) & ~late,
        crm_since=crm_since,
        second_crm_since=(crm_since + np.minimum(people.deceased, hospital.first_cut)) // 2,
        app=draws.chance("app/has", app, index),
        app_since=_since("app/when", hospital, people, 3_600),
    )


def _since(label: str, hospital: Hospital, people: People, newcomer: int) -> Ints:
    """A moment between somebody's registration and the dump (or death), early rather than late."""
    last = np.minimum(people.deceased, hospital.first_cut)
    gap = np.maximum(last - people.registered, 0)
    moment = people.registered + (hospital.draws.uniform(label, people.index) ** 1.5 * gap).astype(np.int64)
    return np.where(people.registered >= hospital.first_cut, people.registered + newcomer, moment)


# ------------------------------------------------------------------------------------------------- master data
def his_patients(
    hospital: Hospital, people: People, contacts: Contacts, member: Membership, second: bool, deceased: Ints
) -> pa.Table:
    """patients.csv: one row each; with `second`, their second registration (only for whom `second_his` holds)."""
    draws, index, dirt, order = hospital.draws, people.index, hospital.dirt, int(second)
    key = index * 2 + order
    careless = second & draws.chance("his/second/typo", 0.4, index)
    names = with_typo(draws, "his/name", people.names, index, np.asarray(careless & (dirt.name_typo > 0)))
    mistaken = second & draws.chance("his/second/birth", 0.1, index)
    birth = written.swapped(people.birth, np.asarray(mistaken))
    unknown = draws.chance("sex/unknown", dirt.sex_unknown, key)
    card_missing = draws.chance("card/missing", 0.7 if second else dirt.id_card_missing, key)
    stale = second | draws.chance("phone/changed", dirt.phone_changed, index)
    phone = pc.if_else(pa.array(np.broadcast_to(stale, len(index))), contacts.old_phone, contacts.phone)
    return pa.table(
        {
            "patient_no": identifier("his", index, order),
            "name": names.written(),
            "sex": _words(("女", "男", "未知"), np.where(unknown, 2, people.male)),
            "birth_date": written.written_birth(hospital, key, birth),
            "id_card": pc.if_else(pa.array(card_missing), None, written.identity_number(people)),
            "mobile": written.written_phone(hospital, "his", key, phone),
            "email": _his_email(hospital, people, contacts, key),
            **_written_home(hospital, key, _home(draws, index)),
            "language": _language(hospital, people, key),
            "registered_at": moment_text(member.his_moved if second else people.registered),
            "deceased_at": moment_text(deceased),
        }
    )


def _his_email(hospital: Hospital, people: People, contacts: Contacts, key: Ints) -> Any:
    """Reception asks seven in ten; some gave an address that they no longer use."""
    draws, index = hospital.draws, people.index
    stale = draws.chance("email/changed", hospital.dirt.email_changed, index)
    email = pc.if_else(pa.array(stale), contacts.old_email, contacts.email)
    asked = pa.array(draws.chance("email/asked", 0.7, key))
    return written.written_email(hospital, "his", key, pc.if_else(asked, email, None))


def _home(draws: Draws, index: Ints) -> dict[str, Any]:
    city = draws.pick("city", (0.92, 0.05, 0.03), index)
    district = _words(written.DISTRICTS, draws.between("district", 0, len(written.DISTRICTS), index))
    street = _words(written.STREETS, draws.between("street", 0, len(written.STREETS), index))
    house = pa.array(draws.between("house", 1, 300, index)).cast(pa.string())
    return {
        "address": pc.binary_join_element_wise(street, house, "号", ""),
        "district": district,
        "city": _words(written.CITIES, city),
        "postcode": _words(written.POSTCODES, city),
    }


def _written_home(hospital: Hospital, key: Ints, home: dict[str, Any]) -> dict[str, Any]:
    """The address as reception enters it: sometimes none, sometimes all of it in one field."""
    draws, dirt = hospital.draws, hospital.dirt
    level = draws.uniform("address/written", key)
    edges = np.cumsum([dirt.address_missing, dirt.address_unknown, dirt.address_in_one])
    lost, unknown, in_one = (pa.array(flags) for flags in (level < edges[0], level < edges[1], level < edges[2]))
    whole = pc.binary_join_element_wise(home["city"], home["district"], home["address"], "")
    street = pc.if_else(lost, None, pc.if_else(unknown, "不详", pc.if_else(in_one, whole, home["address"])))
    apart = pc.or_(pc.invert(in_one), unknown)
    code = pc.if_else(pa.array(draws.chance("postcode/missing", dirt.postcode_missing, key)), None, home["postcode"])
    short = pa.array(draws.chance("postcode/short", dirt.postcode_invalid, key))
    return {
        "address": street,
        "district": pc.if_else(apart, home["district"], None),
        "city": pc.if_else(apart, home["city"], None),
        "postcode": pc.if_else(short, pc.utf8_slice_codeunits(code, 0, 5), code),
    }


def _language(hospital: Hospital, people: People, key: Ints) -> Any:
    missing = hospital.draws.chance("language/missing", hospital.dirt.language_missing, key) & ~people.foreign
    return pc.if_else(pa.array(missing), None, _words(("zh", "en"), people.foreign.astype(np.int64)))


def lis_patients(hospital: Hospital, people: People, second: bool) -> pa.Table:
    """patients.csv of the laboratory: one for each HIS number."""
    draws, index, dirt = hospital.draws, people.index, hospital.dirt
    key = index * 2 + int(second)
    typo = draws.chance("lis/typo", dirt.name_typo / 2, key)
    lost = draws.chance("lis/mrn", dirt.lis_without_mrn, key)
    return pa.table(
        {
            "lis_pid": identifier("lis", index, int(second)),
            "mrn": pc.if_else(pa.array(lost), None, identifier("his", index, int(second))),
            "name": with_typo(draws, "lis/name", people.names, key, typo).written(),
            "sex": _words(("女", "男"), people.male.astype(np.int64)),
            "birth_date": written.iso_date(people.birth),
        }
    )


def crm_contacts(hospital: Hospital, people: People, contacts: Contacts, member: Membership, second: bool) -> pa.Table:
    """contacts.parquet; a second contact came from a campaign's form: another spelling, often another number."""
    draws, index, dirt = hospital.draws, people.index, hospital.dirt
    key = index * 2 + int(second)
    typo = draws.chance("crm/typo", 0.3 if second else dirt.name_typo, key)
    birth = written.swapped(people.birth, draws.chance("crm/swapped", dirt.birth_swapped * (5 if second else 1), key))
    lost = draws.chance("crm/mrn", dirt.crm_without_mrn, key)
    no_gender = draws.chance("crm/gender", 0.05, key)
    missing = draws.chance("crm/birth", dirt.birth_missing, key)
    late = pa.array(second & draws.chance("crm/old", 0.4, key))
    phone = pc.if_else(late, contacts.old_phone, contacts.phone)
    since = member.second_crm_since if second else member.crm_since
    return pa.table(
        {
            "contact_id": identifier("crm", index, int(second)),
            "mrn": pc.if_else(pa.array(lost), None, identifier("his", index)),
            "name": with_typo(draws, "crm/name", people.names, key, typo).written(),
            "gender": pc.if_else(pa.array(no_gender), None, _words(("F", "M"), people.male.astype(np.int64))),
            "birth_date": written.iso_date(birth, ~missing),
            "phone": written.written_phone(hospital, "crm", key, phone),
            "email": written.written_email(hospital, "crm", key, contacts.email),
            "city": _home(draws, index)["city"],
            "language": _words(("zh", "en"), people.foreign.astype(np.int64)),
            "wechat_openid": contacts.openid,
            "created_at": moment_text(since),
        }
    )


def app_users(hospital: Hospital, people: People, contacts: Contacts, member: Membership) -> pa.Table:
    """users.csv.gz."""
    draws, index, dirt = hospital.draws, people.index, hospital.dirt
    typo = draws.chance("app/typo", dirt.name_typo, index)
    unlinked = draws.chance("app/mrn", dirt.app_without_mrn, index)
    birth = written.swapped(people.birth, draws.chance("app/swapped", dirt.birth_swapped, index))
    return pa.table(
        {
            "user_id": identifier("app_events", index),
            "mrn": pc.if_else(pa.array(unlinked), None, identifier("his", index)),
            "phone": written.written_phone(hospital, "app", index, contacts.phone),
            "email": written.written_email(hospital, "app", index, contacts.email),
            "name": with_typo(draws, "app/name", people.names, index, typo).written(),
            "birth_date": written.iso_date(birth),
            "push_token": contacts.device_token,
            "created_at": moment_text(member.app_since),
        }
    )


def _words(words: tuple[str, ...], position: Ints) -> Any:
    return pa.array(words).take(pa.array(np.asarray(position, dtype=np.int64)))
