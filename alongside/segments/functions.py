"""The functions of the expression language: their parameters, their types and what they become in SQL.

Dates and counts of days are calendar days in the hospital's zone (`moment`). A function about something that never
happened is false, null (a value or a number of days that do not exist) or 0 (a count).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlglot import exp, parse_one

from alongside.segments.features import Feature, timestamp
from alongside.segments.moment import Moment
from alongside.segments.types import Type

#: Parameters that are names of config/concepts; the rest of the kinds are lists of config/vocabulary.yaml.
CONCEPT_KINDS = ("condition", "observation", "procedure", "medication", "immunization", "allergy")
WORD_KINDS = ("department", "service", "topic", "survey")
CONTEXTS = ("lab", "clinic", "home")


@dataclass(frozen=True)
class Parameter:
    """`kind`: a concept kind, a word kind, days, context, moment (an expression), tag or segment."""

    name: str
    kind: str
    optional: bool = False


@dataclass
class Build:
    """Collects the features that a translation needs; the columns that it hands out stand for them."""

    moment: Moment
    features: set[Feature] = field(default_factory=set)

    def feature(self, measure: str, name: str, context: str | None = None, days: int | None = None) -> exp.Column:
        since: datetime | None = self.moment.days_ago(days) if days else None
        feature = Feature(measure, name, context or "", since)
        self.features.add(feature)
        return exp.column(feature.column, quoted=True)

    def within(self, measure: str, name: str, days: int) -> exp.Expr:
        """The measure's moment exists and lies within the last `days`."""
        return _true(self.feature(measure, name) >= timestamp(self.moment.days_ago(days)))

    def local(self, moment: exp.Expr) -> exp.Expr:
        """A UTC moment as the hospital's clocks show it."""
        offset = self.moment.constant_offset
        if offset is None:
            utc = exp.Anonymous(this="timezone", expressions=[exp.Literal.string("UTC"), moment])
            return exp.Anonymous(this="timezone", expressions=[exp.Literal.string(self.moment.zone), utc])
        seconds = exp.Anonymous(this="to_seconds", expressions=[exp.Literal.number(int(offset.total_seconds()))])
        return exp.paren(exp.Add(this=exp.paren(moment), expression=seconds))

    def days_since(self, moment: exp.Expr) -> exp.Expr:
        """Calendar days from the moment to today; negative when it lies ahead."""
        today = exp.cast(exp.Literal.string(self.moment.today.isoformat()), "DATE")
        return exp.paren(exp.Sub(this=today, expression=exp.cast(self.local(moment), "DATE")))

    def days_until(self, moment: exp.Expr) -> exp.Expr:
        today = exp.cast(exp.Literal.string(self.moment.today.isoformat()), "DATE")
        return exp.paren(exp.Sub(this=exp.cast(self.local(moment), "DATE"), expression=today))


#: name, name, ... number or expression arguments as they were written; None where an optional one is left out
Arguments = tuple[str | int | exp.Expr | None, ...]
Builder = Callable[..., exp.Expr]


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


def _true(condition: exp.Expr) -> exp.Expr:
    """The condition, false where it is null."""
    return exp.Coalesce(this=condition, expressions=[exp.false()])


def _listed(column: str) -> Builder:
    def build(build: Build, name: str) -> exp.Expr:
        contains = exp.ArrayContains(this=exp.column(column), expression=exp.Literal.string(name))
        return _true(contains)

    return build


def _had_procedure(build: Build, name: str, days: int | None) -> exp.Expr:
    return _listed("procedures")(build, name) if days is None else build.within("procedure_last", name, days)


def _had_immunization(build: Build, name: str, days: int | None) -> exp.Expr:
    if days is None:
        return exp.paren(exp.not_(build.feature("immunization_last", name).is_(exp.null())))
    return build.within("immunization_last", name, days)


def _within(measure: str) -> Builder:
    return lambda build, name, days: build.within(measure, name, days)


def _age_of(measure: str) -> Builder:
    return lambda build, name: build.days_since(build.feature(measure, name))


def _ahead_of(measure: str) -> Builder:
    return lambda build, name: build.days_until(build.feature(measure, name))


