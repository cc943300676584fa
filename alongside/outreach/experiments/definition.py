"""An experiment as a marketer writes it, and as it is registered: with every metric and default spelled out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator, model_validator

from alongside.model.enums import Locale
from alongside.outreach.experiments.metrics import Metric
from alongside.settings.strict import Strict

#: Where people were treated last before they were assigned (a department): not a column of a person, who moves on.
CLINIC = "clinic"
#: What people may be divided by: columns of a person that no message changes, and the clinic.
SUBGROUPS = ("gender", "age_band", "language", "country", "city", "district", CLINIC)
#: Guardrails of every experiment with patients, with the largest acceptable worsening where none is given.
DEFAULT_GUARDRAILS: Mapping[str, float] = {"unsubscribed": 0.02, "complained": 0.01, "no_show": 0.03, "delivered": 0.03}
#: Version of the analysis that an experiment is registered with at launch. 2: looks that pay, evidence of harm.
ANALYSIS_VERSION = "2"
NAME = r"^[a-z][a-z0-9_]{1,59}$"


class Decide(StrEnum):
    SHIP_WINNER = "ship_winner"  # a winner becomes what everybody gets
    REPORT_ONLY = "report_only"  # people decide


class Looks(StrEnum):
    FINAL = "final"  # one verdict, on the planned day
    DAILY = "daily"  # a verdict as soon as one is earned, with levels that pay for every look


class Unit(StrEnum):
    """What is assigned to an arm as a whole."""

    PERSON = "person"
    HOUSEHOLD = "household"  # people who share a postal address, a phone number or a mailbox
    CLINIC = "clinic"  # the department of the next appointment, else of the last encounter

    @property
    def is_cluster(self) -> bool:
        return self is not Unit.PERSON


class Variant(Strict):
    name: str = Field(pattern=NAME)
    message: str = Field(description="<stage>/<topic>, a folder of templates/")
    share: float = Field(gt=0, lt=1)


class Layer(Strict):
    """A slice of a layer: experiments of one layer own slices that do not overlap, and so never share a person."""

    name: str = Field(pattern=NAME)
    first: float = Field(alias="from", ge=0, lt=1, description="where the slice begins, as a share of everybody")
    last: float = Field(alias="to", gt=0, le=1, description="where it ends")

    @model_validator(mode="after")
    def _forwards(self) -> Layer:
        if self.first >= self.last:
            raise ValueError(f"a slice from {self.first:g} to {self.last:g} holds nobody")
        return self

    @property
    def share(self) -> float:
        return self.last - self.first

    def overlaps(self, other: Layer) -> bool:
        return self.name == other.name and self.first < other.last and other.first < self.last


class GuardrailRule(Strict):
    metric: str
    margin: float = Field(gt=0, description="largest acceptable worsening, in the metric's unit (0.01 is 1 point)")


class MetricRules(Strict):
    goal: list[str] = Field(min_length=1, max_length=5)
    guardrails: list[GuardrailRule] = Field(default_factory=list)

    @field_validator("goal", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value


class Design(Strict):
    """What was expected when the experiment was written; the first goal is what it is powered for."""

    alpha: float = Field(0.05, gt=0, le=0.2, description="two-sided chance of a false claim")
    power: float = Field(0.8, ge=0.5, lt=1)
    base_rate: float = Field(description="expected value of the first goal in control")
    minimum_effect: float = Field(gt=0, description="smallest absolute improvement worth finding")
    planned_days: int = Field(ge=1, le=730, description="days during which people are enrolled")
    looks: Looks = Field(Looks.FINAL, description="when a verdict may come")
    cluster_size: float | None = Field(None, ge=1, description="people of the audience in a household or clinic, mean")
    cluster_cv: float | None = Field(None, ge=0, description="standard deviation of those sizes / their mean; else 0")
    cluster_icc: float | None = Field(None, ge=0, le=1, description="how much alike people of one cluster are: 0 to 1")


class Bandit(Strict):
    """Shares that follow the results from run to run, for content that is not medical."""

    minimum_share: float = Field(0.1, ge=0.05, le=0.5, description="that every variant keeps")


class ExperimentFile(Strict):
    """One file of config/experiments/."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,79}$")
    campaign: str
    hypothesis: dict[Locale, str] = Field(min_length=1)
    variants: list[Variant] = Field(max_length=10)
    control: str
    unit: Unit = Field(Unit.PERSON, description="what is assigned as a whole")
    layer: Layer | None = Field(None, description="a slice of people that other experiments of the layer never touch")
    metrics: MetricRules
    subgroups: list[str] = Field(default_factory=list, max_length=3, description="for whom does it work? see SUBGROUPS")
    stratify_by: str | None = Field(None, description="compare goals within parts of the people; see SUBGROUPS")
    design: Design
    bandit: Bandit | None = Field(None, description="let shares follow the results; not with medical content")
    decide: Decide = Decide.SHIP_WINNER
    enabled: bool = True


