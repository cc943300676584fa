"""Reading config/experiments and config/metrics, and finding every fault in them without a database."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import BaseModel

from alongside.model.enums import EventKind
from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, nearest
from alongside.outreach.experiments.definition import (
    DEFAULT_GUARDRAILS,
    SUBGROUPS,
    ExperimentDefinition,
    ExperimentFile,
    Layer,
    Looks,
    resolve,
)
from alongside.outreach.experiments.metrics import DELIVERY, Metric, MetricKind, check_metric
from alongside.outreach.experiments.planning import MOST_UNEQUAL, SMALLEST_SHARE, too_unequal
from alongside.settings import Document, Project, read_document, validate

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class _Read(Generic[Model]):
    """One file that reads as its model, and the document for findings that name lines."""

    model: Model
    document: Document


def check(
    project: Project, messages: Collection[str] | None = None, campaigns: Collection[str] | None = None
) -> list[Finding]:
    """Every fault of config/metrics and config/experiments; parameters as of `examine`."""
    return examine(project, messages, campaigns)[1]


def examine(
    project: Project, messages: Collection[str] | None = None, campaigns: Collection[str] | None = None
) -> tuple[list[ExperimentFile], list[Finding]]:
    """Enabled experiments that can be read, and every fault of config/metrics and config/experiments.

    Parameters
    ----------
    messages : known message names; by default the folders of templates/ that hold a message.yaml
    campaigns : known campaign names; by default the files of config/campaigns/
    """
    metrics, faults = _read_metrics(project)
    experiments, more = _read(project.config / "experiments", ExperimentFile)
    known_messages = messages if messages is not None else _message_names(project)
    known_campaigns = campaigns if campaigns is not None else _stems(project.config / "campaigns")
    found = [*faults, *more, *_faults_of(experiments, metrics, known_messages, known_campaigns)]
    return [item.model for item in experiments if item.model.enabled], found


def load(project: Project) -> dict[str, ExperimentDefinition]:
    """Enabled experiments by name, resolved.

    Raises
    ------
    ConfigurationInvalid : any file has a fault
    """
    if faults := [finding for finding in check(project) if finding.severity == "error"]:
        raise ConfigurationInvalid(faults)
    metrics, _ = _read_metrics(project)
    experiments, _ = _read(project.config / "experiments", ExperimentFile)
    by_name = {name: item.model for name, item in metrics.items()}
    return {item.model.name: resolve(item.model, by_name) for item in experiments if item.model.enabled}


def load_metrics(project: Project) -> dict[str, Metric]:
    """Every metric by name.

    Raises
    ------
    ConfigurationInvalid : any file has a fault
    """
    metrics, faults = _read_metrics(project)
    if faults:
        raise ConfigurationInvalid(faults)
    return {name: item.model for name, item in metrics.items()}


def _read(folder: Path, model: type[Model]) -> tuple[list[_Read[Model]], list[Finding]]:
    found: list[_Read[Model]] = []
    faults: list[Finding] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            document = read_document(path)
            item = _Read(validate(model, document), document)
        except ConfigurationInvalid as error:
            faults += error.findings
            continue
        name = getattr(item.model, "name", "")
        if name != path.stem:
            what = f"differs from its file's name {path.name}"
            faults.append(document.finding("name", what=what, remedy="align them"))
        found.append(item)
    return found, faults


def _read_metrics(project: Project) -> tuple[dict[str, _Read[Metric]], list[Finding]]:
    items, faults = _read(project.config / "metrics", Metric)
    faults += [fault for item in items for fault in check_metric(item.model, item.document)]
    return {item.model.name: item for item in items}, faults


def _stems(folder: Path) -> list[str]:
    return [path.stem for path in sorted(folder.glob("*.yaml"))]


def _message_names(project: Project) -> list[str]:
    files = sorted(project.templates.glob("*/*/message.yaml"))
    return [file.parent.relative_to(project.templates).as_posix() for file in files]


def _faults_of(
    experiments: list[_Read[ExperimentFile]],
    metrics: Mapping[str, _Read[Metric]],
    messages: Collection[str],
    campaigns: Collection[str],
) -> Iterator[Finding]:
    by_campaign: dict[str, str] = {}
    sliced: list[ExperimentFile] = []
    for item in experiments:
        file, document = item.model, item.document
        yield from _variant_faults(file, document)
        yield from _unit_faults(file, document)
        yield from _quantile_faults(file, document, metrics)
        yield from _metric_faults(file, document, metrics)
        yield from _subgroup_faults(file, document)
        yield from _strata_faults(file, document, metrics)
        yield from _bandit_faults(file, document, metrics)
        yield from _reference_faults(file, document, messages, campaigns)
        if file.enabled and (other := by_campaign.setdefault(file.campaign, file.name)) != file.name:
            what = f"campaign '{file.campaign}' already has the experiment '{other}'"
            yield document.finding("campaign", what=what, remedy="let one end first (enabled: false)")
        if file.enabled and file.layer is not None:
            yield from _layer_faults(file, document, sliced)
            sliced.append(file)


def _layer_faults(file: ExperimentFile, document: Document, before: Collection[ExperimentFile]) -> Iterator[Finding]:
    """Slices of one layer that overlap would share people."""
    mine = file.layer
    for other in before:
        if mine and other.layer and mine.name == other.layer.name and file.unit is not other.unit:
            what = f"the layer '{mine.name}' has '{other.name}' with unit {other.unit}: their slices would share people"
            yield document.finding("unit", what=what, remedy=f"use {other.unit}, or another layer")
        if mine is None or other.layer is None or not mine.overlaps(other.layer):
            continue
        what = f"the slice {_slice(mine)} of '{mine.name}' overlaps {_slice(other.layer)} of '{other.name}'"
        free = f"from {other.layer.last:g}" if other.layer.last < 1 else f"up to {other.layer.first:g}"
        yield document.finding("layer", "from", what=what, remedy=f"take a free part, for example {free}")


def _slice(layer: Layer) -> str:
    return f"{layer.first:g} to {layer.last:g}"


def _variant_faults(file: ExperimentFile, document: Document) -> Iterator[Finding]:
    names = [variant.name for variant in file.variants]
    if len(names) < 2:
        yield document.finding("variants", what="needs at least two variants", remedy="add one")
    for index, name in enumerate(names):
        if name in names[:index]:
            yield document.finding("variants", index, "name", what=f"variant '{name}' stands twice", remedy="rename it")
    total = sum(variant.share for variant in file.variants)
    if names and abs(total - 1) > 1e-9:
        what = f"shares sum to {total:g}, not 1"
        yield document.finding("variants", 0, "share", what=what, remedy="for example 0.5 and 0.5")
    for index, variant in enumerate(file.variants):
        if variant.share < SMALLEST_SHARE:
            # One that runs already goes on; planning refuses to launch another (`planning.unfit`).
            what = f"a share of {variant.share:g} proves nothing and costs its patients' attention"
            remedy = f"give every arm {SMALLEST_SHARE:g} or more, or leave the variant out"
            yield document.finding("variants", index, "share", what=what, remedy=remedy, severity="warning")
    if file.control not in names:
        what = f"control '{file.control}' is not a variant"
        yield document.finding("control", what=what, remedy=nearest(file.control, names) or ", ".join(names))


def _unit_faults(file: ExperimentFile, document: Document) -> Iterator[Finding]:
    """What a design in clusters has to say, and what clusters cannot have."""
    plan = file.design
    given = {"cluster_size": plan.cluster_size, "cluster_icc": plan.cluster_icc, "cluster_cv": plan.cluster_cv}
    if not file.unit.is_cluster:
        for field, value in given.items():
            if value is not None:
                what = "belongs to a unit of household or clinic"
                yield document.finding("design", field, what=what, remedy="remove it, or name the unit")
        return
    for field, example in (("cluster_size", "2.5"), ("cluster_icc", "0.05")):
        if given[field] is None:
            what = f"a {file.unit} as unit needs design.{field}: people who are alike tell less than as many others"
            yield document.finding(
                "design", field, what=what, remedy=f"for example {field}: {example}, from earlier data"
            )
    if plan.looks is Looks.DAILY:
        what = f"people of one {file.unit} come on different days, so that a look would not be independent of the last"
        yield document.finding("design", "looks", what=what, remedy="use looks: final")
    for field, used in (("subgroups", file.subgroups), ("stratify_by", file.stratify_by)):
        if used:
            what = f"compares people, and a {file.unit} is what is assigned"
            yield document.finding(field, what=what, remedy="remove it, or assign people")
    if file.bandit is not None:
        what = f"shares follow the results of people, and a {file.unit} is what is assigned"
        yield document.finding("bandit", what=what, remedy="remove it, or assign people")


def _quantile_faults(
    file: ExperimentFile, document: Document, metrics: Mapping[str, _Read[Metric]]
) -> Iterator[Finding]:
    """People of one household are alike, which order statistics do not know."""
    if not file.unit.is_cluster:
        return
    places: list[tuple[str, tuple[str | int, ...]]] = [
        *((name, ("metrics", "goal", index)) for index, name in enumerate(file.metrics.goal)),
        *((rule.metric, ("metrics", "guardrails", index)) for index, rule in enumerate(file.metrics.guardrails)),
    ]
    for name, place in places:
        if name in metrics and metrics[name].model.kind is MetricKind.QUANTILE:
            what = f"'{name}' is a quantile over people, and a {file.unit} is what is assigned"
            yield document.finding(*place, what=what, remedy="take the share within a limit (below), or assign people")


def _metric_faults(file: ExperimentFile, document: Document, metrics: Mapping[str, _Read[Metric]]) -> Iterator[Finding]:
    for index, name in enumerate(file.metrics.goal):
        place = ("metrics", "goal", index)
        if name not in metrics:
            yield _unknown(document, place, "metric", name, metrics, "config/metrics")
        elif metrics[name].model.origin == DELIVERY and metrics[name].model.event is EventKind.OPEN:
            what = "opens decide nothing: mail programs open messages by themselves"
            yield document.finding(*place, what=what, remedy="choose clicks, bookings or readings")
    for index, rule in enumerate(file.metrics.guardrails):
        if rule.metric not in metrics:
            yield _unknown(document, ("metrics", "guardrails", index, "metric"), "metric", rule.metric, metrics, "")
    for name in DEFAULT_GUARDRAILS:
        if name not in metrics:
            what = f"the guardrail metric '{name}', which every experiment has, is missing"
            yield document.finding("metrics", what=what, remedy=f"add config/metrics/{name}.yaml")
    yield from _arm_faults(file, document, metrics)
    yield from _planning_faults(file, document, metrics)


def _arm_faults(file: ExperimentFile, document: Document, metrics: Mapping[str, _Read[Metric]]) -> Iterator[Finding]:
    """A mean or count is compared in arms that are not too unequal; a rate or quantile may be compared in any."""
    unequal = too_unequal({variant.name: variant.share for variant in file.variants}, file.control)
    for index, name in enumerate(file.metrics.goal):
        if unequal and name in metrics and metrics[name].model.averages:
            arms = f"'{unequal}' and '{file.control}'"
            what = f"'{name}' is a count, mean or ratio, and {arms} are more unequal than {MOST_UNEQUAL:g} : 1"
            remedy = "share out the arms more evenly, or take a binary goal or a quantile"
            yield document.finding("metrics", "goal", index, what=what, remedy=remedy, severity="warning")


def _planning_faults(
    file: ExperimentFile, document: Document, metrics: Mapping[str, _Read[Metric]]
) -> Iterator[Finding]:
    first = metrics.get(file.metrics.goal[0])
    if first is None:
        return
    metric, design = first.model, file.design
    if metric.kind is MetricKind.BINARY:
        reached = design.base_rate + metric.direction.sign * design.minimum_effect
        if not (0 < design.base_rate < 1 and 0 <= reached <= 1):
            what = f"a rate of {design.base_rate:g} cannot improve by {design.minimum_effect:g}"
            yield document.finding("design", "base_rate", what=what, remedy="rates lie between 0 and 1")
    elif metric.deviation is None:
        what = f"planning needs the standard deviation of '{metric.name}'"
        yield first.document.finding("deviation", what=what, remedy="add deviation: the spread of a person's value")


def _reference_faults(
    file: ExperimentFile, document: Document, messages: Collection[str], campaigns: Collection[str]
) -> Iterator[Finding]:
    if file.campaign not in campaigns:
        yield _unknown(document, ("campaign",), "campaign", file.campaign, campaigns, "config/campaigns")
    for index, variant in enumerate(file.variants):
        if variant.message not in messages:
            place = ("variants", index, "message")
            yield _unknown(document, place, "message", variant.message, messages, "templates")


def _bandit_faults(file: ExperimentFile, document: Document, metrics: Mapping[str, _Read[Metric]]) -> Iterator[Finding]:
    """What the analysis of moving shares cannot do."""
    if file.bandit is None:
        return
    used = [*file.metrics.goal, *(rule.metric for rule in file.metrics.guardrails)]
    other = [name for name in used if name in metrics and metrics[name].model.kind is not MetricKind.BINARY]
    if len(file.metrics.goal) > 1 or other:
        what = "a bandit has one goal, and only rates" + (f": '{other[0]}' is none" if other else "")
        yield document.finding("bandit", what=what, remedy="choose one binary goal, or remove bandit")
    if file.design.looks is not Looks.FINAL:
        what = "a bandit already follows the results: its verdict comes once"
        yield document.finding("design", "looks", what=what, remedy="use looks: final")
    if file.bandit.minimum_share * len(file.variants) > 1:
        what = f"{len(file.variants)} variants cannot each keep {file.bandit.minimum_share:g}"
        yield document.finding("bandit", "minimum_share", what=what, remedy="lower it")


def _strata_faults(file: ExperimentFile, document: Document, metrics: Mapping[str, _Read[Metric]]) -> Iterator[Finding]:
    name = file.stratify_by
    if name is None:
        return
    if name not in SUBGROUPS:
        what = f"people cannot be divided by '{name}': it is unknown, or a message may change it"
        yield document.finding("stratify_by", what=what, remedy=nearest(name, SUBGROUPS) or ", ".join(SUBGROUPS))
    if file.design.looks is not Looks.FINAL or file.bandit is not None:
        what = "parts are weighed by all of their people, who are known at the end"
        yield document.finding("stratify_by", what=what, remedy="use looks: final without bandit, or remove it")
    for goal in file.metrics.goal:
        model = metrics[goal].model if goal in metrics else None
        own = {MetricKind.RATIO, MetricKind.QUANTILE}
        if model and (model.kind in own or model.before_days is not None):
            what = f"'{goal}' has a variance of its own kind"
            yield document.finding("stratify_by", what=what, remedy="remove it, or take a rate, count or mean")


def _subgroup_faults(file: ExperimentFile, document: Document) -> Iterator[Finding]:
    for index, name in enumerate(file.subgroups):
        if name not in SUBGROUPS:
            what = f"people cannot be divided by '{name}': it is unknown, or a message may change it"
            remedy = nearest(name, SUBGROUPS) or ", ".join(SUBGROUPS)
            yield document.finding("subgroups", index, what=what, remedy=remedy)
        elif name in file.subgroups[:index]:
            yield document.finding("subgroups", index, what=f"'{name}' stands twice", remedy="remove one")


def _unknown(
    document: Document, place: tuple[str | int, ...], kind: str, name: str, known: Collection[str], folder: str
) -> Finding:
    remedy = nearest(name, known) or (f"known ones are in {folder}/" if folder else f"known: {', '.join(known)}")
    return document.finding(*place, what=f"unknown {kind} '{name}'", remedy=remedy)
