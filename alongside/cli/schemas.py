"""`alongside schemas`: one JSON Schema per kind of configuration, for editors that complete and mark what is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from alongside.cli import options
from alongside.cli.output import AsJson, tell

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas(
    directory: Annotated[
        Path,
        typer.Argument(parser=options.folder, metavar="DIR", help="Folder to write to; what is there is replaced."),
    ],
    as_json: AsJson = False,
) -> None:
    """Write a JSON Schema for every kind of configuration file, for completion in an editor."""
    directory.mkdir(parents=True, exist_ok=True)
    written = {}
    for name, (form, pattern) in kinds().items():
        path = directory / f"{name}.schema.json"
        path.write_text(json.dumps(schema_of(form), ensure_ascii=False, indent=2) + "\n", "utf-8")
        written[str(path)] = pattern
    said = [f"{path}  for {pattern}" for path, pattern in written.items()]
    tell({"directory": str(directory), "schemas": written}, as_json, *said)


def schema_of(form: Any) -> dict[str, Any]:
    """What a file of this form (a model, or one of several) may say, under the names that stand in the file."""
    from pydantic import TypeAdapter

    return {"$schema": DIALECT, **TypeAdapter(form).json_schema(by_alias=True, mode="validation")}


def kinds() -> dict[str, tuple[Any, str]]:
    """Kind of file -> its model, and where such files lie, as a glob from the project's folder."""
    from alongside.content.definition import MessageDefinition
    from alongside.content.lint_rules import LintFile
    from alongside.content.surveys import Survey
    from alongside.outreach.campaigns import Campaign
    from alongside.outreach.experiments import ExperimentFile, Metric
    from alongside.outreach.sensitivity import SensitivityRules
    from alongside.quality.suites import Suite
    from alongside.sandbox.sendgrid.responses import Responses
    from alongside.segments.model import SegmentFile, TagFile, VocabularyFile
    from alongside.settings import HospitalSettings, Seeds
    from alongside.sources.concepts import ConceptFile, UnitFile
    from alongside.sources.config import SourceSpec

    return {
        "alongside": (HospitalSettings, "config/alongside.yaml"),
        "campaign": (Campaign, "config/campaigns/*.yaml"),
        "concepts": (ConceptFile | UnitFile, "config/concepts/*.yaml"),
        "experiment": (ExperimentFile, "config/experiments/*.yaml"),
        "expectations": (Suite, "expectations/*.yaml"),
        "lint": (LintFile, "config/lint/*.yaml"),
        "message": (MessageDefinition, "templates/*/*/message.yaml"),
        "metric": (Metric, "config/metrics/*.yaml"),
        "responses": (Responses, "config/sandbox/responses.yaml"),
        "seeds": (Seeds, "config/seeds.yaml"),
        "sensitivity": (SensitivityRules, "config/sensitivity.yaml"),
        "segment": (SegmentFile, "config/segments/*.yaml"),
        "source": (SourceSpec, "config/sources/*.yaml"),
        "survey": (Survey, "config/surveys/*.yaml"),
        "tags": (TagFile, "config/tags/*.yaml"),
        "vocabulary": (VocabularyFile, "config/vocabulary.yaml"),
    }
