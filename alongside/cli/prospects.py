"""What an experiment could find before it is launched: told by `experiment design`, and by `plan` of its campaign."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from alongside.cli.output import console, show_table

if TYPE_CHECKING:
    from alongside.analysis.observing.base_rate import BaseRate
    from alongside.bootstrap import Services
    from alongside.outreach.campaign_plan import CampaignPlan
    from alongside.outreach.experiments import CurvePoint, DaysToVerdict, DesignReport, ExperimentDefinition


@dataclass(frozen=True)
class Prospects:
    """Everything that is known of an experiment's chances; `base` is None where the data do not hold the goal."""

    definition: ExperimentDefinition
    report: DesignReport
    curve: tuple[CurvePoint, ...]
    days: DaysToVerdict
    base: BaseRate | None

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        told = self.base.warning(self.definition.design.base_rate) if self.base else None
        return (*self.report.warnings, *([told] if told else []))

    def to_json(self) -> dict[str, Any]:
        base = None
        if self.base is not None:
            base = {**asdict(self.base), "since": self.base.since.isoformat()}
        return {
            **asdict(self.report),
            "powered": self.report.powered,
            "warnings": list(self.warnings),
            "curve": [asdict(point) for point in self.curve],
            "days_to_verdict": asdict(self.days),
            "base_rate": self.definition.design.base_rate,
            "measured_base_rate": base,
        }


def prospects(house: Services, definition: ExperimentDefinition, people: int, per_day: float) -> Prospects:
    """With `people` at launch and so many new ones a day."""
    from alongside.analysis.observing.base_rate import measured_base_rate
    from alongside.outreach.campaigns import find_campaign
    from alongside.outreach.experiments import days_to_verdict, design, power_curve

    report = design(definition, people, per_day)
    snapshot = house.warehouse.current()
    base = None
    if snapshot is not None:
        segment = find_campaign(house.catalogues.campaigns, definition.campaign).segment
        base = measured_base_rate(definition, segment, snapshot, house.warehouse)
    curve = power_curve(definition, report.people_expected)
    return Prospects(definition, report, curve, days_to_verdict(definition, people, per_day), base)


def of_plan(house: Services, plan: CampaignPlan) -> Prospects | None:
    """Of the campaign's experiment with the people whom the plan would enrol; None without one, or once launched."""
    from alongside.ledger import experiments

    definition = house.catalogues.experiment_of(plan.campaign)
    if definition is None or not plan.funnel:
        return None
    with house.ledger.begin() as connection:
        if experiments.read(connection, definition.name) is not None:
            return None
    return prospects(house, definition, *plan.enrolment(definition))


def show(found: Prospects, *, curve: bool) -> None:
    """As a table, with the curve below it where wanted, and warnings."""
    from rich.markup import escape

    show_table(found.definition.name, ("", "design"), _rows(found))
    if curve:
        _show_curve(found)
    for warning in found.warnings:
        console().print(f"[yellow]{escape(warning)}[/yellow]")


def _rows(found: Prospects) -> list[tuple[str, str | int]]:
    report, days = found.report, found.days
    detectable = "none" if report.detectable_effect is None else _effect(found, report.detectable_effect)
    rows: list[tuple[str, str | int]] = [
        ("goal", report.goal),
        ("people needed", report.people_needed),
        ("people expected", report.people_expected),
        *([("design effect", f"{report.design_effect:.2f}")] if report.design_effect != 1 else []),
        ("days until they are there", "never" if report.days_needed is None else report.days_needed),
        (
            f"power at {_effect(found, report.minimum_effect)}",
            f"{report.power:.0%} (planned {report.planned_power:.0%})",
        ),
        ("detectable effect", detectable),
        ("verdict after", f"{report.verdict_after_days:g} days at the latest"),
    ]
    if days.without != days.latest or days.with_effect != days.latest:
        planned = _effect(found, report.minimum_effect)
        text = f"{days.with_effect:.1f} days at {planned}, {days.without:.1f} without a difference"
        rows.append(("verdict on average after", text))
    slowest = max(found.definition.metrics, key=lambda metric: metric.window + metric.settles)
    if slowest != found.definition.goals[0] and days.no_win_before < days.latest:
        rows.append(("no win ships before", f"{days.no_win_before:g} days: {slowest.name} is not known earlier"))
    rows.append(("base rate", _base(found)))
    return rows


def _base(found: Prospects) -> str:
    guess, base = found.definition.design.base_rate, found.base
    if base is None:
        return f"{_level(found, guess)} expected; the snapshot does not hold it"
    whom = "the segment's people of that day" if base.then else "the segment's people of today"
    measured = f"{_level(found, base.value)} of {base.people:,} people since {base.since:%Y-%m-%d} ({whom})"
    return f"{_level(found, guess)} expected; {measured}"


def _show_curve(found: Prospects) -> None:
    """Every other point: about a dozen lines fit beside each other on any screen."""
    rows = [
        (_effect(found, point.effect), f"{point.power:.0%}", "█" * round(30 * point.power))
        for point in found.curve[::2]
    ]
    show_table("", ("effect", "power", ""), rows, ("effect", "power"))


def _effect(found: Prospects, effect: float) -> str:
    """The improvement in the metric's own direction: percentage points for a rate, its own unit otherwise."""
    from alongside.outreach.experiments import MetricKind

    goal = found.definition.goals[0]
    value, sign = goal.direction.sign * effect if effect else 0.0, "+" if effect else ""
    return f"{value * 100:{sign}.1f} points" if goal.kind is MetricKind.BINARY else f"{value:{sign}.3g}"


def _level(found: Prospects, value: float) -> str:
    """A value of the goal as reports write it: a rate in percent."""
    from alongside.analysis.result import MetricInfo
    from alongside.analysis.showing.wording import level

    return level(value, MetricInfo.of(found.definition.goals[0]))
