"""What patients decide, prefer, answer, read and measure at home: CRM and app."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from alongside.sandbox.hospital import clinical as c
from alongside.sandbox.hospital import physiology as body
from alongside.sandbox.hospital.clinic import word
from alongside.sandbox.hospital.contacts import moment_text, padded
from alongside.sandbox.hospital.draws import Flags, Floats, Ints
from alongside.sandbox.hospital.hospital import Hospital
from alongside.sandbox.hospital.people import DAY, NEVER, People
from alongside.sandbox.hospital.records import Membership, identifier
from alongside.sandbox.hospital.visits import Visits, unrolled

PURPOSES = ("care", "education", "survey", "marketing", "research", "cross_border")
#: Shares of CRM contacts that agree: those whom the hospital follows, and the others.
AGREE_CHRONIC = (0.94, 0.74, 0.63, 0.46, 0.32)
AGREE_OTHERS = (0.80, 0.66, 0.57, 0.44, 0.28)
#: Storing abroad is asked together with care: whoever agrees to one mostly agrees to the other.
AGREE_ABROAD = (0.955, 0.22)
WITHDRAWN = 0.03
EVIDENCE = ("登记表", "小程序", "电话回访", "官网表单")
APP_DAYS = 120
READING_DAYS = 60
EVENT_KINDS = ("page_view", "article_read", "video_watched", "search", "booking_started", "login")
_KIND_WEIGHTS = (0.30, 0.28, 0.10, 0.12, 0.05, 0.15)
SURVEYS = ("nps", "visit_satisfaction", "education_feedback")


# ------------------------------------------------------------------------------------------------------ consents
def agreements(hospital: Hospital, people: People) -> Flags:
    """Whether each person agrees to each purpose when first asked, shape (purposes, people)."""
    draws, index = hospital.draws, people.index
    answers = [
        draws.chance(f"consent/{purpose}", np.where(people.chronic, many, few), index)
        for purpose, many, few in zip(PURPOSES, AGREE_CHRONIC, AGREE_OTHERS, strict=False)
    ]
    abroad = np.where(answers[0], *AGREE_ABROAD)
    return np.stack([*answers, draws.chance("consent/cross_border", abroad, index)])


def _withdrawals(hospital: Hospital, people: People, since: Ints) -> Ints:
    """Second at which each agreement was taken back before the dump, NEVER where it stands; (purposes, people)."""
    draws = hospital.draws
    rows = np.arange(len(PURPOSES))[:, None]
    back = agreements(hospital, people) & draws.chance("withdrawn", WITHDRAWN, people.index[None], rows)
    part = draws.uniform("withdrawn/when", people.index[None], rows)
    gap = np.maximum(np.minimum(people.deceased, hospital.first_cut) - since, 0)
    return np.where(back, since + (part * gap).astype(np.int64), NEVER)


def consents_table(hospital: Hospital, people: People, since: Ints, second: bool) -> pa.Table:
    """consents.parquet: the first decisions at `since`, and withdrawals. Half of the refusals leave no row."""
    draws, index = hospital.draws, people.index
    agree = agreements(hospital, people)
    rows = np.arange(len(PURPOSES))[:, None]
    order = int(second)
    noted = agree | draws.chance("consent/noted", 0.5, index[None], rows)
    purpose, who = np.nonzero(noted)
    first = _decisions(hospital, people, who, purpose, agree[purpose, who], since[who], order, 0)
    taken = _withdrawals(hospital, people, since)
    purpose, who = np.nonzero(taken < NEVER)
    refused = np.zeros(len(who), dtype=np.bool_)
    return pa.concat_tables([first, _decisions(hospital, people, who, purpose, refused, taken[purpose, who], order, 1)])


def _decisions(
    hospital: Hospital, people: People, who: Ints, purpose: Ints, agree: Flags, when: Ints, second: int, turn: int
) -> pa.Table:
    draws, index = hospital.draws, people.index[who]
    number = (index * 2 + second) * 100 + purpose * 10 + turn
    everywhere = (draws.chance("consent/everywhere", 0.55, index, purpose)) | (purpose == 5)
    return decisions_table(
        pc.binary_join_element_wise("K", padded(number, 11), ""),
        identifier("crm", index, second),
        purpose,
        np.where(everywhere, 0, 1),
        agree,
        when,
        draws.between("consent/evidence", 0, len(EVIDENCE), number),
    )


def decisions_table(
    numbers: Any, contacts: Any, purpose: Ints, channel: Ints, agree: Flags, when: Ints, evidence: Ints
) -> pa.Table:
    return pa.table(
        {
            "consent_id": numbers,
            "contact_id": contacts,
            "purpose": word(PURPOSES, purpose),
            "channel": word(("*", "email", "sms"), channel),
            "decision": word(("deny", "permit"), agree.astype(np.int64)),
            "decided_at": moment_text(when),
            "evidence": word(EVIDENCE, evidence),
        }
    )


def preferences_table(hospital: Hospital, people: People, since: Ints) -> pa.Table:
    """preferences.parquet: a quarter of the contacts say how they wish to be reached."""
    draws = hospital.draws
    who = np.flatnonzero(draws.chance("preference", 0.25, people.index))
    index = people.index[who]
    quiet = draws.pick("preference/quiet", (0.6, 0.2, 0.12, 0.08), index)
    off = draws.pick("preference/off", (0.75, 0.1, 0.08, 0.07), index)
    topics = pa.array(["", "nutrition", "sleep|nutrition", "vaccination"]).take(pa.array(off))
    return pa.table(
        {
            "pref_id": pc.binary_join_element_wise("F", padded(index, 9), ""),
            "contact_id": identifier("crm", index),
            "channel": word(("email", "sms", "wechat"), draws.pick("preference/channel", (0.75, 0.15, 0.1), index)),
            "language": word(("zh", "en"), people.foreign[who].astype(np.int64)),
            "quiet_from": pa.array([None, "20:00", "21:30", "12:00"]).take(pa.array(quiet)),
            "quiet_to": pa.array([None, "09:00", "08:30", "14:00"]).take(pa.array(quiet)),
            "topics_off": pc.if_else(pa.array(off == 0), None, topics),
            "updated_at": moment_text(since[who]),
        }
    )


# ------------------------------------------------------------------------------------------------------- surveys
def surveys_table(hospital: Hospital, people: People, visits: Visits, member: Membership, cut: int) -> pa.Table:
    """surveys.parquet: one visit in ten is answered by those who agreed to be asked."""
    draws = hospital.draws
    asked = agreements(hospital, people)[2] & member.crm
    answered = asked[visits.who] & draws.chance("survey", 0.1, visits.number)
    when = visits.start + 3_600 + draws.between("survey/after", 3_600, 2 * DAY, visits.number)
    answered &= (when < np.minimum(people.deceased[visits.who], cut)) & (when > member.crm_since[visits.who])
    who, number, when = visits.who[answered], visits.number[answered], when[answered]
    survey = draws.pick("survey/name", (0.55, 0.3, 0.15), number)
    level = 8.1 + 1.2 * people.adherence[who] + 1.9 * draws.normal("survey/score", number)
    recommend = np.clip(np.round(level), 0, 10)
    return pa.table(
        {
            "response_id": pc.binary_join_element_wise("Q", padded(number, 13), ""),
            "contact_id": identifier("crm", people.index[who]),
            "survey": word(SURVEYS, survey),
            "score": np.where(survey == 0, recommend, np.clip(np.round(recommend / 2), 1, 5)),
            "answered_at": moment_text(when),
        }
    )


# ------------------------------------------------------------------------------------------------------- the app
def event_rate(people: People, member: Membership) -> Floats:
    """Events a day of each app user."""
    return np.where(member.app, 0.02 + 0.16 * people.interest**2, 0.0)


def events_history(hospital: Hospital, people: People, member: Membership) -> pa.Table:
    """events.csv.gz of the last four months."""
    draws = hospital.draws
    counts = draws.poisson("event/count", event_rate(people, member) * APP_DAYS, people.index)
    who, step = unrolled(np.arange(len(people)), counts)
    index = people.index[who]
    back = np.floor(draws.uniform("event/day", index, step) * APP_DAYS).astype(np.int64)
    when = (hospital.first_day - 1 - back) * DAY + evening(hospital, "event", index, step)
    keep = (when > member.app_since[who]) & (when < people.deceased[who])
    return events_table(hospital, people, who[keep], when[keep], (index * 1_000 + step)[keep])


def evening(hospital: Hospital, label: str, index: Ints, step: Ints | int) -> Ints:
    """Seconds since midnight, mostly after work."""
    late = hospital.draws.chance(f"{label}/late", 0.6, index, step)
    clock = hospital.draws.uniform(f"{label}/clock", index, step)
    hours = np.where(late, 18.5 + 4 * clock, 7 + 11.5 * clock)
    return np.asarray(np.floor(hours * 3_600), dtype=np.int64)


def events_table(hospital: Hospital, people: People, who: Ints, when: Ints, number: Ints) -> pa.Table:
    draws = hospital.draws
    kind = draws.pick("event/kind", _KIND_WEIGHTS, number)
    seconds = np.round(np.exp(3.9 + 0.9 * draws.normal("event/seconds", number)))
    reading = np.isin(kind, (0, 1, 2))
    topic = _topics(hospital, people, who, number)
    known = kind != EVENT_KINDS.index("login")
    return pa.table(
        {
            "event_id": pc.binary_join_element_wise("E", padded(number, 12), ""),
            "user_id": identifier("app_events", people.index[who]),
            "kind": word(EVENT_KINDS, kind),
            "topic": pc.if_else(pa.array(known), word(c.TOPICS, topic), None),
            "occurred_at": moment_text(when),
            "duration_seconds": pc.if_else(pa.array(reading), pa.array(seconds.astype(np.int64)), None),
        }
    )


def _topics(hospital: Hospital, people: People, who: Ints, number: Ints) -> Ints:
    """Two in three events are about what the reader lives with."""
    draws = hospital.draws
    flags = people.onsets()[:, who] < NEVER
    count = flags.sum(axis=0)
    wanted = np.floor(draws.uniform("event/which", number) * np.maximum(count, 1)).astype(np.int64)
    own = c.TOPIC_OF_CONDITION[np.argmax(np.cumsum(flags, axis=0) > wanted, axis=0)]
    anything = draws.between("event/topic", 0, len(c.TOPICS), number)
    return np.where((count > 0) & draws.chance("event/own", 0.65, number), own, anything)


# ------------------------------------------------------------------------------------------------- home readings
def reading_rate(hospital: Hospital, people: People, member: Membership) -> Floats:
    """Share of days on which each app user measures at home: once or twice a week where there is a reason."""
    reason = people.has_any(("hypertension", "diabetes_type_2", "heart_failure"))
    does = hospital.draws.chance("reading/does", 0.3 + 0.5 * people.adherence, people.index)
    return np.where(member.app & reason & does, 0.05 + 0.15 * people.adherence, 0.0)


def readings_history(hospital: Hospital, people: People, member: Membership) -> pa.Table:
    """readings.csv.gz of the last two months."""
    draws = hospital.draws
    users = np.flatnonzero(reading_rate(hospital, people, member) > 0)
    who, back = unrolled(users, np.full(len(users), READING_DAYS))
    index, day = people.index[who], hospital.first_day - 1 - back
    measured = draws.chance("reading/day", reading_rate(hospital, people, member)[who], index, day)
    when = day * DAY + morning(hospital, index, day)
    measured &= (when > member.app_since[who]) & (when < people.deceased[who])
    return readings_table(hospital, people, who[measured], when[measured])


def morning(hospital: Hospital, index: Ints, day: Ints | int) -> Ints:
    return hospital.draws.between("reading/clock", 6 * 60, 10 * 60, index, day) * 60


_SLIPS_READING = np.array([700.0, 5.0, 7.0, 110.0, 700.0])


def readings_table(hospital: Hospital, people: People, who: Ints, when: Ints) -> pa.Table:
    """Blood pressure and pulse with hypertension or a failing heart, glucose with diabetes, weight now and then."""
    draws, dirt = hospital.draws, hospital.dirt
    number = people.index[who] * 100_000 + when // DAY
    upper = body.systolic(draws, people, who, when, number, home=True)
    values = np.stack(
        [
            upper,
            body.diastolic(draws, people, who, number, upper),
            body.heart_rate(draws, people, who, number),
            body.fasting_glucose(draws, people, who, when, number),
            body.weight(draws, people, who, when, number),
        ]
    )
    pressure = people.has_any(("hypertension", "heart_failure"))[who]
    sugar = people.has("diabetes_type_2")[who]
    heavy = people.has("heart_failure")[who] | draws.chance("reading/weight", 0.15, number)
    row, item = np.nonzero(np.stack([pressure, pressure, pressure, sugar, heavy]).T)
    key = number[row] * 10 + item
    wild = draws.chance("reading/impossible", dirt.reading_impossible, key)
    return pa.table(
        {
            "reading_id": pc.binary_join_element_wise("M", padded(key, 15), ""),
            "user_id": identifier("app_events", people.index[who[row]]),
            "item": word(tuple(each.code for each in c.READING_ITEMS), item),
            "value": pa.array(np.where(wild, _SLIPS_READING[item], values[item, row])).cast(pa.string()),
            "unit": word(tuple(each.unit for each in c.READING_ITEMS), item),
            "measured_at": moment_text(when[row] + item * 30),
        }
    )


# ------------------------------------------------------------------------------------- vaccinations and allergies
def vaccinations(hospital: Hospital, people: People) -> tuple[Ints, Ints, Ints]:
    """(row position, vaccine, second) of the vaccinations before the dump."""
    draws, index, age = hospital.draws, people.index, people.age
    rows: list[tuple[Ints, Ints, Ints]] = []
    at_risk = (age >= 60) | people.chronic
    for season in range(3):
        october = hospital.first_day - 150 - season * 365
        who = np.flatnonzero(draws.chance(f"flu/{season}", np.where(at_risk, 0.3, 0.08), index))
        rows.append((who, np.zeros_like(who), october + draws.between("flu/day", 0, 70, index[who], season)))
    others: tuple[tuple[int, Flags, float, int, int], ...] = (
        (1, age >= 4, 0.6, 900, 1_250),
        (2, ~people.male & (age >= 11) & (age < 45), 0.18, 20, 1_500),
        (3, age >= 60, 0.13, 20, 1_200),
    )
    for number, able, share, low, high in others:
        who = np.flatnonzero(able & draws.chance(f"vaccine/{number}", share, index))
        day = hospital.first_day - draws.between(f"vaccine/{number}/day", low, high, index[who])
        rows.append((who, np.full_like(who, number), day))
    who, vaccine, day = (np.concatenate([row[n] for row in rows]) for n in range(3))
    when = day * DAY + 9 * 3_600 + draws.between("vaccine/clock", 0, 400, index[who], day) * 60
    keep = (when >= people.registered[who]) & (when < people.deceased[who])
    order = np.lexsort((when[keep], who[keep]))
    return who[keep][order], vaccine[keep][order], when[keep][order]


def vaccinations_table(people: People, who: Ints, vaccine: Ints, when: Ints) -> pa.Table:
    """vaccinations.csv; a person gets one vaccine once a day."""
    number = (people.index[who] * 100_000 + when // DAY) * 10 + vaccine
    return pa.table(
        {
            "record_no": pc.binary_join_element_wise("VC", padded(number, 15), ""),
            "patient_no": identifier("his", people.index[who]),
            "vaccine_code": word(tuple(item.code for item in c.VACCINES), vaccine),
            "vaccine": word(tuple(item.text for item in c.VACCINES), vaccine),
            "given_at": moment_text(when),
        }
    )


def allergies_table(hospital: Hospital, people: People) -> pa.Table:
    """allergies.csv, recorded when somebody registers."""
    shares = np.array([0.075, 0.03, 0.015])[:, None]
    rows = np.arange(3)[:, None]
    allergen, who = np.nonzero(hospital.draws.chance("allergy", shares, people.index[None], rows))
    order = np.argsort(who, kind="stable")
    allergen, who = allergen[order], who[order]
    return pa.table(
        {
            "allergy_no": pc.binary_join_element_wise("AL", padded(people.index[who] * 10 + allergen, 10), ""),
            "patient_no": identifier("his", people.index[who]),
            "allergen_code": word(tuple(item.code for item in c.ALLERGENS), allergen),
            "allergen": word(tuple(item.text for item in c.ALLERGENS), allergen),
            "recorded_at": moment_text(people.registered[who] + 600),
        }
    )
