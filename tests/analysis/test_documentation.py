"""What docs/experiments.md shows must work as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from alongside.analysis.result import ExperimentResult
from alongside.model.enums import Verdict
from alongside.outreach.experiments import ExperimentFile, Metric, design, load_metrics, resolve
from alongside.outreach.experiments.metrics import check_metric
from alongside.settings import Project
from alongside.settings.yaml_source import parse_document
from tests.analysis.test_report_parts import _result

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "experiments.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_experiment_is_valid_and_refused_as_quoted():
    file = ExperimentFile.model_validate(yaml.safe_load(BLOCKS[0]))
    report = design(resolve(file, load_metrics(Project.at(ROOT))), 300, 10)
    quoted = " ".join(TEXT.replace("\n   > ", " ").split())
    assert f"{report.people_expected} people are expected within 12 days, {report.people_needed} are needed" in quoted


def test_the_example_metric_is_the_shipped_one():
    block = next(text for text in BLOCKS if text.startswith("name: booked_follow_up"))
    metric = Metric.model_validate(yaml.safe_load(block))
    assert check_metric(metric, parse_document(Path("docs"), block)) == []
    assert metric == load_metrics(Project.at(ROOT))["booked_follow_up"]


def test_every_field_and_verdict_is_documented():
    result: ExperimentResult = _result()
    shape = result.to_json()
    fields = [*shape, *shape["comparisons"][0], *shape["guardrails"][0], *shape["maturity"], *shape["arms"]["control"]]
    undocumented = {field for field in fields if f"`{field}`" not in TEXT}
    assert undocumented <= {"experiment", "as_of", "control", "alpha"}
    assert all(f"`{verdict.value}`" in TEXT for verdict in Verdict)
