"""What would be measured in a person at a moment: levels follow illness, treatment and time.

Every function takes `who` (row positions within `people`), `when` (seconds) and `key` (a number unique to the
measurement, for its noise) and returns values in the canonical unit. The relations are the textbook's, simplified.
"""

from __future__ import annotations

import numpy as np

from alongside.sandbox.hospital.clinical import DRUGS
from alongside.sandbox.hospital.draws import Draws, Flags, Floats, Ints, rounded
from alongside.sandbox.hospital.people import DAY, NEVER, YEAR, People

#: Treatment works from about two weeks on.
_EFFECT = 14


def takes(draws: Draws, people: People, drug: int) -> tuple[Flags, Ints]:
    """Who is prescribed the drug, and the day from which."""
    onset = np.min([people.onset[name] for name in DRUGS[drug].conditions], axis=0)
    willing = draws.chance(f"drug/{DRUGS[drug].atc}", DRUGS[drug].share, people.index)
    return willing & (onset < NEVER), onset


def _treated(draws: Draws, people: People, who: Ints, day: Ints, drugs: tuple[int, ...]) -> Flags:
    result = np.zeros(len(who), dtype=np.bool_)
    for drug in drugs:
        some, since = takes(draws, people, drug)
        result |= some[who] & (day > since[who] + _EFFECT)
    return result


def systolic(draws: Draws, people: People, who: Ints, when: Ints, key: Ints, home: bool = False) -> Floats:
    """mm[Hg]. About two in five of those in treatment are below 140."""
    index, day = people.index[who], when // DAY
    own = draws.normal("bp/own", index)
    healthy = 98 + np.minimum(people.age[who], 18) * 0.8 + np.clip(people.age[who] - 18, 0, 70) * 0.16 + 6 * own
    ill = people.onset["hypertension"][who]
    untreated = 156 + 9 * own
    reached = np.where(people.adherence[who] > 0.65, 131 + 5 * own, 149 + 7 * own)
    treated = _treated(draws, people, who, day, (0, 1))
    known = np.where(treated, reached, untreated - 6)
    rising = np.where(ill < NEVER, 140 + 7 * own, healthy)
    level = np.where(day >= ill, np.where(day < ill + _EFFECT, untreated, known), rising)
    noise = (5.0 if home else 6.5) * draws.normal("bp/noise", key)
    return rounded(np.clip(level + noise - (4.0 if home else 0.0), 72, 232))


def diastolic(draws: Draws, people: People, who: Ints, key: Ints, upper: Floats) -> Floats:
    """mm[Hg], always below the systolic value that it was taken with."""
    older = np.clip(people.age[who] - 60, 0, 35) * 0.25
    level = 0.48 * upper + 18 - older + 4.5 * draws.normal("bp/lower", key)
    return rounded(np.clip(level, 40, np.minimum(upper - 12, 135)))


def heart_rate(draws: Draws, people: People, who: Ints, key: Ints) -> Floats:
    """/min."""
    child = np.clip(14 - people.age[who], 0, 14) * 3.2
    level = 73 + child + 6 * draws.normal("hr/own", people.index[who]) + 9 * people.has("atrial_fibrillation")[who]
    return rounded(np.clip(level + 6 * draws.normal("hr/noise", key), 44, 185))


def weight(draws: Draws, people: People, who: Ints, when: Ints, key: Ints) -> Floats:
    """kg; pregnancy adds a third of a kilogram a week."""
    base = people.bmi[who] * (people.height[who] / 100) ** 2
    day = when // DAY
    weeks = np.where(people.conceived[who] < NEVER, (day - people.conceived[who]) / 7, 0.0)
    carrying = (weeks > 10) & (day < people.delivery[who])
    return rounded(base + np.where(carrying, (weeks - 10) * 0.42, 0.0) + 0.8 * draws.normal("wt/noise", key), 1)


def hba1c(draws: Draws, people: People, who: Ints, when: Ints, key: Ints) -> Floats:
    """%. Just over half of the people with diabetes stay below 7."""
    index, day = people.index[who], when // DAY
    own = draws.normal("hba1c/own", index)
    controlled = (people.adherence[who] > 0.42) & _treated(draws, people, who, day, (2, 3))
    diabetic = np.where(controlled, 6.5 + 0.35 * own, 8.6 + 1.0 * own)
    level = np.where(people.has("prediabetes")[who], 6.0 + 0.15 * own, 5.3 + 0.22 * own)
    level = np.where(people.onset["diabetes_type_2"][who] <= day, diabetic, level)
    return rounded(np.clip(level + 0.15 * draws.normal("hba1c/noise", key), 4.2, 14.5), 1)


def fasting_glucose(draws: Draws, people: People, who: Ints, when: Ints, key: Ints) -> Floats:
    """mmol/L, from HbA1c by the ADAG line, lowered a little because the patient has fasted."""
    average = 1.59 * hba1c(draws, people, who, when, key) - 2.59
    return rounded(np.clip(average - 0.5 + 0.45 * draws.normal("glucose/noise", key), 3.1, 25.0), 1)


def ldl(draws: Draws, people: People, who: Ints, when: Ints, key: Ints) -> Floats:
    """mmol/L; a statin takes a third off."""
    own = draws.normal("ldl/own", people.index[who])
    level = np.where(people.has("hyperlipidemia")[who], 4.2 + 0.5 * own, 2.7 + 0.45 * own)
    level = level * np.where(_treated(draws, people, who, when // DAY, (4,)), 0.64, 1.0)
    return rounded(np.clip(level + 0.2 * draws.normal("ldl/noise", key), 0.8, 7.5), 2)


def total_cholesterol(draws: Draws, people: People, who: Ints, key: Ints, low: Floats) -> Floats:
    """mmol/L, above the LDL value of the same sample."""
    own = draws.normal("tc/own", people.index[who])
    return rounded(low + 1.75 + 0.25 * own + 0.1 * draws.normal("tc/noise", key), 2)


def egfr(draws: Draws, people: People, who: Ints, when: Ints, key: Ints) -> Floats:
    """mL/min/1.73 m2: falls by one a year with age, by three with chronic kidney disease."""
    own, day = draws.normal("egfr/own", people.index[who]), when // DAY
    healthy = 118 - 0.55 * np.clip(people.age[who], 20, 100) + 7 * own
    onset = people.onset["chronic_kidney_disease"][who]
    years = np.clip((day - onset) / YEAR, 0, 20)
    level = np.where(onset <= day, np.minimum(54 + 4 * own, healthy) - 2.5 * years, np.maximum(healthy, 62))
    return rounded(np.clip(level + 2.5 * draws.normal("egfr/noise", key), 7, 135))


def creatinine(people: People, who: Ints, filtration: Floats) -> Floats:
    """umol/L, the inverse of the filtration rate; men have more muscle."""
    base = np.where(people.male[who], 82.0, 64.0)
    return rounded(np.clip(base * (95 / filtration) ** 0.85, 30, 900))


def hemoglobin(draws: Draws, people: People, who: Ints, when: Ints, key: Ints) -> Floats:
    """g/L; lower in women, children, pregnancy and kidney disease."""
    day = when // DAY
    level = np.where(people.male[who], 150.0, 132.0) + 7 * draws.normal("hgb/own", people.index[who])
    level -= 14 * (people.onset["chronic_kidney_disease"][who] <= day)
    level -= 14 * ((people.conceived[who] + 100 < day) & (day < people.delivery[who]))
    level -= 12 * (people.age[who] < 10)
    return rounded(level + 3 * draws.normal("hgb/noise", key))
