"""Experiments: definitions in YAML, keyed assignment, and the design that is checked before launch."""

from alongside.outreach.experiments.assignment import assign, assign_sticky
from alongside.outreach.experiments.calendar import Calendar
from alongside.outreach.experiments.catalogue import check, examine, load, load_metrics
from alongside.outreach.experiments.definition import (
    ANALYSIS_VERSION,
    Decide,
    ExperimentDefinition,
    ExperimentFile,
    Guardrail,
    Layer,
    Looks,
    Variant,
    resolve,
)
from alongside.outreach.experiments.metrics import Metric, MetricKind
from alongside.outreach.experiments.planning import DesignReport, design, people_needed

__all__ = [
    "ANALYSIS_VERSION",
    "Calendar",
    "Decide",
    "DesignReport",
    "ExperimentDefinition",
    "ExperimentFile",
    "Guardrail",
    "Layer",
    "Looks",
    "Metric",
    "MetricKind",
    "Variant",
    "assign",
    "assign_sticky",
    "check",
    "design",
    "examine",
    "load",
    "load_metrics",
    "people_needed",
    "resolve",
]
