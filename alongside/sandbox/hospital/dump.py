"""The first, full dump: chunk after chunk of people, each with everything that the systems know of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa

from alongside.sandbox.hospital import agenda, clinic, engagement, openings, records, relatives
from alongside.sandbox.hospital.contacts import contacts_of
from alongside.sandbox.hospital.dirt import DIRT, Dirt
from alongside.sandbox.hospital.draws import Flags, Ints
from alongside.sandbox.hospital.extracts import SYSTEMS, ExtractWriter
from alongside.sandbox.hospital.hospital import CHUNK, Hospital
from alongside.sandbox.hospital.people import NEVER, People
from alongside.sandbox.hospital.truth import Truth, TruthWriter, people_truth, sort_open
from alongside.sandbox.hospital.visits import Visits, called_off, history

DEFAULT_START = date(2026, 2, 28)


@dataclass(frozen=True)
class HospitalReport:
    """What was written: rows by extract (`his.visits`, ...), and where."""

    root: Path
    truth: Path
    day: date
    patients: int
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def total_rows(self) -> int:
        return sum(self.rows.values())


@dataclass(frozen=True)
class Part:
    """What a chunk of people adds to the extracts and to the truth."""

    extracts: dict[str, pa.Table]
    truth: dict[str, pa.Table]


def generate(
    root: Path,
    patients: int = 5_000,
    seed: int = 20260228,
    start: date = DEFAULT_START,
    truth: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    dirt: Dirt = DIRT,
    chunk: int = CHUNK,
) -> HospitalReport:
    """Write the full dump of `start` below `root`, and the ground truth below `truth` (default `root/truth`).

    Parameters
    ----------
    patients : people in the hospital, up to 10 million; memory depends on `chunk`, not on it
    progress : called with (people done, people in all) after each chunk
    chunk : people handled at once; changes the order of rows within files, never the rows
    """
    if not 1 <= patients <= 10_000_000:
        raise ValueError(f"patients must be between 1 and 10,000,000, not {patients}")
    hospital = Hospital(patients, seed, start, dirt)
    store = Truth(truth or root / "truth")
    _clear(root, store)
    with ExtractWriter(root, start) as extracts, TruthWriter(store, start) as facts:
        for low in range(0, patients, chunk):
            high = min(low + chunk, patients)
            part = chunk_of(hospital, np.arange(low, high, dtype=np.int64))
            extracts.write(part.extracts)
            facts.write(part.truth)
            if progress is not None:
                progress(high, patients)
        rows = extracts.rows
    sort_open(store, start, store.root / ".spill")
    store.save(hospital)
    return HospitalReport(root, store.root, start, patients, rows)


def _clear(root: Path, store: Truth) -> None:
    """Remove the extracts of an earlier hospital: its days would otherwise be read after this one's dump."""
    folders = [root / system for system in SYSTEMS] + [store.root / "open"]
    for folder in folders:
        for day in folder.glob("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]"):
            shutil.rmtree(day)
    for name in ("people", "records", "addresses"):
        for file in (store.root / name).glob("*.parquet"):
            file.unlink()


def chunk_of(hospital: Hospital, index: Ints) -> Part:
    """Everything of the people with these indexes, up to the dump."""
    people, cut = hospital.people(index, 0), hospital.first_cut
    member = records.membership_of(hospital, people)
    visits = history(hospital, people, member.his_moved, member.second_his)
    orders = clinic.orders_of(hospital, people, visits)
    past, future = agenda.past(hospital, people, visits), agenda.future(hospital, people)
    extracts = {
        **master_data(hospital, people, member),
        "his.visits": clinic.visits_table(hospital, people, visits, cut),
        "his.diagnoses": clinic.diagnoses_table(hospital, people, visits, cut),
        "his.vitals": clinic.vitals_table(hospital, people, visits),
        "his.prescriptions": clinic.orders_table(hospital, people, orders, cut),
        "his.operations": _operations(hospital, people, visits),
        "his.appointments": agenda.appointments_table(agenda.join([past, future])),
        "his.vaccinations": engagement.vaccinations_table(people, *engagement.vaccinations(hospital, people)),
        "lis.results": clinic.results_table(hospital, people, visits, member.lis, cut),
        "crm.surveys": engagement.surveys_table(hospital, people, visits, member, cut),
        "app_events.events": engagement.events_history(hospital, people, member),
        "app_events.readings": engagement.readings_history(hospital, people, member),
    }
    facts = {
        **truth_of(hospital, people, member),
        "open/appointments": openings.open_appointments(future),
        "open/stays": openings.open_stays(people, visits, cut),
        "open/orders": openings.open_orders(people, orders, cut),
        "open/births": openings.open_births(people, visits, cut),
    }
    return Part(extracts, facts)


