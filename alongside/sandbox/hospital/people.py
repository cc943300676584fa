"""Who the patients are and what they live with: a pure function of (seed, person index).

Days are counted from 1970-01-01 and seconds likewise, in the hospital's local time (no summer time in China).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import numpy as np

from alongside.sandbox.hospital.clinical import CONDITIONS, MANAGED
from alongside.sandbox.hospital.draws import Draws, Flags, Floats, Ints, rounded
from alongside.sandbox.hospital.names import Names, draw_names

#: A moment that does not come.
NEVER = 2**62
DAY = 86_400
HISTORY_DAYS = 3 * 365
YEAR = 365.25

_AGE_BANDS = ((0, 14), (14, 18), (18, 35), (35, 45), (45, 60), (60, 75), (75, 96))
_AGE_WEIGHTS = (0.06, 0.02, 0.16, 0.14, 0.26, 0.25, 0.11)
#: Deaths within the three years before the dump, by age.
_DEATHS = ((0, 0.0003), (45, 0.002), (60, 0.012), (70, 0.035), (80, 0.12), (95, 0.35))


@dataclass(frozen=True)
class People:
    """One row a person. `onset` holds the day of diagnosis by condition, NEVER where they do not have it."""

    index: Ints
    names: Names
    male: Flags
    foreign: Flags
    birth: Ints  # day
    age: Floats  # years at the day of the first dump
    registered: Ints  # second
    deceased: Ints  # second, NEVER while alive at the dump
    smoker: Ints  # 0 never, 1 former, 2 current
    height: Floats  # cm
    bmi: Floats
    adherence: Floats  # 0..1, how reliably they come and take what is prescribed
    interest: Floats  # 0..1, how much they use the app
    onset: Mapping[str, Ints]
    conceived: Ints  # day, NEVER without a pregnancy
    delivery: Ints  # day

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Ints | Flags) -> People:
        """The people at these row positions, in that order."""
        where = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
        plain = {
            field.name: getattr(self, field.name)[where]
            for field in fields(self)
            if field.name not in {"names", "onset"}
        }
        return People(
            **plain,
            names=self.names.take(np.asarray(where, dtype=np.int64)),
            onset={name: day[where] for name, day in self.onset.items()},
        )

    def has(self, condition: str) -> Flags:
        return np.asarray(self.onset[condition] < NEVER)

    def has_any(self, conditions: tuple[str, ...]) -> Flags:
        return np.asarray(np.logical_or.reduce([self.has(name) for name in conditions]))

    @property
    def chronic(self) -> Flags:
        """Whoever has a condition that they keep coming back for."""
        return self.has_any(MANAGED)

    def onsets(self) -> Ints:
        """Shape (conditions, people)."""
        return np.stack([self.onset[condition.name] for condition in CONDITIONS])


def make_people(draws: Draws, index: Ints, start: int, arrived: Ints) -> People:
    """People by index. `start` is the day of the first dump; `arrived` the day on which somebody registered after
    it, -1 for those of the dump.
    """
    names = names_of(draws, index)
    male = names.male
    birth = _births(draws, index, start)
    age = (start - birth) / YEAR
    smoker = _smokers(draws, index, male, age)
    bmi = _bmi(draws, index, male, age)
    registered = _registered(draws, index, birth, start, arrived)
    conceived, delivery = _pregnancies(draws, index, male, age, start)
    onset = _conditions(draws, index, male, age, smoker, bmi, start)
    pregnant_since = np.where(conceived < NEVER, conceived + 45, NEVER)
    # Nobody who registers after the dump may have been pregnant before the hospital knew them.
    late = (arrived >= 0) | (pregnant_since < registered // DAY)
    onset["pregnancy"] = np.where(late, NEVER, pregnant_since)
    conceived, delivery = np.where(late, NEVER, conceived), np.where(late, NEVER, delivery)
    return People(
        index=index,
        names=names,
        male=male,
        foreign=names.foreign,
        birth=birth,
        age=age,
        registered=registered,
        deceased=_deaths(draws, index, age, registered, start, arrived, conceived),
        smoker=smoker,
        height=np.round(_heights(draws, index, male, age), 0),
        bmi=bmi,
        adherence=draws.uniform("adherence", index),
        interest=draws.uniform("interest", index),
        onset=onset,
        conceived=conceived,
        delivery=delivery,
    )


def names_of(draws: Draws, index: Ints) -> Names:
    """The names alone (which tell sex and origin), for when nothing else of a person is needed."""
    male = draws.chance("male", 0.485, index)
    return draw_names(draws, index, male, draws.chance("foreign", 0.07, index))


def _births(draws: Draws, index: Ints, start: int) -> Ints:
    band = draws.pick("age/band", _AGE_WEIGHTS, index)
    low, high = np.array(_AGE_BANDS, dtype=np.float64).T
    # Within the oldest band the years thin out.
    within = draws.uniform("age/within", index) ** np.where(band == len(_AGE_BANDS) - 1, 2.0, 1.0)
    years = low[band] + within * (high - low)[band]
    birth = start - 20 - np.floor(years * YEAR).astype(np.int64)
    # Identity numbers carry the birth date and three digits: this keeps them unique (see contacts.identity_number).
    return np.asarray(birth - (birth - index // 500) % 64, dtype=np.int64)


def _smokers(draws: Draws, index: Ints, male: Flags, age: Floats) -> Ints:
    now = np.where(male, 0.44, 0.03) * (age >= 16)
    former = np.where(male, 0.16, 0.015) * (age >= 30)
    level = draws.uniform("smoker", index)
    return np.where(level < now, 2, np.where(level < now + former, 1, 0)).astype(np.int64)


def _bmi(draws: Draws, index: Ints, male: Flags, age: Floats) -> Floats:
    adult = 23.6 + np.where(male, 0.5, 0.0) + np.clip(age - 30, 0, 30) * 0.03
    middle = np.where(age < 18, 15.5 + age * 0.3, adult)
    spread = np.where(age < 18, 1.6, 3.3)
    return rounded(np.clip(middle + spread * draws.normal("bmi", index), 12.5, 44.0), 1)


def _heights(draws: Draws, index: Ints, male: Flags, age: Floats) -> Floats:
    grown = np.where(male, 171.0, 159.5) - np.clip(age - 45, 0, 50) * 0.09
    child = np.minimum(52 + 25 * np.sqrt(np.clip(age, 0, 18)) + age * 0.8, grown)
    return np.where(age < 18, child, grown) + np.where(age < 18, 4.0, 6.0) * draws.normal("height", index)


def _registered(draws: Draws, index: Ints, birth: Ints, start: int, arrived: Ints) -> Ints:
    back = 3 + np.floor(draws.uniform("registered", index) ** 1.4 * 12 * YEAR).astype(np.int64)
    day = np.where(arrived >= 0, arrived, np.maximum(start - back, birth + 1))
    return day * DAY + 8 * 3600 + draws.between("registered/time", 0, 8 * 3600, index)


def _deaths(
    draws: Draws, index: Ints, age: Floats, registered: Ints, start: int, arrived: Ints, conceived: Ints
) -> Ints:
    ages, shares = zip(*_DEATHS, strict=True)
    dies = draws.chance("death", np.interp(age, ages, shares), index) & (arrived < 0) & (conceived == NEVER)
    first = np.maximum(registered + 30 * DAY, (start - HISTORY_DAYS) * DAY)
    last = start * DAY
    moment = first + (draws.uniform("death/when", index) * (last - first)).astype(np.int64)
    return np.where(dies & (first < last), moment, NEVER)


def _pregnancies(draws: Draws, index: Ints, male: Flags, age: Floats, start: int) -> tuple[Ints, Ints]:
    """Days of conception and birth. Current ones are a tenth of the women of 20-42 years, earlier ones a sixth."""
    able = ~male & (age >= 21.5) & (age < 43)
    level = draws.uniform("pregnancy", index)
    current, earlier = level < 0.10, (level >= 0.10) & (level < 0.26)
    back = np.where(
        current,
        draws.between("pregnancy/current", 46, 272, index),
        draws.between("pregnancy/earlier", 290, HISTORY_DAYS, index),
    )
    some = able & (current | earlier)
    conceived = np.where(some, start - back, NEVER)
    term = np.clip(np.round(277 + 9 * draws.normal("pregnancy/term", index)), 245, 292).astype(np.int64)
    return conceived, np.where(some, start - back + term, NEVER)


def _conditions(
    draws: Draws, index: Ints, male: Flags, age: Floats, smoker: Ints, bmi: Floats, start: int
) -> dict[str, Ints]:
    onset: dict[str, Ints] = {}
    for condition in CONDITIONS:
        share = condition.share(age) * np.where(male, condition.men, condition.women)
        share = share * _risk(condition.name, onset, age, smoker, bmi)
        has = draws.chance(f"has/{condition.name}", np.minimum(share, 0.95), index)
        if condition.name == "obesity":
            has = (bmi >= 28) & (age >= 18)
        if condition.name == "prediabetes":
            has &= onset["diabetes_type_2"] == NEVER
        youngest = condition.prevalence[0][0] if condition.prevalence else 18
        longest = np.clip(age - youngest, 0.05, condition.years) * YEAR
        days = 5 + np.floor(draws.uniform(f"onset/{condition.name}", index) * longest).astype(np.int64)
        onset[condition.name] = np.where(has, start - days, NEVER)
    return onset


def _risk(name: str, onset: Mapping[str, Ints], age: Floats, smoker: Ints, bmi: Floats) -> Floats:
    """How much likelier (1: not) each person is to have it: rounded factors of weight, smoking and earlier illness."""

    def by(condition: str, with_it: float, without: float) -> Floats:
        return np.where(onset[condition] < NEVER, with_it, without)

    heavy = np.where(bmi >= 28, 1.4, np.where(bmi >= 24, 1.1, 0.85))
    smoking = np.where(smoker == 2, 1.4, 0.9)
    factors: dict[str, Callable[[], Floats]] = {
        "hypertension": lambda: heavy,
        "hyperlipidemia": lambda: heavy,
        "diabetes_type_2": lambda: heavy**1.5,
        "prediabetes": lambda: heavy**1.5,
        "knee_osteoarthritis": lambda: heavy**1.5,
        "gallstones": lambda: heavy**1.5,
        "coronary_heart_disease": lambda: by("hypertension", 1.5, 0.7) * smoking,
        "stroke": lambda: by("hypertension", 1.5, 0.7) * smoking,
        "heart_failure": lambda: by("coronary_heart_disease", 6.0, 0.5),
        "copd": lambda: np.where(smoker == 2, 2.6, np.where(smoker == 1, 1.9, 0.5)),
        "chronic_kidney_disease": lambda: by("diabetes_type_2", 3.0, 0.7) * by("hypertension", 1.4, 0.8),
    }
    return factors[name]() if name in factors else np.ones_like(age)