def _reading(measure: str) -> Builder:
    return lambda build, name, context: build.feature(measure, name, context)


def _summary(measure: str) -> Builder:
    return lambda build, name, days, context: build.feature(measure, name, context, days)


def _average(build: Build, name: str, days: int, context: str | None) -> exp.Expr:
    # Sums of doubles depend on their order in the last digits; rounding keeps thresholds stable between runs.
    return parse_one("round(x, 6)").transform(
        lambda node: build.feature("reading_average", name, context, days) if isinstance(node, exp.Column) else node
    )


def _count(build: Build, name: str, days: int, context: str | None) -> exp.Expr:
    count = build.feature("reading_count", name, context, days)
    return exp.Coalesce(this=count, expressions=[exp.Literal.number(0)])


def _latest_days(build: Build, name: str, context: str | None) -> exp.Expr:
    return build.days_since(build.feature("reading_latest_at", name, context))


def _booked(build: Build, name: str, days: int | None) -> exp.Expr:
    start = build.feature("booked_next", name)
    if days is None:
        return exp.paren(exp.not_(start.is_(exp.null())))
    return _true(start < timestamp(build.moment.end_of_days_ahead(days)))


def _today(build: Build) -> exp.Expr:
    return timestamp(build.moment.start_of(build.moment.today))


def tag_column(name: str) -> str:
    """The column of a tag in an evaluation."""
    return f"tag {name}"


def segment_column(name: str) -> str:
    """The column of a segment in an evaluation."""
    return f"segment {name}"


