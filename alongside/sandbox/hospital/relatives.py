"""Who is close to the patients: parents of children, grown children and partners of adults. CRM keeps them.

A relative is a pure function of the patient's index; most are no patients themselves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital.clinic import word
from alongside.sandbox.hospital.contacts import moment_text, number_of, padded, personal_mailbox
from alongside.sandbox.hospital.draws import Flags, Ints
from alongside.sandbox.hospital.engagement import EVIDENCE, PURPOSES, decisions_table
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.names import Names, draw_names
from alongside.sandbox.hospital.people import People
from alongside.sandbox.hospital.records import Membership, identifier

#: Indexes of relatives begin here, far above those of any patient.
FAMILY = 40_000_000
KINDS = ("母亲", "父亲", "子女", "配偶", "监护人")
MOTHER, FATHER, CHILD, SPOUSE, GUARDIAN = range(len(KINDS))
#: Relatives of whom the hospital knows: of children, of people of 65 and over, of other adults.
KNOWN = (0.9, 0.5, 0.15)
#: Of adults asked whether the relative may be told: no answer, yes, no.
_ANSWERS = (0.2, 0.7, 0.1)
#: Shares of relatives who agree to be written to: care, education, and storing abroad.
_AGREE = {"care": 0.92, "education": 0.78, "cross_border": 0.93}


@dataclass(frozen=True)
class Relatives:
    """One row a relative."""

    index: Ints  # the patient's
    kind: Ints
    names: Names
    told: Ints  # 0 nobody asked, 1 yes, 2 no
    since: Ints  # second

    @property
    def own(self) -> Ints:
        return FAMILY + self.index


def relatives_of(hospital: Hospital, people: People, member: Membership) -> Relatives:
    """The relatives of these people that CRM knows of: at most one each."""
    draws, index, age = hospital.draws, people.index, people.age
    share = np.where(age < 14, KNOWN[0], np.where(age >= 65, KNOWN[1], KNOWN[2]))
    who = np.flatnonzero(draws.chance("relative", share, index) & member.crm)
    index, age = index[who], age[who]
    father = draws.chance("relative/father", 0.35, index)
    grown = draws.chance("relative/child", np.where(age >= 65, 0.72, 0.0), index)
    kind = np.where(age < 14, np.where(father, FATHER, MOTHER), np.where(grown, CHILD, SPOUSE))
    kind = np.where((age >= 80) & draws.chance("relative/guardian", 0.04, index), GUARDIAN, kind)
    male = np.where(kind == MOTHER, False, np.where(kind == FATHER, True, ~people.male[who]))
    male = np.where(kind == CHILD, draws.chance("relative/son", 0.5, index), male)
    asked = np.where(age < 14, 0, draws.pick("relative/told", _ANSWERS, index))
    names = draw_names(draws, FAMILY + index, np.asarray(male, dtype=np.bool_), people.foreign[who])
    return Relatives(index, np.asarray(kind), names, np.asarray(asked), member.crm_since[who])


def relatives_table(relatives: Relatives) -> pa.Table:
    """relatives.parquet."""
    own = relatives.own
    return pa.table(
        {
            "relation_id": pc.binary_join_element_wise("R", padded(relatives.index, 9), ""),
            "contact_id": identifier("crm", relatives.index),
            "relation": word(KINDS, relatives.kind),
            "relative_id": identifier("crm", own),
            "name": relatives.names.written(),
            "gender": word(("F", "M"), relatives.names.male.astype(np.int64)),
            "phone": number_of(own),
            "email": personal_mailbox(relatives.names.latin(), own),
            "language": word(("zh", "en"), relatives.names.foreign.astype(np.int64)),
            "guardian": pa.array([None, "是"]).take(pa.array((relatives.kind == GUARDIAN).astype(np.int64))),
            "may_be_told": pa.array([None, "是", "否"]).take(pa.array(relatives.told)),
            "since": moment_text(relatives.since),
        }
    )


def consents_of(hospital: Hospital, relatives: Relatives) -> pa.Table:
    """What the relatives agreed to for themselves, on every channel."""
    tables = [_consents(hospital, relatives, purpose, share) for purpose, share in _AGREE.items()]
    return pa.concat_tables(tables).rename_columns({"contact_id": "relative_id"})


def _consents(hospital: Hospital, relatives: Relatives, purpose: str, share: float) -> pa.Table:
    draws, own = hospital.draws, relatives.own
    agree: Flags = draws.chance(f"relative/consent/{purpose}", share, own)
    place = PURPOSES.index(purpose)
    number = own * 200 + place * 10
    everywhere = np.zeros_like(own)
    return decisions_table(
        pc.binary_join_element_wise("K", padded(number, 11), ""),
        identifier("crm", own),
        np.full_like(own, place),
        everywhere,
        agree,
        relatives.since,
        draws.between("relative/evidence", 0, len(EVIDENCE), own),
    )


def records_of(relatives: Relatives) -> pa.Table:
    """Whose record each is, for the truth: somebody of their own. The prefix is that of config/sources/crm.yaml."""
    own = relatives.own
    return pa.table(
        {
            "source": pa.array(["crm"], pa.string()).take(pa.array(np.zeros_like(own))),
            "source_id": pc.binary_join_element_wise("relative:", identifier("crm", own), ""),
            "person": pc.binary_join_element_wise("R", padded(relatives.index, 9), ""),
        }
    )
