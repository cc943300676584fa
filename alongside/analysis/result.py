"""What an evaluation says: one frozen result with a stable JSON shape, whatever the data came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from alongside.analysis.judging.harm import HarmEvidence
from alongside.model.enums import Locale, Verdict
from alongside.outreach.experiments.metrics import Direction, Metric, MetricKind
from alongside.stats import Comparison, Interval
from alongside.stats.sample_ratio import SampleRatio

Words = Mapping[Locale, str]  # one sentence in every language


@dataclass(frozen=True)
class MetricInfo:
    """How to read and write a metric's numbers."""

    name: str
    kind: MetricKind
    direction: Direction
    label: Mapping[Locale, str] = field(default_factory=dict)
    has_before: bool = False  # the same was measured before assignment
    counts_events: bool = False  # of a ratio: its numerator is a number of events
    quantile: float | None = None  # which one is asked for

    @classmethod
    def of(cls, metric: Metric) -> MetricInfo:
        return cls(
            metric.name,
            metric.kind,
            metric.direction,
            metric.label,
            metric.before_days is not None,
            metric.value is None,
            metric.quantile,
        )

    def words(self, locale: Locale) -> str:
        return self.label.get(locale) or self.name

    def harm_words(self, locale: Locale) -> str:
        """What the harm consists in: the thing itself, or that it did not happen."""
        if self.direction is Direction.LOWER:
            return self.words(locale)
        return f"未{self.words(locale)}" if locale is Locale.ZH_CN else f"not: {self.words(locale)}"


@dataclass(frozen=True)
class ArmMetric:
    """One metric in one arm. `missing`: people without a value, who are left out of it."""

    n: int
    mean: float | None
    missing: int = 0


@dataclass(frozen=True)
class Arm:
    """`n` people, and each metric over those of them whose window is closed."""

    n: int
    metrics: Mapping[str, ArmMetric]

    def to_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "mean": {name: metric.mean for name, metric in self.metrics.items()},
            "units": {name: metric.n for name, metric in self.metrics.items()},
            "missing": {name: metric.missing for name, metric in self.metrics.items() if metric.missing},
        }


@dataclass(frozen=True)
class Meaning:
    """A comparison for readers; no verdict rests on it.

    Attributes
    ----------
    chance_better : that the variant is better, if effects of the planned size are usual; None beside the first goal
    expected_loss : expected worsening, in the metric's unit, if the variant is used for everybody
    corrected : a significant difference without the luck that made it significant; None where nothing is significant
    """

    chance_better: float | None
    expected_loss: float | None
    corrected: float | None


@dataclass(frozen=True)
class GoalComparison:
    """A variant against control on a goal; the adjusted numbers account for all goals and variants (Holm)."""

    variant: str
    metric: MetricInfo
    comparison: Comparison
    adjusted_p: float | None
    adjusted: Interval
    meaning: Meaning | None = None

    @property
    def improvement(self) -> float:
        """Difference in the good direction."""
        return self.metric.direction.sign * (self.comparison.difference or 0.0)

    @property
    def significant(self) -> bool:
        return self.adjusted_p is not None and self.adjusted_p < self.comparison.alpha


class GuardrailStatus(StrEnum):
    UNHARMED = "unharmed"  # the whole interval is better than the margin
    HARMED = "harmed"  # worse than control, and the margin is not assured
    UNCLEAR = "unclear"  # too few data for either


@dataclass(frozen=True)
class GuardrailComparison:
    variant: str
    metric: MetricInfo
    comparison: Comparison
    margin: float
    status: GuardrailStatus


@dataclass(frozen=True)
class Maturity:
    """How far the experiment is. Times are patient time.

    Attributes
    ----------
    mature : people whose every window is closed
    open : people who are enrolled and whose outcomes are not all known
    late : people assigned after enrolment ended; they never count
    """

    launched_at: datetime
    enrolment_ends: datetime
    verdict_due: datetime
    mature: int
    open: int
    late: int

    def complete(self, as_of: datetime) -> bool:
        return as_of >= self.verdict_due


@dataclass(frozen=True)
class Point:
    """One look on the way.

    Attributes
    ----------
    z : of the plain test, positive where the variant is better; None where there is no test yet, or in the future
    bound : z from which a look claims a difference
    fraction : share of alpha's time that is over
    """

    number: int
    at: datetime
    people: int | None
    z: float | None
    bound: float
    fraction: float


@dataclass(frozen=True)
class PathOfGoal:
    """One comparison on its way through the boundaries; `alpha` is what it has within its family."""

    variant: str
    metric: MetricInfo
    alpha: float
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Looking:
    """The looks of an experiment that may end early.

    Attributes
    ----------
    taken, planned : looks that have come, and all of them
    next_at : of the next look; None after the last, and when the verdict is there
    """

    taken: int
    planned: int
    next_at: datetime | None
    paths: tuple[PathOfGoal, ...]


@dataclass(frozen=True)
class Part:
    """One variant against control among one part of the people; `value` is empty where the column is unknown."""

    value: str
    people: int
    comparison: Comparison


@dataclass(frozen=True)
class Division:
    """The first goal by one column of a person.

    Attributes
    ----------
    parts : with simultaneous intervals (Bonferroni), largest first
    p_value : of the hypothesis that the effect is the same in every part; None where it cannot be tested
    """

    column: str
    variant: str
    metric: MetricInfo
    parts: tuple[Part, ...]
    p_value: float | None