class Guardrail(Strict):
    metric: Metric
    margin: float


class ExperimentDefinition(Strict):
    """What is hashed at launch: variants, metrics, margins, alpha and days, with nothing left to look up."""

    name: str
    campaign: str
    hypothesis: dict[Locale, str]
    variants: tuple[Variant, ...]
    control: str
    unit: Unit
    layer: Layer | None = None
    goals: tuple[Metric, ...]
    guardrails: tuple[Guardrail, ...]
    subgroups: tuple[str, ...] = ()
    stratify_by: str | None = None
    design: Design
    bandit: Bandit | None = None
    decide: Decide

    @property
    def shares(self) -> dict[str, float]:
        return {variant.name: variant.share for variant in self.variants}

    def with_shares(self, shares: Mapping[str, float]) -> ExperimentDefinition:
        """The same with other shares of its variants, for assigning one run's people."""
        variants = tuple(
            variant.model_copy(update={"share": shares.get(variant.name, variant.share)}) for variant in self.variants
        )
        return self.model_copy(update={"variants": variants})

    @property
    def messages(self) -> dict[str, str]:
        """Message of each variant."""
        return {variant.name: variant.message for variant in self.variants}

    @property
    def treatments(self) -> tuple[str, ...]:
        return tuple(variant.name for variant in self.variants if variant.name != self.control)

    @property
    def reach(self) -> float:
        """Share of the campaign's people whom the experiment may enrol."""
        return self.layer.share if self.layer else 1.0

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Goals, then guardrails."""
        return (*self.goals, *(guardrail.metric for guardrail in self.guardrails))

    @property
    def waits(self) -> timedelta:
        """From a person's assignment until all of their outcomes are known."""
        return max(metric.window + metric.settles for metric in self.metrics)

    def enrolment_ends(self, launched_at: datetime) -> datetime:
        """People assigned from then on get their message, but do not count: the horizon is fixed."""
        return launched_at + timedelta(days=self.design.planned_days)

    def verdict_due(self, launched_at: datetime) -> datetime:
        return self.enrolment_ends(launched_at) + self.waits

    def as_json(self) -> dict[str, Any]:
        """The registered form; `ExperimentDefinition.model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True)

    @property
    def definition_hash(self) -> str:
        """SHA-256 of what decides the result: not of labels, planning values and the words of the hypothesis.

        What a definition does not use is left out, so that an experiment which was launched before there was such a
        choice is not edited by an upgrade.
        """
        content = self.as_json()
        del content["hypothesis"]
        for metric in (*content["goals"], *(guardrail["metric"] for guardrail in content["guardrails"])):
            for field in ("label", "typical", "deviation"):
                del metric[field]
            for field in ("per", "cap", "before_days", "below", "quantile"):
                if metric[field] is None:
                    del metric[field]
        if self.bandit is None:
            del content["bandit"]
        if self.stratify_by is None:
            del content["stratify_by"]
        if not self.subgroups:
            del content["subgroups"]
        if self.design.looks is Looks.FINAL:
            del content["design"]["looks"]
        if self.layer is None:
            del content["layer"]
        for field in ("cluster_size", "cluster_cv", "cluster_icc"):
            if content["design"][field] is None:
                del content["design"][field]
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()


def resolve(file: ExperimentFile, metrics: Mapping[str, Metric]) -> ExperimentDefinition:
    """The definition with its metrics and the default guardrails; every name must be known."""
    rules = {rule.metric: rule.margin for rule in file.metrics.guardrails}
    margins = rules | {name: margin for name, margin in DEFAULT_GUARDRAILS.items() if name not in rules}
    return ExperimentDefinition(
        name=file.name,
        campaign=file.campaign,
        hypothesis=file.hypothesis,
        variants=tuple(file.variants),
        control=file.control,
        unit=file.unit,
        layer=file.layer,
        goals=tuple(metrics[name] for name in file.metrics.goal),
        guardrails=tuple(Guardrail(metric=metrics[name], margin=margin) for name, margin in margins.items()),
        subgroups=tuple(file.subgroups),
        stratify_by=file.stratify_by,
        design=file.design,
        bandit=file.bandit,
        decide=file.decide,
    )
