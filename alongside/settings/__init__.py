"""The only reader of environment variables and configuration files."""

from alongside.settings.environment import Environment
from alongside.settings.hospital import HospitalSettings
from alongside.settings.project import Project
from alongside.settings.yaml_source import Document, read_document, read_model, validate

__all__ = [
    "Document",
    "Environment",
    "HospitalSettings",
    "Project",
    "read_document",
    "read_model",
    "validate",
]