def truth_of(hospital: Hospital, people: People, member: records.Membership) -> dict[str, pa.Table]:
    """people, records (relatives' too) and addresses of these people."""
    facts = people_truth(people, contacts_of(hospital, people), member)
    family = relatives.records_of(relatives.relatives_of(hospital, people, member))
    return facts | {"records": pa.concat_tables([facts["records"], family])}


def master_data(hospital: Hospital, people: People, member: records.Membership) -> dict[str, pa.Table]:
    """People as HIS, LIS, CRM and app know them, with consents, preferences and allergies."""
    return {
        "his.patients": pa.concat_tables([_his(hospital, people, member, False), _his(hospital, people, member, True)]),
        "his.allergies": engagement.allergies_table(hospital, people),
        "lis.patients": pa.concat_tables(
            [
                records.lis_patients(hospital, people.take(member.lis), False),
                records.lis_patients(hospital, people.take(member.lis & member.second_his), True),
            ]
        ),
        **_crm(hospital, people, member),
        "app_events.users": _app(hospital, people.take(member.app)),
    }


def _his(hospital: Hospital, people: People, member: records.Membership, second: bool) -> pa.Table:
    chosen = people.take(member.second_his) if second else people
    # A death is entered under one number only: the other one's record looks alive.
    deceased = np.full(len(chosen), NEVER) if second else chosen.deceased
    contacts = contacts_of(hospital, chosen)
    return records.his_patients(hospital, chosen, contacts, records.membership_of(hospital, chosen), second, deceased)


def _crm(hospital: Hospital, people: People, member: records.Membership) -> dict[str, pa.Table]:
    contacts, consents = [], []
    for second, flags in ((False, member.crm), (True, member.crm & member.second_crm)):
        chosen = people.take(flags)
        known = records.membership_of(hospital, chosen)
        contacts.append(records.crm_contacts(hospital, chosen, contacts_of(hospital, chosen), known, second))
        since = known.second_crm_since if second else known.crm_since
        consents.append(engagement.consents_table(hospital, chosen, since, second))
    chosen = people.take(member.crm)
    since = records.membership_of(hospital, chosen).crm_since
    family = relatives.relatives_of(hospital, people, member)
    return {
        "crm.contacts": pa.concat_tables(contacts),
        "crm.relatives": relatives.relatives_table(family),
        "crm.relative_consents": relatives.consents_of(hospital, family),
        "crm.consents": pa.concat_tables(consents),
        "crm.preferences": engagement.preferences_table(hospital, chosen, since),
    }


def _app(hospital: Hospital, users: People) -> pa.Table:
    return records.app_users(hospital, users, contacts_of(hospital, users), records.membership_of(hospital, users))


def _operations(hospital: Hospital, people: People, visits: Visits) -> pa.Table:
    """What was done, and what is planned within the next weeks."""
    tables = [clinic.operations_table(hospital, people, visits)]
    alive: Flags = people.deceased == NEVER
    for number, who, start in agenda.planned(hospital, people, alive):
        index = people.index[who]
        cancelled = called_off(hospital.draws, index, number)
        tables.append(clinic.planned_operations(index, np.full(len(who), number), start, cancelled))
    return pa.concat_tables(tables)
