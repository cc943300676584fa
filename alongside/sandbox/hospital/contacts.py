"""Addresses, numbers and identity cards that cannot belong to anybody, and the ways in which clerks write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital.draws import Draws, Flags, Ints
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.people import NEVER, People, names_of

MAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example")
DISTRICTS = ("东湖区", "西林区", "南溪区", "北岸区", "新港区")
CITIES = ("青禾市", "云麓市", "白沙市")
#: Of the cities above; no post office has a code that begins with 9.
POSTCODES = ("999001", "999002", "999003")
STREETS = ("示范路", "样本街", "虚构大道", "演示巷", "试验路")
#: Areas with eight-digit numbers; no subscriber number begins with 0, so none of these can ring anywhere.
_AREAS = ("10", "20", "22", "23", "24", "25", "27", "28", "29")
_REGION = 999_999
_CARD_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.int64)


@dataclass(frozen=True)
class Contacts:
    """What each person truly uses now (null without one) and what they used before.

    `openid` is of those who follow the hospital's WeChat account, `device_token` of those who let its app notify them.
    """

    email: pa.Array
    old_email: pa.Array
    phone: pa.Array
    old_phone: pa.Array
    openid: pa.Array
    device_token: pa.Array


def padded(number: Ints, width: int) -> Any:
    """Zero-filled decimal text."""
    return pc.utf8_lpad(pa.array(number).cast(pa.string()), width, "0")


def scrambled(index: Ints, factor: int, offset: int, modulus: int) -> Ints:
    """A permutation of 0..modulus-1, so that identifiers are unique without looking like a shared counter."""
    return np.asarray((index * factor + offset) % modulus, dtype=np.int64)


def contacts_of(hospital: Hospital, people: People) -> Contacts:
    """Children and some adults use a relative's address (a person with a slightly lower index)."""
    draws, index = hospital.draws, people.index
    shares = (draws.chance("email/shared", hospital.dirt.shared_email, index) | (people.age < 16)) & (index > 0)
    relative = np.maximum(index - draws.between("email/relative", 1, 6, index), 0)
    owner = np.where(shares, relative, index)
    email = _mailbox(names_of(draws, owner).latin(), owner, "")
    old = _mailbox(people.names.latin(), index, "old.")
    has = pa.array(has_email(draws, people))
    return Contacts(
        email=pc.if_else(has, email, None),
        old_email=pc.if_else(has, old, None),
        phone=number_of(index),
        old_phone=number_of(scrambled(index, 1, 50_000_000, 90_000_000)),
        openid=pc.if_else(pa.array(follows(draws, people)), _of_a_machine(index, "o", 1, 2, 3), None),
        device_token=pc.if_else(
            pa.array(draws.chance("app/notifies", 0.6, index)),
            _of_a_machine(index, "f", 4, 5, ":APA91b", *range(6, 20)),
            None,
        ),
    )


def follows(draws: Draws, people: People) -> Flags:
    """More of those whom the hospital follows; fewer of the very old."""
    share = np.where(people.chronic, 0.62, 0.38) - np.where(people.age >= 80, 0.25, 0.0)
    return draws.chance("wechat/follows", share, people.index)


def _digits(index: Ints, block: int) -> Any:
    return padded(scrambled(index, 7_368_787 + 2 * block, block, 999_999_937), 9)


def _device_token(index: Ints) -> Any:
    return _of_a_machine(index, "f", 4, 5, ":APA91b", *range(6, 20))


def _of_a_machine(index: Ints, *parts: str | int) -> Any:
    """Words and blocks of nine digits, one after the other; always the same for a person, and nobody else's."""
    blocks = [pa.scalar(part) if isinstance(part, str) else _digits(index, part) for part in parts]
    return pc.binary_join_element_wise(*blocks, "")


def has_email(draws: Draws, people: People) -> Flags:
    """88 % of those whom the hospital follows; fewer of the others, and of the very old."""
    share = np.where(people.chronic, 0.905, 0.72) - np.where(people.age >= 85, 0.15, 0.0)
    return draws.chance("email/has", share, people.index)