def _reference(column: Callable[[str], str], boolean: bool) -> Builder:
    def build(build: Build, name: str) -> exp.Expr:
        value = exp.column(column(name), quoted=True)
        return _true(value) if boolean else value

    return build


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
        _listed("conditions"),
        "The condition is active.",
        "has_condition('hypertension')",
    ),
    Function(
        "had_condition",
        _one("condition"),
        Type.BOOLEAN,
        _listed("conditions_ever"),
        "The condition was ever recorded, active or not.",
        "had_condition('stroke')",
    ),
    Function(
        "days_since_diagnosis",
        _one("condition"),
        Type.NUMBER,
        _age_of("diagnosis_first"),
        "Days since the active condition was first recorded; null where there is none.",
        "days_since_diagnosis('diabetes_type_2') <= 90",
    ),
    Function(
        "has_medication",
        _one("medication"),
        Type.BOOLEAN,
        _listed("medications"),
        "The medicine is being taken: an active prescription.",
        "has_medication('anticoagulant')",
    ),
    Function(
        "medication_days_left",
        _one("medication"),
        Type.NUMBER,
        _ahead_of("supply_end"),
        "Days until the supply of the active prescriptions runs out; negative once it has.",
        "medication_days_left('metformin') between 0 and 7",
    ),
    Function(
        "has_allergy",
        _one("allergy"),
        Type.BOOLEAN,
        _listed("allergies"),
        "The allergy is recorded.",
        "has_allergy('nut_allergy')",
    ),
    Function(
        "had_procedure",
        (*_one("procedure"), _DAYS_OPTIONAL),
        Type.BOOLEAN,
        _had_procedure,
        "The procedure was completed, ever or within so many days.",
        "had_procedure('colonoscopy', 3650)",
    ),
    Function(
        "days_since_procedure",
        _one("procedure"),
        Type.NUMBER,
        _age_of("procedure_last"),
        "Days since the procedure was last completed; null where it never was.",
        "days_since_procedure('knee_replacement') between 3 and 30",
    ),
    Function(
        "had_immunization",
        (*_one("immunization"), _DAYS_OPTIONAL),
        Type.BOOLEAN,
        _had_immunization,
        "The vaccine was given, ever or within so many days.",
        "had_immunization('influenza_vaccine', 300)",
    ),
    Function(
        "latest",
        (*_one("observation"), _CONTEXT),
        Type.NUMBER,
        _reading("reading_latest"),
        "The newest numeric result in the concept's unit; of several at one instant the largest.",
        "latest('systolic_bp', 'clinic') >= 140",
    ),
    Function(
        "latest_text",
        (*_one("observation"), _CONTEXT),
        Type.TEXT,
        _reading("reading_text"),
        "The newest result that is words.",
        "latest_text('smoking_status') = 'current'",
    ),
    Function(
        "latest_days",
        (*_one("observation"), _CONTEXT),
        Type.NUMBER,
        _latest_days,
        "Days since the newest numeric result; null where there is none.",
        "latest_days('hba1c') > 90",
    ),
    Function(
        "previous",
        (*_one("observation"), _CONTEXT),
        Type.NUMBER,
        _reading("reading_previous"),
        "The numeric result of the latest moment but one.",
        "latest('hba1c') > previous('hba1c')",
    ),
    Function(
        "average",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        _average,
        "Mean of the results of so many days.",
        "average('systolic_bp', 7, 'home') >= 135",
    ),
    Function(
        "lowest",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        _summary("reading_lowest"),
        "Smallest result of so many days.",
        "lowest('fasting_glucose', 14) <= 3.9",
    ),
    Function(
        "highest",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        _summary("reading_highest"),
        "Largest result of so many days.",
        "highest('systolic_bp', 14) >= 180",
    ),
    Function(
        "count_readings",
        (*_one("observation"), _DAYS, _CONTEXT),
        Type.NUMBER,
        _count,
        "How many results there are in so many days; 0 where there is none.",
        "count_readings('systolic_bp', 7, 'home') >= 6",
    ),
    Function(
        "visited",
        (*_one("department"), _DAYS),
        Type.BOOLEAN,
        _within("visit_last"),
        "Was seen by the department within so many days.",
        "visited('cardiology', 80)",
    ),
    Function(
        "days_since_visit",
        _one("department"),
        Type.NUMBER,
        _age_of("visit_last"),
        "Days since the latest visit to the department; null where there is none.",
        "days_since_visit('obstetrics') > 28",
    ),
    Function(
        "interacted",
        (*_one("topic"), _DAYS),
        Type.BOOLEAN,
        _within("interaction_last"),
        "Read, watched or searched the topic on the web site or in the app within so many days.",
        "interacted('joint_health', 30)",
    ),
    Function(
        "booked",
        (*_one("service"), _DAYS_OPTIONAL),
        Type.BOOLEAN,
        _booked,
        "Has a booked appointment for the service to come, at any time or within so many days.",
        "booked('surgery', 7)",
    ),
    Function(
        "days_until_booked",
        _one("service"),
        Type.NUMBER,
        _ahead_of("booked_next"),
        "Days until the next booked appointment for the service; null where there is none.",
        "days_until_booked('surgery') = 1",
    ),
    Function(
        "attended",
        (*_one("service"), _DAYS),
        Type.BOOLEAN,
        _within("attended_last"),
        "Came to an appointment for the service within so many days.",
        "attended('follow_up', 90)",
    ),
    Function(
        "missed",
        (*_one("service"), _DAYS),
        Type.BOOLEAN,
        _within("missed_last"),
        "Did not come to an appointment for the service within so many days.",
        "missed('rehabilitation', 14)",
    ),
    Function(
        "answered",
        (*_one("survey"), _DAYS),
        Type.BOOLEAN,
        _within("answer_last"),
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
    Function("today", (), Type.MOMENT, _today, "The start of today.", "month(today()) in (9, 10, 11)"),
    Function(
        "has_tag",
        _one("tag"),
        Type.BOOLEAN,
        _reference(tag_column, boolean=True),
        "Carries the tag (a tag with `when`).",
        "has_tag('chronic_patient')",
    ),
    Function(
        "tag",
        _one("tag"),
        Type.UNKNOWN,
        _reference(tag_column, boolean=False),
        "The tag's value (a tag with `value`), of the type of its expression.",
        "tag('risk_tier') = 'high'",
    ),
    Function(
        "in_segment",
        _one("segment"),
        Type.BOOLEAN,
        _reference(segment_column, boolean=True),
        "Belongs to the segment.",
        "in_segment('hypertension_uncontrolled')",
    ),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _ALL}
