"""`alongside check`: every kind of configuration, each by its own capability, without a database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from alongside.model.errors import ConfigurationInvalid
from alongside.model.findings import Finding, relative
from alongside.settings import HospitalSettings, Project, read_model
from alongside.settings.seeds import check_seeds


def check_project(project: Project) -> list[Finding]:
    """All findings, sorted by file and line, each once; paths relative to the project."""
    from alongside import quality, sources

    findings: list[Finding] = []
    for capability in (_settings, _seeds, sources.check, quality.check, _outreach):
        try:
            findings += capability(project)
        except ConfigurationInvalid as error:
            findings += error.findings
    short = {replace(item, path=relative(Path(item.path), project.root)) for item in findings}
    return sorted(short)


def _settings(project: Project) -> list[Finding]:
    read_model(HospitalSettings, project.config / "alongside.yaml")
    return []


def _seeds(project: Project) -> list[Finding]:
    return check_seeds(project, sorted(path.stem for path in (project.config / "campaigns").glob("*.yaml")))


def _outreach(project: Project) -> list[Finding]:
    """Segments and messages, each read once: for faults of their own, and for what campaigns say of them."""
    from alongside import content, segments
    from alongside.outreach import catalogues

    known, faults = segments.read(project)
    try:
        messages, unreadable = content.load_leniently(project)
    except ConfigurationInvalid:  # config/alongside.yaml itself, which has its own check
        return [*faults, *catalogues.check(project, None, None)]
    sound = not any(fault.severity == "error" for fault in faults)
    referred = (known if sound else None, None if unreadable else messages)
    return [*faults, *unreadable, *content.faults_of(messages), *catalogues.check(project, *referred)]