def _mailbox(latin: Any, owner: Ints, prefix: str) -> Any:
    number = pa.array(scrambled(owner, 7_368_787, 4_127, 100_000_007)).cast(pa.string())
    domain = pa.array(MAIL_DOMAINS).take(pa.array(owner * 7 % len(MAIL_DOMAINS)))
    local = pc.binary_join_element_wise(pa.scalar(prefix), latin, number, "")
    return pc.binary_join_element_wise(local, domain, "@")


def personal_mailbox(latin: Any, owner: Ints) -> Any:
    """The address of somebody who shares it with nobody."""
    return _mailbox(latin, owner, "")


def number_of(index: Ints) -> Any:
    """+86 199 0000 xxxx for the first 10,000 people, then subscriber numbers that begin with 0."""
    mobile = pc.binary_join_element_wise("1990000", padded(scrambled(index, 7_919, 12, 10_000), 4), "")
    subscriber = scrambled(index, 7_654_321, 77, 10_000_000)
    area = pa.array(_AREAS).take(pa.array(index // 10_000_000 % len(_AREAS)))
    fixed = pc.binary_join_element_wise("0", area, "0", padded(subscriber, 7), "")
    return pc.if_else(pa.array(index < 10_000), mobile, fixed)


def identity_number(people: People) -> Any:
    """18 characters with the region 999999 (from 32,000 people on also lower ones; no region begins with 9)."""
    index = people.index
    region = _REGION - index // 32_000
    order = index % 500 * 2 + people.male
    birth = people.birth.astype("datetime64[D]")
    year = birth.astype("datetime64[Y]").astype(np.int64) + 1970
    month = birth.astype("datetime64[M]").astype(np.int64) % 12 + 1
    day = (birth - birth.astype("datetime64[M]")).astype(np.int64) + 1
    number = region * 10**11 + (year * 10_000 + month * 100 + day) * 1_000 + order
    digits = number[:, None] // 10 ** np.arange(16, -1, -1, dtype=np.int64) % 10
    check = (digits * _CARD_WEIGHTS).sum(axis=1) % 11
    last = pa.array(list("10X98765432")).take(pa.array(check))
    return pc.binary_join_element_wise(padded(number, 17), last, "")


# ------------------------------------------------------------------------------------------- as clerks write them
def written_email(hospital: Hospital, system: str, key: Ints, email: Any) -> Any:
    """Mostly as it is; sometimes in capitals or with a blank (still usable), sometimes no address at all."""
    draws, rate = hospital.draws, hospital.dirt.email_invalid
    level = draws.uniform(f"email/written/{system}", key)
    broken = pc.case_when(
        _struct(level < rate * 0.3, level < rate * 0.6, level < rate * 0.8),
        pc.replace_substring(email, "@", " at "),
        pc.replace_substring(email, "@", "@@"),
        pc.replace_substring_regex(email, r"@.*", "@"),
        pc.if_else(pc.is_valid(email), "无", None),
    )
    email = pc.if_else(pa.array(level < rate), broken, email)
    if rate == 0:
        return email
    odd = draws.uniform(f"email/odd/{system}", key)
    email = pc.if_else(pa.array((odd < 0.02) & (level >= rate)), pc.utf8_upper(email), email)
    blank = pc.binary_join_element_wise(email, " ", "")
    return pc.if_else(pa.array((odd >= 0.02) & (odd < 0.03) & (level >= rate)), blank, email)


def written_phone(hospital: Hospital, system: str, key: Ints, phone: Any) -> Any:
    """In one of the forms that real extracts mix."""
    draws, dirt = hospital.draws, hospital.dirt
    head, middle, tail = (pc.utf8_slice_codeunits(phone, *part) for part in ((0, 3), (3, 7), (7, 12)))
    international = pc.replace_substring_regex(phone, "^0", "")
    forms = [
        pc.binary_join_element_wise("+86 ", head, " ", middle, " ", tail, ""),
        pc.binary_join_element_wise("+86", international, ""),
        pc.binary_join_element_wise("0086", international, ""),
        pc.binary_join_element_wise(head, middle, tail, "-"),
        pc.binary_join_element_wise(head, middle, tail, " "),
        full_width(phone),
        pc.binary_join_element_wise("010-0000", padded(key % 10_000, 4), ""),
        pc.binary_join_element_wise("010-0000", padded(key % 10_000, 4), "转8", padded(key % 100, 2), ""),
    ]
    # Of numbers written differently: which way.
    edges = np.cumsum([0.16, 0.2, 0.06, 0.2, 0.2, 0.1, 0.06, 0.02])
    level = draws.uniform(f"phone/written/{system}", key)
    share = dirt.phone_other_format
    written = pc.case_when(_struct(*(level < edge * share for edge in edges)), *forms, phone)
    short = draws.chance(f"phone/short/{system}", dirt.phone_invalid, key)
    return pc.if_else(pa.array(short), pc.utf8_slice_codeunits(phone, 0, 7), written)


def full_width(text: Any) -> Any:
    """Digits as an input method for Chinese leaves them."""
    for digit in "0123456789":
        text = pc.replace_substring(text, digit, chr(ord("０") + int(digit)))
    return text


def swapped(birth: Ints, wrong: Flags) -> Ints:
    """Day and month exchanged where `wrong` and where that gives a date."""
    date = birth.astype("datetime64[D]")
    month_start = date.astype("datetime64[M]")
    year_start = month_start.astype("datetime64[Y]").astype("datetime64[M]")
    day = (date - month_start).astype(np.int64)
    month = (month_start - year_start).astype(np.int64)
    other = (year_start + np.minimum(day, 11)).astype("datetime64[D]") + month
    return np.where(wrong & (day < 12), other.astype(np.int64), birth)


def iso_date(day: Ints, known: Flags | None = None) -> Any:
    """YYYY-MM-DD, null where not `known`."""
    text = pa.array(day.astype("datetime64[D]").astype("datetime64[s]")).cast(pa.date32()).cast(pa.string())
    return text if known is None else pc.if_else(pa.array(known), text, None)


def written_birth(hospital: Hospital, key: Ints, birth: Ints) -> Any:
    """The HIS's birth dates: three formats, some missing, some impossible."""
    draws, dirt = hospital.draws, hospital.dirt
    fault = draws.uniform("birth/fault", key)
    last = dirt.birth_missing + dirt.birth_impossible
    ancient = hospital.first_day - 210 * 365 - birth % 300
    impossible = np.where(fault < dirt.birth_missing + dirt.birth_impossible / 2, ancient, birth % 20_000 + 25_000)
    wrong = (fault >= dirt.birth_missing) & (fault < last)
    text = iso_date(np.where(wrong, impossible, birth), fault >= dirt.birth_missing)
    form = draws.uniform("birth/form", key)
    slashed, compact = dirt.birth_other_format * 2 / 3, dirt.birth_other_format
    text = pc.if_else(pa.array(form < slashed), pc.replace_substring(text, "-", "/"), text)
    return pc.if_else(pa.array((form >= slashed) & (form < compact)), pc.replace_substring(text, "-", ""), text)


def moments(seconds: Ints) -> Any:
    """Local timestamps; null where the moment never comes."""
    never = seconds >= NEVER
    return pa.array(np.where(never, 0, seconds).astype("datetime64[s]"), mask=never)


def moment_text(seconds: Ints) -> Any:
    """`YYYY-MM-DD HH:MM:SS`, null where the moment never comes."""
    return pc.strftime(moments(seconds), "%Y-%m-%d %H:%M:%S")


def _struct(*flags: Flags) -> Any:
    return pa.StructArray.from_arrays([pa.array(flag) for flag in flags], [str(n) for n in range(len(flags))])
