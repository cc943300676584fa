"""What calls of the language's functions become: trees over columns of `person` and features of its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlglot import exp

from alongside.segments.features import Feature, timestamp
from alongside.segments.moment import Moment

#: from a `Build` and the call's arguments (names and numbers as written, trees, None where left out) to a tree
Builder = Callable[..., exp.Expr]


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
        return or_false(self.feature(measure, name) >= timestamp(self.moment.days_ago(days)))

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


def or_false(condition: exp.Expr) -> exp.Expr:
    """The condition, false where it is null."""
    return exp.Coalesce(this=condition, expressions=[exp.false()])


def listed(column: str) -> Builder:
    def build(build: Build, name: str) -> exp.Expr:
        contains = exp.ArrayContains(this=exp.column(column), expression=exp.Literal.string(name))
        return or_false(contains)

    return build


def had_procedure(build: Build, name: str, days: int | None) -> exp.Expr:
    return listed("procedures")(build, name) if days is None else build.within("procedure_last", name, days)


def had_immunization(build: Build, name: str, days: int | None) -> exp.Expr:
    if days is None:
        return exp.paren(exp.not_(build.feature("immunization_last", name).is_(exp.null())))
    return build.within("immunization_last", name, days)


def within(measure: str) -> Builder:
    return lambda build, name, days: build.within(measure, name, days)


def age_of(measure: str) -> Builder:
    return lambda build, name: build.days_since(build.feature(measure, name))


def ahead_of(measure: str) -> Builder:
    return lambda build, name: build.days_until(build.feature(measure, name))


def reading(measure: str) -> Builder:
    return lambda build, name, context: build.feature(measure, name, context)


def summary(measure: str) -> Builder:
    return lambda build, name, days, context: build.feature(measure, name, context, days)


def average(build: Build, name: str, days: int, context: str | None) -> exp.Expr:
    # Sums of doubles depend on their order in the last digits; rounding keeps thresholds stable between runs.
    mean = build.feature("reading_average", name, context, days)
    return exp.Round(this=mean, decimals=exp.Literal.number(6))


def count(build: Build, name: str, days: int, context: str | None) -> exp.Expr:
    count = build.feature("reading_count", name, context, days)
    return exp.Coalesce(this=count, expressions=[exp.Literal.number(0)])


def latest_days(build: Build, name: str, context: str | None) -> exp.Expr:
    return build.days_since(build.feature("reading_latest_at", name, context))


def booked(build: Build, name: str, days: int | None) -> exp.Expr:
    start = build.feature("booked_next", name)
    if days is None:
        return exp.paren(exp.not_(start.is_(exp.null())))
    return or_false(start < timestamp(build.moment.end_of_days_ahead(days)))


def today(build: Build) -> exp.Expr:
    return timestamp(build.moment.start_of(build.moment.today))


def tag_column(name: str) -> str:
    """The column of a tag in an evaluation."""
    return f"tag {name}"


def segment_column(name: str) -> str:
    """The column of a segment in an evaluation."""
    return f"segment {name}"


def reference(column: Callable[[str], str], boolean: bool) -> Builder:
    def build(build: Build, name: str) -> exp.Expr:
        value = exp.column(column(name), quoted=True)
        return or_false(value) if boolean else value

    return build