@dataclass(frozen=True)
class ExperimentResult:
    name: str
    control: str
    alpha: float
    arms: Mapping[str, Arm]
    goals: tuple[GoalComparison, ...]
    guardrails: tuple[GuardrailComparison, ...]
    sample_ratio: SampleRatio
    verdict: Verdict
    winner: str | None
    verdict_text: Words
    as_of: datetime | None = None
    maturity: Maturity | None = None
    exploratory: tuple[Words, ...] = ()  # why it proves nothing, when it does not
    notes: tuple[Words, ...] = ()
    sample_ratio_by_channel: Mapping[str, SampleRatio] = field(default_factory=dict)
    delivery: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    looking: Looking | None = None  # None where the planned day alone decides
    harm: tuple[HarmEvidence, ...] = ()
    divisions: tuple[Division, ...] = ()
    next_shares: Mapping[str, float] | None = None  # of a bandit's next run
    since_message: Mapping[str, tuple[float, ...]] = field(default_factory=dict)  # first goal: share by day, by arm
    sample_ratio_by_subgroup: Mapping[str, Mapping[str, SampleRatio]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The documented, stable shape (docs/experiments.md). Plain JSON types; None is "cannot be given"."""
        return {
            "experiment": self.name,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "control": self.control,
            "alpha": self.alpha,
            "arms": {name: arm.to_json() for name, arm in self.arms.items()},
            "comparisons": [comparison_json(goal) for goal in self.goals],
            "guardrails": [_guardrail(item) for item in self.guardrails],
            "sample_ratio": {
                **_ratio(self.sample_ratio),
                "by_channel": {name: _ratio(item) for name, item in self.sample_ratio_by_channel.items()},
                "by_subgroup": {
                    column: {value: _ratio(item) for value, item in parts.items()}
                    for column, parts in self.sample_ratio_by_subgroup.items()
                },
            },
            "verdict": self.verdict.value,
            "winner": self.winner,
            "verdict_text": {locale.value: text for locale, text in self.verdict_text.items()},
            "maturity": _maturity(self.maturity) if self.maturity else None,
            "exploratory": [words[Locale.EN] for words in self.exploratory],
            "notes": [words[Locale.EN] for words in self.notes],
            "delivery": {name: dict(counts) for name, counts in self.delivery.items()},
            "looks": _looks(self.looking) if self.looking else None,
            "harm": [_harm(item) for item in self.harm],
            "next_shares": dict(self.next_shares) if self.next_shares else None,
            "since_message": {name: list(shares) for name, shares in self.since_message.items()},
            "subgroups": [_division(division) for division in self.divisions],
        }


def _numbers(variant: str, metric: MetricInfo, comparison: Comparison) -> dict[str, Any]:
    relative = comparison.relative
    return {
        "variant": variant,
        "metric": metric.name,
        "kind": metric.kind.value,
        "difference": comparison.difference,
        "standard_error": comparison.standard_error,
        "ci_low": comparison.interval.low,
        "ci_high": comparison.interval.high,
        "p_value": comparison.p_value,
        "relative_difference": {
            "estimate": relative.estimate,
            "ci_low": relative.interval.low,
            "ci_high": relative.interval.high,
            "reason": relative.reason.value if relative.reason else None,
        },
        "method": comparison.method.value,
        "reason": comparison.reason.value if comparison.reason else None,
    }


def comparison_json(goal: GoalComparison) -> dict[str, Any]:
    """A comparison of `to_json`."""
    adjusted = {"p_value": goal.adjusted_p, "ci_low": goal.adjusted.low, "ci_high": goal.adjusted.high}
    return {
        **_numbers(goal.variant, goal.metric, goal.comparison),
        "adjusted": adjusted,
        "significant": goal.significant,
        "meaning": asdict(goal.meaning) if goal.meaning else None,
    }


def _guardrail(item: GuardrailComparison) -> dict[str, Any]:
    return {
        **_numbers(item.variant, item.metric, item.comparison),
        "direction": item.metric.direction.value,
        "margin": item.margin,
        "status": item.status.value,
    }


def _ratio(ratio: SampleRatio) -> dict[str, Any]:
    return {"p_value": ratio.p_value, "observed": ratio.observed, "expected": ratio.expected}


def _maturity(maturity: Maturity) -> dict[str, Any]:
    return {
        "launched_at": maturity.launched_at.isoformat(),
        "enrolment_ends": maturity.enrolment_ends.isoformat(),
        "verdict_due": maturity.verdict_due.isoformat(),
        "mature": maturity.mature,
        "open": maturity.open,
        "late": maturity.late,
    }


def _looks(looking: Looking) -> dict[str, Any]:
    return {
        "taken": looking.taken,
        "planned": looking.planned,
        "next_at": looking.next_at.isoformat() if looking.next_at else None,
        "paths": [
            {
                "variant": path.variant,
                "metric": path.metric.name,
                "alpha": path.alpha,
                "points": [{**asdict(point), "at": point.at.isoformat()} for point in path.points],
            }
            for path in looking.paths
        ],
    }


def _harm(item: HarmEvidence) -> dict[str, Any]:
    return {**asdict(item), "stop": item.stop}


def _division(division: Division) -> dict[str, Any]:
    return {
        "column": division.column,
        "equal_effects_p_value": division.p_value,
        "parts": [
            {"value": part.value, "people": part.people, **_numbers(division.variant, division.metric, part.comparison)}
            for part in division.parts
        ],
    }
