"""`alongside check`: every kind of configuration, each by its own capability, without a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, relative
from alongside.settings import HospitalSettings, Project, read_model


def check_project(project: Project) -> list[Finding]:
    """All findings, sorted by file and line, each once; paths relative to the project."""
    from alongside import content, quality, segments, sources
    from alongside.outreach import catalogues

    findings: list[Finding] = []
    try:
        read_model(HospitalSettings, project.config / "alongside.yaml")
    except ConfigurationInvalid as error:
        findings += error.findings
    for capability in (sources.check, quality.check, segments.check, content.check, catalogues.check):
        try:
            findings += capability(project)
        except ConfigurationInvalid as error:
            findings += error.findings
    short = {replace(item, path=relative(Path(item.path), project.root)) for item in findings}
    return sorted(short)
