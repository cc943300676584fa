"""The functions of the expression language: their parameters, their types and what they become in SQL.

Dates and counts of days are calendar days in the hospital's zone (`moment`). A function about something that never
happened is false, null (a value or a number of days that do not exist) or 0 (a count).
"""

from __future__ import annotations

from dataclasses import dataclass

from alongside.segments import building
from alongside.segments.building import Builder
from alongside.segments.types import Type

#: Parameters that are names of config/concepts; the rest of the kinds are lists of config/vocabulary.yaml.
CONCEPT_KINDS = ("condition", "observation", "procedure", "medication", "immunization", "allergy")
CONTEXTS = ("lab", "clinic", "home")


@dataclass(frozen=True)
class Parameter:
    """`kind`: a concept kind, a word kind, days, context, moment (an expression), tag or segment."""

    name: str
    kind: str
    optional: bool = False


@dataclass(frozen=True)
class Function:
    name: str
    parameters: tuple[Parameter, ...]
    returns: Type
    build: Builder
    description: str
    example: str

    @property
    def signature(self) -> str:
        """`average(observation, days[, context])`."""
        text = ""
        for index, parameter in enumerate(self.parameters):
            comma = ", " if index else ""
            text += f"[{comma}{parameter.name}]" if parameter.optional else f"{comma}{parameter.name}"
        return f"{self.name}({text})"

    @property
    def arity(self) -> tuple[int, int]:
        """Fewest and most arguments."""
        return sum(not parameter.optional for parameter in self.parameters), len(self.parameters)


_DAYS = Parameter("days", "days")
_DAYS_OPTIONAL = Parameter("days", "days", optional=True)
_CONTEXT = Parameter("context", "context", optional=True)


def _one(kind: str) -> tuple[Parameter, ...]:
    return (Parameter(kind, kind),)


