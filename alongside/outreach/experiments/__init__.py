"""Experiments: definitions in YAML, keyed assignment, and the design that is checked before launch."""

from alongside.outreach.experiments.assignment import Enrolment, assign, assign_sticky, cluster_id
from alongside.outreach.experiments.calendar import Calendar
from alongside.outreach.experiments.catalogue import check, examine, load, load_metrics
from alongside.outreach.experiments.definition import (
    ANALYSIS_VERSION,
    CLINIC,
    Decide,
    ExperimentDefinition,
    ExperimentFile,
    Guardrail,
    Layer,
    Looks,
    Unit,
    Variant,
    resolve,
)
from alongside.outreach.experiments.metrics import Metric, MetricKind
from alongside.outreach.experiments.planning import DesignReport, design, people_needed, unfit
from alongside.outreach.experiments.prospects import CurvePoint, DaysToVerdict, days_to_verdict, power_curve

__all__ = [
    "ANALYSIS_VERSION",
    "CLINIC",
    "Calendar",
    "CurvePoint",
    "DaysToVerdict",
    "Decide",
    "DesignReport",
    "Enrolment",
    "ExperimentDefinition",
    "ExperimentFile",
    "Guardrail",
    "Layer",
    "Looks",
    "Metric",
    "MetricKind",
    "Unit",
    "Variant",
    "assign",
    "assign_sticky",
    "check",
    "cluster_id",
    "days_to_verdict",
    "design",
    "examine",
    "load",
    "load_metrics",
    "people_needed",
    "power_curve",
    "resolve",
    "unfit",
]