_ALL = (
    Function(
        "has_condition",
        _one("condition"),
        Type.BOOLEAN,
        building.listed("conditions"),
        "The condition is active.",
        "has_condition('hypertension')",
    ),
    Function(
        "had_condition",
        _one("condition"),
        Type.BOOLEAN,
        building.listed("conditions_ever"),
        "The condition was ever recorded, active or not.",
        "had_condition('stroke')",
    ),
    Function(
        "days_since_diagnosis",
        _one("condition"),
        Type.NUMBER,
        building.age_of("diagnosis_first"),
        "Days since the active condition was first recorded; null where there is none.",
        "days_since_diagnosis('diabetes_type_2') <= 90",
    ),
    Function(
        "has_medication",
        _one("medication"),
        Type.BOOLEAN,
        building.listed("medications"),
        "The medicine is being taken: an active prescription.",
        "has_medication('anticoagulant')",
    ),
    Function(
        "medication_days_left",
        _one("medication"),
        Type.NUMBER,
        building.ahead_of("supply_end"),
        "Days until the supply of the active prescriptions runs out; negative once it has.",
        "medication_days_left('metformin') between 0 and 7",
    ),
    Function(
        "has_allergy",
        _one("allergy"),
        Type.BOOLEAN,
        building.listed("allergies"),
        "The allergy is recorded.",
        "has_allergy('nut_allergy')",
    ),
    Function(
        "had_procedure",
        (*_one("procedure"), _DAYS_OPTIONAL),
        Type.BOOLEAN,
        building.had_procedure,
        "The procedure was completed, ever or within so many days.",
        "had_procedure('colonoscopy', 3650)",
    ),
    Function(
        "days_since_procedure",
        _one("procedure"),
        Type.NUMBER,
        building.age_of("procedure_last"),
        "Days since the procedure was last completed; null where it never was.",
        "days_since_procedure('knee_replacement') between 3 and 30",
    ),
    Function(
        "had_immunization",
        (*_one("immunization"), _DAYS_OPTIONAL),
        Type.BOOLEAN,
        building.had_immunization,
        "The vaccine was given, ever or within so many days.",
        "had_immunization('influenza_vaccine', 300)",
    ),
    Function(
        "latest",
        (*_one("observation"), _CONTEXT),
        Type.NUMBER,
        building.reading("reading_latest"),
        "The newest numeric result in the concept's unit; of several at one instant the largest.",
        "latest('systolic_bp', 'clinic') >= 140",
    ),
    Function(
        "latest_text",
        (*_one("observation"), _CONTEXT),
        Type.TEXT,
        building.reading("reading_text"),
        "The newest result that is words.",
        "latest_text('smoking_status') = 'current'",
    ),
    Function(
        "latest_days",
        (*_one("observation"), _CONTEXT),
        Type.NUMBER,
        building.latest_days,
        "Days since the newest numeric result; null where there is none.",
        "latest_days('hba1c') > 90",
    ),
    Function(
        "previous",
        (*_one("observation"), _CONTEXT),
        Type.NUMBER,
        building.reading("reading_previous"),
        "The numeric result of the latest moment but one.",
        "latest('hba1c') > previous('hba1c')",
    ),
    Function(
        "average",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        building.average,
        "Mean of the results of so many days.",
        "average('systolic_bp', 7, 'home') >= 135",
    ),
    Function(
        "lowest",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        building.summary("reading_lowest"),
        "Smallest result of so many days.",
        "lowest('fasting_glucose', 14) <= 3.9",
    ),
    Function(
        "highest",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        building.summary("reading_highest"),
        "Largest result of so many days.",
        "highest('systolic_bp', 14) >= 180",
    ),
    Function(
        "count_readings",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        building.count,
        "How many results there are in so many days; 0 where there is none.",
        "count_readings('systolic_bp', 7, 'home') >= 6",
    ),
    Function(
        "visited",
        (*_one("department"), _DAYS),
        Type.BOOLEAN,
        building.within("visit_last"),
        "Was seen by the department within so many days.",
        "visited('cardiology', 80)",
    ),
    Function(
        "days_since_visit",
        _one("department"),
        Type.NUMBER,
        building.age_of("visit_last"),
        "Days since the latest visit to the department; null where there is none.",
        "days_since_visit('obstetrics') > 28",
    ),
    Function(
        "interacted",
        (*_one("topic"), _DAYS),
        Type.BOOLEAN,
        building.within("interaction_last"),
        "Read, watched or searched the topic on the web site or in the app within so many days.",
        "interacted('joint_health', 30)",
    ),
    Function(
        "booked",
        (*_one("service"), _DAYS_OPTIONAL),
        Type.BOOLEAN,
        building.booked,
        "Has a booked appointment for the service to come, at any time or within so many days.",
        "booked('surgery', 7)",
    ),
    Function(
        "days_until_booked",
        _one("service"),
        Type.NUMBER,
        building.ahead_of("booked_next"),
        "Days until the next booked appointment for the service; null where there is none.",
        "days_until_booked('surgery') = 1",
    ),
    Function(
        "attended",
        (*_one("service"), _DAYS),
        Type.BOOLEAN,
        building.within("attended_last"),
        "Came to an appointment for the service within so many days.",
        "attended('follow_up', 90)",
    ),
    Function(
        "missed",
        (*_one("service"), _DAYS),
        Type.BOOLEAN,
        building.within("missed_last"),
        "Did not come to an appointment for the service within so many days.",
        "missed('rehabilitation', 14)",
    ),
    Function(
        "answered",
        (*_one("survey"), _DAYS),
        Type.BOOLEAN,
        building.within("answer_last"),
        "Answered the survey within so many days.",
        "answered('nps', 90)",
    ),
    Function(
        "latest_score",
        _one("survey"),
        Type.NUMBER,
        lambda build, name: build.feature("answer_score", name),
        "The newest score given in the survey.",
        "latest_score('nps') <= 6",
    ),
    Function(
        "days_since",
        (Parameter("moment", "moment"),),
        Type.NUMBER,
        lambda build, moment: build.days_since(moment),
        "Calendar days from the moment to today; null where there is no moment.",
        "days_since(last_encounter_at) > 365",
    ),
    Function(
        "days_until",
        (Parameter("moment", "moment"),),
        Type.NUMBER,
        lambda build, moment: build.days_until(moment),
        "Calendar days from today to the moment; null where there is no moment.",
        "days_until(next_appointment_at) <= 3",
    ),
    Function("today", (), Type.MOMENT, building.today, "The start of today.", "month(today()) in (9, 10, 11)"),
    Function(
        "has_tag",
        _one("tag"),
        Type.BOOLEAN,
        building.reference(building.tag_column, boolean=True),
        "Carries the tag (a tag with `when`).",
        "has_tag('chronic_patient')",
    ),
    Function(
        "tag",
        _one("tag"),
        Type.UNKNOWN,
        building.reference(building.tag_column, boolean=False),
        "The tag's value (a tag with `value`), of the type of its expression.",
        "tag('risk_tier') = 'high'",
    ),
    Function(
        "in_segment",
        _one("segment"),
        Type.BOOLEAN,
        building.reference(building.segment_column, boolean=True),
        "Belongs to the segment.",
        "in_segment('hypertension_uncontrolled')",
    ),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _ALL}
